"""Pictures of the pages, to be looked at: `python -m tests.screenshots --address http://127.0.0.1:3000`.

Of a service that runs with AUTH=off (or the page says that it needs a key) and RATE_LIMITS=off. Wide, narrow
and dark; the page before, while and after something is written, with a symbol lit, a sheet that is cropped,
and with a fault; the dashboard. They lie in reports/page.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Page, expect

from components.ink.raster import bounds, draw_in, frame_at
from tests.integration.browser import CHROMIUM, Hand, chromium
from tests.recognizer.inks import formula

SCREENS: dict[str, dict[str, object]] = {
    "wide": {"viewport": {"width": 1280, "height": 800}},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True},
    "narrow-dark": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "color_scheme": "dark",
    },
}


def empty(page: Page, address: str) -> None:
    page.goto(address)


def written(page: Page, address: str) -> None:
    page.goto(address)
    Hand(page).write(formula(), size=7, at=(30, 60))
    expect(page.locator("#correction")).to_be_visible(timeout=20_000)
    expect(page.locator("#undo")).to_be_enabled()
    page.wait_for_timeout(1000)  # the last of several readings


def lit(page: Page, address: str) -> None:
    written(page, address)
    page.locator("#formula mn").last.hover()
    page.wait_for_timeout(500)


def corrected(page: Page, address: str) -> None:
    written(page, address)
    page.locator("#latex").fill(r"x=\frac{1}{2}y")


def refused(page: Page, address: str) -> None:
    page.goto(address)
    page.locator("#file").set_input_files(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"x = 1/2"}
    )
    expect(page.locator("#trouble")).to_be_visible(timeout=20_000)


def gone(page: Page, address: str) -> None:
    page.goto(address)
    page.route("**/predict/**", lambda route: route.abort())
    Hand(page).write(formula()[:2], size=7, at=(30, 60))
    expect(page.locator("#trouble")).to_be_visible(timeout=20_000)


def cropping(page: Page, address: str) -> None:
    page.goto(address)
    sheet = np.full((1500, 2000), 240, np.uint8)
    for number in range(3):
        strokes = formula()
        drawn = draw_in(strokes, frame_at(*bounds(strokes), 9.0, 20), 20, 8)
        top = 60 + 480 * number
        sheet[top : top + drawn.shape[0], 300 : 300 + drawn.shape[1]] = np.minimum(drawn, 240)
    content = cv2.imencode(".jpg", sheet)[1].tobytes()
    page.locator("#file").set_input_files({"name": "sheet.jpg", "mimeType": "image/jpeg", "buffer": content})
    page.get_by_role("button", name="Corner bottom right").focus()
    for _ in range(13):
        page.keyboard.press("Shift+ArrowUp")
    for _ in range(7):
        page.keyboard.press("Shift+ArrowLeft")


def several(page: Page, address: str) -> None:
    cropping(page, address)
    page.get_by_role("button", name="Whole picture").click()
    page.get_by_role("button", name="Read").click()
    expect(page.locator("#correction")).to_be_visible(timeout=20_000)


def dashboard(page: Page, address: str) -> None:
    page.goto(f"{address}/dashboard")
    expect(page.locator("figure")).to_have_count(7, timeout=20_000)


SCENES: tuple[Callable[[Page, str], None], ...] = (
    *(empty, written, lit, corrected, cropping, several, refused, gone, dashboard),
)


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("--address", default="http://127.0.0.1:3000", help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("reports/page"), help="(default: %(default)s)")
    options = parser.parse_args()
    if CHROMIUM is None:
        print("screenshots: needs Chromium: apt-get install chromium", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for screen, settings in SCREENS.items():
            for scene in SCENES:
                with browser.new_context(**settings) as context:
                    page = context.new_page()
                    scene(page, options.address.rstrip("/"))
                    file = options.out / f"{scene.__name__}-{screen}.png"
                    page.screenshot(path=file, full_page=True)
                    print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
