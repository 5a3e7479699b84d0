"""One order and one identity of listings: in files, in the HTML queue and on the server."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.description import EvaluationPhotos, LabelEvidence
from recognizer.policy import Decision
from recognizer.review.cards import CardMaker
from recognizer.review.outcomes import Judgement
from recognizer.review.queue import SECTIONS, Queue
from recognizer.review.server.views import View
from recognizer.rows import ListingTable, Row
from tests.review.server.queues import listing, opened
from tests.rows.rows import NOW, bare_row, lead, write_rows


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
    journal = write_rows(tmp_path / "rows.jsonl", rows, bundle)
    with closing(ListingTable(journal, bundles=[bundle])) as table:
        found = [one.listing for one in table]
        assert found == order
    with Queue(journal, [bundle]) as queue:
        entries = [entry for section in SECTIONS for entry in queue.entries(section)]
        found = [one.listing.listing if one.listing else one.row.source for one in entries]
        assert found == order
    with opened(journal, bundles=[bundle]) as server:
        found = [entry.name for entry in server.page(View(), 1)[0]]
        assert found == order


@pytest.mark.parametrize("name", ["L 7", "x" * 5000, "a\nb\u202e", "\udc80"])
def test_a_verdict_of_the_page_and_one_of_the_server_are_about_the_same(
    name: str, tmp_path: Path, bundle: Bundle
) -> None:
    row = raised_by_reports(name, 3)
    journal = write_rows(tmp_path / "rows.jsonl", [row], bundle)
    with Queue(journal, [bundle]) as queue:
        (entry,) = queue.entries(Decision.REVIEW)
        of_page = json.loads(CardMaker(bundle).card(entry).verdict)
    with opened(journal, bundles=[bundle]) as server:
        taken = server.take("Ama", View())
        assert taken is not None
        server.decide("Ama", taken.number, Judgement.CONFIRMED)
        (of_server,) = server.index.outcomes
    assert of_page["images"] == []  # the image shows nothing; the reports are about the listing
    assert of_server.sha256 is None
    assert of_page["listing"] == of_server.listing
