from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recognizer.errors import JournalError
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.review.queue import Capacity, Queue, read_queue
from tests.review.rows import bare_row, write_rows


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return load_bundle(tiny_bundle)


def sources(queue: Queue) -> list[str]:
    return [entry.row["source"] for entries in queue.sections.values() for entry in entries]


def test_the_most_urgent_come_first_and_the_highest_score_first(
    bundle: Bundle, tmp_path: Path
) -> None:
    rows = [
        bare_row("clear-low", 0.1, "clear"),
        bare_row("review-low", 0.5, "review"),
        bare_row("failed", 0, None),
        bare_row("priority-low", 0.91, "priority"),
        bare_row("review-high", 0.99, "review"),
        bare_row("clear-high", 0.3, "clear"),
        bare_row("priority-high", 0.97, "priority"),
    ]
    queue = read_queue(write_rows(tmp_path / "rows", rows), bundle)
    assert sources(queue) == [
        "priority-high",
        "priority-low",
        "review-high",
        "review-low",
        "failed",
        "clear-high",
        "clear-low",
    ]


def test_ties_keep_the_order_of_the_rows(bundle: Bundle, tmp_path: Path) -> None:
    rows = [bare_row(name, 0.6, "review") for name in "cab"]
    assert sources(read_queue(write_rows(tmp_path / "rows", rows), bundle)) == ["c", "a", "b"]


def test_what_is_kept_is_bounded_and_all_is_counted(bundle: Bundle, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for i in range(50):
        rows += [
            bare_row(f"r{i}", 0.5 + i / 1000, "review"),
            bare_row(f"p{i}", 0.5, "priority"),
            bare_row(f"f{i}", 0, None),
            bare_row(f"c{i}", i / 1000, "clear"),
        ]
    path = write_rows(tmp_path / "rows", rows)
    queue = read_queue(path, bundle, Capacity(leads=52, failed=1, clear=2))
    assert {name: len(entries) for name, entries in queue.sections.items()} == {
        "priority": 50,
        "review": 2,
        "failed": 1,
        "clear": 2,
    }
    assert sources(queue)[50:] == ["r49", "r48", "f0", "c49", "c48"]
    assert queue.summary.scanned == 200
    assert queue.summary.leads == {"ivory_worked": 100}
    assert queue.summary.reasons == {"empty": 50}
    nothing = read_queue(path, bundle, Capacity(0, 0, 0))
    assert sources(nothing) == []
    assert nothing.summary.scanned == 200


def test_a_family_without_a_product_ranks_by_its_own_score(bundle: Bundle, tmp_path: Path) -> None:
    family = bare_row("family", 0.4, "review") | {"labels": [], "family": {"ivory": 0.8}}
    rows = [bare_row("label", 0.7, "review"), family]
    queue = read_queue(write_rows(tmp_path / "rows", rows), bundle)
    assert sources(queue) == ["family", "label"]


def test_a_torn_last_line_is_no_row(bundle: Bundle, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows", [bare_row("a", 0.6, "review")])
    with path.open("a") as file:
        file.write('\n{"source": "torn')
    assert sources(read_queue(path, bundle)) == ["a"]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "1",
        "{}",
        json.dumps(bare_row("a", 0.5, "review") | {"status": "new"}),
        json.dumps(bare_row("a", 0.5, "review") | {"decision": None}),  # scored, but undecided
        json.dumps(bare_row("a", 0.5, "review") | {"labels": ["missing"]}),
        json.dumps(bare_row("a", 0.5, "review") | {"model": {"name": "x"}}),
    ],
)
def test_a_line_that_is_no_row_is_named(bundle: Bundle, tmp_path: Path, line: str) -> None:
    path = write_rows(tmp_path / "rows", [bare_row("a", 0.6, "review")])
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(JournalError, match=r"rows:2: not"):
        read_queue(path, bundle)


def test_missing_rows_are_an_error(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file"):
        read_queue(tmp_path / "rows", bundle)


def test_only_the_last_word_on_an_image_counts(bundle: Bundle, tmp_path: Path) -> None:
    rows = [
        bare_row("a", 0.9, "priority"),
        bare_row("b", 0.1, "clear"),
        bare_row("a", 0.2, "clear"),  # scanned again, with another policy
    ]
    queue = read_queue(write_rows(tmp_path / "rows", rows), bundle)
    assert queue.summary.scanned == 2
    assert sources(queue) == ["a", "b"]
    assert not queue.sections["priority"]
