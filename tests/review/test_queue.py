from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from recognizer.errors import BundleNotFoundError, ScanFileError, UsageError
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.policy import CandidateKind, Decision
from recognizer.review.cards import CardMaker
from recognizer.review.queue import SECTIONS, Capacity, Part, Queue
from recognizer.rows.row import ModelReference, Row
from recognizer.taxonomy import Kind
from tests.rows.rows import FAR, HASH, MODEL, NEAR, bare_row, digest, lead, write_rows

Read = Callable[..., Queue]


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return load_bundle(tiny_bundle)


@pytest.fixture
def read(bundle: Bundle, tmp_path: Path) -> Iterator[Read]:
    numbers = itertools.count()
    with ExitStack() as stack:

        def read(*rows: Row, capacity: Capacity | None = None) -> Queue:
            path = write_rows(tmp_path / f"{next(numbers)}.jsonl", rows, bundle)
            return stack.enter_context(Queue(path, [bundle], capacity))

        yield read


def sources(queue: Queue) -> list[str]:
    return [entry.row.source for section in SECTIONS for entry in queue.entries(section)]


FAMILY_LEAD = lead("ivory", 0.8, kind=CandidateKind.FAMILY)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # The most urgent come first, and of those the highest score.
        (
            [
                bare_row("clear-low", 0.1, "clear"),
                bare_row("review-low", 0.5, "review"),
                bare_row("failed", 0, "unscored"),
                bare_row("priority-low", 0.91, "priority"),
                bare_row("review-high", 0.99, "review"),
                bare_row("clear-high", 0.3, "clear"),
                bare_row("priority-high", 0.97, "priority"),
            ],
            "priority-high priority-low review-high review-low failed clear-high clear-low",
        ),
        # What is of the same age has the order of the names.
        ([bare_row(name, 0.6, "review") for name in "cab"], "a b c"),
        # A lead ranks by its highest label or family.
        (
            [
                bare_row("label", 0.7, "review"),
                bare_row("family", 0.4, "review", leads=(FAMILY_LEAD,)),
                bare_row("known", 0.75, "review", leads=()),
            ],
            "family known label",
        ),
    ],
)
def test_the_order(read: Read, rows: list[Row], expected: str) -> None:
    assert sources(read(*rows)) == expected.split()


def test_what_is_kept_is_bounded_and_all_is_counted(read: Read) -> None:
    rows: list[Row] = []
    for i in range(50):
        rows += [
            bare_row(f"r{i}", 0.5 + i / 1000, "review"),
            bare_row(f"p{i}", 0.5, "priority"),
            bare_row(f"f{i}", 0, "unscored"),
            bare_row(f"c{i}", i / 1000, "clear"),
        ]
    queue = read(*rows, capacity=Capacity(leads=52, unscored=1, clear=2))
    assert [section.value for section in SECTIONS] == ["priority", "review", "unscored", "clear"]
    assert [queue.count(section) for section in SECTIONS] == [50, 2, 1, 2]
    assert sources(queue)[50:] == ["r49", "r48", "f0", "c49", "c48"]
    assert queue.summary.images == 200
    assert queue.summary.leads == {"ivory_worked": 100}
    assert queue.summary.failed == {"empty": 50}
    nothing = read(*rows, capacity=Capacity(leads=0, unscored=0, clear=0))
    assert sources(nothing) == []
    assert nothing.summary.images == 200


def with_line(bundle: Bundle, folder: Path, line: str) -> Path:
    path = write_rows(folder / "rows", [bare_row("a", 0.6, "review")], bundle)
    path.write_text(path.read_text() + line)
    return path


def test_a_torn_last_line_is_no_row(bundle: Bundle, tmp_path: Path) -> None:
    with Queue(with_line(bundle, tmp_path, '{"source": "torn'), [bundle]) as queue:
        assert sources(queue) == ["a"]


@pytest.mark.parametrize("line", ["{", "[]", "1", "{}", '{"source": "a", "schema": 5}'])
def test_a_line_that_is_no_row_is_named(bundle: Bundle, tmp_path: Path, line: str) -> None:
    with pytest.raises(ScanFileError, match=r"rows, line 2 is not a row"):
        Queue(with_line(bundle, tmp_path, f"{line}\n"), [bundle])


def test_missing_rows_are_an_error(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ScanFileError, match="No such file"):
        Queue(tmp_path / "rows", [bundle])


