"""What Chromium shows is what is scored: a table of formats, by coarse grids of mean colors.

``shown.json`` holds what Chromium showed; where there is a Chromium, it is asked again. After a
change of the corpus: ``python -m tests.imaging.test_shown``.
"""

import base64
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recognizer.imaging import load_image
from recognizer.status import Reason, Status
from tests.conftest import CHROMIUM
from tests.imaging.corpus import ANIMATIONS, CASES, COMPOSED, DOUBTFUL, REFUSED, SHORT

SHOWN = Path(__file__).with_name("shown.json")
GRID, TOLERANCE = 4, 14  # cells of a side; of 255
PAGES = ("white", "black")
TONES = {"jpeg cmyk profile": 24}  # LittleCMS rounds tables of ink in another way

FAR = re.compile("(?!gif|png cicp).*(inverted|swapped|profile|steep|saw|jpeg v)")
DEGRADED = {
    **{name: Reason.CORRUPT_HEADER for name in CASES if FAR.match(name)},
    **dict.fromkeys(("tiff pages", "avif on black"), Reason.FRAMES_SKIPPED),
    "jpeg inverted, srgb": Reason.CORRUPT_DATA,
    "jpeg cmyk profile, damaged": Reason.CORRUPT_DATA,
}
IN_CHROMIUM = Path(__file__).with_name("in_chromium.js").read_text("utf-8")
IN_CHROMIUM = IN_CHROMIUM.replace("GRID", str(GRID)).replace("PAGES", str([*PAGES]))


def ask(browser):
    """Return what Chromium shows of each file: for each frame its size and a grid, on white."""
    page = browser.new_page()
    page.route("**", lambda route: route.fulfill(body="", content_type="text/html"))
    page.goto("https://localhost/")  # frames are decoded in a secure context only
    shown = {}
    frames = {f"frames {name}": make for name, make in ANIMATIONS.items()}
    for name, make in {**CASES, **frames}.items():
        kind = f"image/{name.split()[1]}" if name.startswith("frames ") else ""
        shown[name] = page.evaluate(IN_CHROMIUM, [base64.b64encode(make()).decode(), kind])
        for frame in shown[name]:
            frame.pop("black", None)
    page.close()
    return shown


def grid(rgb):
    height, width = rgb.shape[:2]
    return rgb.reshape(GRID, height // GRID, GRID, width // GRID, 3).mean((1, 3)).ravel()


def differs(frames, wanted):
    """The largest difference of any cell, of the frame that is most like it."""
    cells = np.frombuffer(bytes.fromhex(wanted), np.uint8).astype(float)
    return min(float(np.abs(grid(frame.rgb) - cells).max()) for frame in frames)


EXPECTED: dict[str, list[Any]] = json.loads(SHOWN.read_text()) if SHOWN.exists() else {}


@pytest.mark.parametrize("side", [0, 32])
@pytest.mark.parametrize("name", CASES)
def test_what_chromium_shows_is_scored(name, side):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A fraction of it is another image, on purpose: SECURITY.md says so.
        image = load_image(CASES[name](), min_side=side, whole=name == "jpeg beyond white")
    assert image.reason == DEGRADED.get(name), image.detail
    assert image.status is not Status.FAILED
    tolerance = TONES.get(name, TOLERANCE)
    for shown in EXPECTED[name]:
        assert [image.width, image.height] == shown["size"]
        assert differs(image.frames, shown["white"]) <= tolerance


ODD = {
    Reason.UNSUPPORTED_FORMAT: REFUSED,
    Reason.TRUNCATED: SHORT,
    Reason.CORRUPT_HEADER: DOUBTFUL,
    Reason.FRAMES_SKIPPED: COMPOSED,
}


@pytest.mark.parametrize(("reason", "name"), [(why, name) for why in ODD for name in ODD[why]])
def test_an_image_that_viewers_may_show_in_another_way_is_not_plainly_clear(reason, name):
    image = load_image(ODD[reason][name]())
    is_refused = reason in {Reason.UNSUPPORTED_FORMAT, Reason.TRUNCATED}
    assert image.status is (Status.FAILED if is_refused else Status.DEGRADED)
    assert image.reason is reason


@pytest.mark.parametrize("name", ANIMATIONS)
def test_each_frame_is_scored_as_chromium_shows_it(name):
    image = load_image(ANIMATIONS[name]())
    assert image.reason is (Reason.FRAMES_SKIPPED if name.startswith("png") else None)
    expected = EXPECTED[f"frames {name}"]
    assert image.frame_count == len(expected)
    for index, shown in enumerate(expected):
        frames = [frame for frame in image.frames if frame.index == index]
        assert differs(frames, shown["white"]) <= TOLERANCE


def test_chromium_shows_what_the_table_says(browser):
    changed = []
    for name, shown in ask(browser).items():
        assert [frame["size"] for frame in shown] == [frame["size"] for frame in EXPECTED[name]]
        for now, then in zip(shown, EXPECTED[name], strict=True):
            one, other = (bytes.fromhex(frame["white"]) for frame in (now, then))
            if max(abs(a - b) for a, b in zip(one, other, strict=True)) > TOLERANCE:
                changed.append(name)
    assert changed == []


if __name__ == "__main__":
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        SHOWN.write_text(
            "{\n"
            + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in ask(chromium).items())
            + "\n}\n"
        )
