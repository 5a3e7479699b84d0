from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from recognizer.errors import JournalError, UsageError
from recognizer.policy import CandidateKind
from recognizer.rows.listings import ListingRow, write_listings
from recognizer.rows.row import Row
from tests.rows.rows import bare_row, lead, write_rows


def photo(source: str, decision: str, score: float = 0.0, **item: Any) -> Row:
    return bare_row(source, score, decision, item=item or None)


Write = Callable[..., list[dict]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(*rows: Row, column: str | None = None) -> list[dict]:
        write_rows(tmp_path / "scan.jsonl", rows)
        output = tmp_path / "listings.jsonl"
        count, strays = write_listings(tmp_path / "scan.jsonl", output, column)
        found = [json.loads(line) for line in output.read_bytes().splitlines()]
        assert count == len(found)
        assert strays == len([r for r in rows if not r.item])
        return found

    return write


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
def test_the_highest_band_counts(decisions: list[str], status: str, decision: str) -> None:
    rows = [photo(f"{i}.jpg", band) for i, band in enumerate(decisions)]
    row = ListingRow.from_rows("a", rows)
    assert (row.status, row.decision) == (status, decision)
    assert (row.images, row.failed) == (len(rows), decisions.count("unscored"))
    assert row.scored == row.images - row.failed
    assert row.lead_images == decisions.count("review") + decisions.count("priority")
    assert bool(row.why) == bool(row.leads) == bool(row.lead_images)
    values = json.loads(row.to_json_line())
    assert [*values] == [key.name for key in fields(ListingRow)]
    assert values["model"] == {"name": "tiny", "version": 1, "digest": "0" * 64}


def test_the_best_photo_and_the_highest_scores() -> None:
    rows = [
        photo("a.jpg", "review", 0.6, id=1, title="old"),
        photo("b.jpg", "priority", 0.9, id=1, title="new"),
        photo("c.jpg", "priority", 0.95, id=1, title="newest"),
        photo("d.jpg", "unscored", id=1, title="gone"),
    ]
    row = ListingRow.from_rows(1, rows)
    assert (row.best, (row.item or {})["title"]) == ("c.jpg", "newest")
    assert row.scores == {"ivory_worked": 0.95, "ceramic": 0.99}
    assert row.family == {"ivory": 0.95}
    assert row.why == ("ivory_worked 0.95",)
    assert row.sources == ("a.jpg", "b.jpg", "c.jpg", "d.jpg")


def test_each_label_and_family_is_a_lead_once_with_its_highest_score() -> None:
    family = lead("ivory", 0.7, kind=CandidateKind.FAMILY)
    rows = [
        bare_row("a", 0.6, "review", leads=(lead("ivory_worked", 0.6), lead("coral", 0.5))),
        bare_row("b", 0.8, "review", leads=(lead("ivory_worked", 0.8), family)),
        bare_row("c", 0.65, "review", leads=(lead("ivory", 0.65),)),
    ]
    leads = ListingRow.from_rows(1, rows).leads
    assert [(one.kind, one.name, one.score) for one in leads] == [
        ("label", "ivory_worked", 0.8),
        ("family", "ivory", 0.7),
        ("label", "ivory", 0.65),
        ("label", "coral", 0.5),
    ]


def test_listings_are_told_apart(write: Write) -> None:
    found = write(
        photo("a.jpg", "clear", id=1),
        photo("b.jpg", "priority", 0.9, id="1"),
        photo("\udcff.jpg", "review", 0.5, id=1),
        photo("no listing.jpg", "priority", 0.9),
        photo("same.jpg", "clear", id="象牙"),
    )
    assert [(row["listing"], row["decision"], row["images"]) for row in found] == [
        ("1", "priority", 1),
        ("象牙", "clear", 1),
        (1, "review", 2),
    ]
    assert found[2]["sources"] == ["a.jpg", "\udcff.jpg"]


def test_the_last_row_of_a_photo_counts(write: Write) -> None:
    (row,) = write(
        photo("a.jpg", "priority", 0.9, id=1, reports=0),
        photo("b.jpg", "unscored", id=1, reports=0),
        photo("a.jpg", "clear", id=1, reports=4),  # another model, other columns
        photo("b.jpg", "clear", id=1, reports=0),
    )
    assert (row["decision"], row["images"], row["item"]["reports"]) == ("clear", 2, 4)


@pytest.mark.parametrize(
    ("columns", "wanted", "expected"),
    [
        ({"id": 1, "listing_id": 2}, None, 2),
        ({"ID": 1, "title": 2}, None, 1),
        ({"id": 1, "sku": 2}, "sku", 2),
    ],
)
def test_the_column_of_listings(
    write: Write, columns: dict[str, int], wanted: str | None, expected: int
) -> None:
    (row,) = write(photo("a.jpg", "clear", **columns), column=wanted)
    assert row["listing"] == expected


def test_a_column_that_no_photo_has_is_a_mistake(write: Write, tmp_path: Path) -> None:
    rows = [photo("a.jpg", "clear", id=1, sku=2), photo("b.jpg", "clear", title="x")]
    with pytest.raises(UsageError, match="column 'skus', but 'id', 'sku', 'title'"):
        write(*rows, column="skus")
    assert not (tmp_path / "listings.jsonl").exists()
    with pytest.raises(UsageError, match="no columns at all"):
        write(photo("a.jpg", "clear"), column="sku")
    write_rows(tmp_path / "scan.jsonl", [rows[0], photo("c.jpg", "clear")])
    assert write_listings(tmp_path / "scan.jsonl", tmp_path / "l.jsonl", "sku") == (1, 1)


def test_what_is_no_file_of_listings_is_left_as_it_is(write: Write, tmp_path: Path) -> None:
    write(photo("a.jpg", "clear", id=1))
    assert len(write(photo("a.jpg", "clear", id=1), photo("b.jpg", "clear", id=2))) == 2
    before = (tmp_path / "listings.jsonl").read_bytes()
    with pytest.raises(JournalError):
        write_listings(tmp_path / "gone.jsonl", tmp_path / "listings.jsonl")
    assert (tmp_path / "listings.jsonl").read_bytes() == before
    journal = tmp_path / "scan.jsonl"
    for place in (journal, tmp_path, tmp_path / "nowhere/listings.jsonl"):
        with pytest.raises(UsageError):
            write_listings(journal, place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["listings.jsonl", "scan.jsonl"]
