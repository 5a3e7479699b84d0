"""What changed between two scans."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from recognizer.cli import ExitCode
from recognizer.model.bundle import load_bundle
from recognizer.policy import Decision
from recognizer.review.compare import Comparison, compare
from recognizer.rows import Row, ScanFile
from recognizer.rows.row import Reference
from tests.conftest import invoke
from tests.rows.rows import MODEL, NOW, bare_row, write_scan

PRODUCTS = {MODEL.digest: ("ivory_worked",)}


Compared = Callable[..., Comparison]


@pytest.fixture
def compared(tmp_path: Path) -> Compared:
    def compared(before: list[Row], after: list[Row], top: int = 100) -> Comparison:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        with (
            ScanFile(write_scan(folder / "before.sqlite", before)) as old,
            ScanFile(write_scan(folder / "after.sqlite", after)) as new,
        ):
            return compare(old, new, PRODUCTS, top=top)

    return compared


def test_changed_decisions_have_both_reasons(compared: Compared) -> None:
    policy = Reference(name="other", digest="1" * 64)
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
    assert (found.images, found.common.rows, found.replaced) == ((6, 6), 5, 0)
    assert found.common.decisions["clear", "priority"] == 1
    assert found.common.decisions["review", "clear"] == 1
    changes = [(one.after.source, one.product, round(one.by, 6)) for one in found.changes]
    assert changes == [
        ("b", "ivory_worked", 0.85),
        ("e", None, 0.0),
        ("a", "ivory_worked", -0.3),
        ("d", "ivory_worked", 0.05),
    ]
    (first, *_) = found.to_json()["changes"]
    assert first["before"]["why"] == ()
    assert first["after"]["why"] == ("ivory_worked 0.95",)
    assert (found.common.before, found.common.after) == ({"ivory_worked": 1}, {"ivory_worked": 2})


def test_images_with_other_bytes_or_of_other_listings_are_other_images(compared: Compared) -> None:
    one = bare_row("\udcffa", 0.1, "clear", item={"id": 1})
    other_bytes = replace(one, sha256="1" * 64, decision=Decision.REVIEW)
    assert compared([one], [other_bytes]).replaced == 1
    assert compared([one], [other_bytes]).common.rows == 0
    assert compared([one], [replace(one, item={"id": 2})]).common.rows == 0
    later = replace(one, item={"id": 1, "reports": 3})  # the same listing, with other columns
    assert compared([one], [later]).common.rows == 1


def test_the_command(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    first, other = bare_row("a\x1b", 0.1, "clear"), bare_row("a\x1b", 0.6, "review")
    same = bare_row("b", 0.9, "priority")
    before = write_scan(tmp_path / "before.sqlite", [same, first, first], bundle)
    after = write_scan(tmp_path / "after.sqlite", [other, same], bundle)
    done = invoke("compare", before, after, "--bundle", tiny_bundle)
    assert done.exit_code == ExitCode.DONE, done.output
    assert "2 images before, 2 after, 2 in both" in done.stdout
    assert "clear to review: 1" in done.stdout
    assert "a\\x1b: clear to review, ivory_worked +0.500\n    ivory_worked 0.6" in done.stdout
    told = json.loads(invoke("compare", before, after, "--bundle", tiny_bundle, "--json").stdout)
    assert told["common"]["decisions"] == [
        {"before": "clear", "after": "review", "images": 1},
        {"before": "priority", "after": "priority", "images": 1},
    ]
    assert invoke("compare", before, tmp_path / "gone").exit_code == ExitCode.USAGE
