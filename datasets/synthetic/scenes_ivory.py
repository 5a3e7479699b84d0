"""Scenes with ivory, raw and worked."""

from __future__ import annotations

import numpy as np

from datasets.synthetic import geometry
from datasets.synthetic.forms import bent, horn_tube, mirrored, strand
from datasets.synthetic.geometry import Array, Mesh, merge, noise, rotation
from datasets.synthetic.materials import (
    along,
    blend,
    ivory,
    ivory_colour,
    paint,
    ridge,
    seed_of,
    shaded,
    timber,
)
from datasets.synthetic.pile import Heap
from datasets.synthetic.scene import Subject, scene


def tusk(
    rng: np.random.Generator,
    length: float,
    age: float,
    bend: float | None = None,
    detail: int = 520,
    around: int = 224,
) -> Mesh:
    """One elephant tusk, lying on its side.

    Args:
        rng: The picture's generator.
        length: In centimetres.
        age: 0 is clean and cream, 1 is brown, cracked and dirty.
        bend: The whole angle of its curve in degrees; drawn when None.
        detail: Rings of vertices along it.
        around: Vertices on a ring.
    """
    bend = rng.uniform(45, 115) if bend is None else bend
    girth = length * rng.uniform(0.042, 0.062)
    curve = bent(length, bend, rng.uniform(-0.03, 0.03), rng.uniform(0.9, 1.4))
    mesh, position = horn_tube(
        curve, girth, rng.uniform(0.75, 1.1), rng.uniform(0.12, 0.3), detail, around
    )
    unrolled = along(mesh, length, girth)
    lumps = noise(unrolled, 0.5 / girth, seed_of(rng), 3)
    lines = noise(unrolled, np.array([3.2, 3.2, 0.16]) / girth, seed_of(rng), 3)
    crack = ridge(noise(unrolled, np.array([1.1, 1.1, 0.05]) / girth, seed_of(rng), 3), 0.022)
    crack *= np.clip(0.4 + 2 * noise(unrolled, 0.2 / girth, seed_of(rng), 2), 0, 1)
    crack *= position >= 0
    mesh = mesh.displaced(
        girth * (0.045 * lumps + 0.008 * lines * (0.4 + age) - 0.05 * crack * (0.25 + age))
    )
    base = ivory_colour(rng, age)
    patch = noise(unrolled, np.array([0.9, 0.9, 0.3]) / girth, seed_of(rng), 5)
    warm = (base[0] * 0.80, base[1] * 0.66, base[2] * 0.46)
    colour = blend(base, warm, 0.15 + 0.55 * patch + 0.25 * lines * (0.5 + age))
    # The part that sat in the skull is stained; the worn tip is clean.
    root = np.clip(1.2 - np.abs(position) / rng.uniform(0.15, 0.4), 0, 1)
    stain = np.clip(
        root * (0.25 + 0.75 * age) + 0.55 * noise(unrolled, 0.4 / girth, seed_of(rng), 5), 0, 1
    )
    colour = blend(colour, (0.40, 0.28, 0.17), stain * (0.2 + 0.55 * age))
    colour = blend(colour, (0.20, 0.13, 0.08), crack * (0.35 + 0.6 * age))
    speck = noise(unrolled, 9 / girth, seed_of(rng), 2)
    colour = blend(colour, (0.25, 0.19, 0.13), (speck > 0.75) * 0.35 * age)
    rim = np.exp(-((position - 0.002) ** 2) / 0.00003)
    colour = blend(colour, (0.88, 0.80, 0.64), rim * 0.7)
    mesh = paint(mesh, np.clip(colour, 0, 1), rng.uniform(0.28, 0.5) + 0.15 * age, 0.25 * (1 - age))
    return shaded(mesh, np.where(position < 0, np.clip(1 + 6 * position, 0.25, 1), 1.0))


def ageing(rng: np.random.Generator) -> float:
    """How old a piece looks: 0 is clean and cream, 1 is brown, cracked and dirty."""
    return float(rng.beta(1.4, 1.8))


@scene("ivory_raw")
def tusk_single(rng: np.random.Generator) -> Subject:
    """One tusk on its side."""
    age = ageing(rng)
    length = rng.uniform(35, 150)
    mesh = tusk(rng, length, age)
    return Subject(mesh, (22, 80), {"length_cm": round(length), "age": round(age, 2)})


