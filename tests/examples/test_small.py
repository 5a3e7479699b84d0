"""The examples that rank photos by similarity, and that print hashes for other matchers."""

import pytest

from examples.nearest import nearest
from tests.conftest import encoded, picture, run_python, succeed
from tests.desk.outcomes import outcome, store
from tests.docs.blocks import ROOT
from tests.rows.rows import FAR, HASH, bare_row, digest, write_scan


def test_the_most_similar_photo_is_the_first(recognizer, photo_folder, tmp_path):
    folder, photo = photo_folder("red", "green", "blue"), tmp_path / "mine.png"
    (folder / "notes.txt").write_text("not a photo")
    photo.write_bytes(encoded(picture("green", seed=9), "PNG"))
    ranked = [*nearest(recognizer, photo, folder)]
    assert ranked[0] == (pytest.approx(1, abs=1e-3), folder / "001_green.jpg")
    assert len(ranked) == 3
    assert ranked == sorted(ranked, reverse=True)
    with pytest.raises(SystemExit, match="cannot be read: not_an_image"):
        next(nearest(recognizer, folder / "notes.txt", folder))


def test_the_hashes_of_confirmed_images_are_printed(tmp_path):
    hashes = {"a": HASH, "b": FAR, "c": None}
    rows = [bare_row(name, 0.6, "review", phash=phash) for name, phash in hashes.items()]
    scan = write_scan(tmp_path / "scan.sqlite", rows)
    store(scan, [outcome(sha256=digest(name)) for name in hashes])
    store(scan, [outcome("rejected", sha256=digest("b"))])
    succeed("outcomes", "export", scan, tmp_path / "outcomes.jsonl")
    done = run_python(ROOT / "examples/pdq_hashes.py", tmp_path / "outcomes.jsonl")
    assert done.stdout.split() == [HASH]
