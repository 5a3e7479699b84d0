"""Scenes with scales as they are traded, in sacks and trays, and of what looks like them."""

from __future__ import annotations

import numpy as np

from datasets.synthetic import geometry
from datasets.synthetic.forms import heap_in, heap_of, sack
from datasets.synthetic.geometry import Array, Mesh, merge, noise, rotation
from datasets.synthetic.materials import any_hue, blend, paint, seed_of
from datasets.synthetic.scene import Subject, scene
from datasets.synthetic.scenes_scales import flipped, pangolin_scale, pip


@scene("pangolin_scales")
def pangolin_sack(rng: np.random.Generator) -> Subject:
    """An open sack full of scales of mixed sizes."""
    count = int(rng.integers(45, 100))
    length = rng.uniform(2.5, 5)
    tone = int(rng.integers(4))

    def make() -> Mesh:
        piece = pangolin_scale(rng, length * rng.uniform(0.5, 1.3), tone)
        return flipped(rng, piece, 0.35).grounded()

    mesh = heap_in(
        rng,
        make,
        0.8 * length,
        count,
        lambda radius: sack(rng, radius, radius * rng.uniform(0.7, 1.2)),
    )
    return Subject(mesh, (35, 80), {"count": count, "tone": tone})


@scene("pangolin_scales")
def pangolin_rows(rng: np.random.Generator) -> Subject:
    """Scales sorted by size and laid out in rows, as evidence is."""
    rows, columns = int(rng.integers(2, 6)), int(rng.integers(3, 8))
    length = rng.uniform(3, 6)
    tone = int(rng.integers(4))
    parts = []
    for row in range(rows):
        for column in range(columns):
            size = length * (1 - 0.09 * row) * rng.uniform(0.88, 1.08)
            piece = flipped(rng, pangolin_scale(rng, size, tone), 0.15)
            piece = piece.turned(rotation([0, 0, 1], 90 + rng.normal(0, 9))).grounded()
            place = np.array([column * 0.98, -row * 1.2]) + rng.normal(0, 0.04, 2)
            parts.append(piece.moved([*(place * length), 0]))
    return Subject(merge(parts).grounded(), (40, 85), {"rows": rows, "tone": tone})


@scene("food_pile")
def sack_of_food(rng: np.random.Generator) -> Subject:
    """An open sack of nuts, beans or dried roots."""
    count = int(rng.integers(50, 110))
    long, thick = rng.uniform(0.6, 1.6), rng.uniform(0.35, 0.8)
    light = np.array(
        [(0.62, 0.38, 0.20), (0.85, 0.74, 0.52), (0.40, 0.16, 0.12), (0.72, 0.62, 0.44)][
            rng.integers(4)
        ]
    )
    point, wrinkle = rng.uniform(0, 0.6), rng.uniform(0.01, 0.12)

    def make() -> Mesh:
        size = rng.uniform(0.8, 1.2)
        half = (1.15 * long * size, 0.9 * thick * size, 0.7 * thick * size)
        piece = pip(rng, half, point, wrinkle)
        lines = noise(piece.vertices, (1.2, 10, 10), seed_of(rng), 2)
        tone = light * rng.uniform(0.85, 1.15)
        return paint(piece, np.clip(blend(tone, tone * 0.6, 0.3 + 0.6 * lines), 0, 1), 0.5)

    mesh = heap_in(
        rng,
        lambda: make().grounded(),
        1.4 * long,
        count,
        lambda radius: sack(rng, radius, radius * rng.uniform(0.7, 1.2)),
    )
    return Subject(mesh, (35, 80), {"count": count})


@scene("scale_like")
def fish_scales(rng: np.random.Generator) -> Subject:
    """Dried scales of fish: thin, round, pale, with fine rings; loose, in a bowl or in a sack."""
    count = int(rng.integers(40, 110))
    size = rng.uniform(1, 3)
    tone = np.array([(0.86, 0.82, 0.70), (0.76, 0.74, 0.70), (0.70, 0.55, 0.32)][rng.integers(3)])

    def make() -> Mesh:
        own = size * rng.uniform(0.7, 1.2)
        angle = np.linspace(0, 2 * np.pi, 70, endpoint=False)
        reach = 0.5 * (1 + 0.05 * np.cos(5 * angle) * (np.cos(angle) < 0))
        outline = np.column_stack([reach * np.cos(angle), 0.9 * reach * np.sin(angle)]) * own
        bend = rng.normal(0, 0.35)
        piece = geometry.plate(outline, lambda _, at: bend * at[:, 1] ** 2 / own, 0.015 * own)
        away = np.hypot(piece.vertices[:, 0] / own + 0.15, piece.vertices[:, 1] / own)
        rings = np.sin(away * rng.uniform(90, 130))
        colour = blend(tone, tone * 0.68, 0.35 + 0.3 * rings + rng.normal(0, 0.1))
        return flipped(rng, paint(piece, np.clip(colour, 0, 1), 0.3, 0.5), 0.4).grounded()

    if rng.random() < 0.3:
        mesh = heap_in(rng, make, 0.8 * size, count, lambda radius: sack(rng, radius, 0.8 * radius))
    else:
        mesh = heap_of(rng, make, size, count, rng.random() < 0.4)
    return Subject(mesh, (30, 80), {"count": count})


