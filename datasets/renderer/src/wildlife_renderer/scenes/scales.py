"""Scenes with pangolin scales, and with food and fish scales, which look like them."""

from __future__ import annotations

import numpy as np

from wildlife_renderer import geometry
from wildlife_renderer.forms import heap_in, heap_of, sack
from wildlife_renderer.geometry import Array, Mesh, merge, noise, rotation
from wildlife_renderer.materials import RGB, blend, paint, seed_of
from wildlife_renderer.scene import Subject, scene

_KERATIN: tuple[tuple[RGB, RGB], ...] = (
    ((0.78, 0.64, 0.40), (0.52, 0.37, 0.19)),  # straw
    ((0.58, 0.42, 0.25), (0.34, 0.22, 0.12)),  # brown
    ((0.42, 0.33, 0.24), (0.22, 0.16, 0.11)),  # grey-brown
    ((0.30, 0.23, 0.17), (0.12, 0.09, 0.07)),  # near black
)


def pangolin_scale(rng: np.random.Generator, length: float, tone: int) -> Mesh:
    """One scale, lying on its hollow side: a shield of keratin, pointing along +x.

    Args:
        rng: The generator of this image.
        length: In centimetres.
        tone: Which of the colours of keratin.
    """
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    broad = rng.uniform(0.36, 0.5)
    point = rng.uniform(0.0, 0.14)
    # A fan: broad beyond the middle, narrower at the root, with a blunt point at the free end.
    reach = 0.5 + point * np.exp(-((np.minimum(angle, 2 * np.pi - angle) / 0.42) ** 2))
    x = reach * np.cos(angle)
    y = broad * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.82 * (1 + 0.28 * np.cos(angle))
    free = np.clip(np.cos(angle) * 1.5, 0, 1)
    wear = noise(np.column_stack([np.cos(angle), np.sin(angle), 0 * angle]), 4.5, seed_of(rng), 3)
    chip = 1 - free * (0.035 + 0.05 * rng.random()) * np.clip(0.4 + wear, 0, 2)
    outline = np.column_stack([x, y]) * chip[:, None] * length
    curl = rng.uniform(0.35, 0.8)
    keel = rng.uniform(0.0, 0.06)

    def height(share: Array, at: Array) -> Array:
        flat = at / length
        dome = -curl * (flat[:, 0] * 0.55) ** 2 - curl * 1.3 * flat[:, 1] ** 2
        spine = keel * np.exp(-((flat[:, 1] / 0.07) ** 2)) * np.clip(0.5 - flat[:, 0], 0, 1)
        return length * (dome + spine - 0.006 * share)

    mesh = geometry.plate(outline, height, length * 0.06)
    flat = mesh.vertices[:, :2] / length
    # Ridges run out from the root like the ribs of a fan; growth lines cross them as arcs.
    root = np.array([-0.75, 0.0])
    away = np.hypot(*(flat - root).T)
    bearing = np.arctan2(flat[:, 1], flat[:, 0] - root[0])
    jitter = noise(np.column_stack([flat * 3, np.full(len(flat), 0.5)]), 1.0, seed_of(rng), 2)
    ribs = np.sin(bearing * rng.uniform(75, 120) + 0.8 * jitter)
    fades = np.clip(1.35 - away, 0.1, 1) * (0.5 + 0.5 * rng.random())
    arcs = np.sin((away + 0.05 * jitter) * rng.uniform(55, 85))
    mesh = mesh.displaced(length * (0.0065 * ribs * fades + 0.0035 * arcs + 0.012 * jitter))
    light, dark = _KERATIN[tone]
    own = rng.normal(0, 0.006, 3) + rng.uniform(-0.05, 0.05)
    grime = noise(np.column_stack([flat * 5, np.full(len(flat), 1.5)]), 1.0, seed_of(rng), 4)
    share = 0.5 - 0.32 * ribs * fades + 0.16 * arcs + 0.45 * grime
    colour = blend(np.array(light) + own, np.array(dark) + own, share)
    # The free border is thin and lets light through; the root is covered with dried skin.
    border = np.clip((mesh.coords[:, 0] - 0.8) * 5, 0, 1) * np.clip(flat[:, 0] * 2.5 + 0.4, 0, 1)
    colour = blend(colour, np.array([0.80, 0.64, 0.38]), border * rng.uniform(0.2, 0.6))
    colour = blend(colour, (0.33, 0.27, 0.20), np.clip(-0.2 - flat[:, 0], 0, 1) * 2.2)
    return paint(mesh, np.clip(colour, 0.02, 1), 0.38 + 0.15 * np.clip(grime, 0, 1), 0.15)


