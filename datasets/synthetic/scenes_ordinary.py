"""Scenes with the ordinary things that most listings show."""

from __future__ import annotations

import numpy as np

from datasets.synthetic import geometry
from datasets.synthetic.forms import bent
from datasets.synthetic.geometry import Array, Mesh, merge, noise, rotation
from datasets.synthetic.materials import along, any_hue, blend, paint, seed_of, timber
from datasets.synthetic.pile import Heap
from datasets.synthetic.scene import Subject, scene


@scene("listing_other")
def cardboard_boxes(rng: np.random.Generator) -> Subject:
    """Parcels with tape and a label."""
    parts: list[Mesh] = []
    top = 0.0
    for _ in range(int(rng.integers(1, 4))):
        size = rng.uniform([18, 14, 8], [34, 28, 20])
        box = geometry.rounded_box(size, 0.4, 20)
        fibre = noise(box.vertices, (0.3, 0.3, 3), seed_of(rng), 3)
        tone = np.array([0.70, 0.54, 0.37]) * rng.uniform(0.85, 1.1)
        box = paint(
            box.displaced(0.12 * noise(box.vertices, 0.12, seed_of(rng))),
            np.clip(blend(tone, tone * 0.8, 0.4 + 0.5 * fibre), 0, 1),
            0.85,
        )
        tape = geometry.rounded_box((size[0] + 0.12, 4.5, size[2] + 0.12), 0.45, 20)
        tape = paint(tape, [(0.72, 0.60, 0.42), (0.85, 0.85, 0.82)][rng.integers(2)], 0.2, 0.5)
        label = geometry.rounded_box((size[0] * 0.36, size[1] * 0.32, 0.08), 0.03, 16)
        lines = (np.sin(label.vertices[:, 1] * 7) > 0.5) & (
            np.abs(label.vertices[:, 0]) < size[0] * 0.15
        )
        label = paint(label, np.where(lines[:, None], 0.35, 0.92) * np.ones(3), 0.5)
        place = [size[0] * 0.22, size[1] * 0.26, size[2] / 2 + 0.06]
        parcel = merge([box, tape, label.moved(place)]).turned(
            rotation([0, 0, 1], rng.normal(0, 12))
        )
        parts.append(parcel.moved([*rng.normal(0, 1.5, 2), top + size[2] / 2 + 0.1]))
        top += size[2] + 0.25
    return Subject(merge(parts).grounded(), (12, 50))


@scene("listing_other")
def watch(rng: np.random.Generator) -> Subject:
    """A wrist watch lying open."""
    case = geometry.lathe(
        np.array(
            [
                [0, 0],
                [1.9, 0],
                [2.05, 0.2],
                [2.05, 0.7],
                [1.8, 0.9],
                [1.72, 0.9],
                [1.7, 0.78],
                [0, 0.78],
            ]
        ),
        160,
        160,
    )
    radius = np.hypot(case.vertices[:, 0], case.vertices[:, 1])
    angle = np.arctan2(case.vertices[:, 1], case.vertices[:, 0])
    dial = (radius < 1.7) & (case.vertices[:, 2] > 0.7)
    marks = dial & (radius > 1.35) & (np.abs((angle / (np.pi / 6) + 0.5) % 1 - 0.5) < 0.1)
    face = np.array([[0.93, 0.93, 0.92], [0.07, 0.07, 0.09], [0.1, 0.15, 0.35]][rng.integers(3)])
    ink = 1 - face if face.mean() > 0.5 else np.array([0.9, 0.9, 0.85])
    metal = np.array([[0.75, 0.75, 0.77], [0.83, 0.66, 0.35]][rng.integers(2)])
    colour = np.where(dial[:, None], face, metal)
    colour = np.where(marks[:, None], ink, colour)
    mesh = paint(case, colour, 0.22, 0.3)
    mesh.surface[:, 2] = ~dial * 1.0
    parts = [mesh]
    for turn, reach in ((rng.uniform(0, 360), 1.3), (rng.uniform(0, 360), 0.85)):
        hand = geometry.rounded_box((reach, 0.09, 0.03), 0.01, 8).moved([reach / 2, 0, 0.84])
        parts.append(paint(hand.turned(rotation([0, 0, 1], turn)), ink, 0.3))
    strap_tone = any_hue(rng, 0.2) if rng.random() < 0.5 else (0.30, 0.18, 0.11)
    bracelet = rng.random() < 0.4
    for side in (-1, 1):
        if bracelet:
            for index in range(11):
                link = geometry.rounded_box((0.62, 1.7 - 0.04 * index, 0.3), 0.1, 10)
                parts.append(
                    paint(
                        link.moved([side * (2.3 + 0.66 * index), 0, 0.3]), metal, 0.25, metallic=1.0
                    )
                )
        else:
            strap = geometry.rounded_box((8, 1.8, 0.28), 0.12, 40).moved([side * 5.9, 0, 0.3])
            strap = strap.displaced(0.015 * noise(strap.vertices, 6, seed_of(rng), 2))
            parts.append(paint(strap, strap_tone, 0.5, 0.1))
    return Subject(merge(parts).grounded(), (30, 85))


