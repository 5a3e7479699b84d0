"""Measure a bundle on altered photos.

Positives and negatives are altered in the same way, at set strengths, and the threshold stays that
of the unaltered photos. The background swap shows whether a score depends on the background: the
shortcut that photos of two museums invite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizer.dataset import alterations as alter
from recognizer.dataset.cutout import Picture, find_object
from recognizer.dataset.manifest import BACKDROP_LABELS, Photo, read_photo
from recognizer.engine import Recognizer
from recognizer.errors import DatasetError
from recognizer.evaluation.evaluate import targets
from recognizer.evaluation.figures import Truth
from recognizer.evaluation.metrics import share
from recognizer.evaluation.thresholds import threshold_at_fpr
from recognizer.model.description import Estimate
from recognizer.prediction import Prediction

RATE = 0.01
"""The false-positive rate on the unaltered photos that sets the threshold."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A photo to alter, the mask of its object, and other photos to put behind or beside it."""

    rgb: Picture
    mask: Picture | None
    draw: Callable[[str, np.random.Generator], Picture]

    @property
    def object_mask(self) -> Picture:
        """The mask, for alterations that need one."""
        assert self.mask is not None  # noqa: S101 - the others are skipped without a mask
        return self.mask


Alter = Callable[[Subject, np.random.Generator, Any], Picture]


@dataclass(frozen=True, slots=True)
class Alteration:
    """A change of a photo at one strength, which is given in words and as the change takes it."""

    name: str
    strength: str
    change: Alter
    value: Any = None

    @property
    def needs_mask(self) -> bool:
        """Whether it needs an object that can be cut out."""
        return self.name == "background"


def _write_lines(subject: Subject, rng: np.random.Generator, lines: int) -> Picture:
    rgb = subject.rgb
    for _ in range(lines):
        rgb = alter.write_across(rgb, rng)
    return rgb


_CHANGES: Mapping[str, tuple[Alter, Mapping[str, Any]]] = {
    "recompression": (
        lambda subject, _, quality: alter.recompress(subject.rgb, quality),
        {"quality 50": 50, "quality 20": 20, "quality 10": 10},
    ),
    "downscaling": (
        lambda subject, rng, scale: alter.lose_resolution(subject.rgb, rng, (scale, scale)),
        {"to a half": 1 / 2, "to a quarter": 1 / 4},
    ),
    "watermark": (_write_lines, {"1 line": 1, "4 lines": 4}),
    "collage": (
        lambda subject, rng, others: alter.collage(
            subject.rgb, [subject.draw("listing", rng) for _ in range(others)], rng
        ),
        {"of 2 photos": 1, "of 4 photos": 3},
    ),
    "screenshot": (
        lambda subject, rng, share: alter.screenshot(subject.rgb, share, rng),
        {"70 % of the screen": 0.7, "40 % of the screen": 0.4},
    ),
    "crop": (
        lambda subject, rng, share: alter.crop(subject.rgb, share, rng),
        {"70 % of the area": 0.7, "40 % of the area": 0.4},
    ),
    "rotation": (
        lambda subject, _, degrees: alter.turn(subject.rgb, degrees),
        {"10 degrees": 10, "30 degrees": 30, "90 degrees": 90},
    ),
    "blur": (
        lambda subject, _, share: alter.blur(subject.rgb, share),
        {"0.5 % of the side": 0.005, "1 %": 0.01, "2 %": 0.02},
    ),
    "background": (
        lambda subject, rng, backdrop: alter.swap_background(
            subject.rgb, subject.object_mask, backdrop(subject, rng)
        ),
        {
            "white": lambda *_: np.full((8, 8, 3), 255, np.uint8),
            "black": lambda *_: np.zeros((8, 8, 3), np.uint8),
            "plain colours": lambda _, rng: alter.plain_backdrop(rng),
            "textures": lambda subject, rng: subject.draw("texture", rng),
            "listing photos": lambda subject, rng: subject.draw("listing", rng),
        },
    ),
}

ALTERATIONS = (
    *(
        Alteration(name=name, strength=words, change=change, value=value)
        for name, (change, strengths) in _CHANGES.items()
        for words, value in strengths.items()
    ),
    Alteration(
        name="background",
        strength="listings, moved",
        change=lambda subject, rng, _: alter.put_object(
            subject.rgb, subject.object_mask, subject.draw("listing", rng), rng
        ),
    ),
)
"""All that are measured."""


