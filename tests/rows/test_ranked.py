"""Which image stands for a listing, and how old it is, as the view ``ranked`` says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from recognizer.model.bundle import load_bundle
from recognizer.model.description import EvaluationPhotos, LabelEvidence
from recognizer.policy import Decision
from recognizer.rows import Row, ScanFile
from recognizer.status import Reason
from tests.rows.rows import NOW, bare_row, lead, write_scan


def best_and_age(path: Path) -> tuple[str, str]:
    with ScanFile(path) as file:
        ((source, first),) = file.select("SELECT source, first FROM queue")
        return source, first


def test_an_image_with_a_lead_stands_for_a_listing_that_reports_have_raised(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    found, evidence = (
        load_bundle(tiny_bundle),
        LabelEvidence(test=EvaluationPhotos(photos=9, sources=2)),
    )
    labels = (
        replace(one, evidence=evidence if one.name == "ivory_worked" else None)
        for one in found.labels
    )
    bundle = replace(found, labels=tuple(labels))
    item = {"id": 1, "reports": 3}
    # Reports raise all images; only one is a lead, of a product without evidence.
    raised = {"item": item, "leads": (), "image_decision": Decision.CLEAR, "why": ("3 reports",)}
    shows = {"item": item, "leads": (lead("ivory_raw", 0.3),)}
    rows = [bare_row("a.jpg", 0.2, "review", **raised), bare_row("b.jpg", 0.3, "review", **shows)]
    assert best_and_age(write_scan(tmp_path / "scan.sqlite", rows, bundle))[0] == "b.jpg"


def test_a_listing_that_gets_an_image_has_waited_since_it_was_raised(tmp_path: Path) -> None:
    def row(source: str, decision: str, hours: int, **changes: object) -> Row:
        time = NOW + timedelta(hours=hours)
        return bare_row(source, 0.5, decision, item={"id": 1}, time=time, **changes)

    words = row("table.csv!/2", "unscored", 0, reason=Reason.NO_IMAGE)
    path = write_scan(tmp_path / "scan.sqlite", [words])
    write_scan(path, [row("a.jpg", "review", 700)])
    assert best_and_age(path) == ("a.jpg", NOW.isoformat())
