"""Scenes with what is taken for wildlife products: horn, wood, ceramic, plastic, stone, bone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from datasets.synthetic import geometry
from datasets.synthetic.geometry import Array, Mesh, merge, noise, rotation
from datasets.synthetic.materials import (
    RGB,
    along,
    any_hue,
    blend,
    glazed,
    jade,
    paint,
    seed_of,
    shaded,
    timber,
)
from datasets.synthetic.pile import Heap
from datasets.synthetic.scene import Subject, scene
from datasets.synthetic.scenes_products import bent, horn_tube, strand


def _tone(rng: np.random.Generator, rgb: RGB, spread: float = 0.03) -> RGB:
    r, g, b = np.clip(np.array(rgb) + rng.normal(0, spread, 3), 0.02, 0.97)
    return (float(r), float(g), float(b))


def _scattered(rng: np.random.Generator, make: Callable[[], Mesh], count: int, spread: float) -> Mesh:
    things = [make() for _ in range(count)]
    return merge(Heap(spread * 6).drop(rng, things, spread if count > 1 else 0.01, tilt=0.0))


def _cow_horn(rng: np.random.Generator, length: float, style: int) -> Mesh:
    girth = length * rng.uniform(0.09, 0.13)
    curve = bent(length, rng.uniform(60, 130), rng.uniform(0.05, 0.2), rng.uniform(0.8, 1.5))
    mesh, position = horn_tube(curve, length, girth, rng.uniform(0.7, 1.0), rng.uniform(0.3, 0.5), 380)
    unrolled = along(mesh, length, girth)
    lines = noise(unrolled, np.array([1.5, 1.5, 0.1]) / girth, seed_of(rng), 4)
    rings = np.sin(position * rng.uniform(60, 110)) * np.exp(-np.abs(position) / 0.2)
    mesh = mesh.displaced(girth * (0.012 * lines + 0.012 * rings))
    pale, middle, tip = [
        ((0.86, 0.80, 0.68), (0.70, 0.56, 0.40), (0.12, 0.10, 0.09)),
        ((0.42, 0.35, 0.28), (0.25, 0.20, 0.17), (0.07, 0.06, 0.06)),
        ((0.80, 0.70, 0.54), (0.45, 0.33, 0.24), (0.16, 0.12, 0.10)),
    ][style]
    colour = blend(_tone(rng, pale), middle, 0.3 + 0.8 * lines)
    start = rng.uniform(0.45, 0.75)
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
    second = second.turned(np.diag([1.0, -1.0, 1.0]))
    second = Mesh(second.vertices, second.faces[:, ::-1], second.coords, second.colour, second.surface)
    mounted = bool(rng.random() < 0.5)
    first, second = first.grounded(), second.grounded()
    if mounted:
        turn = rotation([0, 0, 1], 90)
        first, second = first.turned(turn), second.turned(rotation([0, 0, 1], -90))
        base = [piece.vertices[piece.coords[:, 0] < 0.25].mean(axis=0) for piece in (first, second)]
        first = first.moved(-base[0] + [0, length * 0.1, length * 0.12])
        second = second.moved(-base[1] + [0, -length * 0.1, length * 0.12])
        middle = geometry.rounded_box((length * 0.22, length * 0.3, length * 0.24), length * 0.05)
        mesh = merge([first, second, timber(rng, middle.moved([0, 0, length * 0.12]), length * 0.3, 0.6)])
    else:
        gap = np.ptp(first.vertices[:, 1]) * rng.uniform(0.5, 1.1)
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
    mesh = _scattered(
        rng, lambda: timber(rng, geometry.ball(radius, 90), radius, gloss).moved([0, 0, radius]), count, radius * 2.6
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
    mesh, position = horn_tube(curve, length, length * rng.uniform(0.04, 0.07), 1.0, 0.005, 420)
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


def _handle(height: float, radius: float) -> Mesh:
    def curve(at: Array) -> Array:
        angle = np.pi * (at - 0.5)
        return np.stack(
            [radius + height * 0.26 * np.cos(angle), 0 * at, height * (0.52 + 0.3 * np.sin(angle))], 1
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
    mesh = glazed(rng, merge([body, _handle(height, radius * (1 + base) / 2 * 0.97)]), _tone(rng, colour, 0.01))
    return Subject(mesh, (10, 60))


@scene("ceramic")
def vase(rng: np.random.Generator) -> Subject:
    """A vase, white, cream or painted with bands."""
    height = rng.uniform(15, 35)
    belly, neck = rng.uniform(0.2, 0.36), rng.uniform(0.06, 0.14)
    knots = [[0, 0], [0.14, 0], [0.15, 0.02], [belly, rng.uniform(0.35, 0.6)], [neck, 0.85], [neck + 0.05, 1]]
    inner = [[neck + 0.03, 1], [neck - 0.02, 0.85], [0, 0.5]]
    profile = np.concatenate([geometry.smooth_profile(knots, 300), geometry.smooth_profile(inner, 80)])
    mesh = geometry.lathe(profile * height, 200, 420)
    colour = _tone(rng, [(0.93, 0.92, 0.90), (0.88, 0.82, 0.70), (0.35, 0.45, 0.55)][rng.integers(3)], 0.02)
    mesh = glazed(rng, mesh, colour)
    if rng.random() < 0.5:
        z = mesh.vertices[:, 2] / height
        angle = mesh.coords[:, 1] * 2 * np.pi
        band = np.exp(-(((z - 0.6) / 0.08) ** 2)) * (np.sin(angle * 12 + 9 * np.sin(z * 30)) > 0.2)
        ink = np.array([0.03, 0.07, 0.3])
        mesh = Mesh(mesh.vertices, mesh.faces, mesh.coords, mesh.colour * (1 - band[:, None]) + ink * band[:, None], mesh.surface)
    return Subject(mesh, (3, 45))


@scene("ceramic")
def plates(rng: np.random.Generator) -> Subject:
    """A stack of plates or one deep bowl."""
    radius = rng.uniform(9, 14)
    count = int(rng.integers(1, 6))
    rise = rng.uniform(0.1, 0.5)
    outer = [[0, 0], [0.5, 0], [0.62, 0.06], [1, rise]]
    inner = [[0.985, rise + 0.025], [0.62, 0.1], [0.5, 0.05], [0, 0.045]]
    profile = np.concatenate([geometry.smooth_profile(outer), geometry.smooth_profile(inner)])
    colour = _tone(rng, (0.92, 0.91, 0.88), 0.02)
    parts = []
    for index in range(count):
        plate = glazed(rng, geometry.lathe(profile * radius, 200, 260), colour)
        parts.append(plate.moved([*rng.normal(0, 0.15, 2), index * radius * 0.075]))
    return Subject(merge(parts), (12, 70), {"count": count})


@scene("plastic_resin")
def plastic_balls(rng: np.random.Generator) -> Subject:
    """Balls of plastic: table tennis, toys."""
    radius = rng.uniform(2, 4)
    count = int(rng.integers(2, 10))
    plain = rng.random() < 0.35
    hue = _tone(rng, (0.93, 0.90, 0.82))

    def make() -> Mesh:
        colour = hue if plain else any_hue(rng, 0.9)
        return paint(geometry.ball(radius, 70), colour, rng.uniform(0.2, 0.5), 0.2).moved([0, 0, radius])

    return Subject(_scattered(rng, make, count, radius * 3), (15, 65), {"count": count})


@scene("plastic_resin")
def plastic_cups(rng: np.random.Generator) -> Subject:
    """Cups, stacked or side by side."""
    radius, height = rng.uniform(3, 4.2), rng.uniform(7, 11)
    outer = [[0, 0], [0.7, 0], [0.72, 0.02], [0.98, 0.97], [1.05, 0.985], [1.05, 1]]
    inner = [[0.97, 1], [0.7, 0.05], [0, 0.04]]
    profile = np.array(outer + inner) * [radius, height]
    count = int(rng.integers(1, 5))
    colour = any_hue(rng, 0.9) if rng.random() < 0.6 else (0.92, 0.92, 0.9)
    parts = []
    stacked = rng.random() < 0.4
    for index in range(count):
        cup = paint(geometry.lathe(profile, 160, 300), colour, 0.3, 0.3)
        place = [0, 0, index * height * 0.18] if stacked else [index * radius * 2.3, rng.normal(0, 1.5), 0]
        parts.append(cup.moved(place))
    return Subject(merge(parts).grounded(), (12, 60), {"count": count})


@scene("plastic_resin")
def toy_bricks(rng: np.random.Generator) -> Subject:
    """Bricks of a building toy."""
    count = int(rng.integers(3, 14))

    def make() -> Mesh:
        length = int(rng.integers(1, 4))
        parts = [geometry.rounded_box((1.6 * length, 1.6, 0.96), 0.04, 6)]
        for column in range(2 * length):
            for row in range(2):
                stud = geometry.lathe(np.array([[0, 0.18], [0.22, 0.18], [0.24, 0.16], [0.24, 0]]), 32, 24)
                parts.append(stud.moved([0.8 * column - 0.8 * length + 0.4, 0.8 * row - 0.4, 0.48]))
        return paint(merge(parts), any_hue(rng, 1.1), 0.25, 0.4).grounded()

    things = [make() for _ in range(count)]
    return Subject(merge(Heap(40).drop(rng, things, 2.2 * np.sqrt(count), tilt=0.8)), (20, 70), {"count": count})


@scene("plastic_resin")
def resin_figure(rng: np.random.Generator) -> Subject:
    """A cast figure of one even cream colour: no grain, no cracks, a mould line."""
    height = rng.uniform(6, 20)
    knots = [
        [0, 0], [0.24, 0], [0.24, 0.05], [0.2, 0.08], [0.22, 0.25], [0.14, 0.5], [0.2, 0.62],
        [0.08, 0.72], [0.14, 0.84], [0.1, 0.96], [0, 1],
    ]  # fmt: skip
    mesh = geometry.lathe(geometry.smooth_profile(knots, 300) * height, 220, 420)
    angle = mesh.coords[:, 1] * 2 * np.pi
    z = mesh.vertices[:, 2] / height
    soft = noise(mesh.vertices / height, 5, seed_of(rng), 2)
    seam = np.exp(-((np.sin(angle) / 0.02) ** 2))
    mesh = mesh.displaced(height * (0.025 * soft * (z > 0.09) + 0.004 * seam))
    colour = _tone(rng, [(0.90, 0.85, 0.72), (0.94, 0.93, 0.9), (0.55, 0.42, 0.30)][rng.integers(3)])
    return Subject(paint(mesh, colour, rng.uniform(0.35, 0.65), 0.1), (5, 45))


@scene("stone_jade")
def jade_bangle(rng: np.random.Generator) -> Subject:
    """One or two bangles of jade or another stone."""
    things, kind = [], ""
    for _ in range(int(rng.integers(1, 3))):
        section = geometry.oval(rng.uniform(0.4, 0.65), rng.uniform(0.45, 0.8), 64, rng.uniform(2, 2.6))
        mesh, kind = jade(rng, geometry.ring(rng.uniform(2.9, 3.4), section, 260), 5)
        things.append(mesh.grounded())
    placed = Heap(40).drop(rng, things, 3.5 if len(things) > 1 else 0.01, tries=2)
    return Subject(merge(placed), (20, 75), {"stone": kind})


@scene("stone_jade")
def stone_egg(rng: np.random.Generator) -> Subject:
    """Eggs, balls or tumbled stones."""
    radius = rng.uniform(2, 4)
    tumbled = rng.random() < 0.4
    kinds = []

    def make() -> Mesh:
        mesh = geometry.ball(radius, 110).scaled(1.3, 1, 1 if not tumbled else 0.7)
        if tumbled:
            mesh = mesh.displaced(0.18 * radius * noise(mesh.vertices / radius, 1.1, seed_of(rng), 2))
        mesh, kind = jade(rng, mesh, radius)
        kinds.append(kind)
        return mesh.grounded()

    mesh = _scattered(rng, make, int(rng.integers(1, 6)), radius * 3)
    return Subject(mesh, (15, 70), {"stones": sorted(set(kinds))})


@scene("stone_jade")
def stone_figure(rng: np.random.Generator) -> Subject:
    """A pestle, pawn or seal of stone."""
    height = rng.uniform(6, 14)
    wide = rng.uniform(0.18, 0.3)
    knots = [[0, 0], [wide, 0], [wide, 0.1], [wide * 0.6, 0.3], [wide * 0.5, 0.6], [wide * 0.9, 0.8], [wide * 0.5, 0.98], [0, 1]]
    mesh = geometry.lathe(geometry.smooth_profile(knots, 300) * height, 180, 320)
    mesh, kind = jade(rng, mesh, height * 0.4)
    return Subject(mesh, (5, 50), {"stone": kind})


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
    tone = np.array(_tone(rng, [(0.88, 0.84, 0.74), (0.80, 0.70, 0.55), (0.92, 0.91, 0.88)][rng.integers(3)]))
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
        mesh = geometry.ring(rng.uniform(1.5, 2.3), section, 240).scaled(1, rng.uniform(0.7, 0.95), 1)
        lumps = noise(mesh.vertices, 0.5, seed_of(rng), 3)
        pores = np.clip(noise(mesh.vertices, 5, seed_of(rng), 2), 0, 1)
        mesh = mesh.displaced(0.16 * lumps - 0.05 * pores)
        colour = blend((0.90, 0.86, 0.77), (0.70, 0.58, 0.42), 0.2 + 0.5 * lumps + 0.6 * pores)
        return paint(mesh, np.clip(colour, 0, 1), 0.65).grounded()

    return Subject(_scattered(rng, make, count, 4.0), (20, 75), {"count": count})


@scene("bone")
def skull_like(rng: np.random.Generator) -> Subject:
    """A small animal's skull, roughly: a brain case, a snout, eye sockets."""
    mesh = geometry.ball(1.0, 260)
    x, y, z = mesh.vertices.T
    snout = np.exp(-(((y**2 + (z + 0.25) ** 2)) / 0.22)) * np.clip(x, 0, 1) ** 1.5
    vertices = mesh.vertices * np.column_stack([1 + 0.95 * snout, np.full_like(x, 0.72), np.full_like(x, 0.75)])
    mesh = Mesh(vertices, mesh.faces, mesh.coords, mesh.colour, mesh.surface)
    sockets = np.zeros_like(x)
    for side in (-1, 1):
        centre = np.array([0.72, 0.5 * side, 0.28])
        sockets += np.exp(-(np.linalg.norm(np.stack([x, y, z], 1) - centre, axis=1) / 0.24) ** 4)
    nose = np.exp(-((y / 0.12) ** 2) - (((z - 0.02) / 0.12) ** 2)) * (x > 0.8)
    bumps = noise(mesh.vertices, 2.2, seed_of(rng), 4)
    mesh = mesh.displaced(0.05 * bumps - 0.3 * sockets - 0.25 * nose)
    colour = blend((0.89, 0.84, 0.73), (0.68, 0.56, 0.40), 0.25 + 0.6 * bumps)
    mesh = shaded(paint(mesh, np.clip(colour, 0, 1), 0.65), 1 - 0.75 * np.clip(sockets + nose, 0, 1))
    return Subject(mesh.scaled(rng.uniform(4, 12)).grounded(), (10, 60))