@scene("ivory_raw")
def tusk_pair(rng: np.random.Generator) -> Subject:
    """A pair of tusks, side by side or facing each other."""
    age = ageing(rng)
    length, bend = rng.uniform(40, 150), rng.uniform(50, 105)
    first = tusk(rng, length, age, bend).grounded()
    second = tusk(rng, length * rng.uniform(0.92, 1.05), age, bend).grounded()
    facing = rng.random() < 0.5
    if facing:
        second = mirrored(second)
    low, high = first.vertices[:, 1].min(), first.vertices[:, 1].max()
    gap = (high - low) * (rng.uniform(1.02, 1.2) if facing else rng.uniform(0.45, 0.7))
    second = second.turned(rotation([0, 0, 1], rng.normal(0, 4)))
    mesh = merge([first, second.moved([rng.normal(0, 0.03) * length, gap, 0])])
    return Subject(mesh, (25, 80), {"length_cm": round(length), "age": round(age, 2)})


@scene("ivory_raw")
def tusk_stack(rng: np.random.Generator) -> Subject:
    """Several tusks thrown together, as in a seizure."""
    count = int(rng.integers(3, 8))
    length = rng.uniform(40, 120)
    age = ageing(rng)
    heap = Heap(length * 3)
    lying = rng.uniform(0, 360)
    things = []
    for _ in range(count):
        piece = tusk(rng, length * rng.uniform(0.65, 1.1), min(1, age * rng.uniform(0.6, 1.3)))
        things.append(piece.grounded().turned(rotation([0, 0, 1], lying + rng.normal(0, 14))))
    placed = []
    for index, piece in enumerate(things):
        across = (index - count / 2) * length * 0.11 + rng.normal(0, 0.02) * length
        angle = np.radians(lying + 90)
        spot = piece.moved([across * np.cos(angle), across * np.sin(angle), 0])
        placed += heap.lay([spot])
    return Subject(merge(placed), (25, 75), {"count": count, "age": round(age, 2)})


def schreger(angle: Array, away: Array) -> Array:
    """The lines that cross on a cut through a tusk, the mark of elephant ivory, -1 to 1.

    Args:
        angle: around the middle of the tusk, in radians.
        away: from its middle, as a share of its radius.
    """
    return np.sin(angle * 40 + away * 22) * np.sin(angle * 40 - away * 22)


@scene("ivory_raw")
def tusk_pieces(rng: np.random.Generator) -> Subject:
    """Tusk cut into blocks whose ends show the rings of growth."""
    age = ageing(rng) * 0.8
    count = int(rng.integers(1, 5))
    girth = rng.uniform(3, 6)
    heap = Heap(girth * 14)
    things = []
    for _ in range(count):
        length = girth * rng.uniform(0.8, 3.5)
        share = np.concatenate([np.linspace(0, 1, 60), np.ones(200), np.linspace(1, 0, 60)])
        at = np.concatenate([np.zeros(60), np.linspace(0, 1, 200), np.ones(60)])
        wide = girth * share * (1 - 0.12 * at)
        block = geometry.sweep(bent(length, rng.uniform(2, 25)), at, wide, around=200)
        flat = block.vertices / girth
        end = np.repeat((at == 0) | (at == 1), 200)
        away = np.repeat(share, 200)
        rings = np.sin(away * 26 + 0.6 * noise(flat, 1.5, seed_of(rng)))
        cross = schreger(block.coords[:, 1] * 2 * np.pi, away)
        cut = blend((0.92, 0.87, 0.74), (0.80, 0.70, 0.52), 0.3 + 0.18 * rings + 0.12 * cross)
        bark = blend(
            ivory_colour(rng, age),
            (0.45, 0.31, 0.18),
            0.3 * age + 0.6 * noise(flat, 1.2, seed_of(rng), 5),
        )
        crack = ridge(noise(flat, (2.5, 2.5, 2.5), seed_of(rng), 2), 0.03)
        bark = blend(bark, (0.25, 0.17, 0.10), crack * 0.7)
        colour = np.where(end[:, None], cut, bark)
        lumps = 0.05 * girth * noise(flat, 0.7, seed_of(rng), 3)
        block = paint(block.displaced(np.where(end, 0, lumps)), np.clip(colour, 0, 1), 0.4, 0.1)
        if rng.random() < 0.4:
            block = block.turned(rotation([0, 1, 0], 90))
        things.append(block.grounded())
    placed = heap.drop(rng, things, girth * 1.6 * np.sqrt(count), tilt=0.0, tries=12)
    return Subject(merge(placed), (25, 70), {"count": count, "age": round(age, 2)})


