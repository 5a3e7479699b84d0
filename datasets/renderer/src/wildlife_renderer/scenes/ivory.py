"""Scenes with ivory, raw and worked."""

from __future__ import annotations

import numpy as np

from wildlife_renderer import geometry
from wildlife_renderer.forms import bent, horn_tube, mirrored
from wildlife_renderer.geometry import Mesh, merge, noise, rotation
from wildlife_renderer.materials import (
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
from wildlife_renderer.pile import Heap
from wildlife_renderer.scene import Subject, scene


def tusk(rng: np.random.Generator, length: float, age: float, bend: float | None = None) -> Mesh:
    """Return a tusk of a length in centimetres, lying on its side, bent by an angle in degrees.

    An age of 0 is clean and cream, one of 1 is brown, cracked and dirty.
    """
    bend = rng.uniform(45, 115) if bend is None else bend
    girth = length * rng.uniform(0.042, 0.062)
    curve = bent(length, bend, rng.uniform(-0.03, 0.03), rng.uniform(0.9, 1.4))
    mesh, position = horn_tube(curve, girth, rng.uniform(0.75, 1.1), rng.uniform(0.12, 0.3))
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
    """Draw how old a piece looks."""
    return float(rng.beta(1.4, 1.8))


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
