"""Scenes of seizures and stores: tusks in rows and on shelves, and what else is stored so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from datasets.synthetic import geometry
from datasets.synthetic.forms import bent, laid, mirrored, shelf
from datasets.synthetic.geometry import Array, Mesh, merge, noise, rotation
from datasets.synthetic.materials import (
    along,
    any_hue,
    blend,
    ivory_colour,
    paint,
    ridge,
    seed_of,
    shaded,
    tone_near,
)
from datasets.synthetic.pile import Heap
from datasets.synthetic.scene import Subject, scene
from datasets.synthetic.scenes_ivory import ageing, tusk
from datasets.synthetic.textures import linear

_INKS = ((0.08, 0.08, 0.10), (0.62, 0.10, 0.10), (0.10, 0.16, 0.45), (0.10, 0.35, 0.16))


def marked(rng: np.random.Generator, mesh: Mesh, girth: float) -> Mesh:
    """A long thing with a number written on its upper side, as stores and courts do.

    Args:
        rng: The picture's generator.
        mesh: A tube made by ``geometry.sweep``.
        girth: Its radius in centimetres.
    """
    text = "".join(rng.choice(list("ABCDEKLMNT0123456789/.-"), int(rng.integers(4, 10))))
    sheet = np.zeros((48, 26 * len(text)), np.uint8)
    cv2.putText(sheet, text, (4, 36), cv2.FONT_HERSHEY_SIMPLEX, 1.1, 255, 4, cv2.LINE_AA)
    angle = mesh.coords[:, 1]
    around = len(np.unique(angle))
    centres = mesh.vertices.reshape(-1, around, 3).mean(axis=1)
    way = np.cumsum(np.linalg.norm(np.diff(centres, axis=0, prepend=centres[:1]), axis=1))
    start = rng.uniform(0.5, 0.65) * way[-1]
    ring = slice(np.searchsorted(way, start) * around, (np.searchsorted(way, start) + 1) * around)
    top = angle[ring][mesh.vertices[ring, 2].argmax()]
    off = (angle - top + rng.normal(0, 0.04) + 0.5) % 1 - 0.5
    pixel = girth * rng.uniform(0.7, 1.3) / sheet.shape[0]
    across = np.clip(off * 2 * np.pi * girth / pixel + 24, 0, 47).astype(int)
    forth = np.clip((np.repeat(way, around) - start) / pixel, 0, sheet.shape[1] - 1).astype(int)
    ink = sheet[across, forth] / 255 * rng.uniform(0.6, 0.95)
    return replace(mesh, colour=blend(mesh.colour, linear(_INKS[rng.integers(len(_INKS))]), ink))


def dusty(rng: np.random.Generator, mesh: Mesh, share: float) -> Mesh:
    """The mesh with dust and earth on what looks upward, and dark stains."""
    up = np.clip(geometry.normals(mesh)[:, 2], 0, 1)
    size = float(np.ptp(mesh.vertices, axis=0).max())
    cloud = noise(mesh.vertices / size, 7, seed_of(rng), 4)
    earth = linear(tone_near(rng, (0.56, 0.45, 0.33)))
    colour = blend(mesh.colour, earth, share * up * np.clip(0.6 + 1.2 * cloud, 0, 1))
    stain = np.clip(3 * noise(mesh.vertices / size, 4, seed_of(rng), 4) - 1.2, 0, 1)
    return replace(mesh, colour=blend(colour, linear((0.17, 0.12, 0.08)), 0.6 * share * stain))


def _stored_tusk(rng: np.random.Generator, length: float, age: float, bend: float) -> Mesh:
    mesh = tusk(rng, length, age, bend * rng.uniform(0.7, 1.2), detail=170, around=100)
    if rng.random() < 0.4:
        mesh = marked(rng, mesh, 0.05 * length)
    mesh = mirrored(mesh) if rng.random() < 0.5 else mesh
    return dusty(rng, mesh.grounded(), rng.uniform(0, 0.8) * age)


@scene("ivory_raw")
def tusk_stockpile(rng: np.random.Generator) -> Subject:
    """Many tusks laid out in rows on the ground, big and small, some with numbers."""
    count = int(rng.integers(8, 17))
    length = rng.uniform(60, 130)
    age, bend = ageing(rng), rng.uniform(35, 80)
    sizes = np.sort(length * rng.uniform(0.45, 1.15, count))[::-1]
    things = [_stored_tusk(rng, float(size), age, bend) for size in sizes]
    placed = laid(Heap(length * 4), things, rng.uniform(0, 360), length * rng.uniform(0.11, 0.17))
    return Subject(merge(placed), (20, 75), {"count": count, "age": round(age, 2)})


def _on_shelves(
    rng: np.random.Generator, make: Callable[[float], Mesh], length: float, gap: float
) -> Mesh:
    """Long things on the boards of a rack, across it or with their ends to the front."""
    width = length * rng.uniform(1.1, 1.5)
    depth = length * rng.uniform(0.5, 0.8)
    boards = np.cumsum(rng.uniform(0.3, 0.45, int(rng.integers(2, 4)))) * length
    rack = shelf(rng, width, depth, list(boards - boards[0] + 0.08 * length))
    ends_first = bool(rng.random() < 0.5)
    heading = 90 if ends_first else 0
    room = (width if ends_first else depth) * 0.85
    most = max(2, int(room / gap))
    parts = [rack]
    for board in boards - boards[0] + 0.08 * length:
        things = [make(length * rng.uniform(0.5, 0.95)) for _ in range(rng.integers(2, most + 1))]
        rows = laid(Heap(length * 3), things[: min(len(things), 7)], heading, gap)
        parts += [thing.moved([0, 0, board]) for thing in rows]
    return merge(parts)


@scene("ivory_raw")
def tusk_shelf(rng: np.random.Generator) -> Subject:
    """Tusks on the shelves of a store."""
    length = rng.uniform(50, 110)
    age, bend = ageing(rng), rng.uniform(25, 60)
    mesh = _on_shelves(rng, lambda long: _stored_tusk(rng, long, age, bend), length, length * 0.14)
    return Subject(mesh, (3, 35), {"age": round(age, 2)})


def _hollow_piece(rng: np.random.Generator, girth: float, age: float) -> Mesh:
    """A sawn length of the thick end, with the cone of its pulp cavity."""
    length = girth * rng.uniform(1.2, 4.5)
    depth = rng.uniform(0.4, 1.0)
    wide = rng.uniform(0.5, 0.85)
    at = np.concatenate(
        [np.linspace(depth, 0, 60), np.zeros(40), np.linspace(0, 1, 160), np.ones(50)]
    )
    share = np.concatenate(
        [
            wide * np.linspace(0, 1, 60) ** 0.8,
            np.linspace(wide, 1, 40),
            1 - 0.15 * np.linspace(0, 1, 160),
            np.linspace(0.85, 0, 50),
        ]
    )
    part = np.repeat(np.repeat([0, 1, 2, 3], [60, 40, 160, 50]), 180)
    mesh = geometry.sweep(bent(length, rng.uniform(2, 30)), at, girth * share, around=180)
    mesh = replace(mesh, coords=np.column_stack([np.repeat(at, 180), mesh.coords[:, 1]]))
    flat = mesh.vertices / girth
    unrolled = along(mesh, length / girth)
    rings = np.sin(np.repeat(share, 180) * 34 + 0.8 * noise(flat, 1.5, seed_of(rng)))
    cut = blend((0.91, 0.85, 0.70), (0.74, 0.62, 0.43), 0.3 + 0.25 * rings + 0.4 * age)
    lines = noise(unrolled, (3, 3, 0.3), seed_of(rng), 3)
    bark = blend(ivory_colour(rng, age), (0.42, 0.29, 0.17), 0.2 + 0.5 * age + 0.6 * lines)
    crack = ridge(noise(unrolled, (1.3, 1.3, 0.1), seed_of(rng), 3), 0.03)
    bark = blend(bark, (0.18, 0.12, 0.08), crack * (0.4 + 0.5 * age))
    inner = blend((0.66, 0.52, 0.34), (0.30, 0.20, 0.12), 0.3 + 0.6 * age + 0.5 * lines)
    colour = np.select([part[:, None] == 0, part[:, None] == 2], [inner, bark], cut)
    lumps = np.where(part == 2, noise(flat, 0.8, seed_of(rng), 3), 0)
    mesh = paint(mesh.displaced(0.04 * girth * lumps), np.clip(colour, 0, 1), 0.45, 0.1)
    deep = np.clip(1.1 - 0.8 * np.repeat(at, 180), 0.3, 1)
    return shaded(mesh, np.where(part == 0, deep, 1))


@scene("ivory_raw")
def tusk_hollow_pieces(rng: np.random.Generator) -> Subject:
    """Sawn lengths of tusk that show the hollow of the pulp, some with numbers."""
    age = ageing(rng)
    count = int(rng.integers(1, 7))
    girth = rng.uniform(3.5, 7)
    things = []
    for _ in range(count):
        piece = _hollow_piece(rng, girth * rng.uniform(0.7, 1.1), age)
        if rng.random() < 0.4:
            piece = marked(rng, piece, girth)
        if rng.random() < 0.3:
            piece = piece.turned(rotation([0, 1, 0], 90))
        things.append(dusty(rng, piece.grounded(), rng.uniform(0, 0.6) * age))
    placed = Heap(girth * 24).drop(rng, things, girth * 2.2 * np.sqrt(count), tilt=0.0, tries=12)
    return Subject(merge(placed), (12, 65), {"count": count, "age": round(age, 2)})


def _log(rng: np.random.Generator, length: float, girth: float) -> Mesh:
    """A log with bark, sawn at both ends."""
    share = np.concatenate([np.linspace(0, 1, 40), np.ones(120), np.linspace(1, 0, 40)])
    at = np.concatenate([np.zeros(40), np.linspace(0, 1, 120), np.ones(40)])
    mesh = geometry.sweep(bent(length, rng.uniform(2, 25)), at, girth * share, around=110)
    end = np.repeat((at == 0) | (at == 1), 110)
    unrolled = along(mesh, length / girth)
    bark = noise(unrolled, (3.5, 3.5, 0.8), seed_of(rng), 4)
    rings = np.sin(np.repeat(share, 110) * rng.uniform(35, 60) + noise(unrolled, 1, seed_of(rng)))
    tone = np.array([(0.42, 0.31, 0.22), (0.78, 0.75, 0.70), (0.30, 0.24, 0.20)][rng.integers(3)])
    sawn = blend((0.84, 0.70, 0.50), (0.62, 0.45, 0.28), 0.4 + 0.3 * rings)
    colour = np.where(end[:, None], sawn, blend(tone, tone * 0.4, 0.4 + 0.6 * bark))
    return paint(mesh.displaced(np.where(end, 0, 0.06 * girth * bark)), colour, 0.85).grounded()


@scene("wood")
def logs(rng: np.random.Generator) -> Subject:
    """Logs in rows on the ground or on the shelves of a shed."""
    length = rng.uniform(30, 100)
    girth = length * rng.uniform(0.05, 0.09)
    stored = bool(rng.random() < 0.4)

    def make(long: float) -> Mesh:
        return _log(rng, long, girth * rng.uniform(0.6, 1.1))

    if stored:
        return Subject(_on_shelves(rng, make, length, girth * 2.3), (3, 40), {"shelf": stored})
    things = [make(length * rng.uniform(0.7, 1)) for _ in range(int(rng.integers(3, 15)))]
    placed = laid(Heap(length * 4), things, rng.uniform(0, 360), girth * rng.uniform(2, 2.6))
    return Subject(merge(placed), (15, 70), {"shelf": stored})


def _pipe(length: float, girth: float, bend: float, colour: Array) -> Mesh:
    at = np.concatenate([np.linspace(1, 0, 40), np.linspace(0, 1, 90), np.ones(1)])
    radii = girth * np.concatenate([np.full(40, 0.86), np.full(90, 1.0), [0.86]])
    mesh = paint(geometry.sweep(bent(length, bend), at, radii, around=90), colour, 0.35, 0.3)
    return shaded(mesh, np.repeat(np.where(radii < girth, 0.55, 1.0), 90)).grounded()


@scene("plastic_resin")
def pipes(rng: np.random.Generator) -> Subject:
    """Plastic pipes or hoses, white, cream or coloured, in rows or on shelves."""
    length = rng.uniform(30, 100)
    girth = length * rng.uniform(0.025, 0.06)
    pale = rng.random() < 0.6
    colour = np.array(tone_near(rng, (0.90, 0.88, 0.80)) if pale else any_hue(rng, 0.9))
    bend = rng.uniform(0, 70) if rng.random() < 0.5 else 0.0
    stored = bool(rng.random() < 0.4)

    def make(long: float) -> Mesh:
        return _pipe(long, girth, bend * rng.uniform(0.8, 1.2), colour)

    if stored:
        return Subject(_on_shelves(rng, make, length, girth * 3), (3, 40), {"shelf": stored})
    things = [make(length * rng.uniform(0.6, 1)) for _ in range(int(rng.integers(2, 10)))]
    placed = laid(Heap(length * 4), things, rng.uniform(0, 360), girth * rng.uniform(2.2, 4))
    return Subject(merge(placed), (15, 70), {"shelf": stored})
