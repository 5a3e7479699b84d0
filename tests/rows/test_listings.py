from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recognizer.errors import JournalError, UsageError
from recognizer.rows.listings import LISTING_KEYS, listing_row, write_listings
from recognizer.rows.row import Row, to_line


def photo(source: str, decision: str | None, score: float = 0.0, **item: Any) -> Row:
    """The row of a photo as a journal has it; ``decision`` None is one that failed."""
    is_scored, is_lead = decision is not None, decision in {"review", "priority"}
    return {
        "source": source,
        "item": item or None,
        "status": "ok" if is_scored else "failed",
        "reason": None if is_scored else "not_found",
        "sha256": "0" * 64 if is_scored else None,
        "scores": {"ivory_worked": score, "bone": 0.5} if is_scored else None,
        "labels": (["ivory_worked"] if is_lead else []) if is_scored else None,
        "family": {"ivory": score} if is_scored else None,
        "decision": decision,
        "why": ([f"ivory_worked {score}"] if is_lead else []) if is_scored else None,
        "regions": [] if is_scored else None,
        "model": {"name": "tiny", "version": 1, "digest": "0" * 64},
        "policy": {"name": "default", "digest": "0" * 64},
        "preprocessing": 1,
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., list[Row]]:
    def write(*rows: Row, column: str | None = None) -> list[Row]:
        (tmp_path / "scan.jsonl").write_bytes(b"".join(map(to_line, rows)))
        output = tmp_path / "listings.jsonl"
        count, strays = write_listings(tmp_path / "scan.jsonl", output, column)
        found = [json.loads(line) for line in output.read_bytes().splitlines()]
        assert count == len(found)
        assert strays == len([r for r in rows if not r["item"]])
        return found

    return write


@pytest.mark.parametrize(
    ("decisions", "status", "decision"),
    [
        (["clear"], "ok", "clear"),
        (["clear", "review", "clear"], "ok", "review"),
        (["review", "priority"], "ok", "priority"),
        (["clear", None], "degraded", None),  # nobody knows what the other shows
        (["review", None], "degraded", "review"),
        ([None, None], "failed", None),
    ],
)
def test_the_highest_band_counts(
    decisions: list[str | None], status: str, decision: str | None
) -> None:
    rows = [photo(f"{i}.jpg", band) for i, band in enumerate(decisions)]
    row = listing_row("a", rows)
    assert (*row,) == LISTING_KEYS
    assert (row["status"], row["decision"]) == (status, decision)
    assert (row["images"], row["failed"]) == (len(rows), decisions.count(None))
    assert row["scored"] == row["images"] - row["failed"]
    assert row["leads"] == decisions.count("review") + decisions.count("priority")
    assert bool(row["why"]) == bool(row["labels"]) == bool(row["leads"])


def test_the_best_photo_and_the_highest_scores() -> None:
    rows = [
        photo("a.jpg", "review", 0.6, id=1, title="old"),
        photo("b.jpg", "priority", 0.9, id=1, title="new"),
        photo("c.jpg", "priority", 0.95, id=1, title="newest"),
        photo("d.jpg", None, id=1, title="gone"),
    ]
    row = listing_row(1, rows)
    assert (row["best"], row["item"]["title"]) == ("c.jpg", "newest")
    assert row["scores"] == {"ivory_worked": 0.95, "bone": 0.5}
    assert row["family"] == {"ivory": 0.95}
    assert row["why"] == ["ivory_worked 0.95"]
    assert row["sources"] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def test_listings_are_told_apart(write: Callable[..., list[Row]]) -> None:
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


def test_the_last_row_of_a_photo_counts(write: Callable[..., list[Row]]) -> None:
    (row,) = write(
        photo("a.jpg", "priority", 0.9, id=1, reports=0),
        photo("b.jpg", None, id=1, reports=0),
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
    write: Callable[..., list[Row]], columns: dict[str, int], wanted: str | None, expected: int
) -> None:
    (row,) = write(photo("a.jpg", "clear", **columns), column=wanted)
    assert row["listing"] == expected


def test_a_column_that_no_photo_has_is_a_mistake(
    write: Callable[..., list[Row]], tmp_path: Path
) -> None:
    rows = [photo("a.jpg", "clear", id=1, sku=2), photo("b.jpg", "clear", title="x")]
    with pytest.raises(UsageError, match="column 'skus', but 'id', 'sku', 'title'"):
        write(*rows, column="skus")
    assert not (tmp_path / "listings.jsonl").exists()
    with pytest.raises(UsageError, match="no columns at all"):
        write(photo("a.jpg", "clear"), column="sku")
    (tmp_path / "scan.jsonl").write_bytes(to_line(rows[0]) + to_line(photo("c.jpg", "clear")))
    assert write_listings(tmp_path / "scan.jsonl", tmp_path / "l.jsonl", "sku") == (1, 1)


def test_what_is_no_file_of_listings_is_left_as_it_is(
    write: Callable[..., list[Row]], tmp_path: Path
) -> None:
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
