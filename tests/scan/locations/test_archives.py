"""tar and zip archives: what is in them comes out with its own bytes, or with its own reason."""

import gzip
import io
import os
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest

from recognizer.scan import ScanOptions, expand
from recognizer.scan.items import Skipped
from recognizer.status import Reason
from tests.scan.locations import conftest
from tests.scan.locations.conftest import BLUE, GREEN, LIMITS, RED, read

Members = Iterable[tuple[str, bytes]]
Make = Callable[[Members], Path]
RED_MEMBER_BYTES = 512 + -(-len(RED) // 512) * 512  # in a tar


def contents(path: object, skipped: Skipped | None = None) -> dict[str, bytes | Reason]:
    """Name behind the archive's -> bytes or reason, of all items."""
    found = conftest.contents(path, skipped=skipped)
    return {source.removeprefix(f"{path}!/"): data for source, data in found.items()}


def details(path: object) -> dict[str, str | None]:
    items = expand([str(path)], ScanOptions(limits=LIMITS))
    return {item.source.removeprefix(f"{path}!/"): item.detail for item in items}


def make_tar(path: Path, members: Members, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def make_zip(path: Path, members: Members, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


MAKERS: dict[str, Callable[[Path, Members], Path]] = {
    ".tar": make_tar,
    ".tar.gz": partial(make_tar, mode="w:gz"),
    ".tar.xz": partial(make_tar, mode="w:xz"),
    ".zip": make_zip,
    ".ZIP": partial(make_zip, method=zipfile.ZIP_DEFLATED),
}


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    return lambda members: MAKERS[request.param](tmp_path / f"a{request.param}", members)


def test_the_layout_of_webdataset(make: Make) -> None:
    deep = b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    path = make(
        [
            *(("s/1.jpg", RED), ("s/1.json", b'{"id": 1, "price": NaN, "tags": ["x"]}')),
            *(("s/2.json", b'{"id": 2}'), ("s/2.left.jpg", GREEN), ("s/2.right.png", BLUE)),
            *(("s/3.jpg", RED), ("s/4.json", b"[1]"), ("s/4.jpg", GREEN), ("s/4.txt", b"a text")),
            *(("s/5.json", deep), ("s/6.json", bytes(2 << 20)), ("s/6.jpg", BLUE)),
            ("s/7.json", b'{"id": "of no image"}'),
        ]
    )
    skipped = Skipped()
    items = list(expand([path], skipped=skipped))
    assert [(item.source.removeprefix(f"{path}!/s/"), item.columns) for item in items] == [
        ("1.jpg", {"id": 1, "price": None, "tags": ["x"]}),
        *(("2.left.jpg", {"id": 2}), ("2.right.png", {"id": 2})),
        *((name, None) for name in ("3.jpg", "4.jpg", "6.jpg")),
    ]
    assert [*map(read, items)] == [RED, GREEN, BLUE, RED, GREEN, BLUE]
    assert skipped == Skipped(other_files=1, bad_metadata=4)


@pytest.mark.parametrize("before", [31, 32])
def test_images_that_wait_too_long_or_too_many_have_no_columns(tmp_path: Path, before: int) -> None:
    members = [(f"photo.{number}.jpg", RED) for number in range(100)]
    packed = [*members[:before], ("photo.json", b"{}"), *members[before:]]
    items = list(expand([make_tar(tmp_path / "a.tar", packed)]))
    assert [item.source.rpartition("/")[2] for item in items] == [name for name, _ in members]
    first = 32 if before == 32 else 0
    assert [n for n, item in enumerate(items) if item.columns is not None] == [*range(first, 64)]


def test_names_that_say_nothing_or_the_wrong_thing(make: Make) -> None:
    skipped = Skipped()
    path = make(
        [
            ("f3a9", RED),
            ("page.jpg", b"<html>"),
            ("readme", b"text"),
            ("f3a9.json", b"{}"),
            ("__MACOSX/._x.jpg", b"\0\5\x16\7 resource fork"),
            ("a/._y.jpg", b"\0\5\x16\7 resource fork"),
            ("inner.zip", b"PK"),
            ("big.jpg", bytes(30_000)),
            ("empty.jpg", b""),
            ("\u8c61\u7259 !/a.jpg", GREEN),
        ]
    )
    assert contents(path, skipped) == {
        "f3a9": RED,
        "page.jpg": b"<html>",
        "inner.zip": Reason.UNSUPPORTED_FORMAT,
        "big.jpg": Reason.TOO_MANY_BYTES,
        "empty.jpg": b"",
        "\u8c61\u7259 !/a.jpg": GREEN,
    }
    assert (skipped.other_files, skipped.hidden) == (3, 0)


def test_a_name_that_comes_twice_is_scanned_twice(make: Make) -> None:
    with warnings.catch_warnings(action="ignore"):  # of zipfile, which sees what is odd here
        path = make([("a.jpg", RED), ("a.jpg", GREEN), ("a.jpg#2", BLUE), ("a.jpg", BLUE)])
    assert sorted(contents(path)) == ["a.jpg", "a.jpg#2", "a.jpg#2#2", "a.jpg#3"]
    assert sorted(map(bytes, contents(path).values())) == sorted([RED, GREEN, BLUE, BLUE])


def test_archives_of_a_folder_and_members_by_name(make: Make, tmp_path: Path) -> None:
    path = make([("a.jpg", RED), ("b.jpg", GREEN)])
    assert [item.source for item in expand([tmp_path])] == [f"{path}!/a.jpg", f"{path}!/b.jpg"]
    (item,) = expand([f"{path}!/b.jpg"])
    assert read(item) == GREEN
    (item,) = expand([f"{path}!/c.jpg"])
    assert item.reason is Reason.NOT_FOUND


@pytest.mark.parametrize("kept", [100, 700, 2100])
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_a_truncated_archive_says_so(tmp_path: Path, suffix: str, kept: int) -> None:
    noise = [os.urandom(1024) for _ in range(4)]
    path = MAKERS[suffix](tmp_path / f"a{suffix}", [(f"{i}.jpg", d) for i, d in enumerate(noise)])
    path.write_bytes(path.read_bytes()[:kept])
    found = contents(path)
    assert found.pop(str(path)) in {Reason.TRUNCATED, Reason.CORRUPT_CONTAINER}
    for name, data in found.items():
        assert data in {noise[int(name[0])], Reason.TRUNCATED}


def test_damage_in_the_middle_of_a_tar(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tar", [("a.jpg", RED), ("b.jpg", GREEN)])
    data = path.read_bytes()
    path.write_bytes(data[:RED_MEMBER_BYTES])
    assert contents(path) == {"a.jpg": RED, str(path): Reason.TRUNCATED}
    assert details(path)[str(path)] == (
        "the archive ends without its end mark; nothing after member 1, 'a.jpg', was read"
    )
    path.write_bytes(data.replace(b"b.jpg", b"c.jpg"))  # not what the header's checksum says
    assert contents(path) == {"a.jpg": RED, str(path): Reason.CORRUPT_CONTAINER}


def test_archives_that_cannot_be_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.tar")
    (tmp_path / "gone.zip").symlink_to("nowhere")
    assert sorted(contents(tmp_path).values()) == [Reason.NOT_A_FILE, Reason.NOT_FOUND]


def test_links_and_devices_in_a_tar(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in [
            *[("link.jpg", tarfile.SYMTYPE), ("hard.jpg", tarfile.LNKTYPE)],
            *[("fifo.jpg", tarfile.FIFOTYPE), ("device", tarfile.CHRTYPE)],
            ("folder.jpg", tarfile.DIRTYPE),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    skipped = Skipped()
    assert set(contents(path, skipped).values()) == {Reason.NOT_A_FILE}
    assert len(contents(path)) == 3
    assert skipped.other_files == 1
    assert details(path)["link.jpg"] == "a link to '/etc/passwd'; links are not followed"


def header(name: str, size: bytes, kind: bytes = b"0") -> bytes:
    block = bytearray(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT))
    block[124:136], block[156:157], block[148:156] = size, kind, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


HUGE = b"\x80" + (1 << 60).to_bytes(11, "big")
NEGATIVE = b"\xff" + (-1024).to_bytes(11, "big", signed=True)


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize(
    ("block", "reasons"),
    [
        (header("a.jpg", HUGE), {"a.jpg", "archive"}),
        (header("a.jpg", NEGATIVE), {"a.jpg", "archive"}),
        (header("x", HUGE, b"x"), {"archive"}),  # an extended header that would fill the memory
        (header("x", b"77777777777\0", b"L"), {"archive"}),  # a name of 8 GiB
        (header("x", NEGATIVE, b"x"), {"archive"}),
    ],
)
def test_absurd_sizes_in_a_tar(
    tmp_path: Path, block: bytes, reasons: set[str], *, is_packed: bool
) -> None:
    path = tmp_path / "a.tar"
    good = make_tar(tmp_path / "good.tar", [("good.jpg", RED)]).read_bytes()
    data = good[:RED_MEMBER_BYTES] + block + good
    path.write_bytes(gzip.compress(data) if is_packed else data)
    found = contents(path)
    assert found.pop("good.jpg") == RED
    assert {"archive" if name == str(path) else name for name in found} <= reasons
    assert str(path) in found
    assert all(isinstance(value, Reason) for value in found.values())


@pytest.mark.parametrize(
    ("offset", "value", "expected"),
    [
        (8, struct.pack("<H", 1), Reason.ENCRYPTED),
        (8, struct.pack("<H", 0x41), Reason.ENCRYPTED),
        (10, struct.pack("<H", 9), Reason.UNSUPPORTED_FORMAT),
        (24, struct.pack("<I", 1 << 30), Reason.TOO_MANY_BYTES),
        (20, struct.pack("<I", 1 << 30), Reason.CORRUPT_CONTAINER),  # over the next member
        (16, b"\0\0\0\0", Reason.CORRUPT_CONTAINER),  # another checksum
        (24, struct.pack("<I", 10), Reason.CORRUPT_CONTAINER),  # unpacks to more than it says
        (42, struct.pack("<I", 3), Reason.CORRUPT_CONTAINER),
        (38, struct.pack("<I", 0o120777 << 16), Reason.NOT_A_FILE),
    ],
)
def test_malformed_zip_members(tmp_path: Path, offset: int, value: bytes, expected: Reason) -> None:
    path = MAKERS[".ZIP"](tmp_path / "a.zip", [("a.jpg", RED), ("b.jpg", GREEN)])
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\1\2") + offset  # in the directory's first entry
    data[start : start + len(value)] = value
    path.write_bytes(data)
    second = Reason.CORRUPT_CONTAINER if offset == 20 else GREEN
    assert contents(path) == {"a.jpg": expected, "b.jpg": second}


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    members = [(name, bytes(10 << 20)) for name in ("bomb.jpg", "liar.jpg")]
    path = MAKERS[".ZIP"](tmp_path / "a.zip", members)
    data = path.read_bytes().replace(struct.pack("<I", 10 << 20), struct.pack("<I", 1000))
    path.write_bytes(data)
    assert set(contents(path).values()) == {Reason.CORRUPT_CONTAINER}


@pytest.mark.parametrize("is_archive", [True, False])
def test_an_archive_that_begins_as_an_image_is_one_too(tmp_path: Path, is_archive: bool) -> None:
    """Browsers show it, whatever its name is."""
    path = make_zip(tmp_path / "photo.zip", [("b.jpg", BLUE)])
    path.write_bytes(RED + path.read_bytes() * is_archive)
    image, rest = expand([path])
    assert (image.source, image.reason) == (str(path), None)
    if is_archive:
        assert (rest.source, read(rest)) == (f"{path}!/b.jpg", BLUE)
    else:
        assert (rest.source, rest.reason) == (f"{path}!/", Reason.CORRUPT_CONTAINER)
