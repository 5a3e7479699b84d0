"""The alterations of the robustness test, each at a few strengths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recognizer.dataset import alterations as alter
from recognizer.dataset.manifest import BACKDROP_LABELS, Photo, read_photo

Picture: TypeAlias = NDArray[np.uint8]

WHITE, BLACK = 255, 0


class Backdrops:
    """Other photos to put behind or beside one.

    Args:
        photos: to draw from. Listings and scenes without a product serve as listings.
        min_side: the short side, in pixels, down to which large JPEGs may be reduced.
    """

    def __init__(self, photos: Sequence[Photo], min_side: int) -> None:
        scenes = [p for p in photos if p.label in BACKDROP_LABELS and p.label != "texture"]
        self._of = {"listing": scenes, "texture": [p for p in photos if p.label == "texture"]}
        self._min_side = min_side

    def draw(self, kind: str, rng: np.random.Generator) -> Picture:
        """Return a ``listing`` or a ``texture``; a plain colour if there is no such photo."""
        found = self._of[kind]
        if not found:
            return alter.plain_backdrop(rng)
        return read_photo(found[rng.integers(len(found))], self._min_side)


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A photo to alter.

    Attributes:
        rgb: uint8, (height, width, 3), RGB.
        mask: of its object (see :mod:`recognizer.dataset.cutout`), or None.
        backdrops: other photos.
    """

    rgb: Picture
    mask: Picture | None
    backdrops: Backdrops

    def before(self, backdrop: Picture) -> Picture:
        """Return the object before another background.

        Raises:
            ValueError: it cannot be cut out.
        """
        return alter.swap_background(self.rgb, self.object_mask, backdrop)

    @property
    def object_mask(self) -> Picture:
        """The mask, where there is one.

        Raises:
            ValueError: there is none.
        """
        if self.mask is None:
            raise ValueError("the object of this photo cannot be cut out")
        return self.mask


@dataclass(frozen=True, slots=True)
class Alteration:
    """A change of a photo at one strength.

    Attributes:
        name: of the change.
        strength: in words.
        change: makes the altered picture.
        needs_mask: whether it needs an object that can be cut out.
    """

    name: str
    strength: str
    change: Callable[[Subject, np.random.Generator], Picture]
    needs_mask: bool = False


def _recompression(quality: int, subject: Subject, _: np.random.Generator) -> Picture:
    return alter.recompress(subject.rgb, quality)


def _downscaling(times: int, subject: Subject, rng: np.random.Generator) -> Picture:
    return alter.lose_resolution(subject.rgb, rng, (1 / times, 1 / times))


def _watermark(lines: int, subject: Subject, rng: np.random.Generator) -> Picture:
    rgb = subject.rgb
    for _ in range(lines):
        rgb = alter.write_across(rgb, rng)
    return rgb


def _collage(others: int, subject: Subject, rng: np.random.Generator) -> Picture:
    listings = [subject.backdrops.draw("listing", rng) for _ in range(others)]
    return alter.collage(subject.rgb, listings, rng)


def _screenshot(share: float, subject: Subject, rng: np.random.Generator) -> Picture:
    return alter.screenshot(subject.rgb, share, rng)


def _crop(share: float, subject: Subject, rng: np.random.Generator) -> Picture:
    return alter.crop(subject.rgb, share, rng)


def _rotation(degrees: int, subject: Subject, _: np.random.Generator) -> Picture:
    return alter.turn(subject.rgb, degrees)


def _blur(share: float, subject: Subject, _: np.random.Generator) -> Picture:
    return alter.blur(subject.rgb, share)


def _shade(shade: int, subject: Subject, _: np.random.Generator) -> Picture:
    return subject.before(np.full((8, 8, 3), shade, np.uint8))


def _colors(subject: Subject, rng: np.random.Generator) -> Picture:
    return subject.before(alter.plain_backdrop(rng))


def _photo(kind: str, subject: Subject, rng: np.random.Generator) -> Picture:
    return subject.before(subject.backdrops.draw(kind, rng))


def _moved(subject: Subject, rng: np.random.Generator) -> Picture:
    backdrop = subject.backdrops.draw("listing", rng)
    return alter.put_object(subject.rgb, subject.object_mask, backdrop, rng)


_STRENGTHS: Mapping[str, tuple[Callable[..., Picture], Mapping[str, float]]] = {
    "recompression": (_recompression, {"quality 50": 50, "quality 20": 20, "quality 10": 10}),
    "downscaling": (_downscaling, {"to a half": 2, "to a quarter": 4}),
    "watermark": (_watermark, {"1 line": 1, "4 lines": 4}),
    "collage": (_collage, {"of 2 photos": 1, "of 4 photos": 3}),
    "screenshot": (_screenshot, {"70 % of the screen": 0.7, "40 % of the screen": 0.4}),
    "crop": (_crop, {"70 % of the area": 0.7, "40 % of the area": 0.4}),
    "rotation": (_rotation, {"10 degrees": 10, "30 degrees": 30, "90 degrees": 90}),
    "blur": (_blur, {"0.5 % of the side": 0.005, "1 %": 0.01, "2 %": 0.02}),
}

ALTERATIONS = (
    *(
        Alteration(name, words, partial(change, strength))
        for name, (change, strengths) in _STRENGTHS.items()
        for words, strength in strengths.items()
    ),
    Alteration("background", "white", partial(_shade, WHITE), needs_mask=True),
    Alteration("background", "black", partial(_shade, BLACK), needs_mask=True),
    Alteration("background", "plain colours", _colors, needs_mask=True),
    Alteration("background", "textures", partial(_photo, "texture"), needs_mask=True),
    Alteration("background", "listing photos", partial(_photo, "listing"), needs_mask=True),
    Alteration("background", "listings, moved", _moved, needs_mask=True),
)
"""All that are measured."""
