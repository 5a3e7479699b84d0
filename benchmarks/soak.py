"""A soak test: very many photos in archives and tables, hostile ones among them, killed twice.

    python -m benchmarks.soak /tmp/soak --images 1000000

Shards of 10,000 images are tar archives and Parquet tables by turns. One image in a hundred is
hostile. The command line scans them; at a third and at two thirds of the rows it is killed with
SIGKILL, once by itself and once with all its processes, and started again. Then each image must
have one row, and it must be the row that its bytes get in a separate scan.

The images are tiny, and so is the model, that of the tests (``--bundle`` names another): the scan
itself is tried here, on Linux.
"""

import argparse
import importlib
import io
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from recognizer.rows import Row, ScanFile

IN_A_SHARD = 10_000
GOOD, HOSTILE_EVERY = 97, 100
SIDE = 32
MEBIBYTE = 1 << 20
SOME_FAILED = 3  # the exit code of --strict
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def hostile(photo: bytes) -> list[bytes]:
    """Return files that no decoder takes, or that claim more than they hold."""
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\1\0\0\x08\x02\0\0\0" + bytes(64)
    return [
        *(b"", b"<html>no photo</html>", photo[:40], photo[: len(photo) // 2]),
        *(b"\xff\xd8\xff\xe0" + bytes(range(256)), bomb, b"RIFF\xff\xff\xff\x7fWEBPVP8X"),
        photo.replace(b"\xff\xc0", b"\xff\xc3"),
    ]


class Contents:
    """Return the content of each image, by its number."""

    def __init__(self) -> None:
        made = importlib.import_module("tests.pictures")
        good = [made.encoded(made.picture("gray", (SIDE, SIDE), n)) for n in range(GOOD)]
        bad = hostile(good[0])
        self.all = [*good, *bad]
        self._bad = range(len(good), len(self.all))

    def of(self, number: int) -> int:
        """Return which of the contents an image has."""
        if number % HOSTILE_EVERY == HOSTILE_EVERY - 1:
            return self._bad[number // HOSTILE_EVERY % len(self._bad)]
        return number % GOOD


def write_shards(folder: Path, images: int, contents: Contents) -> list[Path]:
    """Write the shards that are not there yet, and return all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for first in range(0, images, IN_A_SHARD):
        numbers = range(first, min(first + IN_A_SHARD, images))
        is_table = first // IN_A_SHARD % 2 == 1
        path = folder / f"{first:09}.{'parquet' if is_table else 'tar'}"
        if not path.exists():
            part = path.with_suffix(".part")
            (_write_table if is_table else _write_tar)(part, numbers, contents)
            part.rename(path)
        shards.append(path)
    return shards


def _write_tar(path: Path, numbers: range, contents: Contents) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for number in numbers:
            data = contents.all[contents.of(number)]
            member = tarfile.TarInfo(f"{number:09}.jpg")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def _write_table(path: Path, numbers: range, contents: Contents) -> None:
    pa, pq = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    data = [contents.all[contents.of(number)] for number in numbers]
    pq.write_table(pa.table({"id": list(numbers), "image": data}), path, row_group_size=1000)


def number_of(row: Row) -> int:
    """Return the number of a row's image."""
    name = row.source.rpartition("!/")[2]
    return int(row.item["id"]) if row.item else int(name.removesuffix(".jpg"))


def own_part(row: Row) -> Row:
    """Return what a row says of the bytes alone."""
    return replace(row, source="", item=None, time=MIDNIGHT)


def expected_rows(folder: Path, contents: Contents, bundle: Path) -> list[Row]:
    """Scan each of the contents by itself, and return what its row says."""
    alone = folder / "alone"
    alone.mkdir(exist_ok=True)
    for number, data in enumerate(contents.all):
        (alone / f"{number:09}.jpg").write_bytes(data)
    output = folder / "alone.sqlite"
    for path in folder.glob("alone.sqlite*"):
        path.unlink()
    command = command_of([str(alone)], output, bundle, 1)
    subprocess.run(command, check=False)  # noqa: S603 - it exits with 3: some failed
    with ScanFile(output) as file:
        by_name = {Path(row.source).stem: own_part(row) for row in file.rows()}
    return [by_name[f"{number:09}"] for number in range(len(contents.all))]


def command_of(sources: Sequence[str], output: Path, bundle: Path, workers: int) -> list[str]:
    """Return the command that scans."""
    command = [sys.executable, "-m", "recognizer", "scan", *sources, "--output", str(output)]
    return [*command, "--bundle", str(bundle), "--workers", str(workers), "--quiet", "--strict"]


def resident_mebibytes(parent: int) -> tuple[int, int]:
    """Return what a process holds, and all its children together."""
    own = children = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, of = int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])
            if parent in {pid, of}:
                pages = int((stat.parent / "statm").read_text().split()[1])
                size = pages * os.sysconf("SC_PAGE_SIZE") // MEBIBYTE
                own, children = (size, children) if pid == parent else (own, children + size)
        except (OSError, ValueError, IndexError):
            continue
    return own, children


def soak(command: list[str], output: Path, images: int) -> None:
    """Scan, killed twice on the way; print a table of the memory."""
    kills = [(images // 3, os.kill), (2 * images // 3, os.killpg)]
    marks = iter([*range(images // 10, images, images // 10), images * 2])
    mark = next(marks)
    while True:
        process = subprocess.Popen(command, start_new_session=True)  # noqa: S603 - our own
        was_killed = False
        try:
            while process.poll() is None:
                time.sleep(0.2)
                rows = count_rows(output)
                if rows >= mark:
                    own, others = resident_mebibytes(process.pid)
                    print(f"| {rows:,} | {own} MiB | {others} MiB |", flush=True)
                    mark = next(marks)
                if kills and rows >= kills[0][0]:
                    _, kill = kills.pop(0)
                    kill(process.pid, signal.SIGKILL)
                    was_killed = True
                    break
            code = process.wait()
        finally:
            process.kill()  # where this program is interrupted
        if not was_killed:
            if code != SOME_FAILED:
                raise SystemExit(f"exit code {code}")
            return
        print(f"| killed after {rows:,} | | |", flush=True)
        time.sleep(1)  # those of its processes that were left end by themselves


def count_rows(output: Path) -> int:
    """Return how many images are in a file that a scan writes, and never removes any from."""
    uri = f"{output.as_uri()}?mode=ro"
    # Until it is made there is an error.
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(uri, uri=True)) as database:
        (last,) = database.execute("SELECT max(id) FROM image").fetchone()
        return last or 0
    return 0


def check(output: Path, images: int, contents: Contents, expected: Sequence[Row]) -> None:
    """Check that each image has one row, which is that of its bytes."""
    seen = bytearray(images)
    with ScanFile(output) as file:
        for row in file.rows():
            number = number_of(row)
            seen[number] += 1
            content = contents.of(number)
            if row.reason == "no_image" and not contents.all[content]:
                continue  # an empty cell of a table: a listing without an image
            if own_part(row) != expected[content]:
                raise SystemExit(f"{row.source}: not the row of its bytes: {row}")
    if seen != b"\1" * images:
        raise SystemExit(f"{seen.count(0)} images without a row, or some with several")


def main() -> None:
    """Run the soak test, and print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where shards, rows and model are kept")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--bundle", type=Path, help="default: the model of the tests")
    given = parser.parse_args()
    folder: Path = given.folder
    contents = Contents()
    shards = write_shards(folder / "shards", given.images, contents)
    tiny = importlib.import_module("tests.tiny")
    bundle = given.bundle or tiny.write_tiny_bundle(folder / "tiny-v1")
    expected = expected_rows(folder, contents, bundle)
    output = (folder / "scan.sqlite").absolute()
    for path in folder.glob("scan.sqlite*"):
        path.unlink()
    print(f"{given.images:,} images in {len(shards)} shards", flush=True)
    print("| rows | parent | other processes together |\n|---:|---:|---:|", flush=True)
    began, before = time.monotonic(), os.times()
    sources = [*map(str, shards)]
    soak(command_of(sources, output, bundle, given.workers), output, given.images)
    seconds, after = time.monotonic() - began, os.times()
    check(output, given.images, contents, expected)
    cpu = sum(getattr(after, k) - getattr(before, k) for k in ("children_user", "children_system"))
    size = output.stat().st_size / 1e6
    print(f"all rows are as they must be, one for each image; {size:,.0f} MB")
    print(f"{seconds:,.0f} s, {cpu:,.0f} s of CPU without what was killed")


if __name__ == "__main__":
    main()
