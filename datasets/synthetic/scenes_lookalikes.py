"""Scenes with what grew like a product but is none: horn of cattle, wood, bone."""

from __future__ import annotations

import numpy as np

from datasets.synthetic import geometry
from datasets.synthetic.forms import bent, horn_tube, mirrored, scattered, strand
from datasets.synthetic.geometry import Mesh, merge, noise, rotation
from datasets.synthetic.materials import along, blend, paint, seed_of, shaded, timber, tone_near
from datasets.synthetic.pile import Heap
from datasets.synthetic.scene import Subject, scene


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


@scene("cow_horn")
def cow_horn_pair(rng: np.random.Generator) -> Subject:
    """A pair of horns, mirrored, sometimes on a wooden mount."""
    length, style = rng.uniform(25, 50), int(rng.integers(3))
    state = int(rng.integers(2**31))
    first, second = (_cow_horn(np.random.default_rng(state), length, style) for _ in range(2))
    second = mirrored(second)
    mounted = bool(rng.random() < 0.5)
    first, second = first.grounded(), second.grounded()
    if mounted:
        turn = rotation([0, 0, 1], 90)
        first, second = first.turned(turn), second.turned(rotation([0, 0, 1], -90))
        base = [piece.vertices[piece.coords[:, 0] < 0.25].mean(axis=0) for piece in (first, second)]
        first = first.moved(-base[0] + [0, length * 0.1, length * 0.12])
        second = second.moved(-base[1] + [0, -length * 0.1, length * 0.12])
        middle = geometry.rounded_box((length * 0.22, length * 0.3, length * 0.24), length * 0.05)
        mesh = merge(
            [first, second, timber(rng, middle.moved([0, 0, length * 0.12]), length * 0.3, 0.6)]
        )
    else:
        gap = np.ptp(first.vertices[:, 1]) * rng.uniform(0.95, 1.3)
        mesh = merge([first, second.moved([rng.normal(0, 2), gap, 0])])
    return Subject(mesh.grounded(), (20, 75), {"mounted": mounted})


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


@scene("wood")
def wooden_balls(rng: np.random.Generator) -> Subject:
    """Balls or beads of wood."""
    if rng.random() < 0.4:
        return Subject(strand(rng, lambda bead: timber(rng, bead, 1.0, 0.4)), (30, 85))
    radius = rng.uniform(1.5, 4)
    count = int(rng.integers(1, 7))
    gloss = rng.uniform(0.1, 0.9)
    mesh = scattered(
        rng,
        lambda: timber(rng, geometry.ball(radius, 90), radius, gloss).moved([0, 0, radius]),
        count,
        radius * 2.6,
    )
    return Subject(mesh, (15, 65), {"count": count})


@scene("wood")
def wooden_figure(rng: np.random.Generator) -> Subject:
    """A carved or turned piece of wood: a figure, a candlestick, a chess piece."""
    height = rng.uniform(8, 30)
    knots = [[0, 0], [0.2, 0], [0.2, 0.05]]
    at = 0.1
    while at < 0.9:
        knots.append([float(rng.uniform(0.05, 0.17)), at])
        at += rng.uniform(0.05, 0.16)
    knots += [[0.1, 0.93], [0.06, 0.99], [0, 1]]
    mesh = geometry.lathe(geometry.smooth_profile(knots, 400) * height, 180, 400)
    if rng.random() < 0.5:
        marks = np.tanh(3 * noise(mesh.vertices / height, 9, seed_of(rng), 2))
        mesh = mesh.displaced(height * 0.008 * marks)
    return Subject(timber(rng, mesh, height * 0.3, rng.uniform(0.1, 0.9)), (3, 45))


