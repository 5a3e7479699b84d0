"""How fast the file of a scan is written and asked, with made rows.

    python -m benchmarks.scan_file --rows 200000 /tmp/scan.sqlite
    python -m benchmarks.scan_file --rows 10000000 /tmp/ten.sqlite

A tenth of the images are leads, four of five belong to listings of five, every twentieth lead is a
near-copy of another. The file is kept, and its figures are those of an idle disk: run it twice.
"""

import argparse
import hashlib
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from recognizer.imaging.thumbnail import Thumbnail
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.policy.decide import thresholds_of
from recognizer.policy.values import Policy
from recognizer.prediction import Prediction
from recognizer.rows import NewRow, Ranking, ScanWriter
from recognizer.rows.deciding import Decider
from recognizer.rows.identity import item_key
from recognizer.status import Status

BATCH = 64
LOOKED_UP = 20_000
START = datetime(2026, 1, 1, tzinfo=UTC)


@contextmanager
def measured(what: str, count: Callable[[], int] | None = None) -> Iterator[None]:
    """Print how long a step takes: on the clock and of the processor."""
    begun, cpu = time.perf_counter(), time.process_time()
    yield
    seconds, busy = time.perf_counter() - begun, time.process_time() - cpu
    rate = f"{count() / seconds:12,.0f}/s" if count else ""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{what:44}{seconds:9.2f} s{busy:9.2f} s CPU{rate:>14}{peak:8,} MiB", flush=True)


def made_rows(count: int, bundle: Bundle) -> Iterator[NewRow]:
    """Yield rows as a scan writes them, with random scores."""
    generator = np.random.default_rng(1)
    limits = thresholds_of(bundle, Policy())
    products = [one.candidate.name for one in limits if len(one.members) == 1]
    decider = Decider(bundle, Policy())
    names = list(bundle.label_names)
    jpeg = generator.bytes(9000)
    copied = "0" * 64
    for number in range(count):
        scores = dict(
            zip(names, (generator.random(len(names)) / 50).round(6).tolist(), strict=True)
        )
        if number % 10 == 0:
            scores[products[number // 10 % len(products)]] = 0.6 + number % 400 / 1000
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        phash = copied if number % 200 == 0 else digest[::-1]
        copied = phash if number % 1000 == 0 else copied
        families = {f.name: max(scores[name] for name in f.members) for f in bundle.families}
        title = f"Old carving, number {number // 5}, from an estate"
        listing: dict[str, Any] = {"id": f"L{number // 5}", "title": title, "price": 12.5}
        listing |= {"seller": f"seller {number // 50}", "reports": number // 5 % 50 // 49}
        file: dict[str, Any] = {"sha256": digest, "phash": phash, "format": "jpeg", "frames": 1}
        file |= {"width": 1024, "height": 768}
        prediction = Prediction(status=Status.OK, scores=scores, families=families, **file)
        source = f"s3://photos/{number // 1000:05}/{digest[:24]}.jpg"
        row = decider.new_row(source, listing if number % 25 < 20 else None, prediction)
        row = replace(row, time=START + timedelta(seconds=number // BATCH))
        yield NewRow(
            row=row,
            thumbnail=Thumbnail(jpeg, 256, 192, 0) if row.is_lead else None,
            file_state=bytes.fromhex(digest[:32]),
        )


def main() -> None:
    """Measure each step, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=200_000)
    given = parser.parse_args()
    bundle, count = load_bundle(), given.rows
    if not given.file.exists():
        rows = made_rows(count, bundle)
        with ScanWriter(given.file, Ranking([bundle])) as writer, measured("append", lambda: count):
            while batch := [*islice(rows, BATCH)]:
                writer.append(batch)
    look_up(given.file, count)


def look_up(path: Path, count: int) -> None:
    """Look up what is known of images, as a scan of an unchanged folder does."""
    chosen = np.random.default_rng(2).integers(1, count, LOOKED_UP).tolist()
    with ScanWriter(path, Ranking()) as file:
        rows = [next(file.rows("image.id = ?", (number,))) for number in chosen]
        with measured("unchanged images: known, and the last row", lambda: LOOKED_UP):
            for row in rows:
                key = item_key(row.source, row.item)
                if file.previous(key) is not None:
                    next(file.numbered_rows("key = ?", (key,)))


if __name__ == "__main__":
    main()
