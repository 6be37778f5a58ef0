"""The page in a real browser, with a real service behind it and a model that knows three inks by heart.

Where a refusal is hard to bring about, and what the page makes of it is all that matters, it is put in at the
network's edge; those tests say `instead`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from components.config import Params
from components.deployment.service_process import ServiceProcess
from components.ink.correction import Correction
from components.ink.ink import Ink
from components.ink.inkml import write_inkml
from components.ink.raster import RasterSettings, bounds, draw, draw_in, frame_at
from components.serving.access.api_keys import add_key
from tests.integration.browser import CHROMIUM, Hand, chromium
from tests.integration.conftest import CHALLENGER, SERVE, Registry, promoted, registered, service_of
from tests.integration.learnt import KNOWN, learnt_project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
    pytest.mark.skipif(not SERVE.exists(), reason="needs the serving environment: ./setup.sh serve"),
]

X, EQUATION = "x", r"x=\frac{1}{2}"
WHERE = "**/predict/strokes*"


@pytest.fixture(scope="module")
def reads(params: Params, tmp_path_factory: pytest.TempPathFactory) -> tuple[Registry, str]:
    """A registry with a model that reads, and its tag."""
    registry = registered(learnt_project(tmp_path_factory.mktemp("learnt"), params), tmp_path_factory)
    return registry, promoted(registry, "store", "--model", CHALLENGER).partition(":")[2]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the open service keeps corrections."""
    return tmp_path_factory.mktemp("corrections")