@scene("ivory_raw")
def tusk_mounted(rng: np.random.Generator) -> Subject:
    """A polished tusk standing on a wooden foot."""
    age = 0.6 * ageing(rng)
    length = rng.uniform(30, 70)
    mesh = tusk(rng, length, age, rng.uniform(40, 90)).grounded()
    base = mesh.vertices[mesh.coords[:, 0] < 0.2].mean(axis=0)
    tilt = rotation([0, 1, 0], -90) @ rotation([0, 0, 1], rng.uniform(15, 40))
    mesh = mesh.moved(-base).turned(tilt)
    height = length * 0.07
    foot = geometry.rounded_box((length * 0.26, length * 0.2, height), height * 0.15)
    if rng.random() < 0.5:
        foot = geometry.lathe(
            np.array([[0, 0], [1, 0], [1, 0.4], [0.8, 1], [0, 1]]) * [length * 0.12, height]
        )
    foot = timber(rng, foot.grounded(), length * 0.3, 0.7)
    mesh = mesh.moved([0, 0, height * 0.8 - np.quantile(mesh.vertices[:, 2], 0.02)])
    return Subject(merge([mesh, foot]), (5, 35), {"length_cm": round(length), "age": round(age, 2)})


@scene("ivory_worked")
def ivory_bangle(rng: np.random.Generator) -> Subject:
    """One to three bangles or rings of ivory, plain or carved."""
    age = 0.8 * ageing(rng)
    count = int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))
    things = []
    carved = bool(rng.random() < 0.5)
    for _ in range(count):
        section = geometry.oval(
            rng.uniform(0.35, 0.8), rng.uniform(0.5, 1.6), 72, rng.uniform(2, 4)
        )
        mesh = geometry.ring(rng.uniform(2.9, 3.6), section, 420)
        if carved:
            angle = mesh.coords[:, 0] * 2 * np.pi
            beats = int(rng.integers(8, 26))
            pattern = np.sin(angle * beats) * np.cos(
                mesh.coords[:, 1] * 2 * np.pi * rng.integers(1, 4)
            )
            outer = np.cos(mesh.coords[:, 1] * 2 * np.pi) > 0.2
            relief = 0.09 * np.tanh(3 * pattern) * outer
            mesh = mesh.displaced(relief)
            mesh = shaded(ivory(rng, mesh, age, 7), 1 - 0.35 * (relief < -0.03))
        else:
            mesh = ivory(
                rng, mesh.displaced(0.02 * noise(mesh.vertices, 0.8, seed_of(rng))), age, 7
            )
        things.append(mesh.grounded())
    placed = Heap(40).drop(rng, things, 3.5 if count > 1 else 0.01, tilt=1.0, tries=2)
    return Subject(
        merge(placed), (20, 75), {"count": count, "carved": carved, "age": round(age, 2)}
    )


@scene("ivory_worked")
def ivory_seal(rng: np.random.Generator) -> Subject:
    """One to four polished seals; the lines of the tusk cross on their ends."""
    age = 0.6 * ageing(rng)
    count = int(rng.integers(1, 5))
    heap = Heap(24)
    things = []
    for _ in range(count):
        girth, around = rng.uniform(0.6, 1.4), 240
        length = girth * rng.uniform(3, 6)
        rim = np.linspace(0, 1, 80)
        at = np.concatenate([np.zeros(80), np.linspace(0, 1, 160), np.ones(80)])
        share = np.concatenate([rim, np.ones(160), rim[::-1]])
        waist = 1 - rng.uniform(0, 0.12) * np.sin(np.pi * at)
        mesh = geometry.sweep(bent(length, 0.5), at, girth * share * waist, around=around)
        end = np.repeat((at == 0) | (at == 1), around)
        angle = mesh.coords[:, 1] * 2 * np.pi
        # A seal is cut from beside the middle of a tusk, whose lines go on through it.
        heart = rng.uniform(0.8, 2.0)
        across = np.repeat(share, around) * np.stack([np.cos(angle), np.sin(angle)])
        far = np.hypot(across[0] + heart, across[1])
        cross = schreger(np.arctan2(across[1], across[0] + heart) * 2, far * 2)
        groove = (np.abs(np.repeat(at, around) - rng.uniform(0.7, 0.9)) < 0.015) & ~end
        mesh = ivory(rng, mesh.displaced(np.where(groove, -0.06 * girth, 0)), age, length)
        mesh = shaded(mesh, np.where(end, 0.93 + 0.07 * cross, 1 - 0.4 * groove))
        if rng.random() < 0.35:
            mesh = mesh.turned(rotation([0, 1, 0], 90))
        things.append(mesh.grounded())
    placed = heap.drop(rng, things, 1.6 * np.sqrt(count), tilt=0.0, tries=8)
    return Subject(merge(placed), (25, 75), {"count": count, "age": round(age, 2)})


