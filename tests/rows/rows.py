"""Rows as a scan writes them: made by the real engine and policy, or without an image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recognizer.engine import Recognizer
from recognizer.model.bundle import Bundle
from recognizer.policy import CandidateKind, Decision, Finding, KnownMatch, Lead, Policy
from recognizer.rows.row import ModelReference, PolicyReference, Row
from recognizer.status import Reason, Status

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HASH, NEAR, FAR = "0f" * 32, "0e" + "0f" * 31, "f0" * 32
"""Perceptual hashes, of which two are those of near-copies."""
MODEL = ModelReference(name="tiny", version=1, digest="0" * 64)


def digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def lead(
    name: str = "ivory_worked",
    score: float = 0.6,
    level: Decision = Decision.REVIEW,
    kind: CandidateKind = CandidateKind.LABEL,
) -> Lead:
    return Lead(
        kind=kind, name=name, score=score, threshold=0.4, false_positive_rate=0.01, level=level
    )


def known_match(finding: str = "product", **changes: Any) -> KnownMatch:
    match = KnownMatch(
        id="0" * 16,
        finding=Finding(finding),
        label=None,
        note=None,
        origin=None,
        distance=5,
        transform="identity",
    )
    return replace(match, **changes)


def bare_row(source: str, score: float, decision: str, **changes: Any) -> Row:
    """A row without an image behind it."""
    decision = Decision(decision)
    failed = decision is Decision.UNSCORED
    is_lead = decision in {Decision.REVIEW, Decision.PRIORITY}
    row = Row(
        source=source,
        item=None,
        status=Status.FAILED if failed else Status.OK,
        reason=Reason.EMPTY if failed else None,
        sha256=None if failed else digest(source),
        phash=None,
        format=None,
        width=None,
        height=None,
        frames=None,
        scores=None if failed else {"ivory_worked": score, "ceramic": 0.99},
        leads=(lead(score=score, level=decision),) if is_lead else (),
        family=None if failed else {"ivory": score},
        decision=decision,
        why=(f"ivory_worked {score}",) if is_lead else (),
        regions=(),
        model=MODEL,
        policy=PolicyReference(name="default", digest="0" * 64),
        preprocessing=1,
        time=NOW,
        detail=None,
        known=None,
        bank=None,
        image_decision=decision,
        keywords=(),
    )
    return replace(row, **changes)


def row_of(
    recognizer: Recognizer, source: str | Path, data: bytes | None = None, **changes: Any
) -> Row:
    """The row of an image, which is read from where ``source`` says or given as ``data``."""
    image = Path(source) if data is None else data
    prediction = recognizer.predict(image)
    policy = Policy()
    verdict = recognizer.decide(prediction, policy)
    labels = [lead.name for lead in verdict.leads if lead.kind is CandidateKind.LABEL]
    if labels:
        prediction = replace(prediction, regions=recognizer.explain(image, labels[0]).regions)
    row = Row.from_prediction(
        str(source), prediction, verdict, bundle=recognizer.bundle, policy=policy, time=NOW
    )
    return replace(row, **changes)


def write_rows(path: Path, rows: Iterable[Row], bundle: Bundle | None = None) -> Path:
    """Write a journal; rows of :data:`MODEL` become rows of the bundle, where there is one."""
    if bundle is not None:
        model = ModelReference(name=bundle.name, version=bundle.version, digest=bundle.digest)
        rows = [replace(row, model=model) if row.model == MODEL else row for row in rows]
    path.write_bytes(b"".join(row.to_json_line() for row in rows))
    return path


def write_rows_of_schema_4(path: Path) -> Path:
    """Write a journal as version 4 of the row had it."""
    values = bare_row("a.jpg", 0.6, "review").to_json()
    values["labels"] = [one["name"] for one in values.pop("leads")]
    values["schema"] = 4
    path.write_text(json.dumps(values, separators=(",", ":")) + "\n")
    return path


def as_schema_5(row: Row) -> bytes:
    """The line of a row as version 5 had it."""
    values = row.to_json()
    for key in ("image_decision", "keywords", "audit"):
        del values[key]
    values["schema"] = 5
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"
