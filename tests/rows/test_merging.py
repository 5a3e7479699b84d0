from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recognizer.rows.embeddings import EmbeddingStore, embeddings_path
from recognizer.rows.thumbnails import ThumbnailStore, shrink, thumbnails_path

from recognizer.cli import ExitCode
from recognizer.errors import ScanFileError, UsageError
from recognizer.rows import Journal, Merged, Row, merge
from recognizer.rows.row import BankReference, ModelReference, PolicyReference
from tests.conftest import invoke
from tests.rows.rows import bare_row, write_rows


def model(version: int) -> ModelReference:
    return ModelReference(name="tiny", version=version, digest=f"{version}" * 64)


def row(source: str, time: int = 0, zone: int = 0, **others: Any) -> Row:
    at = datetime(2026, 1, 1, time // 60, time % 60, tzinfo=timezone(timedelta(hours=zone)))
    return bare_row(source, 0.1, "clear", **{"model": model(1), "time": at, **others})


def read(path: Path) -> list[Row]:
    return [Row.from_json_line(line) for line in path.read_bytes().splitlines()]


MakeJournal = Callable[..., Path]


@pytest.fixture
def journal(tmp_path: Path) -> MakeJournal:
    return lambda name, *rows: write_rows(tmp_path / name, rows)


def test_the_latest_row_of_each_item_in_the_order_of_the_journals(
    journal: MakeJournal, tmp_path: Path
) -> None:
    one = journal("1", row("a", 5), row("b", 5), row("b", 6), row("c", 9))
    two = journal("2", row("d", 1), row("b", 5), row("a", 7), row("c", 8))
    before = one.read_bytes(), two.read_bytes()
    found = merge([one, two], tmp_path / "all")  # a, b and c are in both
    assert found == Merged(rows=4, superseded=3, thumbnails=0, embeddings=0)
    assert read(tmp_path / "all") == [row("b", 6), row("c", 9), row("d", 1), row("a", 7)]
    assert (one.read_bytes(), two.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "all", "all.chain"]
    with Journal(tmp_path / "all") as merged:  # a scan can go on from it
        assert merged.torn_bytes == 0


NEW, OLD = {"detail": "new"}, {"detail": "old"}
OTHER_MODEL = {"model": model(0)}
RENAMED = {"policy": PolicyReference(name="renamed", digest="0" * 64)}


@pytest.mark.parametrize(
    ("journals", "details", "superseded"),
    [
        # Of equally late rows, that of the journal that is named last.
        ([[row("a", **OLD)], [row("a", **NEW)]], ["new"], 1),
        # Times are compared as times: as text, the later one is the earlier one.
        ([[row("a", 600, **NEW)], [row("a", 660, 2, **OLD)]], ["new"], 1),
        # Columns tell items apart.
        ([[row("a", item={"id": 1})], [row("a", item={"id": 2})]], [None, None], 0),
        # Policies that differ only in name are compared.
        ([[row("a")], [row("b", **RENAMED)]], [None, None], 0),
        # Superseded rows of another model do no harm.
        (
            [
                [row("a", 1, **OTHER_MODEL), row("a", 2)],
                [row("b", 1, **OTHER_MODEL)],
                [row("b", 2)],
            ],
            [None, None],
            1,
        ),
    ],
)
def test_which_rows_are_kept(
    journal: MakeJournal,
    tmp_path: Path,
    journals: list[list[Row]],
    details: list[str | None],
    superseded: int,
) -> None:
    paths = [journal(str(number), *rows) for number, rows in enumerate(journals)]
    found = merge(paths, tmp_path / "all")
    assert (found.rows, found.superseded) == (len(details), superseded)
    assert [r.detail for r in read(tmp_path / "all")] == details


rows_of_a_journal = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9)), max_size=8)


@settings(deadline=None, max_examples=30)  # each example writes files
@given(st.lists(rows_of_a_journal, max_size=4))
def test_merging_loses_nothing_and_repeats_nothing(content: list[list[tuple[str, int]]]) -> None:
    content = [sorted(rows, key=lambda pair: pair[1]) for rows in content]
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, rows in enumerate(content):
            paths.append(Path(folder) / str(number))
            write_rows(paths[-1], (row(*pair) for pair in rows))
        output = Path(folder) / "all"
        merge(paths, output)
        merged = read(output)
        latest = dict(sorted(pair for rows in content for pair in rows))
        assert sorted((r.source, r.time) for r in merged) == sorted(
            (name, row(name, time).time) for name, time in latest.items()
        )
        # Merging again, in any order and with the result among them, changes no row.
        random.Random(0).shuffle(paths)
        merge([*paths, output], output)
        assert sorted(read(output), key=str) == sorted(merged, key=str)


def test_a_torn_last_line_is_left_out(journal: MakeJournal, tmp_path: Path) -> None:
    one = journal("1", row("a"))
    torn = row("a").to_json_line() + row("b").to_json_line()[:-9]
    one.write_bytes(torn)
    assert merge([one], tmp_path / "all").rows == 1
    assert one.read_bytes() == torn