@dataclass(frozen=True, slots=True)
class AlteredFigures:
    """The effect of one alteration on one family, or on any product.

    ``before`` is of the same photos unaltered. Shares have exact intervals, with the threshold
    taken as fixed; changes of score are means, -1 to 1.
    """

    alteration: str
    strength: str
    positives: int
    negatives: int
    recall_before: Estimate
    recall: Estimate
    score_change: float
    negative_score_change: float
    false_positive_rate_before: Estimate
    false_positive_rate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """A bundle's robustness: thresholds (on the unaltered photos) and outcomes by family.

    ``masks`` counts the photos whose object can be cut out.
    """

    bundle: str
    digest: str
    split: str
    photos: int
    masks: int
    thresholds: Mapping[str, float]
    outcomes: Mapping[str, tuple[AlteredFigures, ...]]


def measure_robustness(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    split: str,
    *,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
    threads: int = 2,
) -> Robustness:
    """Score the photos of a split before and after each alteration.

    How a photo is altered depends on its content alone, not on the other photos.
    """
    truth = Truth.of(photos)
    if not truth.negative.any():
        raise DatasetError("no photos without a product; a threshold needs negatives")
    pairs: list[tuple[Prediction, list[Prediction | None]]] = []
    with ThreadPoolExecutor(threads) as pool:
        draw = partial(_draw, photos, recognizer.bundle.input_size)
        for pair in pool.map(partial(_score, recognizer, draw), photos):
            pairs.append(pair)
            on_progress(len(pairs), len(photos))
    bundle = recognizer.bundle
    before = [t for t in targets(bundle, truth, [p for p, _ in pairs]) if t.positive.any()]
    thresholds = {t.name: threshold_at_fpr(t.scores[truth.negative], RATE) for t in before}
    outcomes: dict[str, list[AlteredFigures]] = {target.name: [] for target in before}
    for i, alteration in enumerate(ALTERATIONS):
        there = np.array([after[i] is not None for _, after in pairs])
        # If a photo could not be altered, its own prediction fills the place, and is left out.
        altered = targets(bundle, truth, [after[i] or plain for plain, after in pairs])
        scores = {target.name: target.scores for target in altered}
        for target in before:
            positive, negative = target.positive & there, truth.negative & there
            if positive.any() and negative.any():
                now, threshold = scores[target.name], thresholds[target.name]
                outcomes[target.name].append(
                    _figures(alteration, positive, negative, target.scores, now, threshold)
                )
    masked = next(i for i, a in enumerate(ALTERATIONS) if a.needs_mask)
    return Robustness(
        bundle=bundle.title,
        digest=bundle.digest,
        split=split,
        photos=len(photos),
        masks=sum(after[masked] is not None for _, after in pairs),
        thresholds=thresholds,
        outcomes={name: tuple(found) for name, found in outcomes.items()},
    )


def _draw(photos: Sequence[Photo], min_side: int, kind: str, rng: np.random.Generator) -> Picture:
    """Return a ``listing`` or a ``texture``, or a plain colour if no photo shows one."""
    labels = {"texture"} if kind == "texture" else BACKDROP_LABELS - {"texture"}
    found = [p for p in photos if p.label in labels]
    if not found:
        return alter.plain_backdrop(rng)
    return read_photo(found[rng.integers(len(found))], min_side)


def _score(
    recognizer: Recognizer, draw: Callable[[str, np.random.Generator], Picture], photo: Photo
) -> tuple[Prediction, list[Prediction | None]]:
    """Return the predictions of a photo before and after each alteration (None: impossible)."""
    rgb = read_photo(photo, recognizer.bundle.input_size)
    subject = Subject(rgb=rgb, mask=find_object(rgb), draw=draw)
    key = int(photo.sha256[:15], 16)
    pictures = {
        place: a.change(subject, np.random.default_rng([key, place]), a.value)
        for place, a in enumerate(ALTERATIONS)
        if subject.mask is not None or not a.needs_mask
    }
    before, *rest = recognizer.predict_many([rgb, *pictures.values()])
    after = dict(zip(pictures, rest, strict=True))
    return before, [after.get(place) for place in range(len(ALTERATIONS))]


def _figures(
    alteration: Alteration,
    positive: NDArray[np.bool_],
    negative: NDArray[np.bool_],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    threshold: float,
) -> AlteredFigures:
    def over(scores: NDArray[np.float64], photos: NDArray[np.bool_]) -> Estimate:
        return share(int((scores[photos] > threshold).sum()), int(photos.sum()))

    return AlteredFigures(
        alteration=alteration.name,
        strength=alteration.strength,
        positives=int(positive.sum()),
        negatives=int(negative.sum()),
        recall_before=over(before, positive),
        recall=over(after, positive),
        score_change=float((after - before)[positive].mean()),
        negative_score_change=float((after - before)[negative].mean()),
        false_positive_rate_before=over(before, negative),
        false_positive_rate=over(after, negative),
    )
