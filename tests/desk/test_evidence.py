"""From a lead to a case, and from a case to the certainty that nothing was changed."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import bagit
import pytest

from recognizer.cli import ExitCode
from recognizer.desk.evidence import TAG_MANIFEST, Result, find_leads, verify_case, write_case
from recognizer.desk.outcomes import Occasion
from recognizer.desk.photos import read_original
from recognizer.engine import Recognizer
from recognizer.errors import UsageError
from recognizer.imaging.sources import Refused
from recognizer.policy.listing import KeywordHit
from recognizer.policy.values import Decision
from recognizer.rows import Row, ScanFile
from recognizer.rows.row import Reference
from recognizer.status import Reason
from tests.conftest import encoded, invoke, picture, succeed
from tests.desk.outcomes import outcome, store
from tests.rows.rows import bare_row, row_of, write_scan

HOSTILE = "<script>alert(1)</script>\u202e"


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
def scan(folder: Path, rows: list[Row]) -> Path:
    return write_scan(folder / "scan.sqlite", [*rows, bare_row("failed.jpg", 0, "unscored")])


@pytest.fixture(scope="module")
def original(folder: Path, scan: Path, rows: list[Row], tiny_bundle: Path) -> Path:
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
def case(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "case"))


def results(
    case: Path, recognizer: Recognizer | None, digest: str | None = None
) -> dict[str, Result]:
    found: dict[str, Result] = {}
    for check in verify_case(case, lambda _: recognizer, digest):
        if found.get(check.subject) is not Result.FAILED:  # a photo has its bytes and its score
            found[check.subject] = check.result
    return found


def failed(case: Path, recognizer: Recognizer | None) -> set[str]:
    return {s for s, result in results(case, recognizer).items() if result is Result.FAILED}


def digest_of(case: Path) -> str:
    return hashlib.sha256((case / TAG_MANIFEST).read_bytes()).hexdigest()


def make_again(case: Path) -> str:
    """Make all digests of a changed case again, as who forges one would, and return the last."""
    for name in os.listdir(case):
        if name != "data":
            (case / name).unlink()
    for path in (case / "data").iterdir():
        path.rename(case / path.name)
    (case / "data").rmdir()
    bagit.make_bag(str(case), checksums=["sha256"])
    tags = (case / TAG_MANIFEST).read_bytes().splitlines(keepends=True)
    (case / TAG_MANIFEST).write_bytes(b"".join(sorted(tags, key=lambda line: line.split()[1])))
    return digest_of(case)


def test_a_case_holds_all_of_it_and_verifies(
    case: Path, rows: list[Row], recognizer: Recognizer, tiny_bundle: Path
) -> None:
    for row in rows[:2]:
        (copy,) = (case / "data" / "photos").glob(f"{row.sha256}.*")
        assert copy.read_bytes() == Path(row.source).read_bytes()
    lines = (case / "data" / "rows.jsonl").read_bytes()
    assert lines == b"".join(row.to_json_line() for row in rows[:2])
    assert len((case / "data" / "outcomes.jsonl").read_text().splitlines()) == 3
    assert set(results(case, recognizer, digest_of(case).upper()).values()) == {Result.OK}
    verified = succeed("verify", case, "-m", tiny_bundle, "--digest", digest_of(case))
    assert "unchanged" in verified.stdout
    assert verified.stdout.count("scored again") == 2
    assert "give the bundle tiny-v1" in invoke("verify", case, code=ExitCode.SOME_FAILED).stdout
    # What a seller wrote runs nothing.
    page = (case / "data" / "index.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "script-src" not in page
    assert "default-src 'none'" in page


def _link(folder: Path) -> None:
    folder.symlink_to(folder.rename(folder.parents[2] / "moved"))


def _swap_lines(path: Path) -> None:
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*rest, first]))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda data: (data / "rows.jsonl").unlink(), "data/rows.jsonl"),
        (lambda data: (data / "photos" / "new.jpg").write_bytes(b"x"), "data/photos/new.jpg"),
        (lambda data: (data.parent / "fetch.txt").write_bytes(b""), "fetch.txt"),
        (lambda data: (data / "empty").mkdir(), "data/empty"),
        (lambda data: (data.parent / "data.bak").mkdir(), "data.bak"),
        (lambda data: os.mkfifo(data / "pipe"), "data/pipe"),
        (lambda data: (data / "photos").rename(data / "photo"), "data/photo/"),
        (lambda data: _link(data / "heatmaps"), "data/heatmaps"),
        (lambda data: _swap_lines(data.parent / TAG_MANIFEST), TAG_MANIFEST),
        (lambda data: (data.parent / TAG_MANIFEST).unlink(), TAG_MANIFEST),
        (lambda data: (data.parent / TAG_MANIFEST).unlink(), "digest"),
    ],
)
def test_what_is_missing_or_added_is_named(
    case: Path, change: Callable[[Path], object], named: str
) -> None:
    change(case / "data")
    assert any(name.startswith(named) for name in failed(case, None))
    assert all("Errno" not in check.detail for check in verify_case(case, lambda _: None))


@pytest.mark.parametrize("mode", [0, 0o404, 0o101])
@pytest.mark.parametrize("name", ["data", "data/photos", "."])
def test_a_folder_that_cannot_be_read_is_named(
    case: Path, monkeypatch: pytest.MonkeyPatch, name: str, mode: int
) -> None:
    monkeypatch.chdir(case.parent)  # nobody else may enter the folders of pytest
    case.parent.chmod(0o755)
    (case / name).chmod(mode)
    if (user := os.geteuid()) == 0:  # who may read everything
        os.seteuid(65534)
    try:
        done = invoke("verify", "case")
    finally:
        os.seteuid(user)
        (case / name).chmod(0o755)
    assert done.exit_code == ExitCode.SOME_FAILED
    line = rf"^failed +{re.escape(name)}.*: unreadable: Permission denied$"
    assert re.search(line, done.stdout, re.MULTILINE)


def test_the_noted_digest_is_that_of_the_bytes(case: Path, recognizer: Recognizer) -> None:
    digest = digest_of(case)
    for length in (8, 12, 63, 64):
        assert results(case, recognizer, digest[:length])["digest"] is Result.OK
    for wrong in (digest[:7], "", "x" * 64, digest + "0"):
        with pytest.raises(UsageError, match="8 to 64 hexadecimal digits"):
            results(case, recognizer, wrong)
    with (case / "bag-info.txt").open("a") as info:
        info.write("Title: another\n")
    assert make_again(case) != digest
    assert failed(case, recognizer) == set()  # it is a case, but another one
    for length in (8, 64):
        assert results(case, recognizer, digest[:length])["digest"] is Result.FAILED


def test_a_case_packed_again_is_not_called_unchanged(case: Path, tiny_bundle: Path) -> None:
    page = case / "data" / "index.html"
    page.write_text(page.read_text().replace("</body>", "GUILTY</body>"))
    digest = make_again(case)
    for few in ([], ["--digest", digest[:8]]):  # so few can be matched by trying
        said = succeed("verify", case, "-m", tiny_bundle, *few).stdout
        assert "unchanged" not in said
        assert "page, heat-maps, decisions and outcomes were not made" in " ".join(said.split())
    assert "its first 8 digits are as expected, which a forger can arrange" in said


def test_any_change_of_any_file_is_named(case: Path, tiny_bundle: Path) -> None:
    for path in (path for path in sorted(case.rglob("*")) if path.is_file()):
        content, name = path.read_bytes(), path.relative_to(case).as_posix()
        for place in (0, len(content) // 2, len(content) - 1):
            before, byte, after = content[:place], content[place], content[place + 1 :]
            for other in (bytes([byte ^ 1]), bytes([byte ^ 32]), b"", bytes([10, byte])):
                for rest in (after, b"") if not other else (after,):
                    path.write_bytes(before + other + rest)
                    found = failed(case, None)
                    assert name in found or (name == TAG_MANIFEST and found), (name, place)
        assert invoke("verify", case, "-m", tiny_bundle).exit_code == ExitCode.SOME_FAILED
        path.write_bytes(content)
    assert failed(case, None) == set()


def test_a_case_whose_digests_were_all_made_again_scores_differently(
    case: Path, rows: list[Row], recognizer: Recognizer, tiny_bundle: Path
) -> None:
    first, second = rows[:2]
    forged = replace(first, scores={**(first.scores or {}), "ivory_worked": 0.1})
    for lines in (
        [forged, second],
        [forged, first, second],  # the one that counts is not the last of its image
        [first, forged, second],
    ):
        (case / "data" / "rows.jsonl").write_bytes(b"".join(row.to_json_line() for row in lines))
        make_again(case)
        assert failed(case, recognizer) == {f"data/photos/{first.sha256}.jpg"}
    photo = case / "data" / "photos" / f"{first.sha256}.jpg"
    photo.write_bytes(photo.read_bytes() + b"x")  # which no score shows
    make_again(case)
    assert f"{photo.name}: its sha256 is" in invoke("verify", case, "-m", tiny_bundle).stdout


def test_every_row_and_every_original_has_its_partner(
    case: Path, rows: list[Row], recognizer: Recognizer, tiny_bundle: Path
) -> None:
    first, second = (f"data/photos/{row.sha256}" for row in rows[:2])
    listed = case / "data" / "rows.jsonl"
    listed.write_bytes(rows[0].to_json_line())
    make_again(case)
    assert failed(case, recognizer) == {f"{second}.png"}
    for content in (b"", b"[" * 100_000):
        listed.write_bytes(content)
        make_again(case)
        assert failed(case, recognizer) == {"data/rows.jsonl"}
    listed.write_bytes(rows[2].to_json_line())
    make_again(case)
    assert failed(case, recognizer) == {f"{first}.jpg", f"{second}.png"}
    listed.write_bytes(b"".join(row.to_json_line() for row in rows[:2]))
    (case / f"{first}.png").write_bytes((case / f"{second}.png").read_bytes())
    make_again(case)
    assert "data/photos" in failed(case, recognizer)
    shutil.rmtree(case / "data" / "photos")
    make_again(case)
    assert not failed(case, recognizer)
    done = invoke("verify", case, "-m", tiny_bundle, code=ExitCode.SOME_FAILED)
    for words in ("not done", "the original is not in the case"):
        assert done.stdout.count(words) == 2
    assert f"{case}: 2 checks not done, listed above" in done.stderr


def test_a_row_that_no_scan_wrote_is_an_error(
    case: Path, rows: list[Row], recognizer: Recognizer
) -> None:
    line = rows[0].to_json_line()
    for forged in (
        line.replace(b'"source":', b'"source":"other","source":'),  # the second one counts
        line.replace(b'"schema":', b'"verdict":"ivory","schema":'),
        line[:-1],
        b"{}\n",
    ):
        (case / "data" / "rows.jsonl").write_bytes(rows[1].to_json_line() + forged)
        make_again(case)
        assert "data/rows.jsonl" in failed(case, recognizer)


def test_without_the_model_the_scores_are_not_checked(
    case: Path, rows: list[Row], recognizer: Recognizer
) -> None:
    assert results(case, None)["scores"] is Result.NOT_DONE
    model = replace(rows[1].model, digest="0" * 64)
    lines = rows[0].to_json_line() + replace(rows[1], model=model).to_json_line()
    (case / "data" / "rows.jsonl").write_bytes(lines)
    make_again(case)
    assert failed(case, recognizer) == {f"data/photos/{rows[1].sha256}.png"}


@pytest.mark.parametrize(
    ("data", "words"),
    [(None, "not_found"), (encoded(picture("gray")), "has changed since the scan")],
)
def test_an_original_that_is_gone_or_changed_is_said_to_be(
    tmp_path: Path, rows: list[Row], recognizer: Recognizer, data: bytes | None, words: str
) -> None:
    def read(row: Row) -> bytes:
        if data is None:
            raise Refused(Reason.NOT_FOUND, "no such file")
        return data

    case = tmp_path / "case"
    _, missing = write_case(rows[:1], case, recognizer=recognizer, read=read)
    assert words in missing[rows[0].source]
    assert words in (case / "data" / "index.html").read_text()
    assert results(case, recognizer)[rows[0].sha256 or ""] is Result.NOT_DONE
    assert not failed(case, recognizer)


def test_a_case_is_whole_or_not_there(
    tmp_path: Path, folder: Path, rows: list[Row], recognizer: Recognizer
) -> None:
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
    with pytest.raises(UsageError, match="is not a folder"):
        [*verify_case(folder / "none", lambda _: recognizer)]
    assert TAG_MANIFEST in failed(folder, recognizer)


def test_leads_are_found_by_digest_source_and_listing(scan: Path, rows: list[Row]) -> None:
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


def test_a_photo_that_two_listings_share_is_one_image(
    rows: list[Row], tmp_path: Path, tiny_bundle: Path
) -> None:
    scan = write_scan(tmp_path / "scan.sqlite", [rows[0], replace(rows[0], item={"id": "L8"})])
    options = ("--lead", rows[0].sha256, "-o", tmp_path / "case", "-m", tiny_bundle)
    assert "case: 1 image\n" in succeed("evidence", scan, *options).stdout


def test_a_verdict_on_a_listing_that_words_have_raised_is_in_its_case(
    folder: Path, tmp_path: Path, recognizer: Recognizer, tiny_bundle: Path
) -> None:
    """No image of it is a lead, so the verdict is about the listing and no image of it."""
    row = row_of(
        recognizer,
        folder / "green.png",
        item={"id": "L9", "title": "real ivory"},
        decision=Decision.REVIEW,
        image_decision=Decision.CLEAR,
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
