"""From a lead to a case, and from a case to the certainty that nothing was changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recognizer.engine import Recognizer
from recognizer.errors import UsageError
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused, read_path
from recognizer.review.evidence.case import write_case
from recognizer.review.evidence.leads import find_leads
from recognizer.review.evidence.manifest import MANIFEST_FILE, OUTSIDE, read_manifest
from recognizer.review.evidence.verify import Result, verify_case
from recognizer.review.outcomes import Judgement, Outcome, OutcomeStore
from recognizer.rows.row import Row
from recognizer.status import Reason
from tests.conftest import encoded, invoke, picture
from tests.rows.rows import bare_row, row_of, write_rows

HOSTILE = "<script>alert(1)</script>\u202e"


def read(row: Row) -> bytes:
    return read_path(row.source, Limits())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scan")
    (folder / "red.jpg").write_bytes(encoded(picture("red")))
    (folder / "green.png").write_bytes(encoded(picture("green"), "PNG"))
    return folder


@pytest.fixture(scope="module")
def rows(folder: Path, recognizer: Recognizer) -> list[Row]:
    item = {"id": "L7", "title": HOSTILE, "price": 12.5, "seller": None}
    return [
        row_of(recognizer, folder / "red.jpg", item=item),
        row_of(recognizer, folder / "green.png", item=item),
        row_of(recognizer, "blue.jpg", encoded(picture("blue"))),
    ]


@pytest.fixture(scope="module")
def journal(folder: Path, rows: list[Row]) -> Path:
    return write_rows(folder / "scan.jsonl", [*rows, bare_row("failed.jpg", 0, "unscored")])


@pytest.fixture(scope="module")
def key(folder: Path) -> Path:
    path = folder / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True)
    return path


@pytest.fixture(scope="module")
def original(
    folder: Path, rows: list[Row], journal: Path, recognizer: Recognizer, key: Path
) -> Path:
    """A signed case of both photos of a listing, one of them with two outcomes."""
    with OutcomeStore(folder / "outcomes.sqlite", create=True) as store:
        for minute, judgement in enumerate([Judgement.UNSURE, Judgement.CONFIRMED]):
            outcome = Outcome(
                time=datetime(2026, 3, 1, 12, minute, tzinfo=UTC),
                reviewer="Ama",
                judgement=judgement,
                sha256=rows[0].sha256,
                note=HOSTILE,
            )
            store.add([outcome])
        write_case(
            rows[:2],
            folder / "case",
            recognizer=recognizer,
            read=read,
            journal=journal,
            outcomes=store,
            key=key,
            title=HOSTILE,
        )
    return folder / "case"


@pytest.fixture
def case(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "case"))


def results(case: Path, recognizer: Recognizer | None, **options: object) -> dict[str, Result]:
    checks = verify_case(case, recognizer=recognizer, **options)  # type: ignore[arg-type]
    found: dict[str, Result] = {}
    for check in checks:  # a photo has two: its bytes and its score
        if found.get(check.subject) is not Result.FAILED:
            found[check.subject] = check.result
    return found


def test_a_case_holds_all_of_it_and_verifies(
    case: Path, rows: list[Row], recognizer: Recognizer
) -> None:
    manifest, _ = read_manifest(case)
    assert {photo.sha256 for photo in manifest.photos} == {rows[0].sha256, rows[1].sha256}
    for photo, row in zip(manifest.photos, rows, strict=False):
        assert photo.file is not None
        assert (case / photo.file).read_bytes() == Path(row.source).read_bytes()
    assert (case / "rows.jsonl").read_bytes() == b"".join(row.to_json_line() for row in rows[:2])
    assert len((case / "outcomes.jsonl").read_text().splitlines()) == 2
    assert set(results(case, recognizer).values()) == {Result.OK}


def test_the_page_runs_nothing_that_a_seller_wrote(case: Path) -> None:
    page = (case / "index.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "script-src" not in page
    assert "default-src 'none'" in page


def every_file(case: Path) -> list[str]:
    return sorted(p.relative_to(case).as_posix() for p in case.rglob("*") if p.is_file())


def test_a_changed_byte_in_any_file_is_named(case: Path, recognizer: Recognizer) -> None:
    for name in every_file(case):
        if name in OUTSIDE:
            continue
        content = (case / name).read_bytes()
        for place in {0, len(content) // 2, len(content) - 1}:
            changed = bytearray(content)
            changed[place] ^= 1
            (case / name).write_bytes(changed)
            found = results(case, None)
            assert {s for s, result in found.items() if result is Result.FAILED} == {name}
        (case / name).write_bytes(content)
    assert set(results(case, recognizer).values()) == {Result.OK}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda case: (case / "rows.jsonl").unlink(), "rows.jsonl"),
        (lambda case: (case / "photos" / "new.jpg").write_bytes(b"x"), "photos/new.jpg"),
        (
            lambda case: ((case / "index.html").unlink(), (case / "index.html").symlink_to("/x")),
            "index.html",
        ),
    ],
)
def test_what_is_missing_or_added_is_named(
    case: Path, change: Callable[[Path], object], named: str
) -> None:
    change(case)
    assert results(case, None)[named] is Result.FAILED


def edit(case: Path, change: Callable[[dict[str, object]], object]) -> None:
    manifest = json.loads((case / MANIFEST_FILE).read_text())
    change(manifest)
    (case / MANIFEST_FILE).write_text(json.dumps(manifest))


def test_a_changed_manifest_breaks_chain_and_signature(case: Path) -> None:
    edit(case, lambda manifest: manifest.update(title="another"))
    found = results(case, None)
    assert found["chain"] is Result.FAILED
    assert found["signature"] is Result.FAILED


def test_the_case_digest_that_was_written_down_is_compared(case: Path) -> None:
    digest = read_manifest(case)[0].digest
    assert results(case, None, digest=digest.upper())["chain"] is Result.OK
    assert results(case, None, digest="0" * 64)["chain"] is Result.FAILED


def test_the_signature_of_somebody_else_is_refused(case: Path, tmp_path: Path) -> None:
    other, public = tmp_path / "other.pem", tmp_path / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", other], check=True)
    subprocess.run(["openssl", "pkey", "-in", other, "-pubout", "-out", public], check=True)
    assert results(case, None, public_key=public)["signature"] is Result.FAILED
    assert results(case, None, public_key=case / "public-key.pem")["signature"] is Result.OK
    (case / "manifest.sig").unlink()
    assert results(case, None)["signature"] is Result.NOT_DONE
    assert results(case, None, public_key=public)["signature"] is Result.FAILED


def test_a_case_whose_digests_were_all_made_again_scores_differently(
    original: Path, tmp_path: Path, rows: list[Row], journal: Path, recognizer: Recognizer
) -> None:
    """Who forges a score and every digest is still found out by the model."""
    forged = replace(rows[0], scores={**(rows[0].scores or {}), "ivory_worked": 0.1})
    write_case([forged], tmp_path / "case", recognizer=recognizer, read=read, journal=journal)
    found = results(tmp_path / "case", recognizer)
    assert found["chain"] is Result.OK
    assert [s for s, result in found.items() if result is Result.FAILED] == [
        f"photos/{rows[0].sha256}.jpg"
    ]


def test_without_the_model_the_scores_are_not_checked(case: Path, recognizer: Recognizer) -> None:
    assert results(case, None)["scores"] is Result.NOT_DONE
    edit(case, lambda manifest: manifest["model"].update(digest="0" * 64))  # type: ignore[attr-defined]
    assert results(case, recognizer)["scores"] is Result.FAILED


@pytest.mark.parametrize(
    ("data", "words"),
    [(None, "not_found"), (encoded(picture("gray")), "has changed since the scan")],
)
def test_an_original_that_is_gone_or_changed_is_said_to_be(
    tmp_path: Path,
    rows: list[Row],
    journal: Path,
    recognizer: Recognizer,
    data: bytes | None,
    words: str,
) -> None:
    def read(row: Row) -> bytes:
        if data is None:
            raise Refused(Reason.NOT_FOUND, "no such file")
        return data

    write_case(rows[:1], tmp_path / "case", recognizer=recognizer, read=read, journal=journal)
    (photo,) = read_manifest(tmp_path / "case")[0].photos
    assert photo.file is None
    assert words in (photo.missing or "")
    assert words in (tmp_path / "case" / "index.html").read_text()
    assert results(tmp_path / "case", recognizer)[photo.sha256] is Result.NOT_DONE


def test_a_case_is_whole_or_not_there(
    tmp_path: Path, rows: list[Row], journal: Path, recognizer: Recognizer
) -> None:
    def read(row: Row) -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_case(rows, tmp_path / "case", recognizer=recognizer, read=read, journal=journal)
    assert not os.listdir(tmp_path)


def test_what_makes_no_case_is_refused(
    tmp_path: Path, folder: Path, rows: list[Row], journal: Path, recognizer: Recognizer
) -> None:
    for some, output, message in (
        ([], tmp_path / "a", "at least one lead"),
        ([bare_row("x", 0.6, "review")], tmp_path / "a", "made by tiny-v1"),
        (rows[:1], folder, "name a new folder"),
        (rows[:1], tmp_path / "none" / "a", "name a new folder"),
    ):
        with pytest.raises(UsageError, match=message):
            write_case(some, output, recognizer=recognizer, read=read, journal=journal)
    with pytest.raises(UsageError, match=r"it has no manifest.json"):
        [*verify_case(folder, recognizer=recognizer)]


def test_leads_are_found_by_digest_source_and_listing(journal: Path, rows: list[Row]) -> None:
    first, second, third = rows
    assert find_leads(journal, [(first.sha256 or "")[:8]]) == [first]
    assert find_leads(journal, [third.source, first.sha256 or ""]) == [first, third]
    assert find_leads(journal, [], ["L7"]) == [first, second]
    for leads, listings, message in (
        ([], [], "at least one"),
        (["00000000"], [], "no image of"),
        (["nothing.jpg"], [], "no image of"),
        ([], ["L8"], "no scored image"),
    ):
        with pytest.raises(UsageError, match=message):
            find_leads(journal, leads, listings)


def test_from_the_command_line(
    tmp_path: Path, tiny_bundle: Path, journal: Path, rows: list[Row], key: Path
) -> None:
    case = tmp_path / "case"
    arguments = ["evidence", journal, "--listing", "L7", "-o", case, "-b", tiny_bundle]
    made = invoke(*arguments, "--key", key)
    assert made.exit_code == 0, made.stderr
    digest = made.stdout.split("Case digest: ")[1].strip()
    verified = invoke("verify", case, "-b", tiny_bundle, "--digest", digest)
    assert verified.exit_code == 0, verified.stderr
    assert "files unchanged" in verified.stdout
    (case / "rows.jsonl").write_bytes(b"")
    verified = invoke("verify", case, "-b", tiny_bundle)
    assert verified.exit_code == 3
    assert "rows.jsonl: it was changed" in verified.stdout
