"""The examples that give a scan what it does not open itself: archives, images inside tables."""

import base64
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from examples import archives, embedded_images
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.scan import Item
from recognizer.scan.worker import Reader
from recognizer.status import Reason
from tests.conftest import encoded, picture, read_rows, run_python
from tests.docs.blocks import ROOT

RED, GREEN = encoded(picture("red")), encoded(picture("green"))
LIMITS = Limits(max_bytes=20_000)
BAD = Reason.CORRUPT_CONTAINER


@pytest.fixture(autouse=True)
def _limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LIMITS", LIMITS)


def make_zip(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in members:
            (info := tarfile.TarInfo(name)).size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def read(item: Item) -> bytes | Reason:
    try:
        return Reader(LIMITS).read(item)
    except Refused as refused:
        return refused.reason


def contents(path: Path) -> dict[str, tuple[bytes | Reason, Any]]:
    items = [*archives.items(str(path))]
    found = {item.source.removeprefix(str(path)): (read(item), item.columns) for item in items}
    assert len(found) == len(items)
    return found


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_members_with_the_columns_beside_them(make, name, tmp_path):
    members = [("s/1.jpg", RED), ("s/1.json", b'{"id": 7}'), ("s/1.png", GREEN), ("s/2.jpg", RED)]
    path = make(tmp_path / name, [*members, ("s/big.jpg", bytes(9_000_000)), ("s/e.json", b"[")])
    assert contents(path) == {
        "!/s/1.jpg": (RED, {"id": 7}),
        "!/s/1.png": (GREEN, {"id": 7}),
        "!/s/2.jpg": (RED, None),
        "!/s/big.jpg": (Reason.TOO_MANY_BYTES, None),  # and no more of it was unpacked
        "!/s/e.json": (BAD, None),
    }


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_nothing_in_an_archive_is_left_out(tmp_path):
    path = make_zip(tmp_path / "twice.zip", [("a.jpg", RED), ("a.jpg", GREEN), ("notes.txt", b"x")])
    found = {"!/a.jpg": (RED, None), "!/a.jpg#2": (GREEN, None), "!/notes.txt": (b"x", None)}
    assert contents(path) == found
    path = make_tar(tmp_path / "cut.tar", [("a.jpg", RED), ("b.jpg", GREEN)])
    path.write_bytes(path.read_bytes()[: 512 + -(-len(RED) // 512) * 512 + 600])
    assert contents(path) == {"!/a.jpg": (RED, None), "!/b.jpg": (BAD, None), "": (BAD, None)}
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        (info := tarfile.TarInfo("l.jpg")).type = tarfile.SYMTYPE
        info.linkname = "/etc/passwd"
        archive.addfile(info)
    (tmp_path / "no.zip").write_bytes(b"no archive")
    assert contents(tmp_path / "link.tar") == {"!/l.jpg": (BAD, None)}
    assert contents(tmp_path / "no.zip") == {"": (BAD, None)}


def test_images_inside_tables(tmp_path):
    text = base64.b64encode(RED).decode()
    images = [text, f"data:image/jpeg;base64,{text}", "%%%", None]
    rows = (json.dumps({"id": number, "photo": image}) for number, image in enumerate(images))
    (lines := tmp_path / "t.jsonl").write_text("\n".join(rows))
    found = [*embedded_images.items(str(lines), "photo")]
    assert [read(item) for item in found] == [RED, RED, BAD, Reason.NO_IMAGE]
    assert (found[1].source, found[1].columns) == (f"{lines}!/2", {"id": 1})
    parquet = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [RED, None], "b": [{"bytes": GREEN, "path": "x"}] * 2}), parquet)
    assert [read(i) for i in embedded_images.items(str(parquet), "a")] == [RED, Reason.NO_IMAGE]
    assert [read(i) for i in embedded_images.items(str(parquet), "b")] == [GREEN, GREEN]


def test_the_examples_scan(tiny_bundle, tmp_path):
    archive = make_zip(tmp_path / "a.zip", [("red.jpg", RED)])
    (table := tmp_path / "t.jsonl").write_text(json.dumps({"p": base64.b64encode(RED).decode()}))
    output = tmp_path / "scan.sqlite"
    environment = {**os.environ, "BUNDLE": str(tiny_bundle), "PYTHONPATH": str(ROOT)}
    for name, *given in (("archives", archive), ("embedded_images", table, "p")):
        done = run_python(f"examples/{name}.py", output, *given, cwd=ROOT, env=environment)
        assert "1 images, 0 failed" in done.stdout, done.stderr
    sources = {row["source"]: row["decision"] for row in read_rows(output)}
    assert sources == {f"{archive}!/red.jpg": "priority", f"{table}!/1": "priority"}
