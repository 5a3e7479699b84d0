"""Heaps: things dropped one after the other on a height field until they touch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from wildlife_renderer import geometry
from wildlife_renderer.geometry import Array, Mesh

_CELLS = 220


class Heap:
    """A square of ground that remembers how high it is heaped.

    Args:
        extent: The side of the square in centimetres.
        support: A thing that already stands there, such as a bowl.
    """

    def __init__(self, extent: float, support: Mesh | None = None) -> None:
        self._extent = extent
        self._height = np.zeros((_CELLS, _CELLS))
        if support is not None:
            self._cover(_dense(support))

    def drop(
        self,
        rng: np.random.Generator,
        things: Iterable[Mesh],
        spread: float,
        tilt: float = 1.0,
        tries: int = 5,
    ) -> list[Mesh]:
        """Drop things near the middle.

        Args:
            rng: The generator of this image.
            things: Meshes around the origin, as they lie when flat.
            spread: How far from the middle they fall, in centimetres.
            tilt: How much a thing follows the slope beneath it.
            tries: Of so many places the lowest is taken, which flattens the heap.
        """
        return [self._settle(rng, thing, spread, tilt, tries) for thing in things]

    def lay(self, things: Iterable[Mesh]) -> list[Mesh]:
        """Lower things where they are, without turning them."""
        placed = []
        for thing in things:
            rise = float((self._at(thing.vertices) - thing.vertices[:, 2]).max())
            placed.append(thing.moved([0, 0, rise]))
            self._cover(placed[-1].vertices)
        return placed

    def _settle(
        self, rng: np.random.Generator, thing: Mesh, spread: float, tilt: float, tries: int
    ) -> Mesh:
        thing = thing.turned(geometry.rotation([0, 0, 1], rng.uniform(0, 360)))
        best, lowest = thing, np.inf
        for _ in range(tries):
            away, angle = spread * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
            place = away * np.array([np.cos(angle), np.sin(angle)])
            placed = self._lean(rng, thing, place, tilt).moved([*place, 0])
            rise = float((self._at(placed.vertices) - placed.vertices[:, 2]).max())
            if rise < lowest:
                best, lowest = placed.moved([0, 0, rise]), rise
        self._cover(best.vertices)
        return best

    def _lean(self, rng: np.random.Generator, thing: Mesh, place: Array, tilt: float) -> Mesh:
        step = max(1, len(thing.vertices) // 200)
        flat = thing.vertices[::step, :2]
        under = self._at(flat + place)
        design = np.column_stack([flat, np.ones(len(flat))])
        slope = np.linalg.lstsq(design, under, rcond=None)[0][:2]
        slope = np.clip(slope * tilt + rng.normal(0, 0.06, 2) * tilt, -1.2, 1.2)
        steep = float(np.hypot(*slope))
        if steep < 1e-6:
            return thing
        return thing.turned(
            geometry.rotation([-slope[1], slope[0], 0], -np.degrees(np.arctan(steep)))
        )

    def _index(self, points: Array) -> tuple[Array, Array]:
        at = ((points[:, :2] / self._extent + 0.5) * _CELLS).astype(np.int64)
        at = np.clip(at, 0, _CELLS - 1)
        return at[:, 0], at[:, 1]

    def _at(self, points: Array) -> Array:
        return self._height[self._index(points)]

    def _cover(self, points: Array) -> None:
        np.maximum.at(self._height, self._index(points), points[:, 2])


def _dense(mesh: Mesh) -> Array:
    """Return the mesh's vertices and the middles of its faces."""
    return np.concatenate([mesh.vertices, mesh.vertices[mesh.faces].mean(axis=1)])
