import pytest

from recognizer.model.bundle import load_bundle
from recognizer.policy.values import CandidateKind, Policy, Probability, Rule
from recognizer.prediction import Region
from recognizer.rows import ScanSummary
from recognizer.rows.deciding import Decider
from recognizer.scan import Item, Scorer
from tests.conftest import encoded, picture
from tests.scan import engines


def test_a_row_for_each_item_in_order(tiny_bundle, tmp_path, monkeypatch):
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
def test_what_a_lead_shows(bundle, recognizer, rules, ignore, labels, shows):
    decider = Decider(bundle, Policy(rules=rules, ignore=frozenset(ignore)))
    prediction = recognizer.predict(encoded(picture("red")))

    def locate(label):
        return [Region(label=label, score=1, box=(0, 0, 1, 1), frame=0)]

    row = decider.new_row("x", None, prediction, locate)
    assert [lead.name for lead in row.leads if lead.kind is LABEL] == labels
    assert [region.label for region in row.regions] == shows
    summary = ScanSummary()
    summary.add(row, is_new=True)
    assert {*summary.leads} == {lead.title for lead in row.leads}
