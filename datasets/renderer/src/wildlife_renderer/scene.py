"""What a scene is: a function that builds an object to photograph, with its label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wildlife_renderer.geometry import Mesh

PRODUCTS = ("ivory_raw", "ivory_worked", "rhino_horn", "pangolin_scales")
LOOKALIKES = ("cow_horn", "wood", "ceramic", "plastic_resin", "stone_jade", "bone", "food_pile")


@dataclass(frozen=True)
class Subject:
    """An object to photograph.

    Attributes:
        mesh: The painted object, in centimetres, with z pointing up.
        elevation: The lowest and highest camera angle that shows it well, in degrees.
        parameters: The choices worth keeping, as plain JSON values.
    """

    mesh: Mesh
    elevation: tuple[float, float] = (18, 75)
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """A builder of subjects, with the label and the kind of what it shows."""

    name: str
    label: str
    kind: str
    build: Callable[[np.random.Generator], Subject]


SCENES: dict[str, Scene] = {}
"""The scenes by name, once their modules are imported (see ``scenes``)."""


def scene(label: str) -> Callable[[Callable[..., Subject]], Callable[..., Subject]]:
    """Register a builder under its own name, with the label of what it shows."""
    kind = "product" if label in PRODUCTS else "lookalike" if label in LOOKALIKES else "other"

    def register(build: Callable[..., Subject]) -> Callable[..., Subject]:
        SCENES[build.__name__] = Scene(build.__name__, label, kind, build)
        return build

    return register