@scene("listing_other")
def books(rng: np.random.Generator) -> Subject:
    """A book or a stack of them."""
    parts: list[Mesh] = []
    top = 0.0
    for _ in range(int(rng.integers(1, 6))):
        width, height, thick = rng.uniform(11, 20), rng.uniform(17, 27), rng.uniform(1, 4)
        cover, second = np.array(any_hue(rng, 0.7)), np.array(any_hue(rng, 0.7))
        boards = []
        for z in (0.12, thick - 0.12):
            board = geometry.rounded_box((width, height, 0.24), 0.08, 90)
            u, v = board.coords[:, 0], board.coords[:, 1]
            flat = np.abs(board.vertices[:, 2]) > 0.1
            block = (
                flat
                & (np.abs(u - rng.uniform(0.4, 0.6)) < rng.uniform(0.2, 0.4))
                & (np.abs(v - rng.uniform(0.3, 0.7)) < rng.uniform(0.08, 0.25))
            )
            boards.append(
                paint(board, np.where(block[:, None], second, cover), 0.35, 0.3).moved([0, 0, z])
            )
        spine = geometry.rounded_box((0.24, height, thick), 0.1, 20).moved(
            [-width / 2, 0, thick / 2]
        )
        pages = geometry.rounded_box((width - 0.5, height - 0.6, thick - 0.4), 0.05, 20)
        leaves = 0.88 + 0.06 * np.sin(pages.vertices[:, 2] * 60)
        pages = paint(pages, leaves[:, None] * np.array([1.0, 0.97, 0.9]), 0.9).moved(
            [0, 0, thick / 2]
        )
        book = merge([*boards, paint(spine, cover, 0.35, 0.3), pages])
        book = book.turned(rotation([0, 0, 1], rng.normal(0, 12)))
        parts.append(book.moved([*rng.normal(0, 0.8, 2), top]))
        top += thick
    return Subject(merge(parts).grounded(), (20, 75))


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


@scene("listing_other")
def apples(rng: np.random.Generator) -> Subject:
    """Apples or oranges."""
    count = int(rng.integers(1, 8))
    orange = bool(rng.random() < 0.4)

    def make() -> Mesh:
        radius = rng.uniform(3.2, 4.2)
        mesh = geometry.ball(1.0, 110)
        x, y, z = mesh.vertices.T
        away = np.hypot(x, y)
        if orange:
            mesh = mesh.displaced(0.012 * noise(mesh.vertices, 22, seed_of(rng), 1))
            tone = np.array([0.92, 0.52, 0.10]) * rng.uniform(0.92, 1.05)
            return paint(mesh.scaled(radius), np.clip(tone, 0, 1), 0.4, 0.2).grounded()
        dent = 0.42 * np.exp(-((away / 0.27) ** 2)) * (z > 0) + 0.2 * np.exp(
            -((away / 0.25) ** 2)
        ) * (z < 0)
        shape = (
            mesh.vertices
            * (1 - dent)[:, None]
            * np.column_stack([1 + 0.06 * z, 1 + 0.06 * z, np.full_like(z, 0.92)])
        )
        mesh = mesh.reshaped(shape)
        angle = np.arctan2(y, x)
        streak = noise(
            np.column_stack([np.cos(angle) * 6, np.sin(angle) * 6, z]), 1.0, seed_of(rng), 3
        )
        side = noise(mesh.vertices, 0.7, seed_of(rng), 2)
        colour = blend((0.80, 0.72, 0.28), (0.68, 0.10, 0.10), 0.5 + 0.9 * side + 0.5 * streak)
        body = paint(mesh.scaled(radius), np.clip(colour, 0, 1), 0.25, 0.4)
        stalk = geometry.sweep(
            lambda at: np.stack([0.3 * at**2, 0 * at, 1.9 * at], 1),
            np.linspace(0, 1, 20),
            np.full(20, 0.12),
            16,
        )
        return merge(
            [body, paint(stalk.moved([0, 0, radius * 0.52]), (0.30, 0.20, 0.10), 0.8)]
        ).grounded()

    things = [make() for _ in range(count)]
    placed = Heap(90).drop(
        rng, things, 4.6 * np.sqrt(count) if count > 1 else 0.01, tilt=0.0, tries=14
    )
    return Subject(merge(placed), (15, 65), {"oranges": orange})


