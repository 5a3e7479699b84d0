"""Scenes with horn, bone, wood and made things that look like products, and with bananas."""

from __future__ import annotations

import numpy as np

from wildlife_renderer import geometry
from wildlife_renderer.forms import bent, horn_tube
from wildlife_renderer.geometry import Array, Mesh, merge, noise, rotation
from wildlife_renderer.materials import (
    along,
    any_hue,
    blend,
    glazed,
    jade,
    paint,
    seed_of,
    shaded,
    timber,
    tone_near,
)
from wildlife_renderer.pile import Heap
from wildlife_renderer.scene import Subject, scene


def _cow_horn(rng: np.random.Generator, length: float, style: int) -> Mesh:
    girth = length * rng.uniform(0.11, 0.16)
    curve = bent(length, rng.uniform(60, 130), rng.uniform(0.10, 0.3), rng.uniform(0.8, 1.5))
    mesh, position = horn_tube(curve, girth, rng.uniform(0.85, 1.2), rng.uniform(0.3, 0.5), 380)
    unrolled = along(mesh, length, girth)
    lines = noise(unrolled, np.array([1.5, 1.5, 0.1]) / girth, seed_of(rng), 4)
    rings = np.sin(position * rng.uniform(60, 110)) * np.exp(-np.abs(position) / 0.2)
    mesh = mesh.displaced(girth * (0.012 * lines + 0.012 * rings))
    pale, middle, tip = [
        ((0.86, 0.80, 0.68), (0.70, 0.56, 0.40), (0.12, 0.10, 0.09)),
        ((0.42, 0.35, 0.28), (0.25, 0.20, 0.17), (0.07, 0.06, 0.06)),
        ((0.80, 0.70, 0.54), (0.45, 0.33, 0.24), (0.16, 0.12, 0.10)),
    ][style]
    colour = blend(tone_near(rng, pale), middle, 0.3 + 0.8 * lines)
    start = rng.uniform(0.3, 0.65)
    colour = blend(colour, tip, (position - start + 0.12 * lines) * 5)
    mesh = paint(mesh, np.clip(colour, 0, 1), rng.uniform(0.15, 0.4), rng.uniform(0.2, 0.8))
    return shaded(mesh, np.where(position < 0, np.clip(1 + 4 * position, 0.3, 1), 1.0))


@scene("cow_horn")
def cow_horn_single(rng: np.random.Generator) -> Subject:
    """One polished horn of cattle or buffalo."""
    mesh = _cow_horn(rng, rng.uniform(20, 50), int(rng.integers(3)))
    return Subject(mesh.grounded(), (20, 75))


@scene("wood")
def wooden_bowl(rng: np.random.Generator) -> Subject:
    """A turned bowl or dish."""
    radius = rng.uniform(6, 16)
    depth = radius * rng.uniform(0.35, 0.9)
    outer = [[0, 0], [0.45, 0], [0.48, 0.06], [0.86, 0.5], [1, 1]]
    inner = [[0.93, 1], [0.8, 0.55], [0.42, 0.16], [0, 0.12]]
    profile = np.concatenate([geometry.smooth_profile(outer), geometry.smooth_profile(inner)])
    mesh = geometry.lathe(profile * [radius, depth], 240, 360)
    return Subject(timber(rng, mesh, radius, rng.uniform(0.1, 0.9)), (15, 65))


def _long_bone(rng: np.random.Generator, length: float) -> Mesh:
    at = np.linspace(0, 1, 300)
    ends = np.exp(-(((at - 0.06) / 0.07) ** 2)) + 0.85 * np.exp(-(((at - 0.94) / 0.07) ** 2))
    cap = np.sqrt(np.clip(1 - np.clip((np.abs(at - 0.5) - 0.44) / 0.06, 0, 1) ** 2, 0, 1))
    girth = length * rng.uniform(0.05, 0.07)
    angle = np.linspace(0, 2 * np.pi, 140, endpoint=False)
    lobes = 1 + 0.35 * np.outer(ends, np.cos(2 * angle + 0.6))
    radius = (girth * (1 + 1.0 * ends) * cap)[:, None] * lobes
    mesh = geometry.sweep(bent(length, rng.uniform(3, 18), 0.01), at, radius, around=140)
    unrolled = along(mesh, length, girth)
    rough = noise(unrolled, 1.2 / girth, seed_of(rng), 4)
    porous = noise(unrolled, 6 / girth, seed_of(rng), 2) * np.repeat(np.clip(ends, 0, 1), 140)
    mesh = mesh.displaced(girth * (0.06 * rough - 0.05 * np.clip(porous, 0, 1)))
    usual = [(0.88, 0.84, 0.74), (0.80, 0.70, 0.55), (0.92, 0.91, 0.88)][rng.integers(3)]
    tone = np.array(tone_near(rng, usual))
    colour = blend(tone, tone * [0.75, 0.65, 0.5], 0.15 + 0.6 * rough + 0.5 * np.clip(porous, 0, 1))
    return paint(mesh, np.clip(colour, 0, 1), 0.7)


@scene("bone")
def long_bones(rng: np.random.Generator) -> Subject:
    """Leg bones, one or several."""
    length = rng.uniform(12, 40)
    count = int(rng.integers(1, 6))
    things = [_long_bone(rng, length * rng.uniform(0.7, 1.1)).grounded() for _ in range(count)]
    placed = Heap(length * 5).drop(rng, things, length * 0.45 if count > 1 else 0.01, tilt=0.6)
    return Subject(merge(placed), (25, 80), {"count": count})


