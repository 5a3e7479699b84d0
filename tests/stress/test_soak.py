"""Very many images of tables, hostile ones among them, in a scan killed twice.

``RECOGNIZER_SOAK=1000000 pytest -m stress -s tests/stress/test_soak.py`` scans a million.
"""

import os
import random
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recognizer.rows import Row, ScanFile
from recognizer.scan import expand
from tests.conftest import encoded, picture
from tests.rows.rows import NOW, read_scan
from tests.scan.engines import run_measured, scan_command, scan_into
from tests.stress.test_kill import SEED, kill_somewhere

IMAGES = int(os.environ.get("RECOGNIZER_SOAK", "30000"))
IN_A_TABLE = 10_000
GOOD = [encoded(picture("gray", (32, 32), n)) for n in range(97)]
PHOTO = GOOD[0]
BAD = [
    *(b"", b"<html>no photo</html>", PHOTO[:40], PHOTO[: len(PHOTO) // 2]),
    *(b"\xff\xd8\xff\xe0" + bytes(range(256)), b"RIFF\xff\xff\xff\x7fWEBPVP8X"),
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\1\0\0\x08\x02\0\0\0" + bytes(64),
    PHOTO.replace(b"\xff\xc0", b"\xff\xc3"),
]
CONTENTS = GOOD + BAD


def content_of(number: int) -> int:
    """Which of the contents an image has: of a hundred, one is bad."""
    return len(GOOD) + number // 100 % len(BAD) if number % 100 == 99 else number % len(GOOD)


def write_table(folder: Path, first: int) -> Path:
    """Write tables in two formats by turns; each listing has an image that many have."""
    numbers = range(first, min(first + IN_A_TABLE, IMAGES))
    names = [f"alone/{content_of(number):03}.jpg" for number in numbers]
    if first // IN_A_TABLE % 2:
        path = folder / f"{first:09}.parquet"
        pq.write_table(pa.table({"id": [*numbers], "image": names}), path, row_group_size=1000)
        return path
    path = folder / f"{first:09}.csv"
    lines = (f"{number},{name}\n" for number, name in zip(numbers, names, strict=True))
    path.write_text("id,image\n" + "".join(lines))
    return path


def of_its_bytes(row: Row) -> Row:
    return replace(row, source="", item=None, time=NOW)


@pytest.mark.stress
def test_each_image_has_one_row_that_of_its_bytes(tiny_bundle: Path, tmp_path: Path) -> None:
    (alone := tmp_path / "alone").mkdir()
    for number, data in enumerate(CONTENTS):
        (alone / f"{number:03}.jpg").write_bytes(data)
    scan_into(tmp_path / "alone.sqlite", expand([alone]), tiny_bundle)
    expected = {int(Path(r.source).stem): r for r in read_scan(tmp_path / "alone.sqlite")}
    tables = [write_table(tmp_path, first) for first in range(0, IMAGES, IN_A_TABLE)]
    output, rng = tmp_path / "scan.sqlite", random.Random(SEED)
    command = scan_command(tiny_bundle, output, *tables, "--workers", 1, "--quiet", "--strict")
    for _ in range(2):
        assert kill_somewhere(command, output, IMAGES // 3, rng)
    done = run_measured(command)
    print(done)
    assert done.code == 3, done.errors
    assert max(done.parent_mebibytes, done.child_mebibytes) < 300
    seen = bytearray(IMAGES)
    with ScanFile(output) as file:
        for row in file.rows():
            number = int(row.item["id"])
            seen[number] += 1
            assert of_its_bytes(row) == of_its_bytes(expected[content_of(number)])
    assert seen == b"\1" * IMAGES