@scene("listing_other")
def telephone(rng: np.random.Generator) -> Subject:
    """A slab with a screen: a phone or a tablet."""
    body = geometry.rounded_box((15, 7.3, 0.8), 0.35, 30)
    body = paint(body, any_hue(rng, 0.15), 0.3, 0.3)
    screen = geometry.rounded_box((14.3, 6.7, 0.06), 0.02, 60)
    lit = rng.random() < 0.5
    u, v = screen.coords.T
    glow = 0.5 + 0.5 * np.sin(u * 5 + 3 * noise(screen.vertices, 0.2, seed_of(rng)))
    icons = (np.abs(u * 8 % 1 - 0.5) < 0.3) & (np.abs(v * 4 % 1 - 0.5) < 0.3)
    picture = blend(any_hue(rng), any_hue(rng), glow)
    picture = np.where(icons[:, None], 0.85, picture)
    screen = paint(screen, picture if lit else (0.03, 0.03, 0.035), 0.05, 1.0)
    return Subject(merge([body, screen.moved([0, 0, 0.4])]).grounded(), (25, 85), {"lit": lit})


@scene("listing_other")
def tools(rng: np.random.Generator) -> Subject:
    """A hammer, a screwdriver or a spoon: wood and metal, long and thin."""
    handle_length = rng.uniform(11, 24)
    knots = np.array([[0, 0], [1.2, 0.02], [1.5, 0.1], [1.1, 0.4], [1.25, 0.75], [0.9, 1], [0, 1]])
    handle = geometry.lathe(knots * [1, handle_length], 100, 240)
    if rng.random() < 0.5:
        handle = timber(rng, handle, 3, 0.5)
    else:
        handle = paint(handle, any_hue(rng, 0.9), 0.35, 0.2)
    if rng.random() < 0.5:
        head = geometry.rounded_box((9, 2.4, 2.4), 0.35, 20).moved([0, 0, handle_length - 0.5])
        head = paint(head, (0.42, 0.42, 0.44), 0.35, metallic=0.9)
    else:
        head = geometry.lathe(
            np.array([[0.35, 0], [0.35, 11], [0.5, 11.5], [0.1, 13], [0, 13]]), 60, 120
        )
        head = paint(
            head.moved([0, 0, handle_length - 0.2]), (0.72, 0.72, 0.74), 0.25, metallic=1.0
        )
    mesh = merge([handle, head]).turned(rotation([0, 1, 0], 90))
    return Subject(mesh.grounded(), (25, 80))


@scene("listing_other")
def shirt_like_cloth(rng: np.random.Generator) -> Subject:
    """A folded garment or towel."""
    layers = int(rng.integers(2, 6))
    tone = np.array(any_hue(rng, 0.6)) if rng.random() < 0.7 else np.array([0.9, 0.89, 0.87])
    striped = rng.random() < 0.4
    parts = []
    for index in range(layers):
        slab = geometry.rounded_box((26, 20, 1.6), 0.75, 90)
        fold = noise(slab.vertices, 0.12, seed_of(rng), 4)
        fine = noise(slab.vertices, 5, seed_of(rng), 2)
        slab = slab.displaced(0.5 * fold + 0.03 * fine)
        share = 0.3 * fine + (0.8 * (np.sin(slab.vertices[:, 0] * 1.6) > 0.4) if striped else 0)
        slab = paint(slab, np.clip(blend(tone, tone * 0.6, share), 0, 1), 0.9, sheen=0.6)
        parts.append(slab.moved([*rng.normal(0, 0.3, 2), index * 1.5]))
    return Subject(merge(parts).grounded(), (25, 75))


@scene("listing_other")
def cables_and_rings(rng: np.random.Generator) -> Subject:
    """Coiled cable or rope."""
    turns, radius = rng.uniform(2.5, 5), rng.uniform(5, 9)
    thick = rng.uniform(0.25, 0.6)
    seed = seed_of(rng)

    def curve(at: Array) -> Array:
        angle = at * turns * 2 * np.pi
        wander = noise(np.column_stack([at * 9, 0 * at, 0 * at]), 1, seed, 2)
        reach = radius + 1.2 * wander
        return np.stack([reach * np.cos(angle), reach * np.sin(angle), thick * 1.6 * at * turns], 1)

    mesh = geometry.sweep(curve, np.linspace(0, 1, 1400), np.full(1400, thick), 28)
    rope = rng.random() < 0.4
    if rope:
        lay = np.sin(mesh.coords[:, 1] * 6 * np.pi + mesh.coords[:, 0] * 900)
        mesh = mesh.displaced(0.2 * thick * lay)
        mesh = paint(mesh, blend((0.76, 0.64, 0.44), (0.50, 0.38, 0.24), 0.5 - 0.5 * lay), 0.9)
    else:
        tone = (0.06, 0.06, 0.065) if rng.random() < 0.5 else any_hue(rng, 0.8)
        mesh = paint(mesh, tone, 0.4)
    return Subject(mesh.grounded(), (25, 80))
