"""A row survives the file whole, and what is not a scan is told in one line and left alone."""

import json
import os
import pickle
import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recognizer.errors import RecognizerError, ScanFileError, UsageError
from recognizer.model.description import ModelReference
from recognizer.policy.keywords import KeywordHit
from recognizer.policy.values import CandidateKind, Decision, KnownMatch, Lead
from recognizer.prediction import Region
from recognizer.rows import Ranking, ScanFile, ScanWriter, read_listings
from recognizer.rows.row import Reference
from recognizer.rows.scanfile import was_opened_here
from recognizer.status import Reason, Status
from tests.conftest import encoded, invoke, picture
from tests.rows.rows import NOW, bare_row, execute, quick_folder, read_scan, write_scan

TEXT = st.text(st.characters(), max_size=12)  # halves of surrogate pairs, NULs and all
VALID = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.one_of(
    TEXT.filter(bool), st.sampled_from(["象牙 \u202e.jpg", "a\0b", "\udcff.jpg", "x" * 9000])
)
DIGESTS = st.sampled_from([c * 64 for c in "0123456789abcdef"])
SCORES = st.integers(0, 10**6).map(lambda n: n / 10**6)
COUNTS = st.one_of(st.none(), st.integers(1, 2**31))
VALUES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.integers(2**64, 2**80), TEXT),
    st.floats(allow_nan=False, allow_infinity=False),
)
COLUMNS = st.sampled_from(["id", "title", "seller", "created_at", "reports", "url", "price", "x"])
ITEMS = st.one_of(
    st.none(),
    st.dictionaries(
        st.one_of(COLUMNS, TEXT),
        st.one_of(VALUES, st.lists(VALUES, max_size=2), st.dictionaries(TEXT, VALUES, max_size=2)),
        max_size=5,
    ),
)
ZONES = [UTC, timezone(timedelta(hours=-7))]
TIMES = st.datetimes(
    datetime(1000, 1, 2), datetime(9999, 12, 30), timezones=st.sampled_from(ZONES)
).map(lambda time: time.replace(microsecond=0))
LEADS = st.builds(
    Lead,
    kind=st.sampled_from(CandidateKind),
    name=VALID,
    score=SCORES,
    threshold=SCORES,
    false_positive_rate=st.one_of(st.none(), SCORES),
    level=st.sampled_from([Decision.REVIEW, Decision.PRIORITY]),
)
MATCHES = st.builds(
    KnownMatch,
    outcome=st.just("0" * 32),
    label=st.one_of(st.none(), VALID),
    note=st.one_of(st.none(), TEXT),
    distance=st.integers(0, 31),
)
BOXES = st.tuples(*[st.integers(0, 9999)] * 4)
REGIONS = st.builds(Region, label=VALID, score=SCORES, box=BOXES, frame=st.integers(0, 9))
COMMON = {
    "source": NAMES,
    "item": ITEMS,
    "sha256": st.one_of(st.none(), DIGESTS),
    "why": st.lists(TEXT, max_size=3).map(tuple),
    "model": st.builds(ModelReference, name=VALID, version=st.integers(1, 9), digest=DIGESTS),
    "policy": st.builds(Reference, name=VALID, digest=DIGESTS),
    "preprocessing": st.integers(1, 9),
    "time": TIMES,
    "detail": st.one_of(st.none(), VALID),
    "keywords": st.lists(st.builds(KeywordHit, keyword=TEXT, column=TEXT), max_size=2).map(tuple),
}
FAILED = st.builds(
    lambda decision, **fields: replace(bare_row("x", 0, "unscored"), decision=decision, **fields),
    decision=st.sampled_from([Decision.UNSCORED, Decision.REVIEW, Decision.PRIORITY]),
    reason=st.sampled_from(Reason),
    **COMMON,
)
SCORED = st.builds(
    lambda reason, decision, **fields: replace(
        bare_row("x", 0.5, "clear"),
        status=Status.DEGRADED if reason else Status.OK,
        reason=reason,
        decision=Decision.UNSCORED if reason and decision is Decision.CLEAR else decision,
        **fields,
    ),
    reason=st.none() | st.sampled_from(Reason),
    phash=st.one_of(st.none(), DIGESTS),
    format=st.sampled_from([None, "jpeg"]),
    width=COUNTS,
    height=COUNTS,
    frames=COUNTS,
    scores=st.dictionaries(VALID, SCORES, max_size=4),
    family=st.dictionaries(VALID, SCORES, max_size=2),
    leads=st.lists(LEADS, max_size=3).map(tuple),
    decision=st.sampled_from([Decision.CLEAR, Decision.REVIEW, Decision.PRIORITY]),
    regions=st.lists(REGIONS, max_size=2).map(tuple),
    known=st.one_of(st.none(), st.lists(MATCHES, max_size=2).map(tuple)),
    audit=st.one_of(st.none(), SCORES),
    **COMMON,
)


