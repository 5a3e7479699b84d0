"""Listings made of rows, and both as JSON Lines and CSV, which replace only an earlier export."""

import csv
import json
import os
from dataclasses import fields, replace
from unittest.mock import Mock

import pytest

from recognizer.errors import ScanFileError, UsageError
from recognizer.policy.keywords import KeywordHit
from recognizer.policy.values import Decision, Policy
from recognizer.prediction import Region
from recognizer.rows import ScanFile, read_listings, write_listings, write_rows
from recognizer.rows.listings import Listing
from recognizer.rows.row import Reference
from recognizer.status import Reason
from tests.conftest import encoded, invoke, picture, refuse, succeed
from tests.rows.rows import ROW_FIELDS, bare_row, execute, row_of, write_scan

HOSTILE = "<script>alert('x')</script>\u202e\n\x00=cmd|' /C calc'!A0"
SUFFIXES = [".jsonl", ".csv"]


@pytest.fixture
def rows(recognizer):
    region = Region(label="ivory_worked", score=0.5, box=(0, 1, 2, 3), frame=0)
    red = encoded(picture("red"))
    item = {"id": 7, "title": HOSTILE, "large": 2**70, "reports": 2, "note": "\udcff"}
    hits = (KeywordHit(keyword="象牙", column="title"),)
    named = row_of(recognizer, "red, \n象牙.jpg", red, regions=(region,), item=item, keywords=hits)
    return [named, row_of(recognizer, "\udcff.jpg", b"")]


@pytest.fixture
def scan(tmp_path, rows):
    without = bare_row("t!/2", 0, "unscored", item={"id": 2}, reason=Reason.NO_IMAGE)
    return write_scan(tmp_path / "scan.sqlite", [*rows, without])


def export(scan, output, **options):
    with ScanFile(scan) as file:
        assert write_rows(file, output, **options) == 3
    return output


def listings(scan, output, **options):
    with ScanFile(scan) as file:
        write_listings(file, output, **options)
    return output


def read(path):
    if path.suffix == ".jsonl":
        return [*map(json.loads, path.read_text("ascii").splitlines())]
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_in_each_format(scan, rows, tmp_path, suffix):
    lead, failed, _ = read(export(scan, tmp_path / f"rows{suffix}"))
    assert [*lead] == ROW_FIELDS
    assert (lead["source"], lead["decision"]) == (rows[0].source, "priority")
    assert (failed["decision"], failed["reason"]) == ("unscored", "empty")
    assert not failed["scores"]
    if suffix == ".jsonl":
        expected = [json.loads(row.to_json_line()) for row in rows]
        seen = [one.pop("last_seen") for one in (lead, failed)]
        assert [one | {"last_seen": None} for one in (lead, failed)] == expected
        assert all(seen)
        return
    assert failed["source"] == "\\udcff.jpg"
    expected = json.loads(rows[0].to_json_line())
    for key in ("item", "scores", "leads", "why", "regions", "model", "policy"):
        assert json.loads(lead[key]) == expected[key], key
    assert (lead["time"], lead["detail"]) == (expected["time"], "")
    assert lead["width"] == str(expected["width"])


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_a_formula_is_a_text(tmp_path, sign):
    text = f"{sign}cmd|' /C calc'!A0"
    row = bare_row(f"{sign}a", 0.9, "review", item={"id": 1, "title": text})
    scan = write_scan(tmp_path / "scan.sqlite", [row])
    with ScanFile(scan) as file:
        write_listings(file, tmp_path / "l.csv")
    (found,) = read(tmp_path / "l.csv")
    assert (found["title"], found["score"]) == (f"'{text}", "0.9")


def test_the_columns_of_listings_are_flat(scan, tmp_path):
    first, failed, second = read(listings(scan, tmp_path / "l.csv"))
    assert first["title"] == HOSTILE
    assert json.loads(first["keywords"]) == ["象牙"]
    assert json.loads(failed["sources"]) == ["\udcff.jpg"]
    assert json.loads(first["products"]) == ["ivory", "ivory_worked"]
    assert (first["product"], first["reports"]) == ("ivory", "2")
    assert (second["images"], second["best"], second["product"]) == ("0", "", "")
    assert [name for name, cell in first.items() if cell.startswith("{")] == ["item"]


def test_the_action_is_that_of_the_policy_that_decided(tmp_path):
    policy = Policy(name="mine", actions={Decision.REVIEW: "Hold back."})
    reference = Reference(name=policy.name, digest=policy.digest)
    rows = [bare_row("a", 0.9, "review"), bare_row("b", 0, "clear")]
    scan = write_scan(tmp_path / "a", [replace(row, policy=reference) for row in rows])
    with ScanFile(scan, write=True) as file:
        file.use_policy(policy)
    output = listings(scan, tmp_path / "l.jsonl")
    found = [json.loads(line)["action"] for line in output.read_bytes().splitlines()]
    assert found == ["Hold back.", None]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("write", [export, listings])
def test_only_an_earlier_export_is_overwritten(scan, tmp_path, write, suffix):
    target = tmp_path / f"x{suffix}"
    target.touch()
    before = [write(scan, target).read_bytes() for _ in range(2)][1]
    other = {export: listings, listings: export}[write](scan, tmp_path / f"y{suffix}")
    theirs = [*(b"id,title,image\n7,tusk,a.jpg\n", b"PAR1", scan.read_bytes(), other.read_bytes())]
    for content in theirs:
        target.write_bytes(content)
        with pytest.raises(UsageError, match="will not be overwritten"):
            write(scan, target)
        assert target.read_bytes() == content
    for place in (tmp_path, tmp_path / f"nowhere/l{suffix}", tmp_path / "l.txt"):
        with pytest.raises(UsageError):
            write(scan, place)
    assert before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_export_that_cannot_be_made_leaves_what_was_there(scan, tmp_path, monkeypatch, suffix):
    target = tmp_path / f"rows{suffix}"
    before = export(scan, target).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", Mock(side_effect=OSError(28, "No space left on device")))
        with pytest.raises(UsageError, match="No space left"):
            export(scan, target)
    execute(scan, "UPDATE image SET leads = '[{]' WHERE id = 2")
    with pytest.raises(ScanFileError, match="is damaged"):
        export(scan, target)
    assert target.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == [target.name, "scan.sqlite"]


def test_the_command(scan, tmp_path):
    result = succeed("rows", scan, "-o", tmp_path / "rows.jsonl")
    assert result.stdout == f"Wrote {tmp_path}/rows.jsonl: 3 rows\n"
    result = invoke("rows", scan, "-o", tmp_path / "l.csv", "--listings")
    assert result.stdout == f"Wrote {tmp_path}/l.csv: 3 listings\n"
    assert "ends in .jsonl or .csv" in invoke("rows", scan, "-o", "rows.parquet").stderr
    refuse("rows", tmp_path / "gone", "-o", "r.csv")


LISTING_FIELDS = [key.name for key in fields(Listing)]


def photo(source, decision, score=0.0, **item):
    return bare_row(source, score, decision, item=item or None)


def without_image(source, decision, **item):
    row = bare_row(source, 0.0, "unscored", item=item, reason=Reason.NO_IMAGE)
    return replace(row, decision=Decision(decision))


def listings_of(path, *rows):
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