@scene("white_object")
def candles(rng: np.random.Generator) -> Subject:
    """White or cream candles: smooth tapering cylinders, standing or lying."""
    height, radius = rng.uniform(10, 25), rng.uniform(0.9, 3)
    colour = _tone(rng, (0.94, 0.91, 0.82))
    lying = rng.random() < 0.4
    parts = []
    for index in range(int(rng.integers(1, 4))):
        tall = height * rng.uniform(0.6, 1)
        knots = np.array([[0, 0], [1, 0], [0.92, 0.97], [0.8, 1], [0.3, 0.985], [0, 0.985]])
        body = paint(geometry.lathe(knots * [radius, tall], 120, 200), colour, 0.4, 0.2)
        wick = geometry.lathe(np.array([[0.07, 0], [0.07, 0.8], [0, 0.8]]), 12, 20)
        candle = merge([body, paint(wick.moved([0, 0, tall * 0.985]), (0.2, 0.18, 0.16), 0.9)])
        if lying:
            candle = candle.turned(rotation([0, 1, 0], 90)).grounded()
            candle = candle.turned(rotation([0, 0, 1], rng.normal(0, 8)))
        parts.append(candle.moved([rng.normal(0, 0.6), index * radius * 2.6, 0]))
    return Subject(merge(parts).grounded(), (10, 60))