@pytest.mark.parametrize(
    "other",
    [
        {"model": model(2)},
        {"policy": PolicyReference(name="strict", digest="2" * 64)},
        {"preprocessing": 2},
        {"bank": BankReference(name="seized", digest="2" * 64)},
    ],
)
def test_what_cannot_be_compared_is_refused(
    journal: MakeJournal, tmp_path: Path, other: dict[str, Any]
) -> None:
    one, two = journal("1", row("a"), row("b")), journal("2", row("c", **other))
    with pytest.raises(ScanFileError, match=r"2 rows of .*; 1 rows of .*--allow-mixed"):
        merge([one, two], tmp_path / "all")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
    assert merge([one, two], tmp_path / "all", allow_mixed=True).rows == 3


def test_the_output_is_never_lost(journal: MakeJournal, tmp_path: Path) -> None:
    one, two, output = journal("1", row("a")), journal("2", row("b")), journal("all", row("z"))
    with pytest.raises(UsageError, match="name it among the journals"):
        merge([one, two], output)
    assert [r.source for r in read(output)] == ["z"]
    with Journal(output), pytest.raises(ScanFileError, match="in use"):
        merge([one, output], output)
    merge([output, one, two], output)
    assert [r.source for r in read(output)] == ["z", "a", "b"]


def test_what_is_no_journal(journal: MakeJournal, tmp_path: Path) -> None:
    one = journal("1", row("a"))
    (tmp_path / "notes").write_text("milk, eggs\n")
    timeless = tmp_path / "timeless"
    values = row("b").to_json() | {"time": None}
    timeless.write_text(json.dumps(values, separators=(",", ":")) + "\n")
    for bad, words in [
        ("gone", "no such"),
        ("notes", "not the journal"),
        ("timeless", r"Expected `datetime`, got `null` - at `\$\.time`"),
    ]:
        with pytest.raises(ScanFileError, match=words):
            merge([one, tmp_path / bad], tmp_path / "all")
    assert not (tmp_path / "all").exists()
    assert not (tmp_path / "gone").exists()


def test_thumbnails_go_along(journal: MakeJournal, tmp_path: Path) -> None:
    one, two, none = journal("1", row("a", 1)), journal("2", row("b"), row("c")), journal("3")
    for path, names in [(one, "ax"), (two, "b")]:
        with ThumbnailStore(thumbnails_path(path), create=True) as store:
            shades = np.full((8, 8, 3), ord(names[0]), np.uint8)
            store.add((row(name).sha256, shrink(shades, 8, 0)) for name in names)
    assert merge([one, two, none], tmp_path / "all").thumbnails == 2
    with ThumbnailStore(thumbnails_path(tmp_path / "all"), create=True) as store:
        kept = {name for name in "abcx" if store.get(row(name).sha256) is not None}
    assert kept == {"a", "b"}  # that of x belongs to no row
    assert not thumbnails_path(none).exists()


def test_embeddings_go_along(journal: MakeJournal, tmp_path: Path) -> None:
    one, two = journal("1", row("a", 1)), journal("2", row("b"), row("c"))
    for path, name in [(one, "a"), (two, "b")]:
        with EmbeddingStore(embeddings_path(path), "m1") as store:
            store.add([(row(name).sha256, np.array([ord(name), 2], np.int8))])
    output = tmp_path / "all"
    assert merge([one, two], output).embeddings == 2
    with EmbeddingStore(embeddings_path(output)) as store:
        assert store.model == "m1"
        kept = {name: store.get(row(name).sha256) for name in "abc"}
    assert [None if v is None else v.tolist() for v in kept.values()] == [[97, 2], [98, 2], None]
    # The merged one can be merged again, into itself.
    assert merge([output, journal("3", row("d"))], output).embeddings == 2


def test_embeddings_of_several_models_are_refused(journal: MakeJournal, tmp_path: Path) -> None:
    one, two = journal("1", row("a")), journal("2", row("b"))
    for path, name in [(one, "m1"), (two, "m2")]:
        EmbeddingStore(embeddings_path(path), name).close()
    with pytest.raises(ScanFileError, match="embeddings"):
        merge([one, two], tmp_path / "all", allow_mixed=True)
    assert not (tmp_path / "all").exists()


def test_the_command(journal: MakeJournal, tmp_path: Path) -> None:
    one, two = journal("1", row("a")), journal("2", row("b", preprocessing=2))
    command = ("merge", one, two, "--output", tmp_path / "all")
    refused = invoke(*command)
    assert refused.exit_code == ExitCode.USAGE
    assert "preprocessing 2" in refused.stderr
    done = invoke(*command, "--allow-mixed")
    assert done.exit_code == ExitCode.DONE
    assert "2 rows" in done.stdout
