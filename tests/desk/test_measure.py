import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from recognizer.desk.measure import Measurement, Misses, distinct_images, measure_outcomes
from recognizer.desk.outcomes import Judgement, Occasion, Outcome, open_reviewed
from recognizer.policy.values import CandidateKind, Decision
from recognizer.rows.row import Row
from recognizer.taxonomy import load_taxonomy
from tests.conftest import succeed
from tests.desk.outcomes import outcome, store
from tests.rows.rows import NOW, bare_row, digest, lead, write_scan
from tests.tiny import write_tiny_bundle

C, R, U = Judgement.CONFIRMED, Judgement.REJECTED, Judgement.UNSURE


def said(name: str, judgement: Judgement, hours: float = 1, **values: Any) -> Outcome:
    return outcome(judgement, time=NOW + timedelta(hours=hours), sha256=digest(name), **values)


def measure(rows: Sequence[Row], *outcomes: Outcome) -> Measurement:
    with TemporaryDirectory() as folder:
        scan = write_scan(Path(folder) / "scan.sqlite", rows)
        store(scan, outcomes)
        with open_reviewed(scan, None) as (file, stored):
            return measure_outcomes(distinct_images(file), stored, [load_taxonomy()])


def leads(*names: str, decision: str = "review") -> list[Row]:
    return [bare_row(name, 0.7, decision) for name in names]


def test_precision_is_confirmed_among_decided_by_level_and_product():
    rows = [*leads("a", "b", "c", "d"), *leads("e", decision="priority"), bare_row("f", 0, "clear")]
    found = measure(rows, said("a", C), said("b", R), said("c", U), said("e", C), said("f", R))
    assert (found.images, found.leads, found.decided) == (6, 5, 3)
    review = {p.level: p for p in found.precision if p.name is None}[Decision.REVIEW]
    assert (review.confirmed, review.rejected, review.open) == (1, 1, 2)
    assert review.precision.value == 0.5
    assert review.precision.low < 0.05
    assert review.precision.high > 0.95
    ivory = [p for p in found.precision if p.name == "ivory_worked"]
    assert {(p.level, p.confirmed) for p in ivory} == {(Decision.REVIEW, 1), (Decision.PRIORITY, 1)}


def test_what_was_confirmed_as_another_product_is_wildlife_and_not_this_product():
    family = lead("ivory", kind=CandidateKind.FAMILY)
    rows = [replace(row, leads=(lead(), family)) for row in leads(*"abcde")]
    labels = {"a": "ivory_worked", "b": "ivory_raw", "c": "coral", "d": None}
    outcomes = [replace(said(name, C), label=label) for name, label in labels.items()]
    found = measure(rows, *outcomes, replace(said("e", R), label="ceramic"))
    counts = {p.kind: (p.confirmed, p.as_product, p.rejected) for p in found.precision}
    assert counts == {None: (4, 3, 1), "label": (4, 2, 1), "family": (4, 3, 1)}
    shares = {p.kind: p.product_precision.value for p in found.precision if p.product_precision}
    assert shares == {None: 0.6, "label": 0.4, "family": 0.6}
    assert all(p.precision and p.precision.value == 0.8 for p in found.precision)


def test_families_of_custom_labels_are_those_of_their_bundle(tmp_path):
    custom = {"label": {"walrus_tusk": {"kind": "product", "family": "ivory"}}}
    taxonomy = load_taxonomy().extended(custom, "own")
    bundle = write_tiny_bundle(tmp_path / "own-v1", taxonomy=taxonomy)
    (row,) = leads("a")
    row = replace(row, leads=(lead("ivory", kind=CandidateKind.FAMILY),))
    scan = write_scan(tmp_path / "scan.sqlite", [row])
    store(scan, [replace(said("a", C), label="walrus_tusk")])
    counted, warned = [], []
    for options in ([], ["--model", bundle]):
        done = succeed("measure", scan, "--json", *options)
        found = json.loads(done.stdout)["precision"]
        counted.append([one["as_product"] for one in found if one["kind"] == "family"])
        warned.append("No model at hand has walrus_tusk" in done.stderr)
    assert (counted, warned) == ([[0], [1]], [True, False])


