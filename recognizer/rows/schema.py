"""What a row holds: its keys, in their order, with what each means and may be.

This is the one place. The JSON Schema that ``recognizer scan --schema`` prints, the columns of
Parquet and CSV files and the list in ``docs/rows.md`` are made from it or held against it.
"""

from __future__ import annotations

from typing import Any

from recognizer.known import TRANSFORMS
from recognizer.policy import Decision, Finding
from recognizer.prediction import MAX_DISTANCE
from recognizer.status import Reason, Status

ROW_SCHEMA = 4
"""The version of the row. It grows when keys are added, or hold something else.

Version 2: ``phash`` is the PDQ hash (64 hexadecimal digits; before, 16 of another).
Version 3: ``schema`` is the version.
Version 4: ``known`` and ``bank`` tell of known items.
"""

_COUNT = {"type": ["integer", "null"], "minimum": 1}
_PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
_PROBABILITIES = {"type": ["object", "null"], "additionalProperties": _PROBABILITY}
_WORDS = {"type": ["array", "null"], "items": {"type": "string"}}
_DIGEST = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


ROW_PROPERTIES: dict[str, dict[str, Any]] = {
    "source": {
        "type": "string",
        "description": "The path or URI as it was given.",
    },
    "item": {
        "type": ["object", "null"],
        "description": "The listing's own columns, passed through.",
    },
    "status": {
        "type": "string",
        "enum": [status.value for status in Status],
        "description": "ok; degraded: scored, but damaged or incomplete; failed: not scored.",
    },
    "reason": {
        "type": ["string", "null"],
        "enum": [*(reason.value for reason in Reason), None],
        "description": "Why the status is not ok.",
    },
    "sha256": {
        **_DIGEST,
        "type": ["string", "null"],
        "description": "Of the image's bytes; null where they could not be read.",
    },
    "phash": {
        **_DIGEST,
        "type": ["string", "null"],
        "description": "The PDQ perceptual hash of the frame with the highest product score.",
    },
    "format": {
        "type": ["string", "null"],
        "description": "The image format by its first bytes, in lower case.",
    },
    "width": {**_COUNT, "description": "Of the upright picture, in pixels."},
    "height": {**_COUNT, "description": "Of the upright picture, in pixels."},
    "frames": {**_COUNT, "description": "Frames or pages in the file."},
    "scores": {
        **_PROBABILITIES,
        "description": "Label -> calibrated probability, for every label of the model.",
    },
    "labels": {
        **_WORDS,
        "description": "The products over their review threshold, the highest score first.",
    },
    "family": {
        **_PROBABILITIES,
        "description": "Family -> probability that one of its products is shown.",
    },
    "decision": {
        "type": ["string", "null"],
        "enum": [*(decision.value for decision in Decision), None],
        "description": "What the policy makes of it; null where failed, which is never clear.",
    },
    "why": {
        **_WORDS,
        "description": "A sentence for each threshold that was passed, and for known items.",
    },
    "regions": {
        "type": ["array", "null"],
        "items": _object(
            label={"type": "string"},
            score=_PROBABILITY,
            box={
                "type": "array",
                "items": {"type": "integer", "minimum": 0},
                "minItems": 4,
                "maxItems": 4,
            },
            frame={"type": "integer", "minimum": 0},
        ),
        "description": "Where the leads were seen: left, top, right and bottom in pixels of the "
        "upright picture (right and bottom exclusive), in which frame, and the highest local "
        "probability.",
    },
    "model": {
        **_object(name={"type": "string"}, version={"type": "integer"}, digest=_DIGEST),
        "description": "What scored it; the digest is over model.onnx and all calibrations and "
        "thresholds of its bundle.",
    },
    "policy": {
        **_object(name={"type": "string"}, digest=_DIGEST),
        "description": "What decided; the digest is over all of it but the name.",
    },
    "preprocessing": {
        "type": "integer",
        "minimum": 1,
        "description": "The version of the way from bytes to the model's input.",
    },
    "time": {
        "type": "string",
        "format": "date-time",
        "description": "When the row was made, with its time zone.",
    },
    "detail": {
        "type": ["string", "null"],
        "description": "More on the reason, in the words of a decoder or of the system.",
    },
    "schema": {
        "type": "integer",
        "const": ROW_SCHEMA,
        "description": "The version of the row.",
    },
    "known": {
        "type": ["array", "null"],
        "items": _object(
            distance={"type": "integer", "minimum": 0, "maximum": MAX_DISTANCE},
            id={"type": "string", "pattern": "^[0-9a-f]{16}$"},
            finding={"type": "string", "enum": [finding.value for finding in Finding]},
            label={"type": ["string", "null"]},
            note={"type": ["string", "null"]},
            origin={"type": ["string", "null"]},
            transform={"type": "string", "enum": [*TRANSFORMS]},
        ),
        "description": "The known items that it is near, the nearest first: in how many bits of "
        "256 the hashes differ, what the bank says of the item, and how the picture has to be "
        "laid down. Null where it was compared with none.",
    },
    "bank": {
        **_object(name={"type": "string"}, digest=_DIGEST),
        "type": ["object", "null"],
        "description": "The bank of known items; the digest is over what it holds and the way of "
        "comparing. Null where there was none.",
    },
}
"""Key -> its JSON Schema, in the order of the keys."""

ROW_KEYS = tuple(ROW_PROPERTIES)
"""The keys of a row, in their order."""

_ONLY_WHERE_SCORED = ("scores", "labels", "family", "decision", "why", "regions")


def row_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a row of the present version."""
    null, no_null = {"type": "null"}, {"not": {"type": "null"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Row of a scan, version {ROW_SCHEMA}",
        "description": "What recognizer scan says of one image. Keys are added, never renamed.",
        "type": "object",
        "properties": ROW_PROPERTIES,
        "required": [*ROW_KEYS],
        "additionalProperties": False,
        "if": {"properties": {"status": {"const": Status.FAILED.value}}},
        "then": {"properties": {"reason": no_null, **dict.fromkeys(_ONLY_WHERE_SCORED, null)}},
        "else": {
            "properties": dict.fromkeys(_ONLY_WHERE_SCORED, no_null),
            "if": {"properties": {"status": {"const": Status.OK.value}}},
            "then": {"properties": {"reason": null}},
            "else": {"properties": {"reason": no_null}},
        },
    }