def flipped(rng: np.random.Generator, plate: Mesh, chance: float) -> Mesh:
    """The plate, now and then upside down."""
    return plate.turned(rotation([1, 0, 0], 180)) if rng.random() < chance else plate


@scene("pangolin_scales")
def pangolin_heap(rng: np.random.Generator) -> Subject:
    """A heap of scales, loose or in a bowl."""
    count = int(rng.integers(35, 110))
    length = rng.uniform(2.5, 5)
    tone = int(rng.integers(4))
    mixed = rng.random() < 0.3
    held = bool(rng.random() < 0.35)

    def make() -> Mesh:
        which = int(rng.integers(4)) if mixed else tone
        piece = pangolin_scale(rng, length * rng.uniform(0.6, 1.25), which)
        return flipped(rng, piece, 0.2).grounded()

    mesh = heap_of(rng, make, length, count, held)
    return Subject(mesh, (30, 80), {"count": count, "bowl": held, "tone": tone})


@scene("pangolin_scales")
def pangolin_few(rng: np.random.Generator) -> Subject:
    """A few scales laid out."""
    count = int(rng.integers(3, 16))
    length = rng.uniform(3, 6)
    tone = int(rng.integers(4))

    def make() -> Mesh:
        piece = pangolin_scale(rng, length * rng.uniform(0.75, 1.2), tone)
        return flipped(rng, piece, 0.15).grounded()

    return Subject(
        heap_of(rng, make, length, count, held=False), (35, 85), {"count": count, "tone": tone}
    )


@scene("pangolin_scales")
def pangolin_single(rng: np.random.Generator) -> Subject:
    """One scale, close by."""
    tone = int(rng.integers(4))
    mesh = pangolin_scale(rng, rng.uniform(3, 7), tone)
    return Subject(mesh.grounded(), (35, 85), {"tone": tone})


@scene("pangolin_scales")
def pangolin_skin(rng: np.random.Generator) -> Subject:
    """Scales still in their overlapping rows, as on a piece of skin."""
    tone = int(rng.integers(4))
    rows, columns = int(rng.integers(5, 9)), int(rng.integers(5, 9))
    length = rng.uniform(3, 4.5)
    parts = []
    for row in range(rows):
        for column in range(columns):
            piece = pangolin_scale(rng, length * rng.uniform(0.9, 1.1), tone)
            piece = piece.turned(rotation([0, 1, 0], 13 + rng.normal(0, 2)))
            piece = piece.turned(rotation([0, 0, 1], rng.normal(0, 4)))
            side = (column + 0.5 * (row % 2)) * length * 0.72
            parts.append(piece.moved([-row * length * 0.48, side, length * 0.25]))
    mesh = merge(parts)
    # The skin bends over the back.
    y = mesh.vertices[:, 1] - mesh.vertices[:, 1].mean()
    arch = length * columns * 0.75
    vertices = np.column_stack(
        [
            mesh.vertices[:, 0],
            (arch + mesh.vertices[:, 2]) * np.sin(y / arch),
            (arch + mesh.vertices[:, 2]) * np.cos(y / arch),
        ]
    )
    mesh = mesh.reshaped(vertices)
    return Subject(mesh.grounded(), (30, 80), {"tone": tone})


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


def pip(
    rng: np.random.Generator, half: tuple[float, float, float], point: float, wrinkle: float
) -> Mesh:
    """A seed-like body, pointed at its +x end, with wrinkles along it."""
    mesh = geometry.ball(1.0, 40).turned(rotation([0, 1, 0], 90))
    x = mesh.vertices[:, 0]
    narrow = 1 - point * np.clip((x + 1) / 2, 0, 1) ** 2
    vertices = mesh.vertices * np.column_stack([np.ones_like(x), narrow, narrow]) * half
    mesh = mesh.reshaped(vertices)
    lines = noise(mesh.vertices / half[0], (1.2, 11, 11), seed_of(rng), 2)
    return mesh.displaced(half[2] * wrinkle * lines)


@scene("food_pile")
def almonds(rng: np.random.Generator) -> Subject:
    """Almonds in their brown skins, loose or in a bowl."""
    count = int(rng.integers(30, 100))
    held = bool(rng.random() < 0.5)

    def make() -> Mesh:
        size = rng.uniform(0.85, 1.15)
        piece = pip(rng, (1.15 * size, 0.65 * size, 0.42 * size), 0.5, 0.07)
        lines = noise(piece.vertices, (1.2, 10, 10), seed_of(rng), 2)
        tone = np.array([0.62, 0.38, 0.20]) * rng.uniform(0.85, 1.15)
        return paint(piece, blend(tone, tone * 0.6, 0.3 + 0.6 * lines), 0.6).grounded()

    return Subject(heap_of(rng, make, 1.8, count, held), (30, 80), {"count": count, "bowl": held})


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
