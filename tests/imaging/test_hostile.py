"""Each input of the table gets its status and reason: nothing raises, blocks or eats memory."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from recognizer.imaging import load_image
from recognizer.status import Reason, Status
from tests.conftest import run_python
from tests.hostile import HOSTILE, Hostile, jpeg

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
def alarm() -> Iterator[None]:
    """Whatever blocks is ended, and named by its test."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"blocked for {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda h: h.name)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on EXIF
def test_status_and_reason(hostile: Hostile, tmp_path: Path) -> None:
    if hostile.skip:
        pytest.skip(hostile.skip)
    image = load_image(Path(hostile.make(tmp_path / hostile.name)), min_side=32)
    assert (image.status, image.reason) == (hostile.status, hostile.reason), image.detail
    assert bool(image.frames) == (image.status is not Status.FAILED)
    for frame in image.frames:
        assert frame.rgb.ndim == 3
        assert frame.rgb.shape[2] == 3


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss")
def test_a_bomb_costs_little_memory(tmp_path: Path) -> None:
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


def test_bytes_that_do_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simplejpeg.decode_jpeg", Mock(side_effect=MemoryError))
    assert load_image(jpeg()).reason is Reason.OUT_OF_MEMORY


# The libraries of object stores have their own classes of errors.
@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset by peer"), RuntimeError("403")])
def test_storage_that_fails(error: Exception) -> None:
    image = load_image(SimpleNamespace(read=Mock(side_effect=error)))  # type: ignore[arg-type]
    assert (image.status, image.reason) == (Status.FAILED, Reason.READ_ERROR)
