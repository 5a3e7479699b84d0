import pickle
from pathlib import Path

import pytest

from recognizer.engine import Recognizer
from recognizer.known.bank import Bank, KnownItem
from recognizer.known.matches import share_bank
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.policy.values import CandidateKind, Finding, Policy, Probability, Rule
from recognizer.prediction import Region
from recognizer.rows import ScanSummary
from recognizer.scan import Item, ScanOptions, Scorer, WorkerPayload
from recognizer.scan.worker import make_row
from tests.conftest import encoded, picture
from tests.pictures import scene
from tests.scan import engines


def test_a_row_for_each_item_in_order(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, deadly = tmp_path / "good.jpg", tmp_path / "deadly.jpg"
    good.write_bytes(encoded(picture("red")))
    deadly.write_bytes(encoded(picture("red")) + engines.EXITS)
    items = [
        Item.at(str(deadly), {"id": 1}),
        *[Item.at(str(good), {"id": number}) for number in range(2, 20)],
        Item.at(str(tmp_path / "gone.jpg")),
        Item.at("inside", data=good.read_bytes()),
    ]
    monkeypatch.setattr("recognizer.scan.pool.WorkerPayload", engines.FragilePayload)
    with Scorer(load_bundle(tiny_bundle), Policy()) as scorer:
        assert scorer.score([]) == []
        rows = scorer.score(items)
        again = scorer.score(items[1:3])
    assert [row.source for row in rows] == [item.source for item in items]
    assert [row.item for row in rows] == [item.columns for item in items]
    assert [row.reason for row in rows] == ["decoder_crash", *[None] * 18, "not_found", None]
    assert {row.decision for row in rows[1:-2]} == {"priority"}
    assert [row.scores for row in again] == [row.scores for row in rows[1:3]]


def test_a_packed_payload_needs_nothing_of_the_machine_that_packed_it(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    photo = encoded(scene(3))
    with Scorer(load_bundle(tiny_bundle), Policy()) as scorer:
        (alone,) = scorer.score([Item.at("photo", data=photo)])
    item = KnownItem(pdq=alone.phash, finding=Finding.PRODUCT, time="2026-03-01T10:00:00+00:00")
    with Bank(tmp_path / "bank", create=True) as bank:
        bank.add([item])
    with share_bank(tmp_path / "bank") as known:
        options = ScanOptions(workers=1, known=known)
        payload = WorkerPayload(bundle=load_bundle(tiny_bundle), policy=Policy(), options=options)
        packed = pickle.dumps(payload.packed())
    # The folder of the known items is gone by now, as it would be elsewhere.
    payload = pickle.loads(packed).unpacked(tmp_path)
    with Scorer(payload.bundle, payload.policy, payload.options) as scorer:
        (row,) = scorer.score([Item.at("photo", data=photo)])
    assert (row.scores, row.model) == (alone.scores, alone.model)
    assert [match.distance for match in row.known] == [0]


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
    bundle: Bundle,
    recognizer: Recognizer,
    rules: dict[tuple[CandidateKind, str], Rule],
    ignore: list[str],
    labels: list[str],
    shows: list[str],
) -> None:
    payload = WorkerPayload(bundle=bundle, policy=Policy(rules=rules, ignore=frozenset(ignore)))
    prediction = recognizer.predict(encoded(picture("red")))
    row = make_row(
        Item.at("x"),
        prediction,
        payload,
        lambda label: [Region(label=label, score=1, box=(0, 0, 1, 1), frame=0)],
    )
    assert [lead.name for lead in row.leads if lead.kind is LABEL] == labels
    assert [region.label for region in row.regions] == shows
    summary = ScanSummary()
    summary.add(row, is_new=True)
    assert {*summary.leads} == {lead.title for lead in row.leads}