@pytest.fixture(scope="module")
def service(reads: tuple[Registry, str], kept: Path) -> Iterator[ServiceProcess]:
    """Open to all, without limits."""
    with service_of(*reads, feedback_folder=kept) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A telephone's or a desk's, and nothing in it fails or asks another host, whatever the test does."""
    options = {"viewport": {"width": 1200, "height": 800}} | getattr(request, "param", {})
    with browser.new_context(**options) as context:
        page = context.new_page()
        asked: list[str] = []
        faults: list[str] = []
        page.on("request", lambda sent: asked.append(sent.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        # The browser itself notes each refusal as an error; whatever else it notes, such as what the policy
        # keeps out, should not be.
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        yield page
    assert [fault for fault in faults if "Failed to load resource" not in fault] == []
    assert {url.split("/")[2].partition(":")[0] for url in asked if not url.startswith("blob:")} == {
        "127.0.0.1"
    }


def at(page: Page, service: ServiceProcess) -> Hand:
    page.goto(f"{service.address}/")
    return Hand(page)


def picture(name: str) -> bytes:
    return cv2.imencode(".png", draw(KNOWN[name], RasterSettings()))[1].tobytes()


def problem(status: int, kind: str, detail: str, **headers: str) -> dict[str, object]:
    """A refusal as the service would say it."""
    body = {"type": f"urn:problem:{kind}", "title": "", "status": status, "detail": detail, "request_id": "r"}
    return {
        "status": status,
        "content_type": "application/problem+json",
        "headers": headers,
        "body": json.dumps(body),
    }


class TestWriting:
    def test_what_is_written_is_read_and_typeset(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        hand.write(KNOWN[EQUATION])
        hand.sees(EQUATION)
        formula = page.locator("#formula math")
        assert formula.locator("mfrac").count() == 1 and formula.text_content() == "x=12"
        assert formula.get_attribute("display") == "block"
        expect(page.locator("#facts")).to_contain_text("% sure · ")
        assert page.locator("#readings button").count() == 3, "alternatives"
        expect(page.locator("#spoken")).to_contain_text(f"Read: {EQUATION}")

    def test_strokes_are_undone_and_done_again(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        expect(page.get_by_role("button", name="Undo")).to_be_disabled()
        hand.write(KNOWN["x="])
        hand.sees("x=")
        hand.press("Undo")
        page.keyboard.press("Control+z")
        hand.sees("x")
        hand.press("Redo")
        page.keyboard.press("Control+Shift+Z")
        hand.sees("x=")
        assert hand.strokes == "Writing area, 4 strokes"
        hand.press("Clear")
        assert hand.strokes == "Empty writing area"
        expect(page.locator("#correction")).to_be_hidden()
        hand.press("Undo")
        hand.sees("x=")

    def test_the_eraser_takes_whole_strokes_in_one_step(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        hand.write(KNOWN["x="])
        hand.sees("x=")
        hand.press("Eraser")
        bars = 40 + 8 * 18
        hand.drag([hand.place(bars, 90 + 8 * y) for y in range(8, 22)])
        hand.sees("x")
        assert hand.strokes == "Writing area, 2 strokes"
        hand.press("Undo")
        hand.sees("x=")

    def test_the_last_ink_wins_whatever_comes_first(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        held: list[Route] = []
        page.route(WHERE, lambda route: held.append(route) if not held else route.continue_())
        with page.expect_request(WHERE):
            hand.write(KNOWN["x"][:1])
        expect(page.locator(".answer")).to_have_attribute("aria-busy", "true")
        hand.write(KNOWN["x"][1:])
        hand.sees("x")
        [late] = held  # the page gave it up: what it answers is nobody's any more
        late.fulfill(json={"formula": "late", "confidence": 1, "processing_time": 0})
        page.wait_for_timeout(300)
        hand.sees("x")

    @pytest.mark.parametrize("page", [{"device_scale_factor": 3}], indirect=True)
    def test_it_is_sharp_on_a_fine_screen(self, page: Page, service: ServiceProcess) -> None:
        at(page, service)
        width, shown = page.evaluate("(c => [c.width, c.clientWidth])(document.getElementById('ink'))")
        assert width == 3 * shown


class TestHands:
    """What is a pen, a finger, or none of them."""

    def test_one_finger_writes_and_two_do_not(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        hand.touch("Start", hand.place(50, 50))
        hand.touch("Move", hand.place(90, 90))
        hand.touch("End")
        assert hand.strokes == "Writing area, 1 stroke"
        hand.touch("Start", hand.place(50, 50))
        hand.touch("Move", hand.place(60, 90))
        hand.touch("Start", hand.place(60, 90), hand.place(200, 90))
        hand.touch("Move", hand.place(60, 120), hand.place(240, 120))
        hand.touch("End")
        assert hand.strokes == "Writing area, 1 stroke"
        hand.touch("Start", hand.place(150, 50))
        hand.touch("Move", hand.place(190, 90))
        hand.touch("End")
        assert hand.strokes == "Writing area, 2 strokes"

    def test_a_palm_does_not_write(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        hand.touch("Start", hand.place(150, 150), radius=60)
        hand.touch("Move", hand.place(160, 190), radius=60)
        hand.touch("End")
        assert hand.strokes == "Empty writing area"
        hand.touch("Start", hand.place(150, 150))  # a small part of the palm, before the pen
        hand.touch("Move", hand.place(151, 153))
        hand.pen([hand.place(50, 50), hand.place(80, 80), hand.place(90, 120)])
        hand.touch("End")
        assert hand.strokes == "Writing area, 1 stroke", "the pen's"
        hand.touch("Start", hand.place(150, 150))
        hand.touch("End")
        assert hand.strokes == "Writing area, 1 stroke"

    def test_pressure_makes_the_line_broader(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        hand.pen([hand.place(50, 50), hand.place(250, 50)], force=0.1)
        hand.pen([hand.place(50, 150), hand.place(250, 150)], force=1.0)
        height = """y => Array.from(document.getElementById("ink").getContext("2d")
          .getImageData(150, y - 10, 1, 20).data).filter((value, i) => i % 4 === 3 && value).length"""
        light, firm = (page.evaluate(height, y) for y in (50, 150))
        assert 0 < light < firm


class TestFiles:
    def test_a_picture_is_chosen_and_taken_away(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        page.locator("#file").set_input_files(
            {"name": "f.png", "mimeType": "image/png", "buffer": picture(EQUATION)}
        )
        hand.sees(EQUATION)
        expect(page.get_by_role("img", name="f.png")).to_be_visible()
        hand.press("Clear")
        expect(page.locator("#picture")).to_be_hidden()
        hand.write(KNOWN["x"])
        hand.sees("x")

    @pytest.mark.parametrize("how", ["drop", "paste"])
    def test_it_is_dropped_or_pasted(self, page: Page, service: ServiceProcess, how: str) -> None:
        hand = at(page, service)
        page.evaluate(
            """([how, data]) => {
              const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
              const transfer = new DataTransfer();
              transfer.items.add(new File([bytes], "f.png", { type: "image/png" }));
              const usual = { bubbles: true, cancelable: true };
              document.body.dispatchEvent(how === "drop"
                ? new DragEvent("drop", { dataTransfer: transfer, ...usual })
                : new ClipboardEvent("paste", { clipboardData: transfer, ...usual }));
            }""",
            [how, base64.b64encode(picture("x=")).decode()],
        )
        hand.sees("x=")

    def test_ink_is_opened_and_written_on(self, page: Page, service: ServiceProcess, tmp_path: Path) -> None:
        hand = at(page, service)
        file = tmp_path / "f.inkml"
        with file.open("wb") as out:
            write_inkml(Ink("f", KNOWN["x="]), out)
        page.locator("#file").set_input_files(file)
        hand.sees("x=")
        assert hand.strokes == "Writing area, 4 strokes"
        hand.press("Undo")
        assert hand.strokes == "Empty writing area"

    def test_ink_of_another_form_goes_to_the_service_as_it_is(
        self, page: Page, service: ServiceProcess
    ) -> None:
        hand = at(page, service)
        # What the pen did in the air, which the page leaves to the service to leave out.
        traces = "".join(
            f"<trace>{', '.join(f'{x} {y}' for x, y in stroke.tolist())}</trace>" for stroke in KNOWN["x"]
        )
        ink = f'<ink><trace type="penUp">9 9, 500 500</trace>{traces}</ink>'
        with page.expect_request(WHERE) as sent:
            page.locator("#file").set_input_files({"name": "f.inkml", "mimeType": "", "buffer": ink.encode()})
        assert sent.value.headers["content-type"] == "application/inkml+xml"
        hand.sees("x")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"hello", "not a kind of file that is read here"),
            (picture("x")[:150], "That can't be read."),
            (cv2.imencode(".png", np.full((60, 90), 255, np.uint8))[1].tobytes(), "Nothing is written there"),
            (b"<ink><trace>1 2 3 broken</trace></ink>", "That can't be read."),
        ],
        ids=["text", "cut short", "blank", "broken ink"],
    )
    def test_what_can_not_be_read_is_said_so(
        self, page: Page, service: ServiceProcess, content: bytes, message: str
    ) -> None:
        hand = at(page, service)
        page.locator("#file").set_input_files({"name": "f.png", "mimeType": "image/png", "buffer": content})
        hand.told(message)
        expect(page.locator("#correction")).to_be_hidden()
        hand.press("Clear")
        hand.write(KNOWN["x"])
        hand.sees("x")
        expect(page.locator("#trouble")).to_be_hidden()


def sheet(*formulas: str, quarters: int = 0) -> bytes:
    """A photograph's worth of paper with formulas below one another, turned counter-clockwise."""
    paper = np.full((1200, 1600), 255, np.uint8)
    for number, name in enumerate(formulas):
        strokes = KNOWN[name]
        drawn = draw_in(strokes, frame_at(*bounds(strokes), 9.0, 20), 20, 8)
        top = 100 + 600 * number
        paper[top : top + drawn.shape[0], 150 : 150 + drawn.shape[1]] = drawn
    return cv2.imencode(".png", np.rot90(paper, quarters))[1].tobytes()


