import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from recognizer.policy.values import Decision
from recognizer.rows import ScanFile, read_listings
from recognizer.rows.listings import Listing
from recognizer.rows.row import Row
from recognizer.status import Reason
from tests.rows.rows import bare_row, write_scan

LISTING_FIELDS = [key.name for key in fields(Listing)]


def photo(source: str, decision: str, score: float = 0.0, **item: Any) -> Row:
    return bare_row(source, score, decision, item=item or None)


def without_image(source: str, decision: str, **item: Any) -> Row:
    row = bare_row(source, 0.0, "unscored", item=item, reason=Reason.NO_IMAGE)
    return replace(row, decision=Decision(decision))


def listings_of(path: Path, *rows: Row) -> list[Listing]:
    with ScanFile(write_scan(path / "scan.sqlite", rows)) as file:
        return [*read_listings(file)]


@pytest.mark.parametrize(
    ("decisions", "status", "decision"),
    [
        (["clear"], "ok", "clear"),
        (["clear", "review", "clear"], "ok", "review"),
        (["review", "priority"], "ok", "priority"),
        (["clear", "unscored"], "degraded", "unscored"),  # nobody knows what the other shows
        (["review", "unscored"], "degraded", "review"),
        (["unscored", "unscored"], "failed", "unscored"),
    ],
)
def test_the_highest_decision_counts(tmp_path, decisions, status, decision):
    rows = [photo(f"{i}.jpg", level, id="a") for i, level in enumerate(decisions)]
    (row,) = listings_of(tmp_path, *rows)
    assert (row.status, row.decision) == (status, decision)
    assert (row.images, row.failed) == (len(rows), decisions.count("unscored"))
    assert row.scored == row.images - row.failed
    assert row.lead_images == decisions.count("review") + decisions.count("priority")
    assert bool(row.why) == bool(row.leads) == bool(row.lead_images)
    values = json.loads(row.to_json_line())
    assert [*values] == [*LISTING_FIELDS]
    assert values["model"] == {"name": "tiny", "version": 1, "digest": "0" * 64}


def test_the_best_photo_and_the_highest_scores(tmp_path):
    rows = [
        photo("a.jpg", "review", 0.6, id=1, title="old"),
        photo("b.jpg", "priority", 0.9, id=1, title="new"),
        photo("c.jpg", "priority", 0.95, id=1, title="newest"),
        photo("d.jpg", "unscored", id=1, title="gone"),
    ]
    (row,) = listings_of(tmp_path, *rows)
    assert (row.best, row.title, (row.item or {})["title"]) == ("c.jpg", "newest", "newest")
    assert (row.product, row.score) == ("ivory_worked", 0.95)
    assert row.scores == {"ivory_worked": 0.95, "ceramic": 0.99}
    assert row.family == {"ivory": 0.95}
    assert row.why == ("ivory_worked 0.95", "ivory_worked 0.9", "ivory_worked 0.6")
    assert row.sources == ("c.jpg", "b.jpg", "a.jpg", "d.jpg")
    assert [one["source"] for one in row.photos] == ["c.jpg", "b.jpg", "a.jpg", "d.jpg"]


def test_listings_are_told_apart(tmp_path):
    found = listings_of(
        tmp_path,
        photo("a.jpg", "clear", id=1),
        photo("b.jpg", "priority", 0.9, id="2"),
        photo("\udcff.jpg", "review", 0.5, id="1"),  # text in a CSV, a number in JSON
        photo("no listing.jpg", "priority", 0.95),
        photo("same.jpg", "clear", id="象牙"),
        photo("other.jpg", "clear", id="\udcff"),
    )
    assert [(row.listing, row.decision, row.images) for row in found] == [
        ("no listing.jpg", "priority", 1),
        ("2", "priority", 1),
        ("1", "review", 2),
        ("象牙", "clear", 1),
        (r"\udcff", "clear", 1),
    ]
    assert found[2].sources == ("\udcff.jpg", "a.jpg")


def test_a_listing_without_images_is_a_row_too(tmp_path):
    text, both, silent = listings_of(
        tmp_path,
        without_image("t.csv!/1", "review", id=1, title="ivory"),
        without_image("t.csv!/2", "unscored", id=2, title="vase"),
        without_image("t.csv!/3", "review", id=3),
        photo("c.jpg", "clear", id=3),  # it has one now
    )
    assert (text.listing, text.decision) == ("1", "review")
    assert (text.images, text.failed, text.best, text.photos) == (0, 0, None, ())
    assert (both.listing, both.decision, both.status) == ("2", "unscored", "failed")
    assert (silent.listing, silent.decision, silent.images) == ("3", "clear", 1)