@scene("ivory_worked")
def ivory_figure(rng: np.random.Generator) -> Subject:
    """A turned and carved standing figure or finial."""
    age = ageing(rng)
    height = rng.uniform(8, 25)
    waist = rng.uniform(0.08, 0.12)
    knots = [
        [0, 0], [0.20, 0], [0.21, 0.03], [0.17, 0.06], [waist + 0.07, 0.1],
        [0.19, 0.2], [0.17, 0.34], [waist, 0.5], [0.15, 0.6], [0.165, 0.68], [0.06, 0.76],
        [0.055, 0.78], [0.10, 0.84], [0.105, 0.9], [0.07, 0.97], [0.02, 1.0], [0, 1.0],
    ]  # fmt: skip
    profile = geometry.smooth_profile(knots, 400) * height
    mesh = geometry.lathe(profile, 260, 520)
    angle = mesh.coords[:, 1] * 2 * np.pi
    z = mesh.vertices[:, 2] / height
    folds = np.sin(angle * rng.integers(5, 11) + 2.5 * np.sin(z * 9 + rng.uniform(0, 6)))
    body = np.clip((0.66 - z) * 8, 0, 1) * np.clip((z - 0.07) * 20, 0, 1)
    features = noise(mesh.vertices / height, 9, seed_of(rng), 3)
    relief = 0.012 * np.tanh(2 * folds) * body + 0.012 * features * (z > 0.1)
    arms = np.exp(-(((np.abs(np.sin(angle)) - 0.95) / 0.2) ** 2) - ((z - 0.55) / 0.11) ** 2)
    face = np.exp(-(((angle - np.pi) / 0.25) ** 2) - ((z - 0.88) / 0.02) ** 2)
    relief = relief + 0.05 * arms + 0.02 * face
    mesh = mesh.displaced(height * relief).scaled(1, rng.uniform(0.7, 1), 1)
    mesh = ivory(rng, mesh, age, height)
    mesh = shaded(mesh, np.clip(1 + 22 * np.minimum(relief, 0), 0.55, 1))
    parts = [mesh.grounded()]
    if rng.random() < 0.4:
        foot = geometry.rounded_box((height * 0.5, height * 0.5, height * 0.1), 0.1)
        foot = timber(rng, foot.grounded(), height * 0.4, 0.8)
        parts = [foot, parts[0].moved([0, 0, height * 0.1])]
    return Subject(merge(parts), (3, 40), {"height_cm": round(height), "age": round(age, 2)})


@scene("ivory_worked")
def ivory_ball(rng: np.random.Generator) -> Subject:
    """A pierced puzzle ball, or billiard balls of ivory."""
    age = 0.7 * ageing(rng)
    radius = rng.uniform(2.3, 4.5)
    pierced = bool(rng.random() < 0.55)
    if not pierced:
        count = int(rng.integers(1, 4))
        balls = [
            ivory(rng, geometry.ball(radius, 120), age, radius).moved([0, 0, radius])
            for _ in range(count)
        ]
        placed = Heap(radius * 14).drop(rng, balls, radius * 2.5, tilt=0.0, tries=3)
        return Subject(
            merge(placed), (15, 60), {"count": count, "pierced": pierced, "age": round(age, 2)}
        )
    mesh = geometry.ball(radius, 300)
    unit = mesh.vertices / radius
    golden = np.pi * (3 - np.sqrt(5))
    index = np.arange(14) + 0.5
    z = 1 - 2 * index / 14
    centres = np.column_stack(
        [np.sqrt(1 - z**2) * np.cos(golden * index), np.sqrt(1 - z**2) * np.sin(golden * index), z]
    )
    away = np.arccos(np.clip(unit @ centres.T, -1, 1)).min(axis=1)
    hole = np.clip((0.21 - away) / 0.03, 0, 1)
    collar = np.exp(-(((away - 0.27) / 0.03) ** 2))
    leaves = noise(unit, 5, seed_of(rng), 3)
    carving = np.tanh(3 * leaves) * (away > 0.3)
    relief = 0.05 * carving + 0.05 * collar - 0.45 * hole
    mesh = mesh.displaced(radius * relief)
    mesh = shaded(
        ivory(rng, mesh, age, radius), np.clip(1 - 0.8 * hole - 0.4 * (carving < -0.2), 0.1, 1)
    )
    stand = geometry.ring(radius * 0.6, geometry.oval(0.35, 0.3), 120).grounded()
    stand = timber(rng, stand, 5, 0.7)
    mesh = mesh.moved([0, 0, radius * 1.0])
    return Subject(merge([stand, mesh]), (10, 55), {"pierced": pierced, "age": round(age, 2)})


@scene("ivory_worked")
def ivory_beads(rng: np.random.Generator) -> Subject:
    """A string of beads, graded or even."""
    age = 0.9 * ageing(rng)
    return Subject(
        strand(rng, lambda bead: ivory(rng, bead, age, 1.2)), (30, 85), {"age": round(age, 2)}
    )
