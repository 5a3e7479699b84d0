"""Takes the pictures of the guide on reviewing, from the sample images and the released model.

    python -m benchmarks.review_pictures

scans made-up listings of ``datasets/samples``, opens the review server and the report in a
headless Chromium (``CHROMIUM``, by default ``/usr/bin/chromium``; ``pip install playwright``), and
writes ``docs/pictures/review-*.webp`` with their digests into ``renderings.json``. They show
renderings alone, no photo.
"""

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from benchmarks.pictures import PICTURES, SAMPLES, record

QUALITY = 81  # of WebP
LISTINGS = Path(__file__).with_suffix(".csv")
DECIDED = "White bangles, set of two"


def main() -> None:
    """Write all pictures."""
    with tempfile.TemporaryDirectory() as folder:
        scan = _scan(Path(folder))
        page = Path(folder) / "queue.html"
        _run("report", scan, "--output", page)
        with _served(scan) as address, sync_playwright() as started:
            browser = started.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
                args=["--no-sandbox", "--disable-gpu"],
            )
            _shoot(browser, address, page)
            browser.close()


def _scan(folder: Path) -> Path:
    scan = folder / "scan.sqlite"
    options = ("--image-root", SAMPLES, "--policy", "strict", "--audit-rate", "1")
    _run("scan", LISTINGS, "--output", scan, *options)
    return scan


def _run(*arguments: object) -> None:
    command = [sys.executable, "-m", "recognizer", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours


@contextmanager
def _served(scan: Path) -> Iterator[str]:
    command = [sys.executable, "-u", "-m", "recognizer", "review", str(scan), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - ours
        assert server.stdout is not None  # noqa: S101 - as Popen() makes it
        line = server.stdout.readline()
        try:
            yield "http://" + line.partition("http://")[2].partition("/")[0]
        finally:
            server.terminate()


def _shoot(browser: Any, address: str, page_of_file: Path) -> None:
    wide, narrow = {"width": 1280, "height": 800}, {"width": 390, "height": 780}
    page = _signed_in(browser, address, wide, "Ama")
    _save(page, "review-desk")
    page.goto(f"{address}/listings")
    _save(page, "review-listings")
    _decide(page, address)
    _save(page, "review-decided")
    page.close()
    page = _signed_in(browser, address, narrow, "Bo")
    _save(page, "review-phone")
    page.close()
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(page_of_file.as_uri())
    _save(page, "review-file")
    page.close()


def _decide(page: Any, address: str) -> None:
    """Confirm the listing whose photo scores highest, and show it again, with its heat-map."""
    for state in ("open", "confirmed"):
        page.goto(f"{address}/listings?state={state}")
        page.click(f"text={DECIDED}")
        page.wait_for_selector("article.card")
        page.wait_for_load_state("networkidle")  # keys pause until the photo is shown
        if state == "open":
            page.keyboard.press("c")
            page.wait_for_selector("#notice:not([hidden])")
    page.keyboard.press("h")
    page.keyboard.press("b")
    page.wait_for_selector("figure:not([hidden], .waiting, .redrawn) img[src*='/heat']")


def _signed_in(browser: Any, address: str, size: dict[str, int], name: str) -> Any:
    page = browser.new_page(viewport=size)
    page.set_default_timeout(120_000)
    page.goto(f"{address}/login")
    page.fill("[name=name]", name)
    page.press("[name=name]", "Enter")
    page.wait_for_selector("article.card")
    return page


def _save(page: Any, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.save(path := PICTURES / f"{name}.webp", quality=QUALITY, method=6)
    record(path, "python -m benchmarks.review_pictures")
    print(f"Wrote {path}")


if __name__ == "__main__":
    main()
