from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from recognizer.model.bundle import load_bundle
from recognizer.policy import Policy, Rule, decide
from recognizer.recognizer import Recognizer
from recognizer.rows import ScanSummary
from recognizer.rows.row import build
from recognizer.scan.items import Item
from recognizer.scan.worker import Setup, leads_of
from tests.conftest import encoded, picture


@pytest.mark.parametrize(
    ("rules", "ignore", "labels", "shows"),
    [
        ({}, [], ["ivory_worked"], ["ivory_worked"]),
        ({"ivory_worked": Rule(1.0, 1.0), "ivory_raw": Rule(1.0, 1.0)}, [], [], ["ivory_worked"]),
        ({"ivory": Rule(1.0, 1.0)}, ["ivory_worked"], [], []),
    ],
)
def test_what_a_lead_shows(
    tiny_bundle: Path,
    recognizer: Recognizer,
    rules: dict[str, Rule],
    ignore: list[str],
    labels: list[str],
    shows: list[str],
) -> None:
    bundle, policy = load_bundle(tiny_bundle), Policy(rules=rules, ignore=frozenset(ignore))
    setup = Setup(bundle, policy)
    (prediction,) = recognizer.predict_loaded(
        [recognizer.load_image(encoded(picture("red")))],
        regions_for=lambda prediction: leads_of(prediction, setup),
    )
    assert {region.label for region in prediction.regions} == set(shows)
    verdict = decide(prediction, bundle, policy)
    row = build(Item("x"), prediction, verdict, bundle, policy, datetime.now(UTC))
    assert row["labels"] == labels
    summary = ScanSummary()
    summary.add(row, is_new=True)
    assert [*summary.leads] == shows
