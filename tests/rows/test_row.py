import inspect
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from recognizer.errors import UsageError
from recognizer.policy.values import Decision
from recognizer.prediction import Region
from recognizer.rows.identity import item_key
from recognizer.rows.row import AuditSample, Row
from recognizer.status import Reason, Status
from tests.rows.rows import NOW, ROW_FIELDS, bare_row, known_match, row_of

REGION = Region(label="ivory_raw", score=0.5, box=(0, 1, 2, 3), frame=1)
MATCH = known_match(note="seizure 12")


def test_a_failed_row_is_never_clear(recognizer):
    row = row_of(recognizer, "x", b"")
    values = json.loads(row.to_json_line())
    assert [*values] == [*ROW_FIELDS]
    assert [values[key] for key in ("status", "reason")] == ["failed", "empty"]
    assert values["decision"] == "unscored"
    for key in ("scores", "leads", "family", "why", "regions", "phash"):
        assert values[key] is None
    assert not row.is_lead
    assert (row.scores, row.family, row.leads, row.known) == (None, None, (), None)
    with pytest.raises(ValueError, match="decision clear of an image"):
        replace(row, decision=Decision.CLEAR)
    with pytest.raises(ValueError, match="ok"):
        replace(row, status=Status.OK)


def test_every_key_is_documented():
    page = Path(__file__).parents[2].joinpath("docs", "rows.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    start = next(at for at, line in enumerate(lines) if line.startswith("| `source`"))
    described = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", inspect.getdoc(Row) or "", re.M)
    words = {key: " ".join(text.split()) for key, text in described}
    expected = [f"| `{key}` | {words[key]} |" for key in ROW_FIELDS]
    assert lines[start : start + len(ROW_FIELDS)] == expected


def test_an_image_is_its_source_and_its_listing():
    keys = [
        item_key("a.jpg", None),
        item_key("./a.jpg", None),  # another spelling is another image
        item_key("a.jpg", {"id": 1, "title": "Vase"}),
        item_key("a.jpg", {"id": 2}),
        item_key("b.jpg", {"id": 1}),
        item_key("t.csv!/1", {"id": 1}, reason=Reason.NO_IMAGE),
    ]
    assert len({*keys}) == len(keys)
    assert keys[2] == item_key("a.jpg", {"id": "1", "title": "Tusk"})
    assert keys[2] == item_key("a.jpg", {"id": 9, "sku": 1}, "sku")
    assert keys[5] == item_key("t.csv!/7", {"id": 1}, reason=Reason.NO_IMAGE)


def test_clear_images_are_drawn_and_no_others():
    sample = AuditSample(rate=1.0, products=["ivory_worked"])
    clear = bare_row("a", 0.001, "clear")
    assert sample.drawn(clear).audit == 1.0
    for row in (
        bare_row("a", 0.9, "review"),
        bare_row("a", 0, "unscored"),
        replace(clear, sha256=None),
    ):
        assert sample.drawn(row) is row


def test_the_sample_is_that_of_the_digest_and_the_highest_product_score():
    rows = [bare_row(str(number), 0.02, "clear") for number in range(3000)]
    sample = AuditSample(rate=0.005, products=["ivory_worked"])
    drawn = [row for row in rows if sample.drawn(row).audit is not None]
    assert 0.03 < len(drawn) / len(rows) < 0.07  # ten times the rate
    assert {row.audit for row in map(sample.drawn, rows)} == {None, 0.05}
    again = [replace(row, source="other", time=NOW + timedelta(1)) for row in drawn]
    assert all(sample.drawn(row).audit for row in again)


@pytest.mark.parametrize("rate", [0, -1, 1.1, float("nan")])
def test_a_rate_is_a_share(rate):
    with pytest.raises(UsageError, match="audit rate"):
        AuditSample(rate=rate, products=[])
