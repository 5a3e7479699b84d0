"""Scan images in zip and tar archives, and in tables: bytes in Parquet, Base64 in JSON lines.

python examples/archives.py scan.sqlite photos.zip shard.tar.gz listings.parquet
"""

import base64
import json
import os
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from pyarrow import parquet

from recognizer import Limits, Policy, Reason, load_bundle
from recognizer.rows import Ranking, ScanWriter
from recognizer.scan import Item, scan


def in_archive(path):
    """Yield the names of an archive's files, their columns, and what reads them, up to a bound."""
    bound = Limits().max_bytes + 1  # the row of a larger one says so
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    yield entry.filename, None, lambda e=entry: archive.open(e).read(bound)
    else:
        with tarfile.open(path, "r|*") as stream:
            for member in stream:
                if not member.isdir():
                    yield member.name, None, lambda m=member: stream.extractfile(m).read(bound)


def in_table(path, column="image"):
    """Yield the numbers of rows, their other columns, and what returns the image, a few at once."""
    with open(path, "rb") as file:
        batches = path.endswith(".parquet") and parquet.ParquetFile(file).iter_batches(16)
        rows = (row for b in batches for row in b.to_pylist()) if batches else map(json.loads, file)
        for number, row in enumerate(rows, 1):
            image = partial(embedded, row.pop(column, None))
            yield number, {k: v if isinstance(v, int) else str(v) for k, v in row.items()}, image


def embedded(image):
    """Return the bytes of a cell; those of Hugging Face's are in an object."""
    image = image["bytes"] if isinstance(image, dict) else image
    is_text = isinstance(image, str)  # with or without "data:image/jpeg;base64," before it
    return base64.b64decode(image.rpartition(",")[2], validate=True) if is_text else image


def items(path: str) -> Iterator[Item]:
    """Yield all images; what cannot be read gets a row with the reason."""
    is_table = path.endswith((".parquet", ".jsonl"))
    try:
        for name, columns, read in (in_table if is_table else in_archive)(path):
            item = Item.at(f"{path}!/{name}", columns)
            try:
                data = read()
                yield replace(item, data=data, reason=Reason.NO_IMAGE if data is None else None)
            except Exception as error:
                yield replace(item, reason=Reason.CORRUPT_CONTAINER, detail=repr(error))
    except Exception as error:  # a damaged file: what came before is scanned
        yield replace(Item.at(path), reason=Reason.CORRUPT_CONTAINER, detail=repr(error))


if __name__ == "__main__":
    bundle = load_bundle(os.environ.get("BUNDLE"))
    with ScanWriter(sys.argv[1], Ranking([bundle])) as file:
        print(scan((i for path in sys.argv[2:] for i in items(path)), bundle, Policy(), file))
