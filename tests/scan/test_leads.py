from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recognizer.engine import Recognizer
from recognizer.model.bundle import load_bundle
from recognizer.policy import CandidateKind, Policy, Probability, Rule
from recognizer.prediction import Region
from recognizer.rows import ScanSummary
from recognizer.rows.row import Row
from recognizer.scan.options import WorkerPayload
from recognizer.scan.worker import lead_products
from tests.conftest import encoded, picture

LABEL = CandidateKind.LABEL
NEVER = Rule(review=Probability(1), priority=Probability(1))


@pytest.mark.parametrize(
    ("rules", "ignore", "labels", "shows"),
    [
        ({}, [], ["ivory_worked"], ["ivory_worked"]),
        ({(LABEL, "ivory_worked"): NEVER, (LABEL, "ivory_raw"): NEVER}, [], [], ["ivory_worked"]),
        ({(CandidateKind.FAMILY, "ivory"): NEVER}, ["ivory_worked"], [], []),
    ],
)
def test_what_a_lead_shows(
    tiny_bundle: Path,
    recognizer: Recognizer,
    rules: dict[tuple[CandidateKind, str], Rule],
    ignore: list[str],
    labels: list[str],
    shows: list[str],
) -> None:
    bundle, policy = load_bundle(tiny_bundle), Policy(rules=rules, ignore=frozenset(ignore))
    payload = WorkerPayload(bundle=bundle, policy=policy)
    prediction = recognizer.predict(encoded(picture("red")))
    verdict = recognizer.decide(prediction, policy)
    labels_shown = lead_products(prediction, verdict, payload)
    assert set(labels_shown) == set(shows)
    regions = tuple(Region(label=name, score=1, box=(0, 0, 1, 1), frame=0) for name in shows)
    prediction = replace(prediction, regions=regions)
    row = Row.from_prediction(
        "x", prediction, verdict, bundle=bundle, policy=policy, time=datetime.now(UTC)
    )
    assert [lead.name for lead in row.leads if lead.kind is LABEL] == labels
    summary = ScanSummary()
    summary.add(row, is_new=True)
    assert [*summary.leads] == shows
