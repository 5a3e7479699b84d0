"""Each input of the table gets its status and reason: nothing raises, blocks or eats memory."""

import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from recognizer.imaging import Limits, load_image
from recognizer.imaging.sources import MAX_SIDE, MEBIBYTE
from recognizer.status import Reason, Status
from tests.conftest import run_python
from tests.hostile import HOSTILE, jpeg
from tests.imaging.profiles import table_profile
from tests.pictures import encoded, gif, gif_frame, jpeg_claiming, png, tiff, webp_canvas

SECONDS = 60  # a bound on hanging, not on speed: the machine may be busy
BOMBS = (
    *(h.name for h in HOSTILE if "bomb" in h.name or "thousands" in h.name),
    "gif_frame_outgrows_screen",
    "jpeg_many_scans",
    "png_claims_more_than_it_has",
    "png_pixels_without_end",
    "huge_file",
)
BOMB_COST = 200  # MiB over what the process has before


@pytest.fixture(autouse=True)
def alarm():
    """Whatever blocks is ended, and named by its test."""

    def ring(*_):
        raise TimeoutError(f"blocked for {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda h: h.name)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on EXIF
def test_status_and_reason(hostile, tmp_path):
    if hostile.skip:
        pytest.skip(hostile.skip)
    image = load_image(Path(hostile.make(tmp_path / hostile.name)), min_side=32)
    assert (image.status, image.reason) == (hostile.status, hostile.reason), image.detail
    assert "KeyError" not in (image.detail or "")
    assert bool(image.frames) == (image.status is not Status.FAILED)
    for frame in image.frames:
        assert frame.rgb.ndim == 3
        assert frame.rgb.shape[2] == 3


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss")
def test_a_bomb_costs_little_memory(tmp_path):
    """All bombs in one process, under a limit on its address space."""
    paths = [h.make(tmp_path / h.name) for h in HOSTILE if h.name in BOMBS]
    program = """if True:
        import resource, sys
        from pathlib import Path
        from recognizer.imaging import load_image
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        for path in sys.argv[1:]:
            before = peak()
            image = load_image(Path(path), min_side=260)
            print(image.reason, peak() - before, path)
        """
    done = run_python("-c", program, *paths)
    assert (done.returncode, done.stderr) == (0, "")
    costs = [line.split(" ", 2) for line in done.stdout.splitlines()]
    assert len(costs) == len(paths)
    assert all(reason != Reason.OUT_OF_MEMORY for reason, _, _ in costs)
    assert sum(int(cost) for _, cost, _ in costs) < BOMB_COST, done.stdout


def test_bytes_that_do_not_fit_into_memory(monkeypatch):
    monkeypatch.setattr("simplejpeg.decode_jpeg", Mock(side_effect=MemoryError))
    assert load_image(jpeg()).reason is Reason.OUT_OF_MEMORY


# The libraries of object stores have their own classes of errors.
@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset by peer"), RuntimeError("403")])
def test_storage_that_fails(error):
    image = load_image(SimpleNamespace(read=Mock(side_effect=error)))  # type: ignore[arg-type]
    assert (image.status, image.reason) == (Status.FAILED, Reason.READ_ERROR)


SIDE, DECODED = f"limit {MAX_SIDE} for each side", "MiB to decode, limit 953 MiB"
HEADERS = {
    "wide": (png(MAX_SIDE + 1, 1, bytes(100)), SIDE),
    "high": (png(1, MAX_SIDE + 1, bytes(100)), SIDE),
    "tiff": (tiff(np.zeros((8, 8), np.uint8), claimed=(MAX_SIDE + 1, 8)), SIDE),
    "gif": (gif((60_000, 1), b",\x00\xf0\0\0\x10\x27\x01\x00\0\x02\x02D\x01\0"), SIDE),
    "webp": (webp_canvas(10_000, 10_000), DECODED),
    "canvas": (gif((10_000, 10_000), *[gif_frame(10_000, 10_000)] * 3), DECODED),
}


@pytest.mark.parametrize("name", HEADERS)
def test_what_would_take_too_much_is_refused_by_its_header(name):
    data, words = HEADERS[name]
    image = load_image(data, limits=Limits(max_pixels=100_000_000))
    assert image.reason is Reason.TOO_MANY_PIXELS
    assert words in str(image.detail)


NOISE = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
FRAMES = [Image.fromarray(np.roll(NOISE, at, 1)) for at in range(8)]
PLAIN = encoded(FRAMES[0], quality=95)
SLOW = {
    "progressive": (encoded(FRAMES[0], quality=95, progressive=True), 2),
    "table of colors": (encoded(FRAMES[0], icc_profile=table_profile(b"RGB ", lambda *c: c)), 10),
    "AVIF": (encoded(FRAMES[0], "AVIF", quality=100), 5),
    "PNG": (encoded(FRAMES[0], "PNG"), 5),
    "damaged": (PLAIN[:-500], 1),  # it is decoded twice
}


@pytest.mark.parametrize("name", SLOW)
def test_time_is_bounded_by_an_estimate(name):
    data, times = SLOW[name]
    image = load_image(data)
    assert image.decode_ms > times * load_image(PLAIN).decode_ms
    most, less = (Limits(max_ms=int(image.decode_ms) + more) for more in (1, 0))
    assert load_image(data, limits=most).reason is image.reason
    assert load_image(data, limits=less).reason is (image.reason or Reason.TOO_MANY_PIXELS)
    assert not load_image(data, limits=less).frames


def test_frames_and_views_are_bounded_by_time():
    data = encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:])
    found = [load_image(data, parts=True, limits=Limits(max_ms=ms)) for ms in (1_000, 30, 14)]
    assert [len(image.frames) for image in found] == [8, 8, 3]
    assert [len(image.views) for image in found[1:]] == [1, 1]
    assert Limits(max_ms=120).views_after(10.0) == 10  # by all networks, 10 to 11 ms each


def test_the_longest_side_is_decoded():
    assert load_image(encoded(Image.new("L", (MAX_SIDE, 20)), "PNG")).status is Status.OK
    assert load_image(Image.new("L", (MAX_SIDE + 1, 20))).reason is Reason.TOO_MANY_PIXELS


def test_a_palette_a_gray_and_a_color_image_of_the_limit_are_decoded():
    limits = Limits(max_pixels=1 << 20)
    for mode in ("1", "L", "P", "RGB", "RGBA", "I;16"):
        image = load_image(encoded(Image.new(mode, (1024, 1024)), "PNG"), limits=limits)
        assert image.status is Status.OK, (mode, image.detail)


def test_tiles_which_may_be_larger_than_their_image_are_refused():
    rows, tiles = b"\x16\1\4\0", b"\x42\1\4\0"
    data = tiff(np.zeros((64, 64, 3), np.uint8)).replace(rows, tiles)
    assert load_image(data).reason is Reason.UNSUPPORTED_FORMAT


def test_a_jpeg_of_several_scans_is_held_twice(monkeypatch):
    monkeypatch.setattr(Limits, "max_decoded", 400 * MEBIBYTE)
    claims = [jpeg_claiming(9_000, 9_000, progressive=kind) for kind in (False, True)]
    plain, several = (load_image(claim, min_side=500) for claim in claims)
    assert plain.reason is not Reason.TOO_MANY_PIXELS
    assert several.reason is Reason.TOO_MANY_PIXELS
    assert "scans take 695 MiB" in str(several.detail)
