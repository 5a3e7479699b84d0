from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from recognizer.cli import ExitCode
from recognizer.errors import ScanFileError, UsageError
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.policy import Decision
from recognizer.review.compare import Comparison, compare, write_comparison
from recognizer.review.compare.comparison import MAX_SOURCES, OTHERS, place_of
from recognizer.rows.row import PolicyReference, Row
from recognizer.rows.thumbnails import ThumbnailStore, shrink, thumbnails_path
from tests.conftest import invoke
from tests.pictures import picture
from tests.rows.rows import NOW, bare_row, write_rows

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e{{ 7 * 7 }}"
HOSTILE_URL = "javascript:alert(3)"


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return load_bundle(tiny_bundle)


Compare = Callable[..., Comparison]


@pytest.fixture
def compared(bundle: Bundle, tmp_path: Path) -> Compare:
    def run(before: list[Row], after: list[Row], **options: Any) -> Comparison:
        paths = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
        for path, rows in zip(paths, (before, after), strict=True):
            write_rows(path, rows, bundle)
        return compare(*paths, [bundle], **options)

    return run


def test_changed_decisions_have_both_reasons(compared: Compare) -> None:
    policy = PolicyReference(name="other", digest="1" * 64)
    before = [
        bare_row("a", 0.6, "review"),
        bare_row("b", 0.1, "clear"),
        bare_row("c", 0.1, "clear"),
        bare_row("d", 0.2, "clear"),
        bare_row("e", 0.0, "unscored"),
        bare_row("gone", 0.9, "priority"),
    ]
    after = [
        bare_row("a", 0.3, "clear", policy=policy),
        bare_row("b", 0.95, "priority", policy=policy),
        bare_row("c", 0.1, "clear", policy=policy),
        bare_row("d", 0.25, "clear", policy=policy),
        bare_row("e", 0.7, "review", policy=policy),
        bare_row("new", 0.1, "clear", policy=policy, time=NOW + timedelta(days=1)),
    ]
    found = compared(before, after)
    assert (found.common, found.changed, found.replaced) == (5, 3, 0)
    assert found.decisions["clear", "priority"] == found.decisions["review", "clear"] == 1  # type: ignore[index]
    changes = [(one.after.source, one.product, round(one.by, 6)) for one in found.changes]
    assert changes == [
        ("b", "ivory_worked", 0.85),
        ("e", None, 0.0),
        ("a", "ivory_worked", -0.3),
        ("d", "ivory_worked", 0.05),
    ]
    (first, *_) = found.to_json()["changes"]
    assert first["before"]["why"] == []
    assert first["after"]["why"] == ["ivory_worked 0.95"]
    assert [side.images for side in found.sides] == [6, 6]
    assert found.sides[1].policies == {"other (111111111111)": 6}
    assert (found.sides[1].begin, found.sides[1].end) == (NOW, NOW + timedelta(days=1))
    assert json.loads(json.dumps(found.to_json()))["changed"] == 3


def test_only_products_count_and_only_the_last_row_of_an_image(compared: Compare) -> None:
    before = [bare_row("a", 0.9, "priority"), bare_row("a", 0.1, "clear")]
    found = compared(before, [bare_row("a", 0.1, "clear")])
    assert (found.common, found.changed, found.changes) == (1, 0, [])
    assert [*found.products] == ["ivory_worked"]  # not ceramic


def test_images_with_other_bytes_or_of_other_listings_are_other_images(compared: Compare) -> None:
    one = bare_row("a", 0.1, "clear", item={"id": 1})
    other_bytes = replace(one, sha256="1" * 64, decision=Decision.REVIEW)
    assert compared([one], [other_bytes]).replaced == 1
    assert compared([one], [other_bytes]).common == 0
    assert compared([one], [replace(one, item={"id": 2})]).common == 0
    later = replace(one, item={"id": 1, "reports": 3})  # the same listing, with other columns
    assert compared([one], [later]).common == 1


def test_scores_drift_by_product_and_source(compared: Compare) -> None:
    before = [bare_row(f"https://a.example/{n}", 0.01, "clear") for n in range(200)]
    before += [bare_row(f"https://b.example/{n}", 0.01, "clear") for n in range(200)]
    after = [bare_row(f"https://a.example/new/{n}", 0.01, "clear") for n in range(200)]
    after += [bare_row(f"https://b.example/new/{n}", 0.3, "clear") for n in range(200)]
    found = compared(before, after)
    assert found.common == 0  # another month
    assert found.products["ivory_worked"].is_large
    assert not found.sources["https://a.example"]["ivory_worked"].is_changed
    assert found.sources["https://b.example"]["ivory_worked"].is_large


