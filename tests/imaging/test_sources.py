from __future__ import annotations

import os
from pathlib import Path

import pytest

from recognizer.errors import UsageError
from recognizer.imaging import Limits, load_image
from recognizer.status import Reason, Status
from tests.imaging.test_load import PNG


@pytest.mark.parametrize("key", ["max_bytes", "max_pixels", "max_frames"])
@pytest.mark.parametrize("value", [0, -1, None, 1.5, "1"])
def test_a_limit_is_a_number_from_one(key: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"{key} = "):
        Limits(**{key: value})  # type: ignore[arg-type]


class Named(os.PathLike[str]):
    """A path that :class:`pathlib.Path` would tidy up."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __fspath__(self) -> str:
        return self.name


@pytest.mark.parametrize(
    "path",
    ["", "nul\0inside.jpg", "\ud800.jpg", "/dev/null/x.jpg"],
    ids=["empty", "nul", "lone", "dir"],
)
def test_paths_that_name_nothing(path: str) -> None:
    image = load_image(Named(path))
    assert (image.status, image.reason, image.sha256) == (Status.FAILED, Reason.NOT_FOUND, None)


def test_a_name_that_becomes_a_fifo_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the opening the file may be replaced."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(PNG)
    regular = os.stat(tmp_path / "file")
    monkeypatch.setattr("recognizer.imaging.sources.os.stat", lambda _: regular)
    assert load_image(tmp_path / "pipe").reason is Reason.NOT_A_FILE
