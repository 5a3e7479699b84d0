"""Scan images inside a table: bytes in Parquet (as Hugging Face has them), Base64 in JSON lines.

    python examples/embedded_images.py scan.sqlite listings.parquet image

The image of row 17 is called ``listings.parquet!/17``; the other columns go into its row.
"""

import base64
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pyarrow import parquet

from recognizer import Policy, Reason, load_bundle
from recognizer.rows import Ranking, ScanWriter
from recognizer.scan import Item, scan


def rows(path: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table, a few at a time in memory."""
    if path.endswith(".parquet"):
        for batch in parquet.ParquetFile(path).iter_batches(16):
            yield from batch.to_pylist()
    else:
        with open(path, encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def items(path: str, column: str) -> Iterator[Item]:
    """Yield the image of each row; what cannot be read gets a row with the reason."""
    for number, row in enumerate(rows(path), 1):
        image = row.pop(column, None)
        columns = {
            name: value if isinstance(value, int) else str(value) for name, value in row.items()
        }
        item = Item.at(f"{path}!/{number}", columns)
        if isinstance(image, dict):
            image = image.get("bytes")
        try:
            if isinstance(image, str):  # with or without "data:image/jpeg;base64," before it
                image = base64.b64decode(image.rpartition(",")[2], validate=True)
            reason = None if image else Reason.NO_IMAGE
            yield replace(item, data=image, reason=reason)
        except ValueError as error:
            yield replace(item, reason=Reason.CORRUPT_CONTAINER, detail=str(error))


if __name__ == "__main__":
    output, table, column = sys.argv[1:]
    bundle = load_bundle(os.environ.get("BUNDLE"))
    with ScanWriter(output, Ranking([bundle])) as file:
        summary = scan(items(table, column), bundle, Policy(), file)
    print(f"{summary.images} images, {summary.failed.total()} failed; leads: {summary.leads}")
