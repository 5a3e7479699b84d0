"""Rows as a scan writes them, made by the real engine and policy on tiny pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recognizer.policy import CandidateKind, Policy
from recognizer.recognizer import Recognizer


def row_of(recognizer: Recognizer, source: str | Path, **changes: Any) -> dict[str, Any]:
    prediction = recognizer.predict(Path(source))
    policy, bundle = Policy(), recognizer.bundle
    verdict = recognizer.decide(prediction, policy)
    regions = []
    labels = [lead.name for lead in verdict.leads if lead.kind is CandidateKind.LABEL]
    if labels:
        regions = recognizer.explain(Path(source), labels[0]).regions
    row = {
        "source": str(source),
        "item": None,
        "status": prediction.status,
        "reason": prediction.reason,
        "sha256": prediction.sha256,
        "phash": prediction.phash,
        "format": prediction.format,
        "width": prediction.width,
        "height": prediction.height,
        "frames": prediction.frames,
        "scores": dict(prediction.scores) or None,
        "labels": labels,
        "family": dict(prediction.families) or None,
        "decision": verdict.decision,
        "why": list(verdict.why),
        "regions": [
            {"label": r.label, "score": r.score, "box": list(r.box), "frame": r.frame}
            for r in regions
        ],
        "model": {"name": bundle.name, "version": bundle.version, "digest": bundle.digest},
        "policy": {"name": policy.name, "digest": policy.digest},
        "preprocessing": 1,
        "time": "2026-03-01T10:00:00+00:00",
        "detail": prediction.detail,
    }
    return row | changes


def bare_row(source: str, score: float, decision: str | None) -> dict[str, Any]:
    """A row without a photo behind it, which is all that the order needs."""
    failed = decision is None
    return {
        "source": source,
        "status": "failed" if failed else "ok",
        "reason": "empty" if failed else None,
        "scores": None if failed else {"ivory_worked": score, "ceramic": 0.99},
        "labels": ["ivory_worked"] if decision in {"review", "priority"} else [],
        "decision": decision,
    }


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
