"""The values that the engine gives: predictions, regions, explanations.

A prediction is what the *model* says. What a platform makes of it is a decision, and lives in
:mod:`recognizer.policy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    """Where in the picture a label was seen.

    Attributes:
        label: the label.
        score: the highest local probability inside the box, 0 to 1.
        box: left, top, right, bottom in pixels of the upright picture; right and bottom are
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
        detail: what exactly, in words, else None.
        scores: every label of the bundle -> calibrated probability, 0 to 1; empty if and only if
            ``failed``.
        families: every family of the bundle -> probability that one of its products is shown.
        frame: number of the frame with the highest product score, from 0; None where failed. For
            animations each score is the highest of the sampled frames.
        sha256: of the encoded bytes, hexadecimal; None for arrays and unread files.
        phash: PDQ hash of that frame, 64 hexadecimal digits; None where failed, and where there is
            too little to see for near-copies to be told (see :mod:`recognizer.imaging.pdq`).
        format: image format by magic bytes; None where unknown.
        width: of the upright picture in pixels; None where unknown.
        height: likewise.
        frames: number of frames in the file; None where unknown.
        regions: where the leads were seen; empty unless asked for.
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
    embedding: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explanation:
    """Where a score comes from.

    Attributes:
        prediction: what the model says of the image.
        label: the label that is explained.
        heatmap: float32, (h, w): the local probability of the label, 0 to 1, on the grid of the
            model's last features, over the whole upright picture; empty (0, 0) where failed.
        regions: boxes around what stands out, highest first.
        picture: uint8, (height, width, 3), RGB: the upright frame, perhaps reduced, on which the
            heat-map can be drawn; empty (0, 0, 3) where failed.
    """

    prediction: Prediction
    label: str
    heatmap: NDArray[np.float32]
    regions: tuple[Region, ...]
    picture: NDArray[np.uint8]
