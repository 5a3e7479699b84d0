r"""The row: what a scan says of one image.

One row for each input, always; :mod:`recognizer.rows.schema` lists its keys. Keys are added,
never renamed; a key without a value is ``null``. As JSON a row is pure ASCII on one line: a path
that is no valid text is written with the escapes of its lone surrogates (``\udcff``), which
``json.loads`` and ``os.fsencode`` turn back into the very bytes.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from recognizer.imaging import PREPROCESSING_VERSION
from recognizer.policy import CandidateKind, Decision
from recognizer.rows.schema import ROW_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recognizer.known import KnownItems
    from recognizer.model.bundle import Bundle
    from recognizer.policy import KnownMatch, Policy, Verdict
    from recognizer.prediction import Prediction
    from recognizer.scan.items import Item

# What a scan goes on by; rows of earlier versions lack others.
_NEEDED = frozenset(
    {"source", "item", "status", "reason", "sha256", "model", "policy", "preprocessing"}
)
_DIGITS = 6  # of a probability: more would be noise

Row: TypeAlias = dict[str, Any]


def build(
    item: Item,
    prediction: Prediction,
    verdict: Verdict,
    bundle: Bundle,
    policy: Policy,
    time: datetime,
    bank: KnownItems | None = None,
    known: Sequence[KnownMatch] = (),
) -> Row:
    """Make the row of one image.

    Args:
        item: where it came from.
        prediction: what the model says; its regions are those of the leads.
        verdict: what the policy makes of it.
        bundle: the model.
        policy: the policy.
        time: when it was scored, with its time zone.
        bank: the known items that it was compared with; None for none.
        known: those that it is near.
    """
    scored = verdict.decision is not Decision.UNSCORED
    labels = [lead.name for lead in verdict.leads if lead.kind is CandidateKind.LABEL]
    return {
        "source": item.source,
        "item": None if item.columns is None else dict(item.columns),
        "status": prediction.status.value,
        "reason": None if prediction.reason is None else prediction.reason.value,
        "sha256": prediction.sha256,
        "phash": prediction.phash,
        "format": prediction.format,
        "width": prediction.width,
        "height": prediction.height,
        "frames": prediction.frames,
        "scores": _rounded(prediction.scores) if prediction.scores else None,
        "labels": labels if scored else None,
        "family": _rounded(prediction.families) if prediction.scores else None,
        "decision": verdict.decision.value if scored else None,
        "why": list(verdict.why) if scored else None,
        "regions": [
            {
                "label": region.label,
                "score": round(region.score, _DIGITS),
                "box": list(region.box),
                "frame": region.frame,
            }
            for region in prediction.regions
        ]
        if scored
        else None,
        "model": {"name": bundle.name, "version": bundle.version, "digest": bundle.digest},
        "policy": {"name": policy.name, "digest": policy.digest},
        "preprocessing": PREPROCESSING_VERSION,
        "time": time.isoformat(timespec="seconds"),
        "detail": prediction.detail,
        "schema": ROW_SCHEMA,
        "known": [_known(match) for match in known] if bank and scored else None,
        "bank": {"name": bank.name, "digest": bank.digest} if bank else None,
    }


def _known(match: KnownMatch) -> dict[str, Any]:
    return {
        "distance": match.distance,
        "id": match.id,
        "finding": match.finding.value,
        "label": match.label,
        "note": match.note,
        "origin": match.origin,
        "transform": match.transform,
    }


def to_line(row: Row) -> bytes:
    """Return a row as one line of ASCII, with its newline."""
    return json.dumps(row, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def from_line(line: bytes) -> Row:
    """Read a row from its line.

    Raises:
        ValueError: the line is no row.
    """
    row = json.loads(line)
    if not isinstance(row, dict) or not row.keys() >= _NEEDED:
        raise ValueError("keys are missing")
    if not all(isinstance(row[key], dict) and "digest" in row[key] for key in ("model", "policy")):
        raise ValueError("no digest of the model, or of the policy")
    return row


def _rounded(values: Any) -> dict[str, float]:
    return {name: round(value, _DIGITS) for name, value in values.items()}


def item_key(source: str, columns: Mapping[str, Any] | None) -> int:
    """Return the :attr:`recognizer.scan.items.Item.key` of a source with its columns."""
    text = source if columns is None else f"{source}\0{json.dumps(columns, sort_keys=True)}"
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")