@scene("white_object")
def eggs(rng: np.random.Generator) -> Subject:
    """White or brown eggs, or golf balls."""
    golf = rng.random() < 0.35
    count = int(rng.integers(1, 8))

    def make() -> Mesh:
        if golf:
            mesh = geometry.ball(2.1, 200)
            golden = np.pi * (3 - np.sqrt(5))
            index = np.arange(260) + 0.5
            z = 1 - 2 * index / 260
            centres = np.column_stack([np.sqrt(1 - z**2) * np.cos(golden * index), np.sqrt(1 - z**2) * np.sin(golden * index), z])
            near = (mesh.vertices / 2.1 @ centres.T).max(axis=1)
            dent = np.clip(1 - np.arccos(np.clip(near, -1, 1)) / 0.095, 0, 1)
            return paint(mesh.displaced(-0.1 * np.sqrt(dent)), (0.94, 0.94, 0.92), 0.3, 0.5).grounded()
        mesh = geometry.ball(1.0, 90)
        z = mesh.vertices[:, 2]
        wide = 2.15 * (1 - 0.13 * z)
        egg = Mesh(mesh.vertices * np.column_stack([wide, wide, np.full_like(z, 2.8)]), mesh.faces, mesh.coords, mesh.colour, mesh.surface)
        tone = (0.93, 0.91, 0.87) if rng.random() < 0.6 else (0.80, 0.60, 0.45)
        egg = egg.turned(rotation([0, 1, 0], 90 + rng.normal(0, 4)))
        return paint(egg.displaced(0.01 * noise(egg.vertices, 4, seed_of(rng))), _tone(rng, tone, 0.015), 0.55).grounded()

    return Subject(_scattered(rng, make, count, 5.5), (15, 70), {"golf": bool(golf)})