def test_a_journal_is_read_once(bundle: Bundle, tmp_path: Path, monkeypatch) -> None:
    rows = [bare_row(f"{i}", i / 100, "clear", phash="0" * 64) for i in range(90)]
    path = write_rows(tmp_path / "rows", rows, bundle)
    read: list[bytes] = []
    monkeypatch.setattr(
        Row, "from_json_line", lambda line, make=Row.from_json_line: read.append(line) or make(line)
    )
    with Queue(path, [bundle]) as queue:
        assert len(read) == 90
        assert sources(queue) == ["89"]
        assert len(read) == 90 + 90  # those that are shown, as entries or copies


def test_the_model_behind_the_rows_is_found_or_asked_for(bundle: Bundle, tmp_path: Path) -> None:
    other = ModelReference(name="other", version=2, digest="f" * 64)
    rows = [bare_row("a", 0.6, "review"), bare_row("b", 0.6, "review")]
    released = load_bundle()
    path = write_rows(tmp_path / "rows", [*rows, bare_row("c", 0.1, "clear", model=other)], bundle)
    with Queue(path, [released, bundle]) as queue:
        assert queue.bundle is bundle  # that of most rows
    path = write_rows(tmp_path / "rows", rows)
    with pytest.raises(BundleNotFoundError, match=r"made by tiny-v1 \(0{12}\).*give.*--bundle"):
        Queue(path, [released])
    assert MODEL.digest != bundle.digest
    with Queue(write_rows(tmp_path / "rows", []), [released, bundle]) as queue:
        assert queue.bundle is released


# --- near-copies ------------------------------------------------------------------------------


def image(source: str, score: float, decision: str, phash: str | None, **changes: object) -> Row:
    return bare_row(source, score, decision, phash=phash, **changes)


def shown(queue: Queue) -> dict[str, list[str]]:
    return {
        entry.row.source: [copy.source for copy in entry.copies]
        for section in SECTIONS
        for entry in queue.entries(section)
    }


def test_the_strongest_of_near_copies_stands_for_all(read: Read) -> None:
    found = read(
        image("clear", 0.1, "clear", HASH),
        image("weak", 0.6, "review", NEAR),
        image("other", 0.7, "review", FAR),
        image("strong", 0.9, "priority", HASH),
        image("weaker", 0.5, "review", HASH),
    )
    assert shown(found) == {"strong": ["weak", "weaker", "clear"], "other": []}
    assert found.summary.images == 5  # no row is dropped from the sums
    assert [found.covered(section) for section in SECTIONS] == [1, 3, 0, 1]


def test_the_order_of_the_rows_changes_nothing(read: Read) -> None:
    rows = [image(str(i), 0.5 + i / 100, "review", NEAR if i % 2 else HASH) for i in range(7)]
    forwards, backwards = read(*rows), read(*reversed(rows))
    assert shown(forwards) == shown(backwards) == {"6": ["5", "4", "3", "2", "1", "0"]}


def test_equal_bytes_are_copies_even_where_there_is_no_hash(read: Read) -> None:
    found = read(
        image("a", 0, "unscored", None, sha256=digest("1")),
        image("b", 0, "unscored", None, sha256=digest("1")),
        image("c", 0, "unscored", None, sha256=digest("2")),
        image("d", 0, "unscored", None),
        image("e", 0, "unscored", None),
    )
    assert shown(found) == {"a": ["b"], "c": [], "d": [], "e": []}


def test_only_the_last_row_of_an_image_counts(read: Read) -> None:
    found = read(
        image("a", 0.9, "priority", HASH),
        image("b", 0.1, "clear", HASH),
        image("a", 0.2, "clear", FAR),  # scanned again, with another policy
    )
    assert found.summary.images == 2
    assert not found.summary.leads
    assert shown(found) == {"a": [], "b": []}


def test_of_very_many_copies_some_are_listed_and_all_are_counted(read: Read) -> None:
    rows = [image(f"photo-{i:04}", 0.5 + i / 10_000, "review", HASH) for i in range(1500)]
    found = read(*rows, capacity=Capacity(leads=3))
    (entry,) = found.entries(Decision.REVIEW)
    assert entry.row.source == "photo-1499"
    assert len(entry.copies) == 100
    assert entry.copy_count == 1499
    assert found.covered(Decision.REVIEW) == 1500


def of_listing(name: str, source: str, score: float, decision: str, **item: object) -> Row:
    return bare_row(source, score, decision, item={"listing_id": name, **item})


