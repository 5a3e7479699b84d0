from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recognizer.errors import JournalError
from recognizer.model.bundle import load_bundle
from recognizer.policy import Policy, Probability, Rule, decide
from recognizer.prediction import Prediction
from recognizer.recognizer import Recognizer
from recognizer.rows.journal import Journal, last_rows, row_key
from recognizer.rows.row import Row, build, from_line, to_line
from recognizer.rows.schema import ROW_KEYS
from recognizer.scan.items import Item
from recognizer.status import Reason, Status
from tests.conftest import encoded, picture

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def make_row(
    bundle: Path, source: str, prediction: Prediction, policy: Policy | None = None
) -> Row:
    model, rules = load_bundle(bundle), policy or Policy()
    return build(
        Item.at(source, {"id": 7}),
        prediction,
        decide(prediction, model.candidates, model.any_product_thresholds, rules),
        model,
        rules,
        NOW,
    )


@pytest.fixture
def rows(tiny_bundle: Path, recognizer: Recognizer) -> list[Row]:
    return [
        make_row(tiny_bundle, f"{color}.jpg", recognizer.predict(encoded(picture(color))))
        for color in ("red", "green", "blue")
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.jsonl"


def test_a_row_has_the_keys_of_the_design_in_their_order(rows: list[Row]) -> None:
    row = rows[0]
    assert (*row,) == ROW_KEYS
    assert row["item"] == {"id": 7}
    assert row["labels"] == ["ivory_worked"]
    assert row["decision"] == "priority"
    assert row["family"]["ivory"] >= row["scores"]["ivory_worked"]
    assert all(round(score, 6) == score for score in row["scores"].values())
    assert row["time"] == "2026-01-02T03:04:05+00:00"
    assert row["model"].keys() == {"name", "version", "digest"}
    assert row["policy"].keys() == {"name", "digest"}


def test_a_failed_row_is_never_clear(tiny_bundle: Path) -> None:
    row = make_row(
        tiny_bundle, "x", Prediction(status=Status.FAILED, reason=Reason.EMPTY, detail="zero bytes")
    )
    assert (*row,) == ROW_KEYS
    assert (row["status"], row["reason"], row["detail"]) == ("failed", "empty", "zero bytes")
    for key in ("scores", "labels", "family", "decision", "why", "regions", "sha256", "phash"):
        assert row[key] is None


@pytest.mark.parametrize("name", [b"\xff\xfe.jpg", "象牙 \u202e.jpg".encode(), b"a\nb\tc.jpg"])
def test_any_name_survives_the_line(rows: list[Row], name: bytes) -> None:
    line = to_line({**rows[0], "source": os.fsdecode(name)})
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert os.fsencode(from_line(line)["source"]) == name


def test_rows_are_found_again(path: Path, rows: list[Row]) -> None:
    key = Item.at("green.jpg", {"id": 7}).key
    with Journal(path) as journal:
        assert journal.known(key) is None
        journal.append(rows[:2])
        journal.append(rows[2:])
        assert journal.last_row(key) == rows[1]
    with Journal(path) as journal:
        assert journal.known(key) == row_key(rows[1])
        assert journal.last_row(key) == rows[1]
        newer = {**rows[1], "sha256": "0" * 64, "detail": "x" * 10_000}
        journal.append([newer])
        assert journal.last_row(key) == newer
    assert len(path.read_bytes().splitlines()) == 4


def test_the_last_row_of_each_item_counts(path: Path, rows: list[Row]) -> None:
    newer = {**rows[0], "detail": "newer"}
    other_item = {**rows[1], "item": {"id": 8}}
    with Journal(path) as journal:
        journal.append([*rows, other_item])
        journal.append([newer])
        assert list(last_rows(path)) == [rows[1], rows[2], other_item, newer]
    with path.open("ab") as file:
        file.write(to_line(rows[2])[:40])
    assert list(last_rows(path)) == [rows[1], rows[2], other_item, newer]


@pytest.mark.parametrize("kept", [1, 9, 10, 200, -1])
def test_a_torn_last_line_is_cut_off(path: Path, rows: list[Row], kept: int) -> None:
    torn = to_line(rows[2])[:kept]
    whole = to_line(rows[0]) + to_line(rows[1])
    path.write_bytes(whole + torn)
    with Journal(path) as journal:
        assert journal.torn_bytes == len(torn)
        journal.append([rows[2]])
    assert path.read_bytes() == whole + to_line(rows[2])


@pytest.mark.parametrize("torn", [b'{"sou', b'{"source":"a', b"\0" * 64])
def test_a_torn_first_line_is_cut_off(path: Path, rows: list[Row], torn: bytes) -> None:
    path.write_bytes(torn)
    with Journal(path) as journal:
        journal.append(rows)
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize(
    "content",
    [b"\xff\xd8\xff\xe0 a photo", b"notes of somebody", b'{"other":1}\n', b'{"source":"a"}\n'],
)
def test_what_is_no_journal_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"scan\.jsonl"):
        Journal(path)
    assert path.read_bytes() == content


def test_a_broken_line_in_the_middle_is_named(path: Path, rows: list[Row]) -> None:
    path.write_bytes(to_line(rows[0]) + b'{"source":"x",\n' + to_line(rows[1]))
    with pytest.raises(JournalError, match="line 2"):
        Journal(path)


def test_two_scans_on_one_journal_are_refused(path: Path) -> None:
    with Journal(path), pytest.raises(JournalError, match="in use by another scan"):
        Journal(path)
    Journal(path).close()


@pytest.mark.parametrize("place", ["folder", "missing/scan.jsonl", "fifo"])
def test_places_where_no_journal_can_be(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(JournalError, match=place):
        Journal(tmp_path / place)


@pytest.mark.parametrize(
    ("accident", "expected"),
    [(OSError(errno.ENOSPC, "No space left on device"), JournalError), (KeyboardInterrupt(),) * 2],
)
def test_an_append_that_fails_leaves_whole_lines(
    path: Path,
    rows: list[Row],
    monkeypatch: pytest.MonkeyPatch,
    accident: BaseException,
    expected: type[BaseException],
) -> None:
    def fsync(descriptor: int) -> None:
        raise accident

    with Journal(path) as journal:
        journal.append(rows[:1])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            with pytest.raises(expected if isinstance(expected, type) else type(expected)):
                journal.append(rows[1:])
        assert path.read_bytes() == to_line(rows[0])
        journal.append(rows[2:])
    assert path.read_bytes() == to_line(rows[0]) + to_line(rows[2])


def test_what_is_tried_again(tiny_bundle: Path, rows: list[Row]) -> None:
    """Equal keys: the row need not be written again."""
    other = make_row(tiny_bundle, "a", Prediction(status=Status.FAILED, reason=Reason.NOT_FOUND))
    same = make_row(tiny_bundle, "b", Prediction(status=Status.FAILED, reason=Reason.NOT_FOUND))
    denied = make_row(
        tiny_bundle, "a", Prediction(status=Status.FAILED, reason=Reason.PERMISSION_DENIED)
    )
    assert row_key(other) == row_key(same) != row_key(denied)
    changed = [
        {**rows[0], "sha256": "0" * 64},
        {**rows[0], "preprocessing": 99},
        {**rows[0], "model": {**rows[0]["model"], "digest": "x"}},
        {
            **rows[0],
            "policy": {
                "name": "p",
                "digest": Policy(
                    default=Rule(review=Probability(0.5), priority=Probability(0.5))
                ).digest,
            },
        },
        {**rows[0], "status": "failed", "reason": "too_many_pixels"},
    ]
    assert len({row_key(row) for row in [rows[0], *changed]}) == 6
