"""The values that the engine returns: predictions and regions.

A prediction is what the *model* says; what a platform makes of it is a decision, in
:mod:`recognizer.policy`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, TypeAlias

import msgspec

from recognizer.status import Reason, Status

HASH_BITS = 256  # of a perceptual hash

MAX_DISTANCE = 31
"""Bits in which two hashes of one image differ at most, as the authors of PDQ advise.

Hashes of different images differ in about 128.
"""

Score: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]  # a probability
Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]  # a number that is counted from 0
Digest: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", max_length=64)]
"""A sha256, hexadecimal."""
Box: TypeAlias = tuple[Natural, Natural, Natural, Natural]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Where in an image a label was seen.

    Attributes:
        score: the highest local probability inside the box, 0 to 1.
        box: left, top, right, bottom in pixels of the upright image; right and bottom are
            exclusive.
        frame: number of the frame, from 0.
        part: the box of the picture within the image in which it was seen, such as a photo of a
            collage; None if that is the whole.
    """

    label: str
    score: Score
    box: Box
    frame: Natural = 0
    part: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The scores of one image, or why it has none.

    Attributes:
        status: ``ok``, ``degraded`` or ``failed``.
        reason: why it is not ``ok``, else None.
        detail: the same in words, else None.
        scores: every label of the bundle -> calibrated probability, 0 to 1; empty if and only if
            ``failed``.
        families: every family of the bundle -> probability that one of its products is shown.
        frame: number of the frame with the highest product score, from 0; None if it failed. For
            animations each score is the highest of the sampled frames.
        part: the box, in that frame, of the picture with the highest product score, if the image is
            a collage, a screenshot or the like; None if it is the whole.
        sha256: of the encoded bytes, hexadecimal; None for arrays and unread files.
        phash: PDQ hash of that frame, 64 hexadecimal digits; None if it failed, or if the image
            has too little structure for a hash.
        format: image format by magic bytes; None if unknown.
        width: of the upright image in pixels; None if unknown.
        height: of the upright image in pixels; None if unknown.
        frames: number of frames in the file; None if unknown.
        regions: where the leads were seen; empty unless asked for.
        bundle_digest: of the model that made it (see :class:`recognizer.Bundle`).
    """

    status: Status
    reason: Reason | None = None
    detail: str | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    families: Mapping[str, Score] = field(default_factory=dict)
    frame: Natural | None = None
    part: Box | None = None
    sha256: str | None = None
    phash: str | None = None
    format: str | None = None
    width: Natural | None = None
    height: Natural | None = None
    frames: Natural | None = None
    regions: tuple[Region, ...] = ()
    bundle_digest: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        text = msgspec.json.encode({name: getattr(self, name) for name in _NAMES}, enc_hook=dict)
        values: dict[str, Any] = msgspec.json.decode(text)
        return values


_NAMES = tuple(field.name for field in fields(Prediction))