@scene("white_object")
def soap_and_rolls(rng: np.random.Generator) -> Subject:
    """Soap bars or paper rolls: white, smooth and plain."""
    if rng.random() < 0.5:
        soap = geometry.rounded_box((8, 5.5, 2.6), 1.1, 30)
        mark = np.exp(-((np.linalg.norm(soap.vertices[:, :2] / [2.4, 1.5], axis=1) - 1) / 0.1) ** 2)
        soap = soap.displaced(-0.08 * mark * (soap.vertices[:, 2] > 0.9))
        soap = paint(soap, _tone(rng, (0.93, 0.90, 0.84), 0.02), 0.4, 0.2)
        return Subject(soap.grounded(), (20, 70), {"thing": "soap"})
    parts = []
    for index in range(int(rng.integers(1, 4))):
        knots = np.array([[2.1, 0.05], [2.1, 9.95], [2.4, 10], [5.3, 10], [5.5, 9.8], [5.5, 0.2], [5.3, 0], [2.1, 0.05]])
        roll = geometry.lathe(knots[::-1], 160, 240)
        layers = noise(roll.vertices, (3, 3, 0.3), seed_of(rng), 3)
        roll = paint(roll.displaced(0.04 * layers), (0.93, 0.93, 0.92), 0.95, sheen=0.3)
        parts.append(roll.moved([11.5 * (index % 2) + rng.normal(0, 0.3), 11.2 * (index // 2), 0]))
    return Subject(merge(parts).grounded(), (12, 55), {"thing": "paper rolls"})
