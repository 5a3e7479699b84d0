"""The alterations of the robustness test, each at a few strengths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recognizer.dataset import alterations as alter
from recognizer.dataset.manifest import BACKDROP_LABELS, Photo, read_photo

Picture: TypeAlias = NDArray[np.uint8]


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
        """Return the object in front of another background."""
        return alter.swap_background(self.rgb, self.object_mask, backdrop)

    @property
    def object_mask(self) -> Picture:
        """The mask.

        Raises:
            ValueError: there is none.
        """
        if self.mask is None:
            raise ValueError("the object of this photo cannot be cut out")
        return self.mask


Change: TypeAlias = Callable[[Subject, np.random.Generator], Picture]


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
    change: Change
    needs_mask: bool = False


def _watermark(lines: int) -> Change:
    def change(subject: Subject, rng: np.random.Generator) -> Picture:
        rgb = subject.rgb
        for _ in range(lines):
            rgb = alter.write_across(rgb, rng)
        return rgb

    return change


def _collage(others: int) -> Change:
    def change(subject: Subject, rng: np.random.Generator) -> Picture:
        listings = [subject.backdrops.draw("listing", rng) for _ in range(others)]
        return alter.collage(subject.rgb, listings, rng)

    return change


def _moved(subject: Subject, rng: np.random.Generator) -> Picture:
    backdrop = subject.backdrops.draw("listing", rng)
    return alter.put_object(subject.rgb, subject.object_mask, backdrop, rng)


_CHANGES: Mapping[str, tuple[Callable[[Any], Change], Mapping[str, float]]] = {
    "recompression": (
        lambda quality: lambda subject, _: alter.recompress(subject.rgb, quality),
        {"quality 50": 50, "quality 20": 20, "quality 10": 10},
    ),
    "downscaling": (
        lambda scale: lambda subject, rng: alter.lose_resolution(subject.rgb, rng, (scale, scale)),
        {"to a half": 1 / 2, "to a quarter": 1 / 4},
    ),
    "watermark": (_watermark, {"1 line": 1, "4 lines": 4}),
    "collage": (_collage, {"of 2 photos": 1, "of 4 photos": 3}),
    "screenshot": (
        lambda share: lambda subject, rng: alter.screenshot(subject.rgb, share, rng),
        {"70 % of the screen": 0.7, "40 % of the screen": 0.4},
    ),
    "crop": (
        lambda share: lambda subject, rng: alter.crop(subject.rgb, share, rng),
        {"70 % of the area": 0.7, "40 % of the area": 0.4},
    ),
    "rotation": (
        lambda degrees: lambda subject, _: alter.turn(subject.rgb, degrees),
        {"10 degrees": 10, "30 degrees": 30, "90 degrees": 90},
    ),
    "blur": (
        lambda share: lambda subject, _: alter.blur(subject.rgb, share),
        {"0.5 % of the side": 0.005, "1 %": 0.01, "2 %": 0.02},
    ),
}
_BACKGROUNDS: Mapping[str, Change] = {
    "white": lambda subject, _: subject.before(np.full((8, 8, 3), 255, np.uint8)),
    "black": lambda subject, _: subject.before(np.zeros((8, 8, 3), np.uint8)),
    "plain colours": lambda subject, rng: subject.before(alter.plain_backdrop(rng)),
    "textures": lambda subject, rng: subject.before(subject.backdrops.draw("texture", rng)),
    "listing photos": lambda subject, rng: subject.before(subject.backdrops.draw("listing", rng)),
    "listings, moved": _moved,
}

ALTERATIONS = (
    *(
        Alteration(name=name, strength=words, change=change(value))
        for name, (change, strengths) in _CHANGES.items()
        for words, value in strengths.items()
    ),
    *(
        Alteration(name="background", strength=words, change=change, needs_mask=True)
        for words, change in _BACKGROUNDS.items()
    ),
)
"""All that are measured."""
