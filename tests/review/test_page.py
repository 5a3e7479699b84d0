from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recognizer.engine import Recognizer
from recognizer.errors import BundleNotFoundError, ScanFileError, UsageError
from recognizer.policy import CandidateKind
from recognizer.prediction import Region
from recognizer.review.card_images import NOT_THERE
from recognizer.review.page import DISCLAIMER, write_report
from recognizer.review.queue import SECTIONS, Capacity, Part
from recognizer.review.texts import texts_of
from recognizer.rows.row import ModelReference, Row
from recognizer.rows.thumbnails import ThumbnailStore, shrink, thumbnails_path
from tests.conftest import encoded, picture, write_file
from tests.rows.rows import FAR, HASH, NEAR, bare_row, known_match, lead, row_of, write_rows

VOID = {"meta", "img", "input", "link", "br"}
EVIL = ("<img src=x onerror=alert(1)>.jpg", '"><script>alert(1)<&>.jpg', "' onclick='x.jpg")


class Page(HTMLParser):
    """The page as a browser reads it: elements with their attributes, and balanced tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in {"script", "style"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def having(self, attribute: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.elements if attribute in attrs]

    def tags(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


Report = Callable[..., Page]


@pytest.fixture
def report(recognizer: Recognizer, tmp_path: Path) -> Report:
    """Writes rows, and the page of them."""

    def report(rows: list[Row], **options: Any) -> Page:
        output = tmp_path / "report.html"
        journal = write_rows(tmp_path / "rows", rows, recognizer.bundle)
        write_report(journal, output, [recognizer.bundle], **options)
        return Page(output.read_text(encoding="utf-8"))

    return report


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Two leads, two clear photos, one that is none."""
    files = {f"{color}.jpg": encoded(picture(color)) for color in ("red", "green", "blue")}
    files |= {"red2.png": encoded(picture("red", seed=1), "PNG"), "text.jpg": b"x"}
    return [write_file(tmp_path / name, data) for name, data in files.items()]


@pytest.fixture
def page(recognizer: Recognizer, report: Report, photos: list[Path]) -> Page:
    return report([row_of(recognizer, path) for path in photos])


def test_photos_are_in_the_order_of_the_queue(page: Page) -> None:
    decisions = [attrs["data-decision"] for attrs in page.having("data-decision")]
    assert decisions == sorted(decisions, key=SECTIONS.index)
    assert Counter(decisions) == {"priority": 2, "unscored": 1, "clear": 2}


def test_every_photo_can_be_filtered(page: Page) -> None:
    shown = page.having("data-decision")
    assert {attrs["data-show"] for attrs in page.having("data-show")} == {"all", *SECTIONS}
    assert {attrs["data-section"] for attrs in page.having("data-section")} == set(SECTIONS)
    choices = {attrs["value"] for attrs in page.tags("option")}
    assert choices >= {"", "ivory_worked", "ivory_raw", "family:ivory"}
    for attrs in shown:
        assert attrs["data-name"]
        assert set((attrs["data-products"] or "").split()) <= choices
    lead = (shown[0]["data-products"] or "").split()
    assert "ivory_worked" in lead
    assert "family:ivory" in lead


def test_the_page_says_what_a_lead_is_and_where_it_comes_from(
    page: Page, recognizer: Recognizer
) -> None:
    assert DISCLAIMER in page.text
    assert "tiny, version 1" in page.text
    assert recognizer.bundle.digest in {a.get("title") for a in page.tags("code")}
    assert "Rhino horn" in page.text  # not recognised
    assert "not_an_image" in page.text
    assert "The content is not a known image format, whatever its name says." in page.text
    assert "Other models" not in page.text


def test_a_lead_carries_what_a_reviewer_needs(page: Page) -> None:
    for words in ("▲ Priority", "Worked ivory", "Schreger lines", "Appendix I", "Confused with"):
        assert words in page.text
    assert "priority: ivory_worked" in page.text
    assert "evidence: not recorded in the bundle" in page.text
    boxes = [a for a in page.tags("span") if a.get("class") == "box"]
    assert boxes
    assert all(re.fullmatch(r"(\w+:[\d.]+%;?){4}", a["style"] or "") for a in boxes)


def test_links_into_the_guide_have_a_target(page: Page) -> None:
    targets = {f"#{attrs['id']}" for attrs in page.having("id")}
    assert {a["href"] for a in page.tags("a") if str(a["href"]).startswith("#")} <= targets
    identifiers = [attrs["id"] for attrs in page.having("id")]
    assert len(set(identifiers)) == len(identifiers)


def test_nothing_is_fetched(page: Page, tmp_path: Path) -> None:
    assert not re.search(r"https?://", (tmp_path / "report.html").read_text())
    for attrs in page.having("src"):
        assert str(attrs["src"]).startswith("data:image/jpeg;base64,")
    for attrs in page.having("href"):
        assert str(attrs["href"]).startswith(("#", "file:///"))
    assert page.tags("link") == []