@settings(max_examples=80)
@given(st.one_of(SCORED, FAILED))
@example(bare_row("a", 0.5, "clear", item={"listed": "0001-01-01T00:00:00+05:00"}))
@example(bare_row("a", 0.5, "clear", item={"listed": "9999-12-31T23:59:59-05:00"}))
@example(bare_row("a", 0.5, "clear", why=("keywords: 'tusk' in '\ud800'",)))
@example(bare_row("https://[::1/a.jpg", 0.5, "clear", item={"url": "https://[::1/"}))
def test_every_row_survives_the_file_and_the_line(row):
    line = row.to_json_line()
    assert (line.isascii(), line.count(b"\n")) == (True, 1)
    assert json.loads(line) == json.loads(json.dumps(row.to_json()))
    assert pickle.loads(pickle.dumps(row)) == row
    with quick_folder() as folder:
        path = write_scan(Path(folder) / "a.sqlite", [row])
        assert read_scan(path) == [row]
        with ScanFile(path) as file:
            assert len([*read_listings(file)]) == 1
            for view in ("rows", "leads", "listings", "queue"):
                file.select(f"SELECT * FROM {view}")


def test_the_age_of_an_image_is_that_of_its_bytes(tmp_path):
    later = NOW + timedelta(hours=1)
    path = tmp_path / "a"
    for changes, first in [
        ({"sha256": "1" * 64}, NOW),
        ({"sha256": "1" * 64, "time": later, "preprocessing": 2}, NOW),
        ({"sha256": None, "time": later}, NOW),  # it could not be read, this time
        ({"sha256": "1" * 64, "time": later}, NOW),
        ({"sha256": "2" * 64, "time": later}, later),  # another photo under the old name
    ]:
        write_scan(path, [bare_row("a", 0.9, "review", **changes)])
        with ScanFile(path) as file:
            assert file.select("SELECT first FROM image") == [(first.isoformat(),)]


OTHERS = [
    (lambda path: path.write_bytes(b'{"source":"a.jpg"}\n'), "is not the file of a scan"),
    (lambda path: path.write_bytes(encoded(picture("red"))), "is not the file of a scan"),
    (lambda path: path.write_bytes(b"SQLite format 3\0"), "is not the file of a scan"),
    (lambda path: execute(path, "CREATE TABLE image (id INTEGER)"), "is not the file of a scan"),
    (lambda path: execute(write_scan(path, []), "PRAGMA user_version = 99"), "update this program"),
]


@pytest.mark.parametrize(("make", "words"), OTHERS)
def test_what_is_not_a_scan_is_left_as_it_is(tmp_path, make, words):
    path = tmp_path / "scan.sqlite"
    make(path)
    before = path.read_bytes()
    for use in (ScanFile, lambda path: ScanWriter(path, Ranking())):
        with pytest.raises(ScanFileError, match=words):
            use(path)
    for verb in (
        ("rows", path, "-o", tmp_path / "rows.csv"),
        ("decide", path, "--policy", "default"),
        ("merge", path, "-o", tmp_path / "all.sqlite"),
    ):
        done = invoke(*verb)
        assert (done.exit_code, "Traceback" in done.output) == (2, False), (verb, done.output)
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("place", ["folder", "missing/scan.sqlite", "fifo"])
def test_places_where_no_scan_can_be(tmp_path, place):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises((ScanFileError, UsageError), match=place):
        ScanWriter(tmp_path / place, Ranking())
    with pytest.raises(ScanFileError, match=place):
        ScanFile(tmp_path / place)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_file_without_tables_becomes_a_scan(tmp_path, mode):
    """An empty one, or one in write-ahead mode: somebody was killed while making it."""
    path = tmp_path / "scan.sqlite"
    execute(path, f"PRAGMA journal_mode = {mode}")
    assert bool(path.stat().st_size) == (mode == "WAL")
    with pytest.raises(ScanFileError, match="is not the file of a scan"):
        ScanFile(path)
    write_scan(path, [bare_row("a", 0.5, "clear")])
    assert len(read_scan(path)) == 1


