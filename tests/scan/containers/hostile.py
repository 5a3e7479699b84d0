"""Archives and tables as strangers may send them: each case of them is a file with its bytes."""

import base64
import csv
import gzip
import io
import json
import tarfile
import warnings
import zipfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.conftest import encoded, picture

PHOTO = encoded(picture("red", (16, 16)))
DOTTED = ("../p.jpg", "././p.jpg", ".p.jpg", "a/../../p.jpg")


def tar(*members: tuple[str, bytes]) -> bytes:
    """A tar without its end mark."""
    file = io.BytesIO()
    archive = tarfile.TarFile(fileobj=file, mode="w", format=tarfile.GNU_FORMAT)
    for name, data in members:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


END = bytes(1024)


def long_link(name: bytes = b"x.jpg") -> bytes:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, len(name)
    return info.tobuf() + name.ljust(-(-len(name) // 512) * 512, b"\0")


def pax_header() -> bytes:
    record = b"15 comment=abc\n"
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    return info.tobuf() + record.ljust(512, b"\0")


class _Nameless(zipfile.ZipInfo):
    def is_dir(self) -> bool:
        return False


def zipped(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings(action="ignore"):
        for name, data in members:
            info = _Nameless("x")
            info.filename = name  # with its NUL, or empty
            archive.writestr(info, data)
    return file.getvalue()


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, compression="zstd", **options)
    return file.getvalue()


def zeros(rows: int, size: int) -> bytes:
    """A Parquet table whose images are zeros: little in the file, much in memory."""
    image = pa.array([bytes(size)] * rows, pa.large_binary())
    columns = {"id": list(range(rows)), "image": image}
    return parquet(columns, use_dictionary=False, row_group_size=rows)


def listing(images: int, text: int) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file)
    names = [f"{number}.jpg" for number in range(images)]
    writer.writerows([["id", "text", "images"], ["1", "x" * text, json.dumps(names)]])
    return file.getvalue().encode()


def nested(depth: int) -> bytes:
    row = f'{{"image": "b.jpg", "x": {"[" * depth + "]" * depth}}}'
    return f'{{"image": "a.jpg"}}\n{row}\n{{"image": "c.jpg"}}\n'.encode()


def corpus(*, size: int = 4 << 20) -> dict[str, bytes]:
    """Name -> bytes, of each case; ``size``: of a cell of zeros."""
    head, tail = tar(("a.jpg", PHOTO)), tar(("z.jpg", PHOTO)) + END
    base = base64.b64encode(PHOTO).decode()
    places = ["/etc/shadow", "/proc/self/environ", "s3://bucket/a.jpg", "../../etc/passwd", "a.jpg"]
    return {
        "links.tar": head + long_link() * 1000 + tail,
        "links.tar.gz": gzip.compress(head + long_link() * 1000 + tail, mtime=0),
        "pax.tar": head + pax_header() * 1000 + tail,
        "pax.tar.gz": gzip.compress(head + pax_header() * 1000 + tail, mtime=0),
        "long-name.tar": head + long_link(b"n" * 100_000 + b".jpg") + tail,
        "zeros.tar.gz": gzip.compress(tar(("a.jpg", PHOTO), ("b.jpg", bytes(8 * size))), mtime=0),
        "dots.tar": tar(*((name, PHOTO) for name in DOTTED)) + END,
        "dots.zip": zipped(*((name, PHOTO) for name in DOTTED)),
        "nameless.zip": zipped(("a.jpg", PHOTO), ("", PHOTO), ("\0.jpg", PHOTO), ("z.jpg", PHOTO)),
        "same.zip": zipped(*[("a.jpg", PHOTO)] * 300),
        "nested.jsonl": nested(700),
        "nested-deep.jsonl": nested(5000),
        "nested-deepest.jsonl": nested(100_000),
        "zeros.parquet": zeros(8, size),
        "zeros.csv.gz": gzip.compress(b"image\n" + bytes(8 * size), mtime=0),
        "no-image.csv": b"title,price\nhorn,3\n",
        "no-image.jsonl": b'{"title": "horn"}\n',
        "no-image.parquet": parquet({"title": ["horn"]}),
        "listing.csv": listing(200, 100_000),
        "columns.csv": ",".join(["image", *map(str, range(10_000))]).encode() + b"\na.jpg\n" * 50,
        "places.csv": "\n".join(["image", *places]).encode(),
        "base64.jsonl": json.dumps({"bytes": base, "id": 1}).encode() + b"\n",
        "long.csv": b"image\n" + b"x" * 10_000 + b".jpg\n",
    }
