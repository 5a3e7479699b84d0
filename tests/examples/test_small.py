"""The examples for archives and tables with images, similar photos, and hashes for matchers."""

import base64
import json
import os
import shutil

import pyarrow as pa
import pytest
from pyarrow import parquet

from examples.nearest import nearest
from tests.conftest import encoded, picture, read_rows, run_python, succeed
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


def test_images_in_archives_and_tables_are_scanned(photo_folder, tiny_bundle, tmp_path):
    text = base64.b64encode(encoded(picture("red"))).decode()
    cells = [text, f"data:image/jpeg;base64,{text}", "%%%", None]
    (lines := tmp_path / "t.jsonl").write_text("\n".join(json.dumps({"image": c}) for c in cells))
    (cut := tmp_path / "cut.zip").write_bytes(b"no archive")
    folder = photo_folder("red")
    archives = [shutil.make_archive(tmp_path / "a", form, folder) for form in ("zip", "gztar")]
    table = pa.table({"id": [7], "image": [{"bytes": encoded(picture("red"))}]})
    parquet.write_table(table, tmp_path / "t.parquet")
    env = {**os.environ, "BUNDLE": str(tiny_bundle), "PYTHONPATH": str(ROOT)}
    given = (*archives, lines, cut, tmp_path / "t.parquet")
    done = run_python(ROOT / "examples/archives.py", tmp_path / "scan.sqlite", *given, env=env)
    rows = {row["source"]: row for row in read_rows(tmp_path / "scan.sqlite")}
    reasons = {name.removeprefix(f"{tmp_path}/"): row["reason"] for name, row in rows.items()}
    scanned = ("a.zip!/000_red.jpg", "a.tar.gz!/000_red.jpg", "t.jsonl!/1", "t.jsonl!/2")
    failed = {"t.jsonl!/3": "corrupt_container", "cut.zip": "corrupt_container"}
    missing = {"t.jsonl!/4": "no_image"}
    assert reasons == dict.fromkeys((*scanned, "t.parquet!/1")) | failed | missing, done.stderr
    assert rows[f"{tmp_path}/t.parquet!/1"]["item"] == {"id": 7}