def cleared(name: str, audit: float | None) -> Row:
    return bare_row(name, 0.001, "clear", audit=audit)


def test_each_audited_image_stands_for_those_like_it():
    rows = [cleared(f"c{i}", 0.1 if i < 100 else None) for i in range(1000)]
    outcomes = [said(f"c{i}", C if i < 2 else R, occasion=Occasion.AUDIT) for i in range(50)]
    found = measure([*rows, *leads("a", "b")], *outcomes, said("a", C), said("b", R)).misses
    assert (found.cleared, found.drawn, found.audited, found.found) == (1000, 100, 50, 2)
    # 2 of 50, each for 20 of the 1,000.
    assert found.rate.value == pytest.approx(0.04)
    assert found.rate.low < 0.02
    assert found.rate.high > 0.1
    assert found.recall.value == pytest.approx(1 / 41)


def test_an_image_counts_once_whatever_the_number_of_its_listings():
    """Thirty listings with one photo are one lead, one decision, and one draw of an audit."""
    same = [replace(row, sha256=digest("one")) for row in leads(*(f"L{i}" for i in range(30)))]
    strong = replace(same[0], source="L30", leads=(lead(level=Decision.PRIORITY),))
    found = measure([*same, strong, *leads("a", "b")], said("one", C), said("a", R))
    assert (found.images, found.leads, found.decided) == (3, 3, 2)
    counts = {(p.name, p.level): (p.confirmed, p.rejected, p.open) for p in found.precision}
    assert counts == {
        (name, level): numbers
        for name in (None, "ivory_worked")
        for level, numbers in (("priority", (1, 0, 0)), ("review", (0, 1, 1)))
    }
    same = [replace(cleared(f"s{i}", 0.1), sha256=digest("s")) for i in range(40)]
    rows = [*same, *(cleared(f"c{i}", 0.1 if i < 100 else None) for i in range(1000))]
    of_others = [said(f"c{i}", R, occasion=Occasion.AUDIT) for i in range(100)]
    misses = measure(rows, said("s", C, occasion=Occasion.AUDIT), *of_others).misses
    assert (misses.cleared, misses.drawn, misses.audited, misses.found) == (1001, 101, 101, 1)
    assert misses.rate.value == pytest.approx(10 / 1001)


def test_only_leads_of_products_are_measured():
    """By the policy strict, animals, damaged and failed images are reviewed too."""
    animals = [replace(row, leads=()) for row in leads(*"abc")]
    found = measure([*animals, *leads("d")], *(said(name, C) for name in "abcd"))
    assert (found.images, found.leads, found.decided, found.misses) == (4, 1, 1, None)


def audited(rows: list[Row], *outcomes: Outcome) -> Misses:
    """The misses of these rows, and of a hundred clear images of which 2 of 50 are found."""
    rows = [*rows, *(cleared(f"c{i}", 0.5 if i < 50 else None) for i in range(100))]
    audit = [said(f"c{i}", C if i < 2 else R, occasion=Occasion.AUDIT) for i in range(50)]
    return measure(rows, *audit, *outcomes).misses


def test_open_leads_are_no_misses():
    rows = leads(*(f"a{i}" for i in range(40)))
    assert audited(rows, *[said(f"a{i}", C) for i in range(10)]).recall is None
    decided = [said(f"a{i}", C if i % 2 else R) for i in range(36)]
    found = audited(rows, *decided).recall
    assert found.value == pytest.approx(20 / 24)  # half of the open ones, too
    nothing = audited(rows, *(said(f"a{i}", R) for i in range(40))).recall
    assert (nothing.value, nothing.low) == (0, 0)  # no lead was any
    every = audited(rows, *decided, *(said(f"a{i}", C) for i in range(36, 40))).recall
    none = audited(rows, *decided, *(said(f"a{i}", R) for i in range(36, 40))).recall
    assert found.low == pytest.approx(none.low)
    assert found.high == pytest.approx(every.high)
    assert audited([]).recall.high == 0  # nothing was a lead
