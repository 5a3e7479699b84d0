"""From a lead to a case, and from a case to the certainty that nothing was changed."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import bagit
import pytest

from recognizer.cli import ExitCode
from recognizer.desk.evidence import TAG_MANIFEST, find_leads, write_case
from recognizer.desk.outcomes import Occasion
from recognizer.desk.photos import read_original
from recognizer.errors import UsageError
from recognizer.imaging.sources import Refused
from recognizer.policy.keywords import KeywordHit
from recognizer.policy.values import Decision
from recognizer.rows import ScanFile
from recognizer.rows.row import Reference
from recognizer.status import Reason
from tests.conftest import encoded, invoke, picture, refuse, succeed
from tests.desk.outcomes import outcome, store
from tests.rows.rows import bare_row, row_of, write_scan

HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    (folder / "red.jpg").write_bytes(encoded(picture("red")))
    (folder / "green.png").write_bytes(encoded(picture("green"), "PNG"))
    return folder


@pytest.fixture(scope="module")
def rows(folder, recognizer):
    item = {"id": "L7", "title": HOSTILE, "price": 12.5, "seller": None}
    return [
        row_of(recognizer, folder / "red.jpg", item={**item, "image": "red.jpg"}),
        row_of(recognizer, folder / "green.png", item={**item, "image": "green.png"}),
        row_of(recognizer, "blue.jpg", encoded(picture("blue"))),
    ]


@pytest.fixture(scope="module")
def scan(folder, rows):
    return write_scan(folder / "scan.sqlite", [*rows, bare_row("failed.jpg", 0, "unscored")])


@pytest.fixture(scope="module")
def original(folder, scan, rows, tiny_bundle):
    """A case of both photos of a listing, with verdicts on one of them and on the listing."""
    said = [
        outcome("unsure", sha256=rows[0].sha256, note=HOSTILE),
        outcome("confirmed", sha256=rows[0].sha256, note=HOSTILE),
        outcome("escalated", listing="L7", note=HOSTILE),
    ]
    store(scan, said)
    of_listing = (scan, "--listing", "L7", "--title", HOSTILE, "-m", tiny_bundle)
    made = succeed("evidence", *of_listing, "-o", folder / "case")
    assert f"Case digest: {digest_of(folder / 'case')}" in made.stdout
    return folder / "case"


@pytest.fixture
def case(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "case"))


def failed(case, *options):
    """Return the flaws that ``verify`` prints, or nothing."""
    done = invoke("verify", case, *options)
    assert done.exit_code in (ExitCode.DONE, ExitCode.SOME_FAILED), done.output
    lines = [line for line in done.stdout.splitlines() if line.startswith("failed  ")]
    assert bool(lines) is (done.exit_code == ExitCode.SOME_FAILED)
    return "\n".join(lines)


def digest_of(case):
    return hashlib.sha256((case / TAG_MANIFEST).read_bytes()).hexdigest()


def make_again(case):
    """Make all digests of a changed case again, as who forges one would, and return the last."""
    for name in os.listdir(case):
        if name != "data":
            (case / name).unlink()
    for path in (case / "data").iterdir():
        path.rename(case / path.name)
    (case / "data").rmdir()
    bagit.make_bag(str(case), checksums=["sha256"])
    return digest_of(case)


def test_a_case_holds_all_of_it_and_verifies(case, rows):
    for row in rows[:2]:
        (copy,) = (case / "data" / "photos").glob(f"{row.sha256}.*")
        assert copy.read_bytes() == Path(row.source).read_bytes()
    lines = (case / "data" / "rows.jsonl").read_bytes().splitlines()
    found = [json.loads(line) | {"last_seen": None} for line in lines]
    assert found == [json.loads(row.to_json_line()) | {"last_seen": None} for row in rows[:2]]
    assert len((case / "data" / "outcomes.jsonl").read_text().splitlines()) == 3
    verified = succeed("verify", case, "--digest", digest_of(case).upper()).stdout
    assert verified == f"{case}: unchanged\n"
    # What a seller wrote runs nothing.
    page = (case / "data" / "index.html").read_text()
    assert "2 photos of 1 listing<" in page
    assert "<bdi>red.jpg; green.png</bdi>" in page
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "script-src" not in page
    assert "default-src 'none'" in page


def test_only_a_lead_has_a_line_and_a_sentence(case, rows):
    """Of the green photo no label is a lead, however its highest score came about."""
    assert [bool(row.leads) for row in rows[:2]] == [True, False]
    page = (case / "data" / "index.html").read_text()
    assert page.count("Where the score of") == 1
    assert [path.stem for path in (case / "data" / "heatmaps").iterdir()] == [rows[0].sha256]


def _link(folder):
    folder.symlink_to(folder.rename(folder.parents[2] / "moved"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda data: (data / "rows.jsonl").unlink(), "data/rows.jsonl"),
        (lambda data: (data / "photos" / "new.jpg").write_bytes(b"x"), "data/photos/new.jpg"),
        (lambda data: (data.parent / "fetch.txt").write_bytes(b""), "fetch.txt: added later"),
        (lambda data: (data.parent / "data.bak").mkdir(), "data.bak: added later"),
        (lambda data: os.mkfifo(data / "pipe"), "data/pipe: neither a regular file"),
        (lambda data: (data / "photos").rename(data / "photo"), "data/photo/"),
        (lambda data: _link(data / "heatmaps"), "data/heatmaps: neither a regular file"),
        (lambda data: (data.parent / TAG_MANIFEST).unlink(), TAG_MANIFEST),
        (lambda data: (data.parent / "bagit.txt").unlink(), "bagit.txt"),
    ],
)
def test_what_is_missing_or_added_is_named(case, change, named):
    change(case / "data")
    assert named in failed(case)


def test_the_noted_digest_is_that_of_the_bytes(case):
    digest = digest_of(case)
    for length in (8, 12, 63, 64):
        assert not failed(case, "--digest", digest[:length])
    for wrong in (digest[:7], "", "x" * 64, digest + "0"):
        refused = " ".join(refuse("verify", case, "--digest", wrong).stderr.split())
        assert "8 to 64 hexadecimal digits" in refused
    with (case / "bag-info.txt").open("a") as info:
        info.write("Title: another\n")
    assert make_again(case) != digest
    assert not failed(case)  # it is a case, but another one
    for length in (8, 64):
        assert "the case digest is" in failed(case, "--digest", digest[:length])


def test_any_change_of_any_file_is_found(case):
    digest = digest_of(case)
    for path in (path for path in sorted(case.rglob("*")) if path.is_file()):
        content = path.read_bytes()
        middle = len(content) // 2
        for other in (
            bytes([content[0] ^ 1]) + content[1:],
            content[:middle] + bytes([content[middle] ^ 32]) + content[middle + 1 :],
            content[:-1],
            content + b"\n",
        ):
            path.write_bytes(other)
            assert failed(case, "--digest", digest), path
        path.write_bytes(content)
    assert not failed(case, "--digest", digest)


@pytest.mark.parametrize(
    ("data", "words"),
    [(None, "not_found"), (encoded(picture("gray")), "has changed since the scan")],
)
def test_an_original_that_is_gone_or_changed_is_said_to_be(tmp_path, rows, recognizer, data, words):
    def read(row):
        if data is None:
            raise Refused(Reason.NOT_FOUND, "no such file")
        return data

    case = tmp_path / "case"
    _, missing = write_case(rows[:1], case, recognizer=recognizer, read=read)
    assert words in missing[rows[0].source]
    assert words in (case / "data" / "index.html").read_text()
    assert not failed(case)


def test_a_case_is_whole_or_not_there(tmp_path, folder, rows, recognizer):
    strict = Reference(name="strict", digest="1" * 64)
    with pytest.raises(KeyboardInterrupt):
        write_case(
            rows, tmp_path / "case", recognizer=recognizer, read=Mock(side_effect=KeyboardInterrupt)
        )
    for some, output, message in (
        ([bare_row("x", 0.6, "review")], tmp_path / "a", "made by tiny-v1"),
        ([rows[0], replace(rows[1], policy=strict)], tmp_path / "a", r"default, strict.*--listing"),
        (rows[:1], folder, "name a new folder"),
        (rows[:1], tmp_path / "none" / "a", "name a new folder"),
    ):
        with pytest.raises(UsageError, match=message):
            write_case(some, output, recognizer=recognizer, read=read_original)
    assert not os.listdir(tmp_path)
    assert "is not a folder" in " ".join(refuse("verify", folder / "none").stderr.split())
    assert TAG_MANIFEST in failed(folder)


def test_leads_are_found_by_digest_source_and_listing(scan, rows):
    first, second, third = rows
    with ScanFile(scan) as file:
        assert find_leads(file, [(first.sha256 or "")[:8]]) == [first]
        assert find_leads(file, [third.source, first.sha256 or ""]) == [third, first]
        assert find_leads(file, [], ["L7"]) == [first, second]
        for leads, listings, message in (
            ([], [], "at least one"),
            (["00000000"], [], "no image of"),
            (["nothing.jpg"], [], "no image of"),
            ([], ["L8"], "no scored image"),
        ):
            with pytest.raises(UsageError, match=message):
                find_leads(file, leads, listings)


def test_a_verdict_on_a_listing_that_words_have_raised_is_in_its_case(
    folder, tmp_path, recognizer, tiny_bundle
):
    """No image of it is a lead, so the verdict is about the listing and no image of it."""
    row = row_of(
        recognizer,
        folder / "green.png",
        item={"id": "L9", "title": "real ivory"},
        decision=Decision.REVIEW,
        keywords=(KeywordHit(keyword="ivory", column="title"),),
    )
    scan = write_scan(tmp_path / "scan.sqlite", [row])
    said = outcome(listing="L9")
    back = replace(said, occasion=Occasion.WITHDRAWAL, withdraws=said.id)
    store(scan, [said, back])
    case = tmp_path / "case"
    succeed("evidence", scan, "--listing", "L9", "-o", case, "-m", tiny_bundle)
    page = (case / "data" / "index.html").read_text()
    assert "<td>confirmed</td>" in page
    assert "<td>withdrawn: confirmed</td>" in page
    assert "Nothing yet" not in page
    lines = (case / "data" / "outcomes.jsonl").read_bytes()
    assert lines == said.to_json_line() + back.to_json_line()
