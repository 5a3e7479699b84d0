from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from recognizer.model.bundle import load_bundle
from recognizer.policy import Decision, Finding, KnownMatch
from recognizer.review.page import write_report
from recognizer.review.queue import SECTIONS, Capacity, Queue
from recognizer.rows.row import Row
from tests.cli.test_scan import invoke
from tests.rows.rows import bare_row, digest, write_rows

HASH = "0f" * 32
NEAR = "0e" + "0f" * 31
FAR = "f0" * 32


def row(source: str, score: float, decision: str, phash: str | None, **changes: object) -> Row:
    return bare_row(source, score, decision, phash=phash, **changes)


@pytest.fixture
def queue(tiny_bundle: Path, tmp_path: Path) -> Iterator[Callable[..., Queue]]:
    bundle = load_bundle(tiny_bundle)
    numbers = itertools.count()
    with ExitStack() as stack:

        def read(*rows: Row, capacity: Capacity | None = None) -> Queue:
            path = write_rows(tmp_path / f"{next(numbers)}.jsonl", rows, bundle)
            return stack.enter_context(Queue(path, [bundle], capacity))

        yield read


def shown(queue: Queue) -> dict[str, list[str]]:
    return {
        entry.row.source: [copy.source for copy in entry.copies]
        for section in SECTIONS
        for entry in queue.entries(section)
    }


def test_the_strongest_of_near_copies_stands_for_all(queue) -> None:
    found = queue(
        row("clear", 0.1, "clear", HASH),
        row("weak", 0.6, "review", NEAR),
        row("other", 0.7, "review", FAR),
        row("strong", 0.9, "priority", HASH),
        row("weaker", 0.5, "review", HASH),
    )
    assert shown(found) == {"strong": ["weak", "weaker", "clear"], "other": []}
    assert found.summary.images == 5  # no row is dropped from the sums
    assert {section.value: found.covered(section) for section in SECTIONS} == {
        "priority": 1,
        "review": 3,
        "unscored": 0,
        "clear": 1,
    }


def test_the_order_of_the_rows_changes_nothing(queue) -> None:
    rows = [row(str(i), 0.5 + i / 100, "review", NEAR if i % 2 else HASH) for i in range(7)]
    forwards, backwards = queue(*rows), queue(*reversed(rows))
    assert shown(forwards) == shown(backwards) == {"6": ["5", "4", "3", "2", "1", "0"]}


def test_equal_bytes_are_copies_even_where_there_is_no_hash(queue) -> None:
    found = queue(
        row("a", 0, "unscored", None, sha256=digest("1")),
        row("b", 0, "unscored", None, sha256=digest("1")),
        row("c", 0, "unscored", None, sha256=digest("2")),
        row("d", 0, "unscored", None),
        row("e", 0, "unscored", None),
    )
    assert shown(found) == {"a": ["b"], "c": [], "d": [], "e": []}


def test_only_the_last_row_of_an_image_counts(queue) -> None:
    found = queue(
        row("a", 0.9, "review", HASH), row("b", 0.8, "review", HASH), row("a", 0.9, "review", FAR)
    )
    assert shown(found) == {"a": [], "b": []}


def test_of_very_many_copies_some_are_listed_and_all_are_counted(queue, tmp_path: Path) -> None:
    rows = [row(f"photo-{i:04}", 0.5 + i / 10_000, "review", HASH) for i in range(1500)]
    found = queue(*rows, capacity=Capacity(leads=3))
    (entry,) = found.entries(Decision.REVIEW)
    assert entry.row.source == "photo-1499"
    assert len(entry.copies) == 100
    assert entry.copy_count == 1499
    assert found.covered(Decision.REVIEW) == 1500


def test_the_page_lists_copies_and_known_items(tiny_bundle: Path, tmp_path: Path) -> None:
    known = KnownMatch(
        id="0" * 16,
        finding=Finding.PRODUCT,
        label="ivory_raw",
        note="<b>seizure</b> 12",
        origin="customs",
        distance=4,
        transform="rotate_90",
    )
    rows = [
        row("strong.jpg", 0.9, "priority", HASH, known=(known,)),
        row("weak<i>.jpg", 0.6, "review", NEAR, item={"seller": "s<1>"}),
        row("clear.jpg", 0.0, "clear", HASH),
        row("other.jpg", 0.7, "review", FAR),
    ]
    page = tmp_path / "page.html"
    bundle = load_bundle(tiny_bundle)
    write_report(write_rows(tmp_path / "x.jsonl", rows, bundle), page, [bundle])
    text = page.read_text()
    assert "2 near-copies: one decision can stand for all" in text
    assert "weak&lt;i&gt;.jpg" in text
    assert "s&lt;1&gt;" in text
    assert "<b>seizure" not in text
    assert "&lt;b&gt;seizure&lt;/b&gt; 12" in text
    assert "4 of 256 bits apart, rotate 90" in text
    assert "All of them are near-copies of images above" in text  # the clear ones
    assert "Shown here" not in text  # nothing is missing from the page
    assert text.count("<article") == 2


def test_the_command_lists_groups(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "x.jsonl",
        [
            row("a\x1b.jpg", 0.9, "review", HASH),
            row("b.jpg", 0.1, "clear", FAR),
            row("c.jpg", 0, "unscored", None),
            row("d.jpg", 0.2, "clear", NEAR),
        ],
    )
    done = invoke("duplicates", path)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "1: 2 near-copies",
        "  review  a\\x1b.jpg",
        "  clear  d.jpg",
        "4 images, 1 groups, 1 copies of others",
    ]
    (group,) = map(json.loads, invoke("duplicates", path, "--json").stdout.splitlines())
    assert [photo["source"] for photo in group["images"]] == ["a\x1b.jpg", "d.jpg"]
    assert invoke("duplicates", path, "--distance", 0, "--json").stdout == ""
    assert invoke("duplicates", path, "--distance", 32).exit_code == 2
    assert invoke("duplicates", tmp_path / "none").exit_code == 2
    (tmp_path / "bundle.json").write_text('{"labels": []}\n')
    other = invoke("duplicates", tmp_path / "bundle.json")
    assert (other.exit_code, "not the journal of a scan" in other.stderr) == (2, True)