@pytest.mark.parametrize("name", EVIL)
def test_names_are_escaped(
    recognizer: Recognizer, report: Report, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "photos"
    path.mkdir()
    (path / name).write_bytes(encoded(picture("red")))
    clear = path / f"clear {name}"
    clear.write_bytes(encoded(picture("blue")))
    evil = f"<b>{name}"
    lead_row = row_of(
        recognizer, path / name, item={evil: evil}, detail=evil, why=(evil,), format=evil
    )
    rows = [
        replace(
            lead_row,
            scores={**(lead_row.scores or {}), evil: 0.99},
            leads=(*lead_row.leads, lead(evil), lead(evil, kind=CandidateKind.FAMILY)),
            regions=(Region(label=evil, score=0.9, box=(0, 0, 9, 9)),),
            model=replace(lead_row.model, name=evil),
            policy=replace(lead_row.policy, name=evil),
        ),
        row_of(recognizer, clear),
        bare_row(f"{path / name}.gone", 0, "unscored", detail=evil),
    ]
    page = report(rows, title=evil)
    assert len(page.tags("script")) == 1
    assert not page.having("onerror")
    assert not page.having("onclick")
    assert all(str(a["src"]).startswith("data:") for a in page.tags("img"))
    assert page.text.count(evil) > 8
    assert str(path / name) in [attrs["data-name"] for attrs in page.having("data-decision")]


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_undecodable_names_do_not_break_the_page(
    recognizer: Recognizer, report: Report, tmp_path: Path
) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    try:
        path.write_bytes(encoded(picture("red")))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    page = report([row_of(recognizer, path)], title="\ud800")
    assert r"caf\udce9.jpg" in page.text
    assert [a["href"] for a in page.tags("a") if str(a["href"]).endswith("caf%E9.jpg")]


def test_a_photo_that_vanished_or_changed_is_told(
    recognizer: Recognizer, report: Report, photos: list[Path]
) -> None:
    rows = [row_of(recognizer, path) for path in photos[:2]]
    photos[0].write_bytes(encoded(picture("gray")))
    photos[1].unlink()
    page = report(rows)
    assert page.tags("img") == []
    assert "the file has changed since the scan and is not what was scored" in page.text
    assert "the image has gone since the scan" in page.text
    assert not [a for a in page.tags("a") if str(a["href"]).startswith("file:")]


def test_damage_is_told(recognizer: Recognizer, report: Report, photos: list[Path]) -> None:
    photos[0].write_bytes(encoded(picture("red", (300, 300)))[:-900])
    page = report([row_of(recognizer, photos[0])])
    assert "! Degraded" in page.text
    assert "The file ends early: a part of the image is missing." in page.text


def test_limits_are_told(report: Report) -> None:
    kinds = ("review", "clear", "unscored")
    rows = [bare_row(f"{kind}{i}", 0.6, kind) for kind in kinds for i in range(1200)]
    page = report(rows, capacity=Capacity(leads=3, unscored=2, clear=1))
    assert len(page.having("data-decision")) == 6
    for words in ("3 of 1,200", "2 of 1,200, the first ones of the scan", "1 of 1,200"):
        assert f"Shown here: {words}" in page.text


def test_a_lead_as_a_family_alone_shows_the_family(report: Report) -> None:
    row = bare_row(
        "a.jpg",
        0.4,
        "review",
        leads=(lead("ivory", 0.58, kind=CandidateKind.FAMILY),),
        scores={"ivory_worked": 0.4, "ivory_raw": 0.3, "ceramic": 0.2},
        why=("these words name coral",),
    )
    page = report([row])
    assert "Ivory (family) (over its threshold) 0.58" in page.text
    (shown,) = page.having("data-decision")
    assert shown["data-products"] == "ivory_worked ivory_raw family:ivory"


def test_rows_of_another_model_are_told(
    recognizer: Recognizer, report: Report, photos: list[Path]
) -> None:
    other = ModelReference(name="other", version=2, digest="f" * 64)
    rows = [row_of(recognizer, path) for path in photos]
    rows.append(bare_row("old.jpg", 0.6, "review", model=other))
    page = report(rows)
    assert "Other models." in page.text
    assert "other, version 2" in page.text
    with pytest.raises(BundleNotFoundError, match=r"made by other-v2.*--bundle"):
        report(rows[-1:])


def test_no_rows_make_a_page_too(report: Report) -> None:
    page = report([])
    assert "0 scanned" in page.text
    assert page.having("data-decision") == []


def test_the_same_rows_give_the_same_bytes(page: Page, recognizer: Recognizer, tmp_path: Path):
    second = tmp_path / "second.html"
    write_report(tmp_path / "rows", second, [recognizer.bundle])
    assert second.read_bytes() == (tmp_path / "report.html").read_bytes()


def test_a_failure_leaves_the_old_page_and_no_scraps(
    recognizer: Recognizer, tmp_path: Path, photos: list[Path]
) -> None:
    output = tmp_path / "pages" / "report.html"
    output.parent.mkdir()
    output.write_text("old")
    rows = write_rows(tmp_path / "rows", [row_of(recognizer, photos[0])])
    with rows.open("ab") as file:
        file.write(b"no row\n")
    with pytest.raises(ScanFileError, match="line 2"):
        write_report(rows, output, [recognizer.bundle])
    assert [p.name for p in output.parent.iterdir()] == ["report.html"]
    assert output.read_text() == "old"
    none = write_rows(tmp_path / "none", [])
    for place in (tmp_path / "nowhere" / "report.html", tmp_path):
        with pytest.raises(UsageError, match="cannot be written"):
            write_report(none, place, [recognizer.bundle])


def test_a_lead_that_has_vanished_is_shown_from_what_its_scan_has_kept(
    recognizer: Recognizer, report: Report, tmp_path: Path, photos: list[Path]
) -> None:
    rows = [row_of(recognizer, photos[0])]
    with ThumbnailStore(thumbnails_path(tmp_path / "rows"), create=True) as store:
        store.add([(rows[0].sha256, shrink(np.asarray(picture("red")), 256, 0))])
    assert NOT_THERE not in report(rows).text
    photos[0].unlink()
    page = report(rows)
    assert NOT_THERE in page.text
    assert len(page.tags("img")) == 1
    assert not [a for a in page.tags("a") if (a["href"] or "").startswith("file:")]
    thumbnails_path(tmp_path / "rows").write_bytes(b"no table of SQLite")
    with pytest.raises(ScanFileError, match=r"rows\.thumbnails"):
        report(rows)


def test_the_page_lists_copies_and_known_items(report: Report, tmp_path: Path) -> None:
    said = {"note": "<b>seizure</b> 12", "origin": "customs", "distance": 4}
    known = known_match(label="ivory_raw", transform="rotate_90", **said)
    rows = [
        bare_row("strong.jpg", 0.9, "priority", phash=HASH, known=(known,)),
        bare_row("weak<i>.jpg", 0.6, "review", phash=NEAR, item={"seller": "s<1>"}),
        bare_row("clear.jpg", 0.0, "clear", phash=HASH),
        bare_row("other.jpg", 0.7, "review", phash=FAR),
    ]
    report(rows)
    text = (tmp_path / "report.html").read_text()
    for words in (
        "2 near-copies of 1 seller: one decision can stand for all",
        "weak&lt;i&gt;.jpg",
        "s&lt;1&gt;",
        "&lt;b&gt;seizure&lt;/b&gt; 12",
        "4 of 256 bits apart, rotate 90",
        "All of them are near-copies of images above",  # the clear ones
    ):
        assert words in text
    assert "<b>seizure" not in text
    assert "Shown here" not in text  # nothing is missing from the page
    assert text.count("<article") == 2


def test_a_listing_is_one_card(report: Report, tmp_path: Path) -> None:
    item = {"id": 7, "title": "Old <b>carving", "price": 40, "currency": "EUR", "reports": 3}
    item |= {"seller": "anna", "url": "https://market.example/7", "colour": "cream"}
    rows = [bare_row(f"{i}.jpg", 0.6 + i / 10, "review", item=item) for i in range(3)]
    rows += [bare_row("x.jpg", 0.6, "review", item={"id": 8, "url": "javascript:alert(1)"})]
    page = report(rows)
    first, second = page.having("data-verdict")
    for words in ("Old <b>carving", "40 EUR", "Seller anna", "3 user reports", "3 images"):
        assert words in page.text
    assert "cream" in (first["data-text"] or "")
    verdict = json.loads(first["data-verdict"] or "")
    assert (verdict["listing"], len(verdict["images"])) == ("7", 3)
    (link,) = [a for a in page.tags("a") if not str(a["href"]).startswith(("#", "file:"))]
    assert link["href"] == "https://market.example/7"
    assert {"noopener", "noreferrer"} <= {*str(link["rel"]).split()}
    assert json.loads(second["data-verdict"] or "")["listing"] == "8"


def test_the_cap_is_told_at_the_top(report: Report, tmp_path: Path) -> None:
    rows = [bare_row(f"{i}", 0.6, "review") for i in range(12)]
    page = report(rows, capacity=Capacity(leads=5, unscored=2, clear=1))
    told = "This page shows 5 of 12 leads: 7 are missing. Write several pages with --part 1/3"
    assert told in page.text
    assert page.text.index(told) < page.text.index("scanned")
    part = report(rows, capacity=Capacity(leads=12), part=Part(number=1, of=2))
    assert "Part 1 of 2" in part.text
    assert "are missing" not in part.text


def test_the_page_speaks_chinese(
    recognizer: Recognizer, report: Report, photos: list[Path], tmp_path: Path
) -> None:
    page = report([row_of(recognizer, path) for path in photos], language="zh")
    for words in ("线索不是结论", "▲ 优先", "象牙制品", "导出", "内容不是已知的图片格式。"):
        assert words in page.text
    assert page.tags("html") == [{"lang": "zh"}]
    english = {text for text, _ in texts_of("page").values() if len(text) > 12}
    assert [text for text in english if text in page.text] == []
    with pytest.raises(UsageError, match="en or zh"):
        report([], language="fr")