@scene("wood")
def driftwood(rng: np.random.Generator) -> Subject:
    """A bent branch or a root, bleached or with its bark: long and curved like a tusk."""
    length = rng.uniform(30, 90)
    curve = bent(length, rng.uniform(20, 100), rng.uniform(-0.08, 0.08), rng.uniform(0.7, 1.6))
    mesh, position = horn_tube(curve, length * rng.uniform(0.04, 0.07), 1.0, 0.005, 420)
    girth = length * 0.05
    unrolled = along(mesh, length, girth)
    knots = noise(unrolled, 0.7 / girth, seed_of(rng), 3)
    fibre = noise(unrolled, np.array([5, 5, 0.25]) / girth, seed_of(rng), 4)
    mesh = mesh.displaced(girth * (0.28 * knots + 0.05 * fibre) * (position > 0))
    pale, dark = [
        ((0.72, 0.66, 0.57), (0.45, 0.38, 0.30)),
        ((0.45, 0.34, 0.25), (0.22, 0.16, 0.11)),
        ((0.62, 0.47, 0.32), (0.36, 0.24, 0.15)),
    ][rng.integers(3)]
    colour = blend(pale, dark, 0.45 + 0.7 * fibre + 0.3 * knots)
    return Subject(paint(mesh, colour, 0.85).grounded(), (20, 75))


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


@scene("bone")
def bone_rings(rng: np.random.Generator) -> Subject:
    """Sawn rings of marrow bone: uneven, thick-walled, porous inside."""
    count = int(rng.integers(1, 5))

    def make() -> Mesh:
        section = geometry.oval(rng.uniform(0.5, 0.8), rng.uniform(0.7, 1.5), 60, 4)
        mesh = geometry.ring(rng.uniform(1.5, 2.3), section, 240).scaled(
            1, rng.uniform(0.7, 0.95), 1
        )
        lumps = noise(mesh.vertices, 0.5, seed_of(rng), 3)
        pores = np.clip(noise(mesh.vertices, 5, seed_of(rng), 2), 0, 1)
        mesh = mesh.displaced(0.16 * lumps - 0.05 * pores)
        colour = blend((0.90, 0.86, 0.77), (0.70, 0.58, 0.42), 0.2 + 0.5 * lumps + 0.6 * pores)
        return paint(mesh, np.clip(colour, 0, 1), 0.65).grounded()

    return Subject(scattered(rng, make, count, 4.0), (20, 75), {"count": count})


@scene("bone")
def ribs(rng: np.random.Generator) -> Subject:
    """Ribs: long, bent and flat, and so the bones that come nearest to a tusk."""
    length = rng.uniform(12, 30)
    count = int(rng.integers(1, 7))
    things = []
    for _ in range(count):
        at = np.concatenate([[0.0], np.linspace(0, 1, 260), [1.0]])
        girth = length * rng.uniform(0.022, 0.034)
        wide = girth * (1 + 0.8 * np.exp(-at / 0.05) + 0.3 * np.exp(-(1 - at) / 0.1))
        wide[0] = wide[-1] = 0.0
        angle = np.linspace(0, 2 * np.pi, 100, endpoint=False)
        flat = 1 / np.hypot(np.cos(angle), np.sin(angle) * rng.uniform(1.7, 2.4))
        curve = bent(length, rng.uniform(60, 130), rng.uniform(-0.03, 0.03), rng.uniform(0.7, 1.2))
        mesh = geometry.sweep(curve, at, wide[:, None] * flat * 1.6, around=100)
        unrolled = along(mesh, length, girth)
        rough = noise(unrolled, np.array([0.8, 0.8, 0.3]) / girth, seed_of(rng), 4)
        mesh = mesh.displaced(girth * 0.12 * rough)
        colour = blend((0.87, 0.82, 0.70), (0.64, 0.50, 0.34), 0.25 + 0.7 * rough)
        things.append(paint(mesh, np.clip(colour, 0, 1), 0.65).grounded())
    spread = length * 0.3 if count > 1 else 0.01
    placed = Heap(length * 5).drop(rng, things, spread, tilt=0.6)
    return Subject(merge(placed), (25, 80), {"count": count})