def test_sources_may_be_those_of_a_column(compared: Compare) -> None:
    rows = [bare_row(f"{n}", 0.1, "clear", item={"id": n, "seller": n % 50}) for n in range(100)]
    found = compared(rows, rows, by="seller")
    assert len(found.sources) == MAX_SOURCES + 1
    assert OTHERS in found.sources
    with pytest.raises(UsageError, match=r"no image of .* has the column 'shop'"):
        compared(rows, rows, by="shop")


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("https://cdn.example/a/b.jpg", "https://cdn.example"),
        ("s3://bucket/a/b.jpg", "s3://bucket"),
        ("a/b.tar!/c/d.jpg", "a/b.tar"),
        ("t.csv!/4", "t.csv"),
        ("photos/a.jpg", "photos"),
        ("a.jpg", "."),
        ("https://[::1/a.jpg", "https"),
        ("\udcff/a.jpg", "\udcff"),
    ],
)
def test_where_an_image_lies(source: str, place: str) -> None:
    assert place_of(source) == place


def test_the_number_of_changes_is_limited_to_the_largest(compared: Compare) -> None:
    before = [bare_row(f"{n}", 0.0, "clear") for n in range(20)]
    after = [bare_row(f"{n}", n / 100, "clear") for n in range(20)]
    assert [one.after.source for one in compared(before, after, top=3).changes] == [
        "19",
        "18",
        "17",
    ]
    assert compared(before, after, top=0).changes == []


class Page(HTMLParser):
    """The tags of a page, and what stands between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_strangers_texts_as_texts(
    compared: Compare, bundle: Bundle, tmp_path: Path
) -> None:
    item = {"id": 1, "title": HOSTILE, "url": HOSTILE_URL, "seller": HOSTILE}
    good = {"id": 2, "title": "vase", "url": "https://x.example/2"}
    why = (HOSTILE,)
    before = [
        bare_row("\udcff<b>.jpg", 0.1, "clear", item=item),
        bare_row("b", 0.1, "clear", item=good),
    ]
    after = [
        bare_row("\udcff<b>.jpg", 0.9, "priority", item=item, why=why),
        bare_row("b", 0.6, "review", item=good),
    ]
    found = compared(before, after, by="seller")
    paths = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    with ThumbnailStore(thumbnails_path(paths[1]), create=True) as store:
        import numpy as np  # noqa: PLC0415

        pixels = np.asarray(picture("red"), np.uint8)
        store.add([(str(after[1].sha256), shrink(pixels, 32, 0))])
    output = tmp_path / "compare.html"
    write_comparison(found, output, paths, title=HOSTILE)
    page = Page(output.read_text(encoding="utf-8"))
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags
    assert page.text.count(HOSTILE) >= 4  # title, heading, card, reason
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    images = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 1
    assert str(images[0]).startswith("data:image/jpeg;base64,")
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == ["https://x.example/2"]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "49" not in re.findall(r"\d+", page.text.replace(HOSTILE, ""))
    assert "No thumbnail" in page.text
    for shown in ("Priority", "ivory_worked 0.6", "Nothing was over a threshold."):
        assert shown in page.text


def test_the_command(bundle: Bundle, tiny_bundle: Path, tmp_path: Path) -> None:
    rows = [bare_row("a", 0.1, "clear"), bare_row("b", 0.9, "priority")]
    other = [bare_row("a", 0.6, "review"), bare_row("b", 0.9, "priority")]
    before = write_rows(tmp_path / "before.jsonl", rows, bundle)
    after = write_rows(tmp_path / "after.jsonl", other, bundle)
    page = tmp_path / "c.html"
    done = invoke("compare", before, after, "--bundle", tiny_bundle, "--output", page)
    assert done.exit_code == ExitCode.DONE, done.output
    assert "2 in both; 1 decided otherwise" in done.stdout
    assert "clear to review: 1" in done.stdout
    assert page.read_text(encoding="utf-8").lstrip().startswith("<!DOCTYPE html>")
    told = json.loads(invoke("compare", before, after, "--bundle", tiny_bundle, "--json").stdout)
    assert told["decisions"] == [
        {"before": "clear", "after": "review", "images": 1},
        {"before": "priority", "after": "priority", "images": 1},
    ]
    refused = invoke("compare", before, after, "--output", before)
    assert refused.exit_code == ExitCode.USAGE
    assert invoke("compare", before, tmp_path / "gone").exit_code == ExitCode.USAGE
    with pytest.raises(ScanFileError):
        compare(before, tmp_path / "gone", [bundle])
