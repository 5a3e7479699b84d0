"""How long a team waits for new decisions, for listings and for the queue, on made-up journals.

``python -m benchmarks.review_speed`` writes a journal of a million rows (1.8 GB) into a temporary
folder and decides on it again with the policy ``strict``; makes the listings of another one, of
three images each; and works on the queue of a third, of which every listing is a lead. Scores are
random, and no two images are near-copies.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from recognizer._policy_file import load_policy
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.policy import CandidateKind, Decision, Lead, Policy
from recognizer.review.outcomes import Judgement, OutcomeStore
from recognizer.review.server.index import QueueIndex
from recognizer.review.server.queue import Queue
from recognizer.review.server.views import View
from recognizer.rows import Row, write_listings
from recognizer.rows.deciding import decide_again
from recognizer.rows.row import ModelReference, PolicyReference
from recognizer.status import Status

LEAD_SHARE = 0.005
"""Of the rows, as in a backlog of ordinary listings."""

IMAGES = 3  # of a listing


def main() -> None:
    """Print the seconds and the CPU seconds of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to decide on again")
    parser.add_argument("--listings", type=int, default=100_000, help=f"of {IMAGES} images each")
    parser.add_argument("--queue", type=int, default=100_000, help="listings of a queue")
    parser.add_argument("--folder", type=Path, help="keep the journals here, and use them again")
    options = parser.parse_args()
    bundle, policy = load_bundle(), load_policy("strict")
    with tempfile.TemporaryDirectory() as scratch:
        folder, output = options.folder or Path(scratch), Path(scratch, "out.jsonl")
        if options.rows:
            journal = folder / f"{options.rows}-rows.jsonl"
            _write(journal, bundle, options.rows)
            what = f"decide on {options.rows:,} rows ({journal.stat().st_size / 1e9:.1f} GB)"
            _time(what, lambda: decide_again(journal, output, policy, [bundle]))
        if options.listings:
            journal = folder / f"{options.listings}-listings.jsonl"
            _write(journal, bundle, options.listings * IMAGES, images=IMAGES)
            target = Path(scratch, "listings.jsonl")
            what = f"{options.listings:,} listings of {IMAGES} images"
            _time(what, lambda: write_listings(journal, target, bundles=[bundle]))
        if options.queue:
            journal = folder / f"{options.queue}-leads.jsonl"
            _write(journal, bundle, options.queue, lead_share=1.0, images=1)
            _work(journal, Path(scratch), bundle)


def _work(journal: Path, folder: Path, bundle: Bundle) -> None:
    """Time what the review server does for a request."""
    with (
        OutcomeStore(folder / "outcomes", create=True) as store,
        QueueIndex(folder / "index", [journal], store, [bundle]) as index,
    ):
        _time("index of the queue", index.update)
        size = sum(path.stat().st_size for path in folder.glob("index*"))
        print(f"size of the index: {size / 1e6:.0f} MB")
        queue, view = Queue(index), View()
        _time("a page of 50 listings", lambda: queue.page(view, 1))
        _time("the 900th page", lambda: queue.page(view, 900))
        _time("a search", lambda: queue.page(View(q="lot 4711"), 1))
        _time("a search for two characters", lambda: queue.page(View(q="77"), 1))
        taken = queue.take("Ama", view)
        assert taken is not None  # noqa: S101 - all are open
        _time("a decision", lambda: queue.decide("Ama", taken.number, Judgement.REJECTED))
        _time("the next listing", lambda: queue.take("Ama", view))


def _time(what: str, work: Callable[[], object]) -> None:
    begin, cpu = time.perf_counter(), sum(os.times()[:4])
    work()
    wall, spent = time.perf_counter() - begin, sum(os.times()[:4]) - cpu
    print(f"{what}: {wall:.3f} s, {spent:.2f} s of CPU", flush=True)


def _write(
    path: Path, bundle: Bundle, count: int, *, lead_share: float = LEAD_SHARE, images: int = 0
) -> None:
    """Write a journal where there is none; lines are made of one another, which is fast."""
    if path.exists():
        return
    rng = random.Random(0)  # noqa: S311 - for figures that are made up
    templates = [_template(bundle, rng, score) for score in (0.6, *[0.01] * 19)]
    with path.open("wb") as file:
        for number in range(count):
            is_lead = rng.random() < lead_share
            line = templates[0 if is_lead else rng.randrange(1, len(templates))]
            item = b"null"
            if images:
                item = _item(number // images)
            file.write(
                line.replace(b'"SOURCE","item":null', b'"%d.jpg","item":%b' % (number, item), 1)
                .replace(b"0" * 64, b"%064x" % rng.getrandbits(256), 1)
                .replace(b"f" * 64, b"%064x" % rng.getrandbits(256), 1)
            )


def _item(number: int) -> bytes:
    columns = {
        "listing_id": f"L{number}",
        "title": f"Lot {number}, from an estate, see the photos",
        "price": "120",
        "seller": f"seller {number // 20}",
        "description": "Collected by my grandfather; no returns, please ask before you buy. " * 3,
        "url": f"https://market.example/{number}",
    }
    return json.dumps(columns, separators=(",", ":")).encode()


def _template(bundle: Bundle, rng: random.Random, score: float) -> bytes:
    scores = {name: round(rng.random() * 0.05, 6) for name in bundle.label_names}
    name = "ivory_worked"
    scores[name] = score
    leads = (
        Lead(
            kind=CandidateKind.LABEL,
            name=name,
            score=score,
            threshold=0.2,
            false_positive_rate=0.01,
            level=Decision.REVIEW,
        ),
    )
    is_lead = score > 0.5
    decision = Decision.REVIEW if is_lead else Decision.CLEAR
    policy = Policy()
    return Row(
        source="SOURCE",
        item=None,
        status=Status.OK,
        reason=None,
        sha256="0" * 64,
        phash="f" * 64,
        format="jpeg",
        width=1200,
        height=900,
        frames=1,
        scores=scores,
        leads=leads if is_lead else (),
        family={family.name: round(rng.random() * 0.05, 6) for family in bundle.families},
        decision=decision,
        why=("review: a lead",) if is_lead else (),
        regions=(),
        model=ModelReference(name=bundle.name, version=bundle.version, digest=bundle.digest),
        policy=PolicyReference(name=policy.name, digest=policy.digest),
        preprocessing=bundle.input.preprocessing,
        time=datetime(2026, 1, 2, tzinfo=UTC),
        detail=None,
        known=None,
        bank=None,
        image_decision=decision,
        keywords=(),
    ).to_json_line()


if __name__ == "__main__":
    main()