@settings(max_examples=30)
@given(st.data())
def test_broken_bytes_are_told_or_do_no_harm(tmp_path_factory, data):
    content = bytearray(_a_scan(tmp_path_factory).read_bytes())
    if data.draw(st.booleans(), "truncated"):
        del content[data.draw(st.integers(0, len(content) - 1), "end") :]
    else:
        start = data.draw(st.integers(0, len(content) - 1), "start")
        broken = data.draw(st.just(b"\x80") | st.binary(min_size=1, max_size=5000), "bytes")
        content[start : start + len(broken)] = broken
    with quick_folder() as folder:
        path, output = Path(folder) / "scan.sqlite", Path(folder) / "rows.jsonl"
        path.write_bytes(content)
        for use in (
            lambda: read_scan(path),
            lambda: write_scan(path, [bare_row("a1", 0.9, "review")]),
            lambda: invoke("rows", path, "-o", output, "--listings"),
        ):
            try:
                result = use()
            except RecognizerError as error:
                assert str(path) in str(error)  # noqa: PT017 - which error is up to SQLite
                continue
            if not isinstance(result, Path | list):
                assert result.exit_code in {0, 2}, (result.output, result.exception)


@pytest.mark.parametrize("table", ["image", "model", "policy", "image SET path = 1"])
def test_a_table_that_lost_rows_or_has_wrong_values_is_an_error(tmp_path, table):
    path = write_scan(tmp_path / "scan.sqlite", [bare_row("a1", 0.9, "review")])
    execute(path, f"{'UPDATE' if 'SET' in table else 'DELETE FROM'} {table}")
    verb = "report" if table == "image" else "rows"
    done = invoke(verb, path, "-o", tmp_path / "written.jsonl")
    assert (done.exit_code, "is damaged" in done.output) == (2, True), done.output


def _a_scan(factory):
    path = factory.getbasetemp() / "whole.sqlite"
    if not path.exists():
        levels = ["clear", "review", "priority", "unscored"] * 20
        items = [{"id": n // 2, "title": "象" * n} for n in range(len(levels))]
        write_scan(path, [bare_row(f"a{n}", 0.5, levels[n], item=i) for n, i in enumerate(items)])
    return path


def test_a_truncated_file_is_damaged_and_not_shorter(tmp_path):
    rows = [bare_row(f"{n}", 0.9, "review", detail="x" * 900) for n in range(60)]
    path = write_scan(tmp_path / "scan.sqlite", rows)
    os.truncate(path, path.stat().st_size // 2)
    assert "is damaged" in invoke("merge", path, "-o", tmp_path / "all.sqlite", code=2).stderr
    assert not (tmp_path / "all.sqlite").exists()


def test_reading_leaves_nothing_beside_the_file(tmp_path):
    path = write_scan(tmp_path / "scan.sqlite", [bare_row("a", 0.5, "clear")])
    with ScanFile(path) as file, pytest.raises(ScanFileError, match="for reading only"):
        file.set_setting("mine", "1")
    assert [*tmp_path.iterdir()] == [path]


class _WithoutLocks(sqlite3.Connection):
    def execute(self, statement, *values):
        if statement.startswith("PRAGMA journal_mode"):
            return super().execute("SELECT 'delete'")
        return super().execute(statement, *values)


def test_a_disk_without_locks_is_reported(tmp_path, monkeypatch):
    connect = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(
            sqlite3, "connect", lambda *args, **kw: connect(*args, factory=_WithoutLocks, **kw)
        )
        with pytest.raises(ScanFileError, match="name an --output on a local disk"):
            ScanWriter(tmp_path / "scan.sqlite", Ranking())

    monkeypatch.setattr("fcntl.lockf", Mock(side_effect=OSError(95, "Operation not supported")))
    with pytest.raises(ScanFileError, match=r"not supported.*on a local disk"):
        ScanWriter(tmp_path / "scan.sqlite", Ranking())


def test_the_files_of_an_open_scan_are_known_by_any_path(tmp_path):
    """Another descriptor of them, closed, would end the locks of this process."""
    (tmp_path / "link").symlink_to(tmp_path)
    path = tmp_path / "scan.sqlite"
    shutil.copy(write_scan(tmp_path / "other.sqlite", []), tmp_path / "scan.sqlite.old")
    with ScanWriter(path, Ranking()), ScanFile(path):
        for name in ("scan.sqlite", "scan.sqlite-wal", "link/scan.sqlite-shm"):
            assert was_opened_here(str(tmp_path / name))
        for name in ("scan.sqlite.old", "scan.jpg"):
            assert not was_opened_here(str(tmp_path / name))
