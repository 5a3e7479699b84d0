"""Scenes with what was made and may look like ivory: ceramic, plastic, stone, white things."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from datasets.synthetic import geometry
from datasets.synthetic.forms import scattered
from datasets.synthetic.geometry import Array, Mesh, merge, noise, rotation
from datasets.synthetic.materials import any_hue, blend, glazed, jade, paint, seed_of, tone_near
from datasets.synthetic.pile import Heap
from datasets.synthetic.scene import Subject, scene


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


@scene("ceramic")
def vase(rng: np.random.Generator) -> Subject:
    """A vase, white, cream or painted with bands."""
    height = rng.uniform(15, 35)
    belly, neck = rng.uniform(0.2, 0.36), rng.uniform(0.06, 0.14)
    knots = [
        [0, 0],
        [0.14, 0],
        [0.15, 0.02],
        [belly, rng.uniform(0.35, 0.6)],
        [neck, 0.85],
        [neck + 0.05, 1],
    ]
    inner = [[neck + 0.03, 1], [neck - 0.02, 0.85], [0, 0.5]]
    profile = np.concatenate(
        [geometry.smooth_profile(knots, 300), geometry.smooth_profile(inner, 80)]
    )
    mesh = geometry.lathe(profile * height, 200, 420)
    colour = tone_near(
        rng, [(0.93, 0.92, 0.90), (0.88, 0.82, 0.70), (0.35, 0.45, 0.55)][rng.integers(3)], 0.02
    )
    mesh = glazed(rng, mesh, colour)
    if rng.random() < 0.5:
        z = mesh.vertices[:, 2] / height
        angle = mesh.coords[:, 1] * 2 * np.pi
        band = np.exp(-(((z - 0.6) / 0.08) ** 2)) * (np.sin(angle * 12 + 9 * np.sin(z * 30)) > 0.2)
        ink = np.array([0.03, 0.07, 0.3])
        mesh = replace(mesh, colour=blend(mesh.colour, ink, band))
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
    colour = tone_near(rng, (0.92, 0.91, 0.88), 0.02)
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
    hue = tone_near(rng, (0.93, 0.90, 0.82))

    def make() -> Mesh:
        colour = hue if plain else any_hue(rng, 0.9)
        return paint(geometry.ball(radius, 70), colour, rng.uniform(0.2, 0.5), 0.2).moved(
            [0, 0, radius]
        )

    return Subject(scattered(rng, make, count, radius * 3), (15, 65), {"count": count})


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
        place = (
            [0, 0, index * height * 0.18]
            if stacked
            else [index * radius * 2.3, rng.normal(0, 1.5), 0]
        )
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
    colour = tone_near(
        rng, [(0.90, 0.85, 0.72), (0.94, 0.93, 0.9), (0.55, 0.42, 0.30)][rng.integers(3)]
    )
    return Subject(paint(mesh, colour, rng.uniform(0.35, 0.65), 0.1), (5, 45))


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


@scene("stone_jade")
def stone_egg(rng: np.random.Generator) -> Subject:
    """Eggs, balls or tumbled stones."""
    radius = rng.uniform(2, 4)
    tumbled = rng.random() < 0.4
    kinds = []

    def make() -> Mesh:
        mesh = geometry.ball(radius, 110).scaled(1.3, 1, 1 if not tumbled else 0.7)
        if tumbled:
            mesh = mesh.displaced(
                0.18 * radius * noise(mesh.vertices / radius, 1.1, seed_of(rng), 2)
            )
        mesh, kind = jade(rng, mesh, radius)
        kinds.append(kind)
        return mesh.grounded()

    mesh = scattered(rng, make, int(rng.integers(1, 6)), radius * 3)
    return Subject(mesh, (15, 70), {"stones": sorted(set(kinds))})


@scene("stone_jade")
def stone_figure(rng: np.random.Generator) -> Subject:
    """A pestle, pawn or seal of stone."""
    height = rng.uniform(6, 14)
    wide = rng.uniform(0.18, 0.3)
    knots = [
        [0, 0],
        [wide, 0],
        [wide, 0.1],
        [wide * 0.6, 0.3],
        [wide * 0.5, 0.6],
        [wide * 0.9, 0.8],
        [wide * 0.5, 0.98],
        [0, 1],
    ]
    mesh = geometry.lathe(geometry.smooth_profile(knots, 300) * height, 180, 320)
    mesh, kind = jade(rng, mesh, height * 0.4)
    return Subject(mesh, (5, 50), {"stone": kind})


@scene("white_object")
def candles(rng: np.random.Generator) -> Subject:
    """White or cream candles: smooth tapering cylinders, standing or lying."""
    height, radius = rng.uniform(10, 25), rng.uniform(0.9, 3)
    colour = tone_near(rng, (0.94, 0.91, 0.82))
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


def _golf_ball() -> Mesh:
    mesh = geometry.ball(2.1, 200)
    golden = np.pi * (3 - np.sqrt(5))
    index = np.arange(260) + 0.5
    z = 1 - 2 * index / 260
    centres = np.column_stack(
        [
            np.sqrt(1 - z**2) * np.cos(golden * index),
            np.sqrt(1 - z**2) * np.sin(golden * index),
            z,
        ]
    )
    near = (mesh.vertices / 2.1 @ centres.T).max(axis=1)
    dent = np.clip(1 - np.arccos(np.clip(near, -1, 1)) / 0.095, 0, 1)
    return paint(mesh.displaced(-0.1 * np.sqrt(dent)), (0.94, 0.94, 0.92), 0.3, 0.5).grounded()


@scene("white_object")
def eggs(rng: np.random.Generator) -> Subject:
    """White or brown eggs, or golf balls."""
    golf = rng.random() < 0.35
    ball = _golf_ball() if golf else geometry.ball(1.0, 90)
    count = int(rng.integers(1, 8))

    def make() -> Mesh:
        if golf:
            return ball
        z = ball.vertices[:, 2]
        wide = 2.15 * (1 - 0.13 * z)
        egg = ball.reshaped(ball.vertices * np.column_stack([wide, wide, np.full_like(z, 2.8)]))
        tone = (0.93, 0.91, 0.87) if rng.random() < 0.6 else (0.80, 0.60, 0.45)
        egg = egg.turned(rotation([0, 1, 0], 90 + rng.normal(0, 4)))
        return paint(
            egg.displaced(0.01 * noise(egg.vertices, 4, seed_of(rng))),
            tone_near(rng, tone, 0.015),
            0.55,
        ).grounded()

    return Subject(scattered(rng, make, count, 5.5), (15, 70), {"golf": bool(golf)})


@scene("white_object")
def soap_and_rolls(rng: np.random.Generator) -> Subject:
    """Soap bars or paper rolls: white, smooth and plain."""
    if rng.random() < 0.5:
        soap = geometry.rounded_box((8, 5.5, 2.6), 1.1, 30)
        mark = np.exp(
            -(((np.linalg.norm(soap.vertices[:, :2] / [2.4, 1.5], axis=1) - 1) / 0.1) ** 2)
        )
        soap = soap.displaced(-0.08 * mark * (soap.vertices[:, 2] > 0.9))
        soap = paint(soap, tone_near(rng, (0.93, 0.90, 0.84), 0.02), 0.4, 0.2)
        return Subject(soap.grounded(), (20, 70), {"thing": "soap"})
    parts = []
    for index in range(int(rng.integers(1, 4))):
        knots = np.array(
            [
                [2.1, 0.05],
                [2.1, 9.95],
                [2.4, 10],
                [5.3, 10],
                [5.5, 9.8],
                [5.5, 0.2],
                [5.3, 0],
                [2.1, 0.05],
            ]
        )
        roll = geometry.lathe(knots[::-1], 160, 240)
        layers = noise(roll.vertices, (3, 3, 0.3), seed_of(rng), 3)
        roll = paint(roll.displaced(0.04 * layers), (0.93, 0.93, 0.92), 0.95, sheen=0.3)
        parts.append(roll.moved([11.5 * (index % 2) + rng.normal(0, 0.3), 11.2 * (index // 2), 0]))
    return Subject(merge(parts).grounded(), (12, 55), {"thing": "paper rolls"})
