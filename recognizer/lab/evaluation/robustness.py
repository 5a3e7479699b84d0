"""Measure a bundle on photos that are altered, by the thresholds of the unaltered ones."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.engine import Recognizer
from recognizer.errors import DatasetError
from recognizer.intervals import share
from recognizer.lab.dataset.compose import recompress
from recognizer.lab.dataset.manifest import Photo, read_photo
from recognizer.lab.evaluation.evaluate import targets
from recognizer.lab.evaluation.figures import COMPARED_RATE, Truth
from recognizer.lab.evaluation.thresholds import threshold_at_fpr
from recognizer.model.description import Estimate
from recognizer.prediction import Prediction

Picture: TypeAlias = NDArray[np.uint8]
Draw: TypeAlias = Callable[[np.random.Generator], Picture]

_STRENGTHS: Mapping[str, Mapping[str, float]] = {
    "recompression": {"quality 50": 50, "quality 20": 20, "quality 10": 10},
    "downscaling": {"to a half": 1 / 2, "to a quarter": 1 / 4},
    "watermark": {"1 line": 1, "4 lines": 4},
    "collage": {"of 2 photos": 2, "of 4 photos": 4},
    "screenshot": {"70 % of the screen": 0.7, "40 % of the screen": 0.4},
    "crop": {"70 % of the area": 0.7, "40 % of the area": 0.4},
    "rotation": {"10 degrees": 10, "30 degrees": 30, "90 degrees": 90},
    "blur": {"0.5 % of the side": 0.005, "1 %": 0.01, "2 %": 0.02},
}
UNALTERED = ("unaltered", "")
ALTERATIONS = tuple((name, strength) for name, of in _STRENGTHS.items() for strength in of)

_WORDS = ("FOR SALE", "price in description", "(c) 2024", "SHOP", "no reserve", "DM me", "original")


def alter(  # noqa: PLR0911 - one for each alteration
    name: str, strength: str, rgb: Picture, draw: Draw, rng: np.random.Generator
) -> Picture:
    """Return an altered copy of a photo; ``draw`` returns other photos, for a collage."""
    value = _STRENGTHS[name][strength]
    height, width = rgb.shape[:2]
    match name:
        case "recompression":
            return recompress(rgb, int(value))
        case "downscaling":
            size = (max(1, round(width * value)), max(1, round(height * value)))
            return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        case "watermark":
            return _written(rgb, int(value), rng)
        case "collage":
            fields = [draw(rng) for _ in range(int(value) - 1)]
            fields.insert(int(rng.integers(len(fields) + 1)), rgb)
            fields = [np.asarray(cv2.resize(field, (width, height)), np.uint8) for field in fields]
            return np.vstack([np.hstack(fields[i : i + 2]) for i in range(0, len(fields), 2)])
        case "screenshot":
            return _screenshot(rgb, value, rng)
        case "crop":
            rows, columns = (max(1, round(side * value**0.5)) for side in (height, width))
            y, x = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
            return np.ascontiguousarray(rgb[y : y + rows, x : x + columns])
        case "rotation" if value % 90 == 0:
            return np.ascontiguousarray(np.rot90(rgb, round(value / 90)))
        case "rotation":  # the corners repeat the photo's edge, so that they give no clue
            turn = cv2.getRotationMatrix2D((width / 2, height / 2), value, 1.0)
            edge = cv2.BORDER_REPLICATE
            return np.asarray(cv2.warpAffine(rgb, turn, (width, height), borderMode=edge), np.uint8)
        case _:  # blur
            sigma = max(value * min(height, width), 1e-3)
            return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), np.uint8)


def _written(rgb: Picture, lines: int, rng: np.random.Generator) -> Picture:
    height, width = rgb.shape[:2]
    for _ in range(lines):
        words = _WORDS[int(rng.integers(len(_WORDS)))]
        scale = width / 250 * rng.uniform(0.6, 1.4)
        place = (int(rng.uniform(0, 0.5) * width), int(rng.uniform(0.15, 0.95) * height))
        color, font = [int(v) for v in rng.choice([0, 255], 3)], cv2.FONT_HERSHEY_SIMPLEX
        over = cv2.putText(
            rgb.copy(), words, place, font, scale, color, 1 + int(scale), cv2.LINE_AA
        )
        rgb = np.asarray(cv2.addWeighted(rgb, 0.4, over, 0.6, 0), np.uint8)
    return rgb


def _screenshot(rgb: Picture, share: float, rng: np.random.Generator) -> Picture:
    """Show a photo in the window of an app, of which it takes a share: bars, lines of text."""
    height, width = rgb.shape[:2]
    tall = max(height + 2, round(height / share))
    paper, ink = (250, 30) if rng.random() < 0.5 else (22, 225)
    screen = np.full((tall, width, 3), paper, np.uint8)
    top = round((tall - height) * rng.uniform(0.15, 0.4))
    screen[top : top + height] = rgb
    line = max(3, width // 24)
    screen[: max(1, top // 2)] = rng.integers(0, 256, 3)
    for y in range(top + height + line, tall - line, 2 * line):  # text, seen from afar
        screen[y : y + line, line : round(width * rng.uniform(0.4, 0.95))] = ink
    return screen


@dataclass(frozen=True, slots=True)
class AlteredFigures:
    """One family, or any product, on photos that are altered alike, with exact intervals."""

    alteration: str
    strength: str
    positives: int
    negatives: int
    recall: Estimate
    false_positive_rate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """Thresholds for :data:`COMPARED_RATE`, and outcomes by family, unaltered photos first."""

    bundle: str
    digest: str
    split: str
    photos: int
    thresholds: Mapping[str, float]
    outcomes: Mapping[str, Sequence[AlteredFigures]]


def measure_robustness(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    split: str,
    *,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Robustness:
    """Score photos before and after each alteration, whose draws depend on their content alone."""
    truth, bundle = Truth.of(photos), recognizer.bundle
    negative = truth.negative
    if not negative.any():
        raise DatasetError("no photos without a product; a threshold needs negatives")
    others = [photo for photo in photos if not photo.is_product]
    scored: list[list[Prediction]] = []
    with ThreadPoolExecutor(2) as pool:
        for predictions in pool.map(partial(_score, recognizer, others), photos):
            scored.append(predictions)
            on_progress(len(scored), len(photos))
    thresholds: dict[str, float] = {}
    outcomes: dict[str, list[AlteredFigures]] = {}
    for alteration, found in zip((UNALTERED, *ALTERATIONS), zip(*scored, strict=True), strict=True):
        for target in targets(bundle, truth, found):
            if target.positive.any():
                name, scores = target.name, target.scores
                if alteration is UNALTERED:
                    thresholds[name] = threshold_at_fpr(scores[negative], COMPARED_RATE)
                over = scores > thresholds[name]
                counts = int(target.positive.sum()), int(negative.sum())
                outcomes.setdefault(name, []).append(
                    AlteredFigures(
                        *alteration,
                        *counts,
                        recall=share(int(over[target.positive].sum()), counts[0]),
                        false_positive_rate=share(int(over[negative].sum()), counts[1]),
                    )
                )
    return Robustness(
        bundle=bundle.title,
        digest=bundle.digest,
        split=split,
        photos=len(photos),
        thresholds=thresholds,
        outcomes=outcomes,
    )


def _score(recognizer: Recognizer, others: Sequence[Photo], photo: Photo) -> list[Prediction]:
    """Return the predictions of a photo as it is, and after each alteration."""
    size, key = recognizer.bundle.input_size, int(photo.sha256[:15], 16)
    rgb = read_photo(photo, size)
    altered = [
        alter(
            *alteration,
            rgb,
            lambda rng: read_photo(others[int(rng.integers(len(others)))], size),
            np.random.default_rng([key, place]),
        )
        for place, alteration in enumerate(ALTERATIONS)
    ]
    return list(recognizer.predict_many([rgb, *altered]))
