"""One order of listings: in files, at the desk and in the report."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.description import EvaluationPhotos, LabelEvidence
from recognizer.policy import Decision
from recognizer.review.page import write_report
from recognizer.review.server.queue import Queue
from recognizer.review.views import View
from recognizer.rows import Row, ScanFile, read_listings
from tests.review.scans import write_scan
from tests.review.server.queues import listing
from tests.rows.rows import NOW, bare_row, lead


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    """With evidence for worked ivory, and none for raw ivory."""
    found = load_bundle(tiny_bundle)
    evidence = LabelEvidence(test=EvaluationPhotos(photos=9, sources=2))
    labels = tuple(
        replace(one, evidence=evidence if one.name == "ivory_worked" else None)
        for one in found.labels
    )
    return replace(found, labels=labels)


def unproven(name: str, score: float, level: str = "review", **columns: Any) -> Row:
    row = listing(name, score, level, **columns)
    return replace(row, leads=(lead("ivory_raw", score, Decision(level)),))


def raised_by_reports(name: str, count: int) -> Row:
    row = listing(name, 0.2, reports=count)
    return replace(row, leads=(), image_decision=Decision.CLEAR)


def test_listings_have_the_same_order_everywhere(tmp_path: Path, bundle: Bundle) -> None:
    rows = [
        listing("low", 0.55),
        unproven("unproven, reported", 0.99, reports=9),
        unproven("unproven", 0.995),
        replace(listing("old", 0.7), time=NOW - timedelta(days=9)),
        listing("young", 0.7),
        raised_by_reports("by reports alone", 3),
        listing("reported", 0.5, reports=2),
        replace(unproven("two photos", 0.9), source="a.jpg"),
        replace(listing("two photos", 0.8), source="b.jpg"),
        unproven("priority, unproven", 0.9, "priority"),
        listing("priority", 0.6, "priority"),
        bare_row("stray.jpg", 0.65, "review"),
    ]
    order = [
        *("priority", "priority, unproven", "by reports alone", "reported", "two photos", "old"),
        *("young", "stray.jpg", "low", "unproven, reported", "unproven"),
    ]
    scan = write_scan(tmp_path / "scan.sqlite", rows, bundle)
    with ScanFile(scan) as file:
        assert [one.listing for one in read_listings(file)] == order
    with Queue(scan) as queue:
        found = queue.page(View(), 1)[0]
        assert [entry.name for entry in found] == order
    write_report(scan, tmp_path / "report.html", [bundle])
    page = (tmp_path / "report.html").read_text()
    for one in (r'<li data-key="(\w+)"', r'<template data-card="(\w+)"'):
        assert re.findall(one, page) == [entry.key for entry in found]
    two = page.split(f'<template data-card="{found[4].key}"')[1].split("</template>")[0]
    bars = re.findall(r'<li class="lead"><span>([^<]*)', two)
    assert bars == ["Worked ivory", "Raw ivory"]  # the one with evidence first