def _handle(height: float, radius: float) -> Mesh:
    def curve(at: Array) -> Array:
        angle = np.pi * (at - 0.5)
        return np.stack(
            [radius + height * 0.26 * np.cos(angle), 0 * at, height * (0.52 + 0.3 * np.sin(angle))],
            1,
        )

    return geometry.sweep(curve, np.linspace(0, 1, 60), np.full(60, height * 0.055), 32)


@scene("ceramic")
def mug(rng: np.random.Generator) -> Subject:
    """A mug or a cup, mostly white."""
    radius, height = rng.uniform(3.6, 4.6), rng.uniform(6, 11)
    base = rng.uniform(0.75, 1.0)
    outer = [[0, 0], [base * 0.9, 0], [base, 0.04], [(1 + base) / 2, 0.5], [1, 1]]
    inner = [[0.92, 1], [(1 + base) / 2 - 0.08, 0.5], [base - 0.1, 0.1], [0, 0.07]]
    profile = np.concatenate([geometry.smooth_profile(outer), geometry.smooth_profile(inner)])
    body = geometry.lathe(profile * [radius, height], 180, 320)
    colour = (0.93, 0.92, 0.89) if rng.random() < 0.7 else any_hue(rng, 0.4)
    mesh = glazed(
        rng,
        merge([body, _handle(height, radius * (1 + base) / 2 * 0.97)]),
        tone_near(rng, colour, 0.01),
    )
    return Subject(mesh, (10, 60))


@scene("plastic_resin")
def toy_bricks(rng: np.random.Generator) -> Subject:
    """Bricks of a building toy."""
    count = int(rng.integers(3, 14))

    def make() -> Mesh:
        length = int(rng.integers(1, 4))
        parts = [geometry.rounded_box((1.6 * length, 1.6, 0.96), 0.04, 6)]
        for column in range(2 * length):
            for row in range(2):
                stud = geometry.lathe(
                    np.array([[0, 0.18], [0.22, 0.18], [0.24, 0.16], [0.24, 0]]), 32, 24
                )
                parts.append(stud.moved([0.8 * column - 0.8 * length + 0.4, 0.8 * row - 0.4, 0.48]))
        return paint(merge(parts), any_hue(rng, 1.1), 0.25, 0.4).grounded()

    things = [make() for _ in range(count)]
    return Subject(
        merge(Heap(40).drop(rng, things, 2.2 * np.sqrt(count), tilt=0.8)),
        (20, 70),
        {"count": count},
    )


@scene("stone_jade")
def jade_bangle(rng: np.random.Generator) -> Subject:
    """One or two bangles of jade or another stone."""
    things, kind = [], ""
    for _ in range(int(rng.integers(1, 3))):
        section = geometry.oval(
            rng.uniform(0.4, 0.65), rng.uniform(0.45, 0.8), 64, rng.uniform(2, 2.6)
        )
        mesh, kind = jade(rng, geometry.ring(rng.uniform(2.9, 3.4), section, 260), 5)
        things.append(mesh.grounded())
    placed = Heap(40).drop(rng, things, 3.5 if len(things) > 1 else 0.01, tries=2)
    return Subject(merge(placed), (20, 75), {"stone": kind})


def _banana(rng: np.random.Generator, length: float) -> Mesh:
    at = np.linspace(0, 1, 240)
    girth = length * rng.uniform(0.085, 0.11)
    body = np.clip(np.sin(np.pi * np.clip((at - 0.1) / 0.88, 0, 1)), 0, 1) ** 0.35
    radius = girth * np.maximum(
        body, 0.22 * (at < 0.14) + 0.14 * np.sqrt(np.clip(1 - at**20, 0, 1))
    )
    radius[0] = radius[-1] = 0
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    edges = 1 + 0.05 * np.cos(5 * angle)
    mesh = geometry.sweep(
        bent(length, rng.uniform(50, 85)), at, radius[:, None] * edges, around=120
    )
    unrolled = along(mesh, length, girth)
    spots = noise(unrolled, np.array([2, 2, 0.8]) / girth, seed_of(rng), 4)
    ripe = rng.uniform(0, 1)
    colour = blend((0.92, 0.78, 0.22), (0.55, 0.65, 0.22), 0.4 - ripe + 0.3 * spots)
    colour = blend(colour, (0.30, 0.19, 0.09), (spots > 1.0 - 0.7 * ripe) * 0.8)
    ends = np.repeat(np.clip(1 - np.minimum(at, 1 - at) / 0.05, 0, 1), 120)
    return paint(mesh, np.clip(blend(colour, (0.28, 0.22, 0.12), ends), 0, 1), 0.45, 0.2)


@scene("listing_other")
def bananas(rng: np.random.Generator) -> Subject:
    """One or several bananas."""
    count = int(rng.integers(1, 5))
    length = rng.uniform(15, 22)
    parts = []
    for index in range(count):
        fruit = _banana(rng, length * rng.uniform(0.9, 1.05)).grounded()
        fruit = fruit.turned(rotation([0, 0, 1], rng.normal(0, 7)))
        parts.append(fruit.moved([rng.normal(0, 0.6), index * length * 0.2, 0]))
    return Subject(merge(Heap(length * 6).lay(parts)).grounded(), (25, 75))
