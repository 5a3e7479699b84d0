"""Many scans in one file: the latest row of each image, all outcomes, and nothing that is lost."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.desk.outcomes import Judgement, Outcome, Outcomes
from recognizer.errors import ScanFileError, UsageError
from recognizer.imaging.thumbnail import Thumbnail
from recognizer.model.description import ModelReference
from recognizer.policy.values import Decision
from recognizer.rows import NewRow, Ranking, ScanFile, ScanWriter, merge, read_listings
from recognizer.rows.row import Reference
from recognizer.status import Reason
from tests.conftest import invoke, refuse, run_python
from tests.rows.rows import NOW, bare_row, execute, quick_folder, read_scan, write_scan


def model(version):
    return ModelReference(name="tiny", version=version, digest=f"{version}" * 64)


def row(source, time=0, **others):
    at = datetime(2026, 1, 1, 0, time, tzinfo=UTC)
    return replace(bare_row(source, 0.1, "clear", model=model(1), time=at), **others)


def merged(*inputs, **options):
    output = inputs[0].with_name("all")
    output.unlink(missing_ok=True)
    return output, merge(inputs, output, **options)


@pytest.fixture
def scan(tmp_path):
    return lambda name, *rows: write_scan(tmp_path / name, rows)


TIMES = st.integers(0, 9).map(lambda minutes: NOW + timedelta(minutes=minutes))
ITEMS = st.sampled_from([None, {"id": "1"}, {"id": "2"}])
IMAGES = st.tuples(st.sampled_from("abcdef"), st.just(0.5), st.sampled_from([*Decision]))
ROWS = st.lists(
    st.builds(lambda image, **more: bare_row(*image, **more), IMAGES, time=TIMES, item=ITEMS),
    max_size=8,
)


def latest(rows):
    """Of each image the latest row that was read, else the latest; of equal ones the last."""
    rows = sorted(rows, key=lambda one: (not one.is_unread, one.time))
    found = {(one.source, str(one.item)): one for one in rows}
    return sorted(found.values(), key=str)


@settings(max_examples=20)
@given(st.lists(ROWS, min_size=1, max_size=4))
def test_merging_loses_nothing_and_repeats_nothing(content):
    with quick_folder() as folder:
        paths = []
        for number, rows in enumerate(content):
            in_time = sorted(rows, key=lambda one: one.time)  # as a scan with a clock writes them
            paths.append(write_scan(Path(folder) / str(number), in_time))
        output, _ = merged(*paths)
        assert latest(read_scan(output)) == latest([row for rows in content for row in rows])
        assert len(read_scan(output)) == len(latest(read_scan(output)))
        before = summary(output)
        # Merging again with the result among them changes nothing.
        random.Random(0).shuffle(paths)
        merge([*paths, output], again := output.with_name("again"))
        assert summary(again) == before


def summary(path):
    with ScanFile(path) as file:
        return sorted(
            (one.listing, one.decision, one.score, one.images, one.also_in_listings)
            for one in read_listings(file)
        )


@pytest.mark.parametrize("turned", [False, True])
def test_an_image_is_as_old_as_its_first_row(scan, *, turned):
    paths = [
        scan("1", row("a", 1)),
        scan("2", row("a", 5)),
        scan("3", row("a", 9, sha256="1" * 64)),
    ]
    for inputs, first in [(paths[:2], 1), (paths, 9)]:
        output, _ = merged(*(inputs[::-1] if turned else inputs))
        with ScanFile(output) as file:
            times = file.select("SELECT first FROM image")
        assert times == [(row("a", first).time.isoformat(),)]  # other bytes are another image


def test_the_thumbnail_is_that_of_the_row(scan):
    def new(source, time, value):
        return NewRow(row=row(source, time), thumbnail=Thumbnail(bytes([value]), 4, 3, 0))

    one = scan("1", new("a", 1, 1), new("b", 9, 2), new("d", 1, 5))
    output, _ = merged(one, scan("2", new("b", 5, 3), row("c"), new("a", 5, 4), row("d", 2)))
    with ScanFile(output) as file:
        assert file.select(
            "SELECT source, jpeg FROM thumbnail JOIN image ON image = image.id ORDER BY 1"
        ) == [("a", b"\x04"), ("b", b"\x02")]


@pytest.mark.parametrize(
    "other",
    [
        {"model": model(2)},
        {"policy": Reference(name="strict", digest="2" * 64)},
        {"preprocessing": 2},
    ],
)
def test_what_cannot_be_compared_is_refused(scan, tmp_path, other):
    one, two = scan("1", row("a"), row("b")), scan("2", row("c", **other))
    with pytest.raises(ScanFileError, match=r"2 rows of .*; 1 rows of .*--allow-mixed"):
        merged(one, two)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
    command = ("merge", one, two, "--output", tmp_path / "all")
    refuse(*command)
    assert ": 3 rows" in invoke(*command, "--allow-mixed").stdout
    assert merged(one, two, scan("3", row("c", 9)))[1].rows == 3


def test_listings_by_other_columns_are_refused(tmp_path):
    paths = [tmp_path / name for name in ("sku", "id")]
    for path, column in zip(paths, ("sku", None), strict=True):
        with ScanWriter(path, Ranking()) as file:
            if column:
                file.set_listing_column(column)
            file.append([NewRow(row=row("a", item={"sku": 1, "id": 2}))])
    with pytest.raises(ScanFileError, match=r"identified by the column None.*by 'sku'"):
        merged(*paths)
    output, _ = merged(paths[0])
    with ScanFile(output) as file:
        assert (file.listing_column, file.select("SELECT listing FROM image")) == ("sku", [("1",)])


def test_the_output_is_never_lost(scan):
    one, output = scan("1", row("a")), scan("all", row("z"))
    for inputs in ([one], [one, output]):
        with pytest.raises(UsageError, match="all exists: name another --output"):
            merge(inputs, output)
    with pytest.raises(ScanFileError, match="is not a regular file"):
        merge([one, one.parent], output.with_name("b"))
    assert [r.source for r in read_scan(output)] == ["z"]


def test_a_full_disk_leaves_no_log_behind(scan, tmp_path):
    path, output = scan("a.sqlite", row("a")), tmp_path / "out" / "merged.sqlite"
    output.parent.mkdir()
    # What does not fit on the disk is not written.
    code = (
        "import resource, sys; from recognizer.commands import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); main()"
    )
    done = run_python("-c", code, "merge", path, "--output", output)
    assert (done.returncode, "make room" in done.stderr) == (2, True), done.stderr
    assert f"{output}: " in done.stderr  # not of the name that it had meanwhile
    assert not [*output.parent.iterdir()]


def said(judgement, minute, **changes):
    at = NOW + timedelta(minutes=minute)
    return Outcome(
        time=at, reviewer="ann", judgement=Judgement(judgement), **{"listing": "7", **changes}
    )


@pytest.mark.parametrize("turned", [False, True])
def test_outcomes_are_merged_by_time_each_file_in_order(scan, *, turned):
    one, two = scan("1", row("a")), scan("2", row("b"))
    # The clock of the second desk went back once.
    for path, outcomes in [
        (one, [said("rejected", 1), said("confirmed", 6)]),
        (two, [said("unsure", 3), said("rejected", 1), said("escalated", 5), said("rejected", 2)]),
    ]:
        with Outcomes(path, write=True) as store:
            store.add(outcomes)
    output, found = merged(*((two, one) if turned else (one, two)))
    assert found.outcomes == 5  # the same one is in both
    with Outcomes(output) as store:
        judgements = [one.judgement for one in store]
    assert judgements == ["rejected", "unsure", "escalated", "rejected", "confirmed"]


def test_of_each_image_the_later_look_counts(scan):
    first, second = scan("1", row("a"), row("b", 5)), scan("2", row("a", 3))
    for path, seen in ((first, "2026-02-01T00:00:00+00:00"), (second, "2026-01-15T00:00:00+00:00")):
        execute(path, f"UPDATE seen SET last_seen = '{seen}', unread = 'not_found'")
    output, _ = merged(first, second)
    assert [(one.source, one.last_seen.month, one.unread) for one in read_scan(output)] == [
        ("a", 2, Reason.NOT_FOUND), ("b", 2, Reason.NOT_FOUND),
    ]  # fmt: skip
