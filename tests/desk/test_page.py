"""The report: one file, made of the pages of the desk."""

import base64
import hashlib
import io
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from recognizer.desk.page import write_report
from recognizer.errors import UsageError
from recognizer.imaging.thumbnail import shrink
from recognizer.model.bundle import load_bundle
from recognizer.model.description import EvaluationSummary, Leads
from recognizer.policy.values import CandidateKind
from recognizer.prediction import Region
from recognizer.rows import NewRow, ScanFile
from tests.conftest import encoded, invoke, picture, refuse, succeed, write_file
from tests.rows.rows import bare_row, lead, row_of, write_scan

VOID = {"meta", "img", "input", "link", "br"}
EVIL = ("<img src=x onerror=alert(1)>.jpg", '"><script>alert(1)<&>.jpg', "' onclick='x.jpg")
LINKS = ("#", "file:///", "https://market.example/")


class Page(HTMLParser):
    """The page as a browser reads it: elements with their attributes, and balanced tags."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.words = []
        self._open = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in {"script", "style"}:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def having(self, attribute):
        return [attrs for _, attrs in self.elements if attribute in attrs]

    def tags(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def rows(self):
        """The listings, in their order."""
        return [{k: v or "" for k, v in one.items()} for one in self.having("data-copies")]

    @property
    def pictures(self):
        uris = [str(image["src"]) for image in self.tags("img") if image.get("src")]
        return [Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) for uri in uris]


@pytest.fixture
def report(recognizer, tmp_path):
    """Writes rows, and the report of them."""

    def report(rows, **options):
        for path in tmp_path.glob("scan.sqlite*"):
            path.unlink()
        scan = write_scan(tmp_path / "scan.sqlite", rows, recognizer.bundle)
        output = tmp_path / "report.html"
        write_report(scan, output, [recognizer.bundle], **options)
        return Page(output.read_text(encoding="utf-8"))

    return report


@pytest.fixture
def photos(tmp_path):
    """Two leads, two clear photos, one that is none."""
    files = {f"{color}.jpg": encoded(picture(color)) for color in ("red", "green", "blue")}
    files |= {"red2.png": encoded(picture("red", seed=1), "PNG"), "text.jpg": b"x"}
    return [write_file(tmp_path / name, data) for name, data in files.items()]


@pytest.fixture
def page(recognizer, report, photos):
    rows = [row_of(recognizer, path) for path in photos]
    return report([rows[0], replace(rows[1], audit=0.5), *rows[2:]])


def test_the_first_screen_says_how_many_products_the_model_misses(recognizer, photos, tmp_path):
    """A photo counts once, though it is among those of any product and of its label."""
    counts = dict.fromkeys(
        ("any product", "ivory_worked"), Leads(photos=8, leads=3, named=3, sources=2)
    )
    about = {"split": "test", "fingerprint": "", "negatives": 9, "flagged_negatives": 0.1}
    bundle = replace(recognizer.bundle, evaluation=EvaluationSummary(**about, leads=counts))
    scan = write_scan(tmp_path / "scan.sqlite", [row_of(recognizer, photos[0])], bundle)
    write_report(scan, output := tmp_path / "report.html", [bundle])
    page = Page(output.read_text("utf-8"))
    assert "Of 8 test photos of such products, the model tiny-v1 missed 5 with" in page.text
    assert "(62 %: more than half)" in page.text
    assert not [one for one in page.tags("select") if one["name"] == "state"]  # of no outcome yet


def test_nothing_is_fetched_and_no_other_script_runs(page, tmp_path):
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?://", text)
    for attrs in page.having("src"):
        assert str(attrs["src"]).startswith("data:image/jpeg;base64,")
    for attrs in page.having("href"):
        assert str(attrs["href"]).startswith(LINKS)
    assert page.tags("link") == []
    (policy,) = [a["content"] for a in page.tags("meta") if "http-equiv" in a]
    for kind in ("style", "script"):
        (own,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        hashed = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{hashed}'" in policy
    assert "default-src 'none'" in policy
    assert "style=" not in text.replace(own, "")
    for decides in ("data-do", "data-pick", "data-counts"):  # it is to read
        assert not page.having(decides)
    assert not page.tags("textarea")


@pytest.mark.parametrize("name", EVIL)
def test_names_are_escaped(recognizer, report, tmp_path, name):
    path = tmp_path / "photos"
    path.mkdir()
    (path / name).write_bytes(encoded(picture("red")))
    evil = f"<b>{name}"
    first = row_of(recognizer, path / name, item={evil: evil}, detail=evil, why=(evil,))
    rows = [
        replace(
            first,
            scores={**(first.scores or {}), evil: 0.99},
            leads=(*first.leads, lead(evil), lead(evil, kind=CandidateKind.FAMILY)),
            regions=(Region(label=evil, score=0.9, box=(0, 0, 9, 9)),),
            model=replace(first.model, name=evil),
            policy=replace(first.policy, name=evil),
        ),
        bare_row(f"{path / name}.gone", 0, "unscored", detail=evil),
    ]
    page = report(rows, title=evil)
    assert [attrs.get("type") for attrs in page.tags("script")] == [None]
    assert not page.having("onerror")
    assert not page.having("onclick")
    assert all(str(a["src"]).startswith("data:") for a in page.tags("img") if "src" in a)
    assert page.text.count(evil) > 8


def test_undecodable_names_do_not_break_the_page(recognizer, report, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    try:
        path.write_bytes(encoded(picture("red")))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    page = report([row_of(recognizer, path)], title="\ud800")
    assert r"caf\udce9.jpg" in page.text
    (photo,) = page.having("data-original")
    assert str(photo["data-original"]).endswith("caf%E9.jpg")


def test_a_photo_that_vanished_or_changed_is_not_shown(recognizer, report, photos):
    rows = [row_of(recognizer, path) for path in (photos[0], photos[3])]
    kept = NewRow(row=rows[1], thumbnail=shrink(np.asarray(picture("blue", (512, 64))), 256, 0))
    here = report([rows[0], kept])
    assert [image.size for image in here.pictures][1] == (256, 32)
    red, _, blue = np.asarray(here.pictures[1])[9, 9]
    assert blue > red  # made by the scan, and not from the file
    photos[0].write_bytes(encoded(picture("gray")))
    photos[3].unlink()
    assert [image.size for image in report([rows[0], kept]).pictures] == [(256, 32)]
    huge = replace(kept, thumbnail=replace(kept.thumbnail, jpeg=bytes(257 << 10)))
    assert report([huge]).pictures == []  # no scan writes such a thumbnail
    page = report(rows)
    assert page.pictures == []
    assert "The file has changed since the scan and is not what was scored." in page.text
    assert "The file is no longer where the scan found it." in page.text


def test_a_picture_is_made_of_the_frame_of_the_lead(recognizer, report, tmp_path):
    frames = [picture("blue"), picture("red"), picture("green")]
    path = tmp_path / "a.gif"
    path.write_bytes(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    row = row_of(recognizer, path)
    assert row.regions[0].frame == 1
    (image,) = report([row]).pictures
    red, green, blue = np.asarray(image)[9, 9]
    assert red > max(green, blue)


def test_what_is_beyond_the_limit_is_said_at_the_top(report):
    rows = [bare_row(f"{i}.jpg", 0.5 + i / 100, "review") for i in range(12)]
    rows += [bare_row(f"f{i}.jpg", 0, "unscored") for i in range(3)]
    rows += [replace(bare_row(f"c{i}.jpg", 0.1, "clear"), audit=0.5) for i in range(3)]
    page = report(rows, limit=2)
    assert [row["data-title"] for row in page.rows[:2]] == [f"{i}.jpg" for i in (11, 10)]
    assert [row["data-level"] for row in page.rows[2:4]] == ["unscored"] * 2
    assert len(page.rows) == 6
    said = "Not all is on this page: Leads 2 of 12; Not scored 2 of 3; Audit sample 2 of 3."
    assert said in page.text


def test_five_hundred_leads_are_ten_megabytes_at_most(report, tmp_path, monkeypatch):
    """Fewer may have as much, so that a small scan has all of its photos."""
    monkeypatch.setattr("recognizer.desk.page._MIN_LISTINGS", 10)
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3)).astype(np.uint8)
    sizes = []
    for count in (3, 10, 60):  # listings of three photos, which no JPEG makes smaller
        rows = [bare_row(f"{i}.jpg", 0.9, "review", item={"id": i // 3}) for i in range(3 * count)]
        page = report([NewRow(row=row, thumbnail=shrink(noise, 256, 0)) for row in rows])
        assert count <= len(page.pictures) < 3 * count or len(page.pictures) == 9
        sizes.append((tmp_path / "report.html").stat().st_size)
    assert (sizes[2] - sizes[1]) / 50 * 500 < 10e6 - 100_000


def test_failures_leave_the_old_page_and_no_scraps(recognizer, tmp_path, monkeypatch):
    (output := tmp_path / "report.html").write_text("old")
    scan = write_scan(tmp_path / "scan.sqlite", [bare_row("a.jpg", 0.6, "review")])
    fails, before = Mock(side_effect=UsageError("in the middle")), {*tmp_path.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr("recognizer.desk.photos.read_original", fails)
        with pytest.raises(UsageError, match="in the middle"):
            write_report(scan, output, [recognizer.bundle])
    assert ({*tmp_path.iterdir()}, output.read_text()) == (before, "old")
    for place in (tmp_path / "nowhere" / "report.html", tmp_path):
        with pytest.raises(UsageError, match="cannot be written"):
            write_report(scan, place, [recognizer.bundle])


@pytest.fixture
def reported(tiny_bundle, tmp_path):
    rows = [bare_row("a.jpg", 0.6, "review")]
    return write_scan(tmp_path / "scan.sqlite", rows, load_bundle(tiny_bundle))


def test_the_command_writes_a_page(reported, tiny_bundle, tmp_path):
    output = tmp_path / "page.html"
    always = ("report", reported, "--model", tiny_bundle, "--title", "T&T", "--output")
    assert str(output) in succeed(*always, output).output.replace("\n", "")
    page = output.read_text(encoding="utf-8")
    assert "<title>T&amp;T</title>" in page
    assert "by tiny-v1" in page  # what it does not recognise
    refuse(*always, reported)
    with ScanFile(reported) as file:
        assert len(file) == 1
    # The words on evidence are those of the model behind the rows.
    succeed("report", reported, "--output", output)
    assert "The model tiny-v1 is not at hand" in output.read_text()
    assert "<b>Not recognised</b>" not in output.read_text()


def test_what_is_no_scan_or_cannot_be_served_is_refused(reported, tmp_path):
    none = tmp_path / "none.sqlite"
    for verb in ("report", "review"):
        assert "does not exist" in " ".join(refuse(verb, none).stderr.split())
        assert not none.exists()
    short = invoke("review", reported, "--token", "short")
    assert "at least 16 characters" in " ".join(short.stderr.split())
    nowhere = refuse("review", reported, "--host", "192.0.2.1", "--port", "0")
    assert "name another --port or --host" in " ".join(nowhere.stderr.split())