class TestCropping:
    def choose(self, page: Page, content: bytes, field: str = "#file") -> None:
        page.locator(field).set_input_files({"name": "f.png", "mimeType": "image/png", "buffer": content})

    def sent(self, page: Page) -> tuple[int, int]:
        """Width and height of the picture that was sent."""
        return page.evaluate("(p => [p.naturalWidth, p.naturalHeight])(document.getElementById('picture'))")

    def test_a_sheet_is_cropped_by_keys_before_anything_is_sent(
        self, page: Page, service: ServiceProcess
    ) -> None:
        hand = at(page, service)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "predict" in request.url else None)
        self.choose(page, sheet(EQUATION, "x="))
        dialog = page.get_by_role("dialog", name="Crop to one formula")
        expect(dialog).to_be_visible()
        expect(page.get_by_role("button", name="Read")).to_be_focused()
        page.get_by_role("button", name="Corner bottom right").focus()
        for _ in range(10):
            page.keyboard.press("Shift+ArrowUp")
        for _ in range(5):
            page.keyboard.press("ArrowLeft")
        expect(page.locator("#crop-said")).to_have_text("1520 × 600 of 1600 × 1200 pixels")
        assert Axe().run(page).response["violations"] == []
        assert asked == []
        hand.press("Read")
        hand.sees(EQUATION)
        assert self.sent(page) == [1520, 600]
        expect(page.locator("#advice")).to_be_hidden()
        hand.press("Crop and turn")  # of the whole picture
        expect(page.locator("#crop-said")).to_have_text("1600 × 1200 of 1600 × 1200 pixels")
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        assert page.locator("#latex").input_value() == EQUATION

    @pytest.mark.parametrize("page", [{}, {"has_touch": True}], indirect=True, ids=["mouse", "touch"])
    def test_it_is_cropped_by_hand(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        self.choose(page, sheet("x=", EQUATION))
        box = page.locator("#crop-sheet").bounding_box()
        assert box is not None
        x, top, middle = box["x"] + 8, box["y"] + 8, box["y"] + 8 + box["height"] / 2
        if page.evaluate("matchMedia('(any-pointer: coarse)').matches"):
            hand.touch("Start", (x, top))
            hand.touch("Move", (x, middle))
            hand.touch("End")
        else:
            hand.drag([(x, top), (x, middle)])
        expect(page.locator("#crop-said")).to_have_text(re.compile("1600 × (59[0-9]|60[0-9]) of"))
        hand.drag([(x + 300, middle + 60), (x + 300, top)])  # the whole part, up to the edge
        hand.drag([(x + 300, top + 60), (x + 300, middle + 900)])  # and down
        hand.press("Read")
        hand.sees(EQUATION)
        width, height = self.sent(page)
        assert width == 1600 and abs(height - 600) < 12

    def test_it_is_turned(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        self.choose(page, sheet(EQUATION, quarters=1))
        hand.press("Turn left")
        hand.press("Turn right")
        hand.press("Turn right")
        expect(page.locator("#crop-said")).to_have_text("1600 × 1200 of 1600 × 1200 pixels")
        hand.press("Read")
        hand.sees(EQUATION)
        assert self.sent(page) == [1600, 1200]

    @pytest.mark.parametrize("page", [{"has_touch": True, "is_mobile": True}], indirect=True)
    def test_a_telephone_photographs(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        with page.expect_file_chooser() as chooser:
            hand.press("Photograph")
        assert chooser.value.element.get_attribute("capture") == "environment"
        # However small, a photograph is shown before it is sent.
        chooser.value.set_files({"name": "p.png", "mimeType": "image/png", "buffer": picture(EQUATION)})
        expect(page.get_by_role("dialog")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
        hand.press("Cancel")
        assert hand.strokes == "Empty writing area"
        expect(page.locator("#picture")).to_be_hidden()

    def test_a_desk_has_no_button_for_photographs(self, page: Page, service: ServiceProcess) -> None:
        at(page, service)
        expect(page.get_by_role("button", name="Photograph")).to_be_hidden()

    def test_several_lines_are_told(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        line = [*KNOWN["x="], *(stroke + np.float32([26, 0]) for stroke in KNOWN["x="])]
        hand.write(line, at=(40, 0))
        hand.write(line, at=(40, 180))
        expect(page.locator("#advice")).to_have_text(
            "There seem to be 2 lines. One formula is read at a time: write each alone.", timeout=20_000
        )
        hand.press("Clear")
        expect(page.locator("#advice")).to_be_hidden()


class TestLittle:
    """While little is written, which may be the beginning of anything, the page says little."""

    def test_a_doubtful_beginning_is_shown_alone_until_the_pen_rests(
        self, page: Page, service: ServiceProcess
    ) -> None:
        hand = at(page, service)
        other = {"formula": "1", "confidence": 0.3}
        answer = {"formula": "l", "confidence": 0.4, "processing_time": 0.01, "alternatives": [other]}
        page.route(WHERE, lambda route: route.fulfill(json=answer))  # instead of a model in doubt
        page.clock.install()
        hand.write(KNOWN["x"][:1])
        page.clock.run_for(200)
        expect(page.locator("#formula")).to_have_text("l")
        for hidden in ("#facts", "#readings", "#correction"):
            expect(page.locator(hidden)).to_be_hidden()
        assert page.locator("#spoken").text_content() == ""
        page.clock.run_for(1600)
        for shown in ("#facts", "#readings", "#correction"):
            expect(page.locator(shown)).to_be_visible()
        page.clock.run_for(1000)
        expect(page.locator("#spoken")).to_contain_text("Read: l")

    def test_what_is_read_surely_is_told_at_once(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        answer = {
            "formula": "x",
            "confidence": 0.9,
            "processing_time": 0.01,
            "mathml": "<math><mi>x</mi></math>",
        }
        page.route(WHERE, lambda route: route.fulfill(json=answer))  # instead of a model that is sure
        page.clock.install()
        hand.write(KNOWN["x"])
        page.clock.run_for(200)
        expect(page.locator("#correction")).to_be_visible()


class TestCorrecting:
    def test_another_reading_is_chosen_and_sent(
        self, page: Page, service: ServiceProcess, kept: Path
    ) -> None:
        hand = at(page, service)
        hand.write(KNOWN["x="])
        hand.sees("x=")
        other = page.locator("#readings button").nth(1)
        other.click()
        chosen = page.locator("#latex").input_value()
        assert chosen != "x=" and other.get_attribute("aria-pressed") == "true"
        before = set(kept.rglob("*.json"))
        hand.press("Send correction")
        expect(page.locator("#thanks")).to_contain_text("Thank you")
        [file] = set(kept.rglob("*.json")) - before
        correction = Correction.model_validate_json(file.read_bytes())
        assert (correction.read, correction.right) == ("x=", chosen)
        assert correction.strokes is not None and len(correction.strokes) == 4

    def test_what_is_put_right_by_hand_is_sent_and_typeset(
        self, page: Page, service: ServiceProcess, kept: Path
    ) -> None:
        hand = at(page, service)
        hand.write(KNOWN["x"])
        hand.sees("x")
        expect(page.get_by_role("button", name="Send correction")).to_be_disabled()
        page.locator("#latex").fill(r"\frac{x")
        hand.press("Send correction")
        hand.told("That is no formula that can be kept: the end stands where } is expected")
        page.locator("#latex").fill(r"\sqrt x")
        hand.press("Send correction")
        expect(page.locator("#thanks")).to_contain_text("Thank you")
        expect(page.locator("#trouble")).to_be_hidden()
        assert page.locator("#formula msqrt").count() == 1
        assert r"\sqrt{x}" in {
            Correction.model_validate_json(f.read_bytes()).right for f in kept.rglob("*.json")
        }

    @pytest.mark.parametrize("page", [{"permissions": ["clipboard-read", "clipboard-write"]}], indirect=True)
    def test_the_latex_is_copied(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        hand.write(KNOWN["x"])
        hand.sees("x")
        hand.press("Copy")
        expect(page.locator("#thanks")).to_have_text("Copied.")
        assert page.evaluate("navigator.clipboard.readText()") == "x"


class TestRefusals:
    def test_a_key_is_asked_for_and_kept_in_the_tab_alone(
        self, page: Page, reads: tuple[Registry, str], tmp_path: Path
    ) -> None:
        key = add_key(tmp_path / "keys.json", "Ada's tablet", "")
        with service_of(
            *reads,
            auth="required",
            rate_limits="on",
            rate_limit_minute=4,
            api_keys_file=tmp_path / "keys.json",
        ) as service:
            hand = at(page, service)
            expect(page.locator("#key-state")).to_have_text("Reading needs one here.")
            hand.write(KNOWN["x"])
            hand.told("This needs an API key")
            page.get_by_label("API key").fill("hm_12345678_wrong")
            hand.press("Use")
            expect(page.locator("#key-state")).to_contain_text("This API key is not known here")
            hand.told("This needs an API key")
            page.get_by_label("API key").fill(key)
            hand.press("Use")
            hand.sees("x")
            expect(page.locator("#trouble")).to_be_hidden()
            expect(page.locator("#key-state")).to_have_text("In use: Ada's tablet.")
            expect(page.locator("#tiers")).to_contain_text("7 of 8 left this minute")
            assert page.evaluate("[localStorage.length, document.cookie, Object.values(sessionStorage)]") == [
                0, "", [key]
            ]  # fmt: skip
            assert key not in page.content()
            page.reload()
            expect(page.locator("#key-state")).to_have_text("In use: Ada's tablet.")
            hand.press("Forget")
            expect(page.locator("#key-state")).to_have_text("Reading needs one here.")
            assert page.evaluate("sessionStorage.length") == 0

    def test_limits_that_are_reached_are_shown_and_not_run_against(
        self, page: Page, reads: tuple[Registry, str]
    ) -> None:
        with service_of(*reads, rate_limits="on", rate_limit_minute=2) as service:
            hand = at(page, service)
            expect(page.locator("#tiers")).to_contain_text("2 of 2 left this minute")
            hand.write(KNOWN["x"])
            hand.sees("x")
            hand.write(KNOWN["x="][2:3])
            page.wait_for_timeout(1000)
            hand.write(KNOWN["x="][3:])
            hand.told("The limit is reached. The limit is 2 pictures a minute")
            expect(page.locator("#countdown")).to_contain_text("Tries again in")
            expect(page.locator("#tiers")).to_contain_text("0 of 2 left this minute, all again in")
            asked: list[str] = []
            page.on("request", lambda sent: asked.append(sent.url))
            hand.write(KNOWN["x"], at=(300, 90))
            page.wait_for_timeout(2000)
            assert asked == [], "what is refused for a minute is not asked for again and again"

    @pytest.mark.parametrize(
        ("status", "kind", "message"),
        [
            (429, "too-many-at-once", "The limit is reached."),
            (503, "busy", "The service is busy."),
            (504, "timeout", "Why not."),
        ],
    )
    def test_what_passes_is_tried_again(
        self, page: Page, service: ServiceProcess, status: int, kind: str, message: str
    ) -> None:
        hand = at(page, service)
        # Instead of a service that is busy just now.
        refusal = problem(status, kind, "Why not.", **{"Retry-After": "1"})
        page.route(WHERE, lambda route: route.fulfill(**refusal))
        hand.write(KNOWN["x"])
        hand.told(message)
        page.unroute(WHERE)
        hand.sees("x")
        expect(page.locator("#trouble")).to_be_hidden()

    def test_what_is_too_large_is_said_so(self, page: Page, reads: tuple[Registry, str]) -> None:
        with service_of(*reads, max_bytes=2000, max_points=30) as service:
            hand = at(page, service)
            large = np.random.default_rng(1).integers(0, 255, (200, 200), np.uint8)
            file = cv2.imencode(".png", large)[1].tobytes()
            page.locator("#file").set_input_files({"name": "f.png", "mimeType": "image/png", "buffer": file})
            hand.told("That is too large. The limit is 2,000 bytes")
            hand.press("Clear")
            hand.write(KNOWN[EQUATION])
            hand.told("points exceed the limit of 30")

    def test_words_of_something_between_are_not_taken_for_an_answer(
        self, page: Page, service: ServiceProcess
    ) -> None:
        hand = at(page, service)
        # Instead of a proxy that has its own page for everything.
        page.route(
            WHERE, lambda route: route.fulfill(status=418, body="<h1>Oh</h1>", content_type="text/html")
        )
        hand.write(KNOWN["x"])
        hand.told("The answer was 418")

    def test_a_service_that_is_gone_is_waited_for(self, page: Page, reads: tuple[Registry, str]) -> None:
        service = service_of(*reads)
        with service:
            hand = at(page, service)
            hand.write(KNOWN["x"])
            hand.sees("x")
        hand.write(KNOWN["x="][2:])
        hand.told("The service can't be reached. What you wrote stays here")
        expect(page.locator("#countdown")).to_contain_text("Tries again")
        with service:
            hand.sees("x=", seconds=40)
            expect(page.locator("#trouble")).to_be_hidden()


# Whether the accent's colour is seen on the sheet, in each of some parts of it.
LIT = """(parts) => parts.map(([left, top, width, height]) => {
  const canvas = document.querySelector("#ink");
  const [, ...accent] = getComputedStyle(canvas).getPropertyValue("--accent").match(/#(..)(..)(..)/);
  const [r, g, b] = accent.map((part) => parseInt(part, 16));
  const ratio = devicePixelRatio;
  const part = [left, top, width, height].map((side) => side * ratio);
  const { data } = canvas.getContext("2d").getImageData(...part);
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {
    const apart = Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b);
    count += data[i + 3] > 200 && apart < 24;
  }
  return count > 20;
})"""


class TestLooking:
    """`x=`, written eight pixels a unit from (40, 90) on: x ends 9 units to the right, = begins after 14."""

    X_, EQUALS = (36, 140, 84, 130), (140, 140, 90, 130)

    def lights(self, page: Page, x: bool = False, equals: bool = False) -> None:
        """Waits until x is lit, or is not, and so = is."""
        page.wait_for_function(
            f"([parts, wanted]) => String(({LIT})(parts)) === String(wanted)",
            arg=[[self.X_, self.EQUALS], [x, equals]],
            timeout=5000,
        )

    def test_pointing_at_a_symbol_lights_its_ink_and_no_other(
        self, page: Page, service: ServiceProcess
    ) -> None:
        hand = at(page, service)
        hand.write(KNOWN["x="])
        hand.sees("x=")
        self.lights(page)
        page.locator("#formula mo").hover()
        self.lights(page, equals=True)
        assert Axe().run(page).response["violations"] == []
        page.locator("#formula mi").hover()
        self.lights(page, x=True)
        page.locator("h1").hover()
        self.lights(page)

    def test_the_cursor_in_the_latex_lights_the_token_behind_it(
        self, page: Page, service: ServiceProcess
    ) -> None:
        hand = at(page, service)
        hand.write(KNOWN["x="])
        hand.sees("x=")
        page.locator("#latex").focus()
        page.keyboard.press("Home")
        self.lights(page, x=True)
        page.keyboard.press("ArrowRight")
        self.lights(page, equals=True)
        page.keyboard.type("y")  # now it is another formula
        page.keyboard.press("Home")
        self.lights(page)

    def test_other_ink_and_other_readings_are_not_lit(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        hand.write(KNOWN["x="])
        hand.sees("x=")
        page.locator("#formula mo").hover()
        page.route(WHERE, lambda route: None)  # instead of a service that takes its time
        page.keyboard.press("Control+z")
        self.lights(page)
        page.locator("#formula mi").hover()
        self.lights(page)  # it was read from ink that is gone
        page.unroute(WHERE)
        page.keyboard.press("Control+Shift+z")
        hand.sees("x=")
        page.locator("#readings button[aria-pressed=false]").first.click()
        page.locator("#formula [data-tokens], #formula mi").first.hover()
        self.lights(page)

    def test_a_picture_is_marked_where_the_symbol_is(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        page.locator("#file").set_input_files(
            {"name": "f.png", "mimeType": "image/png", "buffer": picture("x=")}
        )
        hand.sees("x=")
        page.locator("#formula mo").hover()
        mark, whole = (page.locator(name).bounding_box() for name in ("#mark rect", "#picture"))
        assert mark is not None and whole is not None
        # The picture is fitted into its place: = is on the right of it, in the middle of its height.
        drawn = draw(KNOWN["x="], RasterSettings())
        scale = min((whole["width"] - 32) / drawn.shape[1], (whole["height"] - 32) / drawn.shape[0])
        middle = (mark["x"] + mark["width"] / 2 - whole["x"] - whole["width"] / 2) / scale
        assert 0.2 * drawn.shape[1] < middle < 0.4 * drawn.shape[1]
        assert abs(mark["y"] + mark["height"] / 2 - whole["y"] - whole["height"] / 2) < 4 * scale
        page.locator("h1").hover()
        expect(page.locator("#mark rect")).to_have_count(0)


class TestEverybody:
    @pytest.mark.parametrize(
        "page",
        [
            {},
            {"color_scheme": "dark"},
            {"viewport": {"width": 360, "height": 740}, "has_touch": True},
        ],
        indirect=True,
        ids=["wide", "dark", "narrow"],
    )
    @pytest.mark.parametrize("where", ["", "dashboard"])
    def test_axe_finds_nothing_serious(self, page: Page, service: ServiceProcess, where: str) -> None:
        page.goto(f"{service.address}/{where}")
        if where:
            expect(page.locator("figure")).to_have_count(9)
        else:
            hand = Hand(page)
            hand.write(KNOWN["x"], size=5)
            hand.sees("x")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
        found = Axe().run(page).response["violations"]
        assert [
            (v["id"], [n["html"] for n in v["nodes"]])
            for v in found
            if v["impact"] in ("serious", "critical")
        ] == []

    def test_all_can_be_reached_by_keys_and_is_seen(self, page: Page, service: ServiceProcess) -> None:
        hand = at(page, service)
        hand.write(KNOWN["x"])
        hand.sees("x")
        page.evaluate("document.activeElement.blur()")
        seen = []
        for _ in range(20):
            page.keyboard.press("Tab")
            name, outline = page.evaluate(
                """(e => [e.id || e.textContent.trim(), getComputedStyle(e).outlineStyle])
                   (document.activeElement)"""
            )
            seen.append(name)
            assert name == "ink" or outline != "none" or name.startswith("Handwritten"), name
        assert {"Dashboard", "undo", "eraser", "clear", "choose", "formula", "latex", "copy"} <= set(seen)
        page.locator("#eraser").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#eraser")).to_have_attribute("aria-pressed", "true")

    @pytest.mark.nightly
    def test_half_an_hour_of_writing_leaves_nothing_in_memory(
        self, page: Page, service: ServiceProcess
    ) -> None:
        """As many strokes as one writes in half an hour, a formula at a time, as fast as they can be made."""
        hand = at(page, service)
        answer = {"formula": "x", "confidence": 1, "processing_time": 0.01, "mathml": "", "alternatives": []}
        page.route(WHERE, lambda route: route.fulfill(json=answer))  # instead of 1,500 readings
        devtools = hand.devtools

        def write(formulas: int) -> float:
            for _ in range(formulas):
                hand.write(KNOWN[EQUATION][:6])
                hand.press("Clear")
            devtools.send("HeapProfiler.collectGarbage")
            return float(devtools.send("Runtime.getHeapUsage")["usedSize"])

        write(25)  # all steps that can be undone are there
        early, late = write(25), write(200)
        assert late < early + 300_000, f"{early / 1e6:.2f} MB grew to {late / 1e6:.2f} MB"


def test_the_dashboard_shows_what_was_measured(page: Page, service: ServiceProcess) -> None:
    hand = at(page, service)
    hand.write(KNOWN["x"], at=(77, 77))
    hand.sees("x")
    page.locator("#file").set_input_files({"name": "f.txt", "mimeType": "", "buffer": b"hello"})
    hand.told("not a kind of file")
    page.get_by_role("link", name="Dashboard").click()
    expect(page.get_by_role("img", name="Requests. answered: last")).to_be_visible()
    expect(page.get_by_role("img", name="Confidence. confidence: last")).to_be_visible()
    expect(page.locator(".kinds")).to_contain_text("× unknown-format")
    expect(page.locator("#tiles")).to_contain_text("version 1")
    page.route("**/history", lambda route: route.abort())  # instead of a service that is gone
    expect(page.locator("#trouble")).to_contain_text("What is shown is older", timeout=15_000)
    expect(page.get_by_role("img", name="Requests. answered: last")).to_be_visible()


def test_an_admin_sees_usage_and_manages_keys_on_the_dashboard(
    page: Page, reads: tuple[Registry, str], tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    ada, boss = add_key(file, "Ada", ""), add_key(file, "Boss", "", admin=True)
    with service_of(*reads, auth="required", api_keys_file=file) as running:
        for key in (ada, boss, boss):
            headers = {"x-api-key": key, "content-type": "image/png"}
            content: Any = {"content": picture("x"), "headers": headers}
            assert httpx.post(f"{running.address}/predict", **content).status_code == 200
        page.goto(f"{running.address}/dashboard")
        table, keys = page.locator("#usage-table tbody tr"), page.locator("#keys-table tbody tr")

        page.get_by_label("API key", exact=True).fill(ada)
        page.get_by_role("button", name="Use it").click()
        expect(table).to_have_count(1)
        expect(page.locator("#admin")).to_be_hidden()
        page.get_by_label("API key", exact=True).fill(boss)
        page.get_by_role("button", name="Use it").click()
        expect(table).to_have_count(2)
        page.get_by_label("Of", exact=True).select_option(label=f"Boss ({boss.split('_')[1]})")
        expect(table).to_have_count(1)
        expect(table.first).to_contain_text("Boss")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download as CSV").click()
        assert download.value.suggested_filename == "usage.csv"
        assert "Boss,2,2," in download.value.path().read_text()

        page.get_by_label("Owner").fill("Grace")
        page.get_by_role("button", name="Add a key").click()
        expect(keys).to_have_count(3)
        secret = page.get_by_label("The new key, which is not shown again").input_value()
        content["headers"]["x-api-key"] = secret
        assert httpx.post(f"{running.address}/predict", **content).status_code == 200
        page.get_by_label("day, Grace").fill("9")
        page.get_by_role("button", name="Save the limits of Grace").click()
        expect(page.get_by_label("day, Grace")).to_have_value("9")
        found = Axe().run(page).response["violations"]
        assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Revoke Grace").click()
        expect(keys.last).to_contain_text("revoked")
        assert httpx.post(f"{running.address}/predict", **content).status_code == 401
        page.get_by_role("button", name="Forget it").click()
        expect(page.locator("#admin")).to_be_hidden()


class TestChoosing:
    def test_another_symbol_is_chosen_and_the_rest_read_again(
        self, page: Page, service: ServiceProcess
    ) -> None:
        hand = at(page, service)
        hand.write(KNOWN[EQUATION])
        hand.sees(EQUATION)
        page.locator("#formula mi").first.click()
        choice = page.locator("#places button").first
        token = choice.locator("code").inner_text()
        assert token != "x"
        with page.expect_request(WHERE) as asked:
            choice.click()
        assert "constraints=" in asked.value.url
        expect(page.locator("#latex")).to_have_value(re.compile(f"^{re.escape(token)}"))
        expect(page.locator("#places")).to_be_hidden()

    def test_the_cursor_in_the_latex_offers_alternatives_too(
        self, page: Page, service: ServiceProcess
    ) -> None:
        hand = at(page, service)
        hand.write(KNOWN[X])
        hand.sees(X)
        page.locator("#latex").focus()
        page.keyboard.press("Home")
        expect(page.locator("#places button").first).to_be_visible()
        hand.press("Clear")
        expect(page.locator("#places")).to_be_hidden()
