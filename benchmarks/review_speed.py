"""How long a team waits for new decisions and for listings, on journals made up for it.

``python -m benchmarks.review_speed`` writes a journal of a million rows (1.8 GB) into a temporary
folder, decides on it again with the policy ``strict``, and makes the listings of another one, of
three images each. Scores are random; a share of the rows are leads.
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
    options = parser.parse_args()
    bundle, policy = load_bundle(), load_policy("strict")
    with tempfile.TemporaryDirectory() as folder:
        journal, output = Path(folder, "rows.jsonl"), Path(folder, "out.jsonl")
        if options.rows:
            _write(journal, bundle, options.rows, has_listings=False)
            what = f"decide on {options.rows:,} rows ({journal.stat().st_size / 1e9:.1f} GB)"
            _time(what, lambda: decide_again(journal, output, policy, [bundle]))
        if options.listings:
            _write(journal, bundle, options.listings * IMAGES, has_listings=True)
            target = Path(folder, "listings.jsonl")
            what = f"{options.listings:,} listings of {IMAGES} images"
            _time(what, lambda: write_listings(journal, target, bundles=[bundle]))


def _time(what: str, work: Callable[[], object]) -> None:
    begin, cpu = time.perf_counter(), sum(os.times()[:4])
    work()
    wall, spent = time.perf_counter() - begin, sum(os.times()[:4]) - cpu
    print(f"{what}: {wall:.1f} s, {spent:.1f} s of CPU", flush=True)


def _write(path: Path, bundle: Bundle, count: int, *, has_listings: bool) -> None:
    """Write a journal; lines are made of one another, which is faster than one by one."""
    rng = random.Random(0)  # noqa: S311 - for figures that are made up
    templates = [_template(bundle, rng, score) for score in (0.6, *[0.01] * 19)]
    with path.open("wb") as file:
        for number in range(count):
            is_lead = rng.random() < LEAD_SHARE
            line = templates[0 if is_lead else rng.randrange(1, len(templates))]
            item = b"null"
            if has_listings:
                item = _item(number // IMAGES)
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
