"""The values that the engine gives: predictions, regions, embeddings, explanations.

A prediction is what the *model* says. What a platform makes of it is a decision, and lives in
:mod:`recognizer.policy`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from recognizer.status import Reason, Status

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HASH_BITS = 256
"""Of a perceptual hash."""

MAX_DISTANCE = 31
"""Bits in which two hashes of one image differ at most, as the authors of PDQ advise.

Hashes of different images differ in about 128.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Where in an image a label was seen.

    Attributes:
        label: the label.
        score: the highest local probability inside the box, 0 to 1.
        box: left, top, right, bottom in pixels of the upright image; right and bottom are
            exclusive.
        frame: number of the frame, from 0.
    """

    label: str
    score: float
    box: tuple[int, int, int, int]
    frame: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the model says of one image.

    Attributes:
        status: ``ok``, ``degraded`` or ``failed``.
        reason: why it is not ``ok``, else None.
        detail: the same in words, else None.
        scores: every label of the bundle -> calibrated probability, 0 to 1; empty if and only if
            ``failed``.
        families: every family of the bundle -> probability that one of its products is shown.
        frame: number of the frame with the highest product score, from 0; None where failed. For
            animations each score is the highest of the sampled frames.
        sha256: of the encoded bytes, hexadecimal; None for arrays and unread files.
        phash: PDQ hash of that frame, 64 hexadecimal digits; None where failed, and where the image
            has too little structure (see :mod:`recognizer.imaging.pdq`).
        format: image format by magic bytes; None where unknown.
        width: of the upright image in pixels; None where unknown.
        height: of the upright image in pixels; None where unknown.
        frames: number of frames in the file; None where unknown.
        regions: where the leads were seen; empty unless asked for.
        bundle_digest: of the model that made it (see :class:`recognizer.Bundle`).
        embedding: the model's features of that frame, float32, (channels,); None unless asked for.
    """

    status: Status
    reason: Reason | None = None
    detail: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    families: Mapping[str, float] = field(default_factory=dict)
    frame: int | None = None
    sha256: str | None = None
    phash: str | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    regions: tuple[Region, ...] = ()
    bundle_digest: str | None = None
    embedding: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the embedding, ready for JSON, as :func:`prediction_schema` describes."""
        return {
            **{name: getattr(self, name) for name in _PROPERTIES},
            "status": self.status.value,
            "reason": self.reason and self.reason.value,
            "scores": dict(self.scores),
            "families": dict(self.families),
            "regions": [{**asdict(region), "box": [*region.box]} for region in self.regions],
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embedding:
    """The model's features of one image, for search and enrolment.

    Attributes:
        status: ``ok``, ``degraded`` or ``failed``.
        reason: why it is not ``ok``, else None.
        detail: the same in words, else None.
        frame: number of the frame with the highest product score, from 0; None where failed.
        vector: of that frame, float32, (channels,); None if and only if ``failed``.
    """

    status: Status
    reason: Reason | None
    detail: str | None
    frame: int | None
    vector: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explanation:
    """Where a score comes from.

    Attributes:
        prediction: what the model says of the image; the rest is empty where it failed.
        label: the label that is explained; None where it failed and none was asked for.
        heatmap: float32, (h, w): the local probability of the label, 0 to 1, on the grid of the
            model's last features, over the whole upright image; (0, 0) where failed.
        regions: boxes around what stands out, highest first.
        rgb: uint8, (height, width, 3), RGB: the upright frame, perhaps reduced, on which the
            heat-map can be drawn; (0, 0, 3) where failed.
    """

    prediction: Prediction
    label: str | None
    heatmap: NDArray[np.float32]
    regions: tuple[Region, ...]
    rgb: NDArray[np.uint8]


# --- as JSON --------------------------------------------------------------------------------------

_PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
_INDEX = {"type": "integer", "minimum": 0}
_REGION = {
    "type": "object",
    "properties": {
        "label": {"type": "string"},
        "score": _PROBABILITY,
        "box": {"type": "array", "items": _INDEX, "minItems": 4, "maxItems": 4},
        "frame": _INDEX,
    },
    "required": [field.name for field in fields(Region)],
    "additionalProperties": False,
}
_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "Status": {"type": "string", "enum": [status.value for status in Status]},
    "Reason | None": {"enum": [*(reason.value for reason in Reason), None]},
    "str | None": {"type": ["string", "null"]},
    "int | None": {"type": ["integer", "null"], "minimum": 0},
    "Mapping[str, float]": {"type": "object", "additionalProperties": _PROBABILITY},
    "tuple[Region, ...]": {"type": "array", "items": _REGION},
}
"""Annotation -> JSON Schema."""

_PROPERTIES = {
    field.name: _SCHEMAS[str(field.type)]
    for field in fields(Prediction)
    if field.name != "embedding"
}


def prediction_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of :meth:`Prediction.to_dict`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Prediction",
        "description": inspect.cleandoc(Prediction.__doc__ or ""),
        "type": "object",
        "properties": {**_PROPERTIES},
        "required": [*_PROPERTIES],
        "additionalProperties": False,
    }