@scene("scale_like")
def roof_tiles(rng: np.random.Generator) -> Subject:
    """Tiles or shingles that overlap in rows, of clay, slate or wood."""
    rows, columns = int(rng.integers(4, 8)), int(rng.integers(4, 9))
    length = rng.uniform(16, 34)
    tone = np.array(
        [(0.62, 0.30, 0.20), (0.36, 0.37, 0.40), (0.48, 0.38, 0.28), any_hue(rng)][rng.integers(4)]
    )
    squareness, arch = rng.uniform(2, 7), rng.choice([0.0, 0.5])
    parts = []
    for row in range(rows):
        for column in range(columns):
            outline = geometry.oval(length * 0.5, length * 0.34, 64, squareness)

            def height(_: Array, at: Array) -> Array:
                return -arch * at[:, 1] ** 2 / length

            piece = geometry.plate(outline, height, length * 0.05)
            grain = noise(piece.vertices / length, (3, 9, 9), seed_of(rng), 4)
            own = np.clip(tone * rng.uniform(0.8, 1.2), 0.02, 0.95)
            piece = paint(piece, blend(own, own * 0.6, 0.35 + 0.5 * grain), rng.uniform(0.6, 0.9))
            piece = piece.turned(rotation([0, 1, 0], 9 + rng.normal(0, 0.8)))
            side = (column + 0.5 * (row % 2)) * length * 0.69
            parts.append(piece.moved([-row * length * 0.5, side, length * 0.1]))
    return Subject(merge(parts).grounded(), (30, 80), {"rows": rows})


@scene("food_pile")
def artichokes(rng: np.random.Generator) -> Subject:
    """Artichokes or closed cones: bracts that overlap in spirals around a core."""
    size = rng.uniform(3.5, 5.5)
    cone = bool(rng.random() < 0.35)
    tone = np.array((0.45, 0.30, 0.19) if cone else (0.42, 0.50, 0.27))

    def make() -> Mesh:
        own = np.clip(tone * rng.uniform(0.85, 1.15), 0, 1)
        parts = [paint(geometry.ball(size * 0.72, 50).scaled(1, 1, 1.15), own * 0.7, 0.7)]
        for index in range(60):
            share = (index + 0.5) / 60
            angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
            narrow = 0.30 * np.sin(angle) * (1 - 0.45 * np.cos(angle))
            outline = np.column_stack([0.5 * np.cos(angle), narrow]) * size * (1.25 - 0.6 * share)
            bract = geometry.plate(outline, lambda _, at: -0.28 * at[:, 1] ** 2 / size, 0.09 * size)
            flat = bract.vertices / size
            veins = noise(flat, (1.5, 12, 4), seed_of(rng), 2)
            tip = np.clip(flat[:, 0] * 3 - 0.6, 0, 1)
            colour = blend(blend(own, own * 0.6, 0.3 + 0.6 * veins), own * [1.1, 0.75, 0.9], tip)
            bract = paint(bract, np.clip(colour, 0, 1), 0.6)
            bract = bract.turned(rotation([0, 1, 0], -62 - 22 * share))
            polar = np.radians(-50 + 130 * share)
            reach = size * 0.72 * np.cos(polar) + 0.06 * size
            bract = bract.moved([reach, 0, size * 0.82 * np.sin(polar)])
            parts.append(bract.turned(rotation([0, 0, 1], 137.5 * index)))
        return merge(parts).turned(rotation([0, 1, 0], rng.uniform(-100, 100))).grounded()

    count = int(rng.integers(1, 4))
    mesh = heap_of(rng, make, 2.4 * size, count, held=False)
    return Subject(mesh, (15, 70), {"count": count, "cone": cone})
