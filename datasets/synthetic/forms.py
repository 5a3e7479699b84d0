"""Forms that several scenes share: bent tubes, strings of beads, bowls, heaps, mirror images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from datasets.synthetic import geometry
from datasets.synthetic.geometry import Array, Curve, Mesh, merge, noise, rotation
from datasets.synthetic.materials import any_hue, blend, glazed, paint, ridge, seed_of, timber
from datasets.synthetic.pile import Heap


def bent(length: float, bend: float, twist: float = 0.0, late: float = 1.0) -> Curve:
    """A curve of a given length that bends by ``bend`` degrees, lying in the plane of the table.

    Args:
        length: In centimetres.
        bend: The whole angle between both ends.
        twist: How far it leaves the plane, as a share of its length.
        late: Above 1 the bend gathers toward the far end.
    """
    fine = np.linspace(0, 1, 500)
    heading = np.radians(bend) * (fine**late - 0.5)
    step = np.stack([np.cos(heading), np.sin(heading)], axis=1) * length / 500
    flat = np.cumsum(step, axis=0)
    path = np.column_stack([flat, twist * length * np.sin(fine * np.pi * 1.3)])

    def curve(at: Array) -> Array:
        return np.stack([np.interp(at, fine, path[:, axis]) for axis in range(3)], axis=1)

    return curve


def horn_tube(
    curve: Curve,
    girth: float,
    taper: float,
    hollow: float,
    detail: int = 520,
    around: int = 224,
) -> tuple[Mesh, Array]:
    """A tapering tube that is hollow at its thick end.

    Args:
        curve: Where it runs.
        girth: The radius of its thick end.
        taper: Above 1 it thins early.
        hollow: How deep the hollow is, as a share of the length.
        detail: Rings of vertices.
        around: Vertices on a ring.

    Returns:
        The tube, and for each vertex how far along it lies: 0 at the base, 1 at the tip, and below
        0 inside the hollow.
    """
    inside = np.linspace(-hollow, 0, 90)
    outside = np.concatenate([np.linspace(0, 0.02, 10), np.linspace(0.02, 1, detail)[1:]])
    outside = np.concatenate([outside[outside < 0.97], 1 - 0.03 * np.linspace(1, 0, 40) ** 2])
    shape = (1 - outside) ** taper
    round_off = np.sqrt(np.clip(1 - np.clip((outside - 0.93) / 0.07, 0, 1) ** 2, 0, 1))
    radius_out = girth * (0.22 + 0.78 * shape) * round_off
    radius_in = girth * 0.86 * np.clip(1 - (-inside / hollow) ** 1.3, 0, 1)
    lip = 1 - 0.05 * np.exp(-outside / 0.004)
    position = np.concatenate([inside, outside])
    mesh = geometry.sweep(
        curve, np.abs(position), np.concatenate([radius_in, radius_out * lip]), around=around
    )
    return mesh, np.repeat(position, around)


def mirrored(mesh: Mesh) -> Mesh:
    """The mesh as a mirror along y shows it, with its faces still looking outward."""
    flipped = mesh.turned(np.diag([1.0, -1.0, 1.0]))
    return replace(flipped, faces=flipped.faces[:, ::-1])


def strand(rng: np.random.Generator, finish: Callable[[Mesh], Mesh]) -> Mesh:
    """A necklace lying in a loose loop; ``finish`` paints one bead."""
    count = int(rng.integers(34, 60))
    graded = rng.random() < 0.5
    share = np.linspace(-1, 1, count)
    size = rng.uniform(0.45, 0.8) * ((1.25 - 0.6 * np.abs(share)) if graded else np.ones(count))
    angle = np.concatenate([[0], np.cumsum(size[:-1] + size[1:])])
    angle = angle / (angle[-1] + size[0] + size[-1]) * 2 * np.pi
    loop = (2 * size.sum()) / (2 * np.pi)
    wobble = (
        1
        + 0.16 * np.sin(2 * angle + rng.uniform(0, 6))
        + 0.07 * np.sin(3 * angle + rng.uniform(0, 6))
    )
    flat = rng.uniform(0.7, 1.0)
    long = rng.uniform(0.85, 1.3)
    beads = []
    for index in range(count):
        bead = geometry.ball(float(size[index]), 26).scaled(1, long, 1)
        bead = finish(bead)
        bead = bead.turned(rotation([0, 0, 1], np.degrees(angle[index])))
        reach = loop * wobble[index] * 1.02
        beads.append(
            bead.moved(
                [reach * np.cos(angle[index]), flat * reach * np.sin(angle[index]), size[index]]
            )
        )
    return merge(beads)


def bowl(rng: np.random.Generator, radius: float, depth: float) -> Mesh:
    """An open bowl, of a finish drawn at random."""
    wall = radius * 0.05
    foot = radius * rng.uniform(0.35, 0.55)
    outer = [
        [0, 0],
        [foot, 0],
        [foot * 1.02, depth * 0.04],
        [radius * 0.83, depth * 0.5],
        [radius, depth],
    ]
    inner = [
        [radius - wall, depth],
        [radius * 0.8 - wall, depth * 0.52],
        [foot * 0.9, depth * 0.14],
        [0, depth * 0.1],
    ]
    profile = np.concatenate(
        [geometry.smooth_profile(outer, 120), geometry.smooth_profile(inner, 120)]
    )
    mesh = geometry.lathe(profile, 200, 300)
    finish = rng.integers(4)
    if finish == 0:
        return timber(rng, mesh, radius, rng.uniform(0.2, 0.8))
    if finish == 1:
        return glazed(rng, mesh, (0.9, 0.9, 0.88))
    if finish == 2:
        return paint(mesh, (0.75, 0.75, 0.76), 0.3, metallic=0.95)
    return paint(mesh, any_hue(rng), 0.35, 0.3)


def sack(rng: np.random.Generator, radius: float, depth: float) -> Mesh:
    """An open sack of jute, woven plastic or paper, filled to a part of its depth."""
    outer = [[0, 0], [0.8, 0], [1.02, 0.12], [1.08, 0.5], [0.98, 0.8], [1.0, 0.95], [1.05, 1]]
    inner = [[1.02, 1.02], [0.95, 0.92], [0.93, 0.7], [0.9, 0.55], [0, 0.5]]
    profile = np.concatenate(
        [geometry.smooth_profile(outer, 140), geometry.smooth_profile(inner, 110)]
    )
    mesh = geometry.lathe(profile * [radius, depth], 240, 260)
    unit = mesh.vertices / radius
    angle = mesh.coords[:, 1] * 2 * np.pi
    unrolled = np.column_stack([np.cos(angle), np.sin(angle), unit[:, 2]])
    wall = np.clip(np.hypot(unit[:, 0], unit[:, 1]) * 4 - 3, 0, 1)
    folds = noise(unrolled, (2.2, 2.2, 0.7), seed_of(rng), 3)
    creases = ridge(noise(unrolled, (3, 3, 2), seed_of(rng), 3), 0.12)
    mesh = mesh.displaced(radius * wall * (0.09 * folds - 0.025 * creases))
    weave = np.sin(angle * 160) * np.sin(unit[:, 2] * 70)
    tone = np.array(
        [(0.66, 0.53, 0.36), (0.88, 0.87, 0.83), any_hue(rng, 0.8), (0.16, 0.16, 0.17)][
            rng.choice(4, p=[0.45, 0.25, 0.15, 0.15])
        ]
    )
    colour = blend(tone, tone * 0.65, 0.25 + 0.3 * weave + 0.4 * creases)
    return paint(mesh, colour, rng.uniform(0.4, 0.95), 0.0, sheen=0.2)


def shelf(rng: np.random.Generator, width: float, depth: float, boards: Sequence[float]) -> Mesh:
    """A rack of wood or metal that is open on all sides.

    Args:
        rng: The picture's generator.
        width: In centimetres, along x.
        depth: In centimetres, along y.
        boards: The heights of its boards' upper sides, in centimetres.
    """
    thick = 0.025 * width
    high = boards[-1] + rng.uniform(0.15, 0.3) * width
    parts = [
        geometry.rounded_box((width, depth, thick), 0.15 * thick).moved([0, 0, board - thick / 2])
        for board in boards
    ]
    parts += [
        geometry.rounded_box((1.4 * thick, 1.4 * thick, high), 0.2 * thick, 12).moved(
            [side * width / 2, end * depth / 2, high / 2]
        )
        for side in (-1, 1)
        for end in (-1, 1)
    ]
    mesh = merge(parts)
    if rng.random() < 0.5:
        return timber(rng, mesh, 0.3 * width, 0.1)
    return paint(mesh, any_hue(rng, 0.4), rng.uniform(0.3, 0.6))


def laid(heap: Heap, things: Sequence[Mesh], heading: float, gap: float) -> list[Mesh]:
    """Long things side by side, the later ones on top where the row is full.

    Args:
        heap: What they come to lie on.
        things: Each around the origin.
        heading: The direction that they point in, in degrees.
        gap: The distance of neighbours, in centimetres.
    """
    across = np.radians(heading + 90)
    row = max(3, math.ceil(0.45 * len(things)))
    placed = []
    for index, thing in enumerate(things):
        away = (index % row - (row - 1) / 2 + 0.5 * (index // row % 2)) * gap
        turned = thing.turned(rotation([0, 0, 1], heading))
        placed += heap.lay([turned.moved([away * np.cos(across), away * np.sin(across), 0])])
    return placed


def scattered(
    rng: np.random.Generator, make: Callable[[], Mesh], count: int, spread: float
) -> Mesh:
    """Round or upright things strewn over the table, none tilted."""
    things = [make() for _ in range(count)]
    return merge(
        Heap(spread * 6).drop(rng, things, spread if count > 1 else 0.01, tilt=0.0, tries=14)
    )


def heap_of(
    rng: np.random.Generator, make: Callable[[], Mesh], size: float, count: int, held: bool
) -> Mesh:
    """Many pieces of a size in a heap, in a bowl when ``held``."""
    if held:
        return heap_in(
            rng, make, size, count, lambda radius: bowl(rng, radius, radius * rng.uniform(0.4, 0.6))
        )
    spread = size * 0.46 * np.sqrt(count)
    heap = Heap(spread * 4 + 4 * size)
    if count > 12:
        spread *= 0.72
    things = (make() for _ in range(count))
    return merge(heap.drop(rng, things, spread, tries=3 if count > 12 else 6))


def heap_in(
    rng: np.random.Generator,
    make: Callable[[], Mesh],
    size: float,
    count: int,
    vessel: Callable[[float], Mesh],
) -> Mesh:
    """Many pieces of a size in a vessel, which is made for a radius in centimetres."""
    radius = size * 0.55 * count**0.42 + size * 0.7
    around = vessel(radius)
    things = (make() for _ in range(count))
    heap = Heap(radius * 4, around)
    return merge([around, *heap.drop(rng, things, radius * 0.62, tries=3 if count > 12 else 6)])