def test_a_listing_is_one_entry(read: Read) -> None:
    queue = read(
        of_listing("A", "a1", 0.6, "review", seller="s1"),
        of_listing("A", "a2", 0.1, "clear", seller="s1"),
        of_listing("A", "a3", 0.9, "priority", seller="s1"),
        of_listing("B", "b1", 0.1, "clear"),
        of_listing("B", "b2", 0.0, "unscored"),  # nobody knows what it shows
        bare_row("stray", 0.7, "review"),
    )
    assert sources(queue) == ["a3", "stray", "b2"]
    assert queue.listings == 3
    (first,) = queue.entries(Decision.PRIORITY)
    assert [row.source for row in first.photos] == ["a3", "a1", "a2"]
    assert first.listing is not None
    assert (first.listing.listing, first.listing.images) == ("A", 3)
    (stray,) = queue.entries(Decision.REVIEW)
    assert stray.listing is None
    assert queue.summary.sections[Decision.CLEAR] == 2  # images are counted too
    assert queue.total(Decision.CLEAR) == 0


def test_near_copies_fold_whole_listings(read: Read) -> None:
    rows = [
        of_listing(name, f"{name}{i}", 0.9 - i / 10, "review", seller=name[0])
        for name in ("a1", "a2", "b1")
        for i in range(2)
    ]
    (entry,) = read(*(replace(row, phash=HASH) for row in rows)).entries(Decision.REVIEW)
    assert (entry.row.source, entry.copy_count, entry.copy_sellers) == ("a10", 2, 2)
    assert [copy.source for copy in entry.copies] == ["a20", "b10"]


def test_reports_by_users_come_first_within_a_level(read: Read) -> None:
    queue = read(
        of_listing("A", "a", 0.9, "review"),
        of_listing("B", "b", 0.6, "review", reports=1),
        of_listing("C", "c", 0.5, "review", reports="7"),
        of_listing("D", "d", 0.95, "priority"),
    )
    assert sources(queue) == ["d", "c", "b", "a"]


def test_a_label_without_evidence_is_never_above_one_with_it(tmp_path: Path) -> None:
    """Whatever its score, and however many users have reported the listing."""
    bundle = load_bundle()
    unproven = next(
        label.name
        for label in bundle.labels
        if label.kind is Kind.PRODUCT and label.name != "ivory_worked"
    )
    labels = [
        replace(label, evidence=None) if label.name == unproven else label
        for label in bundle.labels
    ]
    bundle = replace(bundle, labels=tuple(labels))

    def row(source: str, *leads: tuple[str, float], reports: int = 0) -> Row:
        named = tuple(lead(name, score) for name, score in leads)
        item = {"listing_id": source, "reports": reports}
        return bare_row(source, 0.9, "review", leads=named, item=item)

    rows = [
        row("unproven", (unproven, 0.99), reports=9),
        row("proven", ("ivory_worked", 0.5)),
        row("both", (unproven, 0.98), ("ivory_worked", 0.6)),
    ]
    with Queue(write_rows(tmp_path / "scan.jsonl", rows, bundle), [bundle]) as queue:
        assert sources(queue) == ["both", "proven", "unproven"]
        maker = CardMaker(bundle)
        for entry in queue.entries(Decision.REVIEW):
            bars = [bar.name for bar in maker.card(entry).bars if bar.lead]
            assert len(bars) == 1 or bars[0] == "Worked ivory"


@pytest.mark.parametrize("text", ["0/5", "6/5", "1", "a/b", "1/0", "-1/5", "1/5/5"])
def test_a_part_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="part"):
        Part.parse(text)


def test_the_parts_of_a_queue_are_all_of_it_and_stay(bundle: Bundle, tmp_path: Path) -> None:
    rows = [of_listing(f"L{i}", f"{i}.jpg", i / 100, "review") for i in range(90)]
    rows[7:9] = [replace(row, phash=HASH) for row in rows[7:9]]  # in one part, folded
    path = write_rows(tmp_path / "scan.jsonl", rows, bundle)

    def parts() -> list[set[str]]:
        found = []
        for number in range(1, 4):
            with Queue(path, [bundle], part=Part(number=number, of=3)) as queue:
                found.append({*sources(queue)})
                totals.append(queue.total(Decision.REVIEW))
        return found

    totals: list[int] = []
    first = parts()
    assert sum(totals) == 90
    assert sum(map(len, first)) == len(set.union(*first)) == 89
    assert all(15 < len(part) < 45 for part in first)
    more = [of_listing(f"M{i}", f"m{i}.jpg", 0.5, "priority") for i in range(9)]
    write_rows(path, [*more, *rows], bundle)
    assert all(old <= new for old, new in zip(first, parts(), strict=True))
