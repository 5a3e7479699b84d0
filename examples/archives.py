"""Scan the images in zip and tar archives, without unpacking them.

    python examples/archives.py scan.sqlite photos.zip shard-000.tar.gz

A member is called ``photos.zip!/a.jpg``. As in WebDataset, ``0001.json`` has the columns of the
images ``0001.*``.
"""

import json
import os
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

from recognizer import Limits, Policy, Reason, load_bundle
from recognizer.rows import Ranking, ScanWriter
from recognizer.scan import Item, scan

LIMITS = Limits()


def members(path: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the names of an archive's files, and how to open them."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            found = sorted(archive.infolist(), key=lambda entry: entry.filename)
            yield from ((e.filename, partial(archive.open, e)) for e in found if not e.is_dir())
    else:
        with tarfile.open(path, "r|*") as stream:
            yield from ((m.name, partial(stream.extractfile, m)) for m in stream if not m.isdir())


def items(path: str) -> Iterator[Item]:
    """Yield the images of an archive; those of one key are in memory together."""
    names, images = Counter[str](), list[Item]()
    try:
        for _, group in groupby(members(path), lambda member: os.path.splitext(member[0])[0]):
            columns, images = None, []
            for name, open_member in group:
                names[name] += 1
                source = f"{path}!/{name}" + (f"#{names[name]}" if names[name] > 1 else "")
                try:
                    with open_member() as file:
                        data = file.read(LIMITS.max_bytes + 1)  # the row of a larger one says so
                    if name.endswith(".json"):
                        columns = dict(json.loads(data))
                    else:
                        images.append(Item.at(source, data=data))
                except Exception as error:
                    images.append(failed(source, error))
            yield from (replace(image, columns=columns) for image in images)
    except Exception as error:  # a damaged archive: what came before is scanned
        yield from (*images, failed(path, error))


def failed(source: str, error: Exception) -> Item:
    """Return an item that gets a row with the reason, and not a score."""
    return replace(Item.at(source), reason=Reason.CORRUPT_CONTAINER, detail=repr(error))


if __name__ == "__main__":
    bundle = load_bundle(os.environ.get("BUNDLE"))
    with ScanWriter(sys.argv[1], Ranking([bundle])) as file:
        found = (item for path in sys.argv[2:] for item in items(path))
        summary = scan(found, bundle, Policy(), file)
    print(f"{summary.images} images, {summary.failed.total()} failed; leads: {summary.leads}")
