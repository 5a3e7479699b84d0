"""Images that are near a photo, by the model's features, or one another, by their hashes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recognizer.engine import Recognizer
from recognizer.errors import ScanFileError
from recognizer.rows import NewRow, ScanFile, find_copies, similar_images
from recognizer.scan import Item
from recognizer.status import Reason
from tests.conftest import encoded, picture, succeed
from tests.rows.rows import FAR, HASH, MODEL, NEAR, bare_row, write_scan
from tests.scan.engines import InProcessPool, scan_into


@pytest.mark.parametrize("block", [1, 2, 1000])
def test_similar_images_are_ranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr("recognizer._sqlite._ROWS_AT_A_TIME", block)
    vectors = {"a": [1, 3], "b": [2, 1], "b again": [2, 1], "c": [0, 1], "zero": [0, 0]}
    rows = [
        NewRow(row=bare_row(name, 0.5, "review"), embedding=np.array(vector, np.int8))
        for name, vector in vectors.items()
    ]
    with ScanFile(write_scan(tmp_path / "a", [*rows, bare_row("none", 0.5, "clear")])) as file:

        def found(top: int) -> list[str]:
            images = similar_images(file, np.array([1, 0], np.float32), MODEL.digest, top)
            assert images == sorted(images, key=lambda one: -one[0])
            return [row.source for _, row in images]

        assert found(1) == ["b"]
        assert found(9) == ["b", "b again", "a", "c", "zero"]
        with pytest.raises(ScanFileError, match=r"no embeddings of this model.*--embeddings"):
            similar_images(file, np.array([1, 0], np.float32), "1" * 64, 1)
        with pytest.raises(ScanFileError, match="is damaged"):
            similar_images(file, np.array([1, 0, 0], np.float32), MODEL.digest, 1)


def test_the_photo_itself_is_the_most_similar(
    photo_folder: Callable[..., Path],
    recognizer: Recognizer,
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recognizer.scan.run.WorkerPool", InProcessPool)
    folder, scan = photo_folder("red", "green", "blue"), tmp_path / "scan.sqlite"
    items = [Item.at(str(path)) for path in sorted(folder.iterdir())]
    scan_into(scan, items, tiny_bundle, embeddings=True)
    with ScanFile(scan) as file:
        for item in items[:2]:
            vector = recognizer.embed(Path(item.source))
            cosine, first = similar_images(file, vector, recognizer.bundle.digest, 3)[0]
            assert (first.source, cosine) == (item.source, pytest.approx(1, abs=1e-3))
    photo = tmp_path / "mine.png"
    photo.write_bytes(encoded(picture("green", seed=9), "PNG"))
    lines = succeed("similar", scan, photo, "--model", tiny_bundle, "--top", 2).stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("001_green.jpg")
    assert " clear " in lines[0]


def test_near_copies_are_found_in_any_listing(tmp_path: Path) -> None:
    rows = [
        bare_row("a\x1b", 0.1, "clear", phash=HASH),
        bare_row("b", 0.9, "review", phash=FAR),
        bare_row("c", 0.9, "review", phash=NEAR, item={"id": 1}),
        bare_row("d", 0.1, "clear", sha256="1" * 64),
        bare_row("e", 0.1, "clear", sha256="1" * 64),
        bare_row("f", 0.1, "unscored", sha256=None),
        bare_row("text alone", 0, "unscored", reason=Reason.NO_IMAGE),
    ]
    scan = write_scan(tmp_path / "a.sqlite", rows)
    with ScanFile(scan) as file:
        groups = [[row.source for row in group] for group in find_copies(file)]
        assert groups == [["a\x1b", "c"], ["d", "e"]]
    first, one, *_, summary = succeed("similar", scan).stdout.splitlines()
    assert (first, one) == ("1: 2 near-copies", "  clear  a\\x1b")
    assert summary == "6 images, 2 groups, 2 copies of others"
