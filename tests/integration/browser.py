"""A browser without a screen, and a hand that writes in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from playwright.sync_api import Browser, CDPSession, Page, expect, sync_playwright

from components.ink.ink import Stroke

# Nothing but this machine can be asked, and the browser asks nothing for itself.
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip

CHROMIUM = shutil.which("chromium")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, driven by Playwright."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield browser
        browser.close()


class Hand:
    """Writes on the page, and looks at what is read there."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.devtools: CDPSession = page.context.new_cdp_session(page)

    def write(self, strokes: Sequence[Stroke], size: float = 8, at: tuple[float, float] = (40, 90)) -> None:
        """Draws with the mouse, so many pixels for a unit of the ink."""
        for stroke in strokes:
            self.drag(self._places(stroke, size, at))

    def drag(self, places: Sequence[tuple[float, float]]) -> None:
        """Along places of the screen, the button pressed."""
        mouse = self.page.mouse
        mouse.move(*places[0])
        mouse.down()
        for place in places:
            mouse.move(*place)
        mouse.up()

    def pen(self, places: Sequence[tuple[float, float]], force: float = 0.8) -> None:
        """A pen on glass, which says how firmly it is pressed."""
        kinds = ["mousePressed", *["mouseMoved"] * (len(places) - 1), "mouseReleased"]
        for kind, (x, y) in zip(kinds, [*places, places[-1]], strict=True):
            self.devtools.send(
                "Input.dispatchMouseEvent",
                {"type": kind, "x": x, "y": y, "button": "left", "buttons": int(kind != "mouseReleased"),
                 "clickCount": 1, "force": force, "pointerType": "pen"},
            )  # fmt: skip

    def touch(self, kind: str, *places: tuple[float, float], radius: float = 8) -> None:
        """Fingers: `kind` is Start, Move or End; all that are down are named, of End none."""
        points = [
            {"x": x, "y": y, "id": n, "radiusX": radius, "radiusY": radius} for n, (x, y) in enumerate(places)
        ]
        self.devtools.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A place of the sheet on the screen."""
        box = self.page.locator("#ink").bounding_box()
        assert box is not None
        return box["x"] + x, box["y"] + y

    def sees(self, formula: str, seconds: float = 20) -> None:
        """Waits until this is what is read, from all of the ink."""
        expect(self.page.locator(".answer")).to_have_attribute("aria-busy", "false", timeout=1000 * seconds)
        expect(self.page.locator("#latex")).to_have_value(formula, timeout=1000 * seconds)
        expect(self.page.locator("#correction")).to_be_visible()

    def told(self, text: str, seconds: float = 20) -> None:
        """Waits until this is the message."""
        expect(self.page.locator("#trouble")).to_contain_text(text, timeout=1000 * seconds)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    @property
    def strokes(self) -> str:
        """What a screen reader says of the sheet."""
        return self.page.locator("#ink").get_attribute("aria-label") or ""

    def _places(self, stroke: Stroke, size: float, at: tuple[float, float]) -> list[tuple[float, float]]:
        return [self.place(at[0] + size * x, at[1] + size * y) for x, y in stroke.tolist()]
