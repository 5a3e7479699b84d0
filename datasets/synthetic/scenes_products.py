"""Scenes with products: ivory, raw and worked, rhino horn, tortoiseshell, coral."""

from __future__ import annotations

import numpy as np

from datasets.synthetic import geometry
from datasets.synthetic.geometry import Array, Curve, Mesh, merge, noise, rotation
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
    tortoiseshell,
)
from datasets.synthetic.pile import Heap
from datasets.synthetic.scene import Subject, scene


def bent(length: float, bend: float, twist: float = 0.0, late: float = 1.0) -> Curve:
    """A curve of a given length that bends by ``bend`` degrees, lying in the plane of the table.

    Args:
        length: In centimetres.
        bend: The whole angle between both ends.
        twist: How far it leaves the plane, as a share of its length.
        late: Above 1 the bend gathers toward the far end.
    """
    fine = np.linspace(0, 1, 500)
    heading = np.radians(bend) * (fine**late - 0.5)
    step = np.stack([np.cos(heading), np.sin(heading)], axis=1) * length / 500
    flat = np.cumsum(step, axis=0)
    path = np.column_stack([flat, twist * length * np.sin(fine * np.pi * 1.3)])

    def curve(at: Array) -> Array:
        return np.stack([np.interp(at, fine, path[:, axis]) for axis in range(3)], axis=1)

    return curve


def horn_tube(
    curve: Curve, length: float, girth: float, taper: float, hollow: float, detail: int = 520
) -> tuple[Mesh, Array]:
    """A tapering tube that is hollow at its thick end.

    Returns:
        The tube, and for each vertex how far along it lies: 0 at the base, 1 at the tip, and below
        0 inside the hollow.
    """
    inside = np.linspace(-hollow, 0, 90)
    outside = np.concatenate([np.linspace(0, 0.02, 10), np.linspace(0.02, 1, detail)[1:]])
    outside = np.concatenate([outside[outside < 0.97], 1 - 0.03 * np.linspace(1, 0, 40) ** 2])
    shape = (1 - outside) ** taper
    round_off = np.sqrt(np.clip(1 - np.clip((outside - 0.93) / 0.07, 0, 1) ** 2, 0, 1))
    radius_out = girth * (0.22 + 0.78 * shape) * round_off
    radius_in = girth * 0.86 * np.clip(1 - (-inside / hollow) ** 1.3, 0, 1)
    lip = 1 - 0.05 * np.exp(-outside / 0.004)
    position = np.concatenate([inside, outside])
    mesh = geometry.sweep(
        curve, np.abs(position), np.concatenate([radius_in, radius_out * lip]), around=224
    )
    return mesh, np.repeat(position, 224)


def tusk(rng: np.random.Generator, length: float, age: float, bend: float | None = None) -> Mesh:
    """One elephant tusk, lying on its side.

    Args:
        rng: The picture's generator.
        length: In centimetres.
        age: 0 is clean and cream, 1 is brown, cracked and dirty.
        bend: The whole angle of its curve in degrees; drawn when None.
    """
    bend = rng.uniform(45, 115) if bend is None else bend
    girth = length * rng.uniform(0.042, 0.062)
    curve = bent(length, bend, rng.uniform(-0.03, 0.03), rng.uniform(0.9, 1.4))
    mesh, position = horn_tube(
        curve, length, girth, rng.uniform(0.75, 1.1), rng.uniform(0.12, 0.3)
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
    stain = np.clip(root * (0.25 + 0.75 * age) + 0.55 * noise(unrolled, 0.4 / girth, seed_of(rng), 5), 0, 1)
    colour = blend(colour, (0.40, 0.28, 0.17), stain * (0.2 + 0.55 * age))
    colour = blend(colour, (0.20, 0.13, 0.08), crack * (0.35 + 0.6 * age))
    speck = noise(unrolled, 9 / girth, seed_of(rng), 2)
    colour = blend(colour, (0.25, 0.19, 0.13), (speck > 0.75) * 0.35 * age)
    rim = np.exp(-((position - 0.002) ** 2) / 0.00003)
    colour = blend(colour, (0.88, 0.80, 0.64), rim * 0.7)
    mesh = paint(mesh, np.clip(colour, 0, 1), rng.uniform(0.28, 0.5) + 0.15 * age, 0.25 * (1 - age))
    return shaded(mesh, np.where(position < 0, np.clip(1 + 6 * position, 0.25, 1), 1.0))


def _ageing(rng: np.random.Generator) -> float:
    return float(rng.beta(1.4, 1.8))


@scene("ivory_raw")
def tusk_single(rng: np.random.Generator) -> Subject:
    """One tusk on its side."""
    age = _ageing(rng)
    length = rng.uniform(35, 150)
    mesh = tusk(rng, length, age)
    return Subject(mesh, (22, 80), {"length_cm": round(length), "age": round(age, 2)})


@scene("ivory_raw")
def tusk_pair(rng: np.random.Generator) -> Subject:
    """A pair of tusks, side by side or facing each other."""
    age = _ageing(rng)
    length, bend = rng.uniform(40, 150), rng.uniform(50, 105)
    first = tusk(rng, length, age, bend).grounded()
    second = tusk(rng, length * rng.uniform(0.92, 1.05), age, bend).grounded()
    facing = rng.random() < 0.5
    if facing:
        second = second.turned(np.diag([1.0, -1.0, 1.0]))
        second = Mesh(second.vertices, second.faces[:, ::-1], second.coords, second.colour, second.surface)
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
    age = _ageing(rng)
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


@scene("ivory_raw")
def tusk_pieces(rng: np.random.Generator) -> Subject:
    """Tusk cut into blocks whose ends show the rings of growth."""
    age = _ageing(rng) * 0.8
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
        angle = block.coords[:, 1] * 2 * np.pi
        rings = np.sin(np.repeat(share, 200) * 26 + 0.6 * noise(flat, 1.5, seed_of(rng)))
        cross = np.sin(angle * 40 + np.repeat(share, 200) * 22) * np.sin(angle * 40 - np.repeat(share, 200) * 22)
        cut = blend((0.92, 0.87, 0.74), (0.80, 0.70, 0.52), 0.3 + 0.18 * rings + 0.12 * cross)
        bark = blend(ivory_colour(rng, age), (0.45, 0.31, 0.18), 0.3 * age + 0.6 * noise(flat, 1.2, seed_of(rng), 5))
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
    age = 0.6 * _ageing(rng)
    length = rng.uniform(30, 70)
    mesh = tusk(rng, length, age, rng.uniform(40, 90)).grounded()
    base = mesh.vertices[mesh.coords[:, 0] < 0.2].mean(axis=0)
    tilt = rotation([0, 1, 0], -90) @ rotation([0, 0, 1], rng.uniform(15, 40))
    mesh = mesh.moved(-base).turned(tilt)
    height = length * 0.07
    foot = geometry.rounded_box((length * 0.26, length * 0.2, height), height * 0.15)
    if rng.random() < 0.5:
        foot = geometry.lathe(np.array([[0, 0], [1, 0], [1, 0.4], [0.8, 1], [0, 1]]) * [length * 0.12, height])
    foot = timber(rng, foot.grounded(), length * 0.3, 0.7)
    mesh = mesh.moved([0, 0, height * 0.8 - np.quantile(mesh.vertices[:, 2], 0.02)])
    return Subject(merge([mesh, foot]), (5, 35), {"length_cm": round(length), "age": round(age, 2)})


@scene("ivory_worked")
def ivory_bangle(rng: np.random.Generator) -> Subject:
    """One to three bangles or rings of ivory, plain or carved."""
    age = 0.8 * _ageing(rng)
    count = int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))
    things = []
    carved = bool(rng.random() < 0.5)
    for _ in range(count):
        section = geometry.oval(rng.uniform(0.35, 0.8), rng.uniform(0.5, 1.6), 72, rng.uniform(2, 4))
        mesh = geometry.ring(rng.uniform(2.9, 3.6), section, 420)
        if carved:
            angle = mesh.coords[:, 0] * 2 * np.pi
            beats = int(rng.integers(8, 26))
            pattern = np.sin(angle * beats) * np.cos(mesh.coords[:, 1] * 2 * np.pi * rng.integers(1, 4))
            outer = np.cos(mesh.coords[:, 1] * 2 * np.pi) > 0.2
            relief = 0.09 * np.tanh(3 * pattern) * outer
            mesh = mesh.displaced(relief)
            mesh = shaded(ivory(rng, mesh, age, 7), 1 - 0.35 * (relief < -0.03))
        else:
            mesh = ivory(rng, mesh.displaced(0.02 * noise(mesh.vertices, 0.8, seed_of(rng))), age, 7)
        things.append(mesh.grounded())
    placed = Heap(40).drop(rng, things, 3.5 if count > 1 else 0.01, tilt=1.0, tries=2)
    return Subject(merge(placed), (20, 75), {"count": count, "carved": carved, "age": round(age, 2)})


@scene("ivory_worked")
def ivory_figure(rng: np.random.Generator) -> Subject:
    """A turned and carved standing figure or finial."""
    age = _ageing(rng)
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
    age = 0.7 * _ageing(rng)
    radius = rng.uniform(2.3, 4.5)
    pierced = bool(rng.random() < 0.55)
    if not pierced:
        count = int(rng.integers(1, 4))
        balls = [ivory(rng, geometry.ball(radius, 120), age, radius).moved([0, 0, radius]) for _ in range(count)]
        placed = Heap(radius * 14).drop(rng, balls, radius * 2.5, tilt=0.0, tries=3)
        return Subject(merge(placed), (15, 60), {"count": count, "pierced": pierced, "age": round(age, 2)})
    mesh = geometry.ball(radius, 300)
    unit = mesh.vertices / radius
    golden = np.pi * (3 - np.sqrt(5))
    index = np.arange(14) + 0.5
    z = 1 - 2 * index / 14
    centres = np.column_stack([np.sqrt(1 - z**2) * np.cos(golden * index), np.sqrt(1 - z**2) * np.sin(golden * index), z])
    away = np.arccos(np.clip(unit @ centres.T, -1, 1)).min(axis=1)
    hole = np.clip((0.21 - away) / 0.03, 0, 1)
    collar = np.exp(-(((away - 0.27) / 0.03) ** 2))
    leaves = noise(unit, 5, seed_of(rng), 3)
    carving = np.tanh(3 * leaves) * (away > 0.3)
    relief = 0.05 * carving + 0.05 * collar - 0.45 * hole
    mesh = mesh.displaced(radius * relief)
    mesh = shaded(ivory(rng, mesh, age, radius), np.clip(1 - 0.8 * hole - 0.4 * (carving < -0.2), 0.1, 1))
    stand = geometry.ring(radius * 0.6, geometry.oval(0.35, 0.3), 120).grounded()
    stand = timber(rng, stand, 5, 0.7)
    mesh = mesh.moved([0, 0, radius * 1.0])
    return Subject(merge([stand, mesh]), (10, 55), {"pierced": pierced, "age": round(age, 2)})


@scene("ivory_worked")
def ivory_beads(rng: np.random.Generator) -> Subject:
    """A string of beads, graded or even."""
    age = 0.9 * _ageing(rng)
    return Subject(
        strand(rng, lambda bead: ivory(rng, bead, age, 1.2)), (30, 85), {"age": round(age, 2)}
    )


def strand(rng: np.random.Generator, finish: object) -> Mesh:
    """A necklace lying in a loose loop; ``finish`` paints one bead."""
    count = int(rng.integers(34, 60))
    graded = rng.random() < 0.5
    share = np.linspace(-1, 1, count)
    size = rng.uniform(0.45, 0.8) * ((1.25 - 0.6 * np.abs(share)) if graded else np.ones(count))
    angle = np.concatenate([[0], np.cumsum(size[:-1] + size[1:])])
    angle = angle / (angle[-1] + size[0] + size[-1]) * 2 * np.pi
    loop = (2 * size.sum()) / (2 * np.pi)
    wobble = 1 + 0.16 * np.sin(2 * angle + rng.uniform(0, 6)) + 0.07 * np.sin(3 * angle + rng.uniform(0, 6))
    flat = rng.uniform(0.7, 1.0)
    long = rng.uniform(0.85, 1.3)
    beads = []
    for index in range(count):
        bead = geometry.ball(float(size[index]), 26).scaled(1, long, 1)
        bead = finish(bead)  # type: ignore[operator]
        bead = bead.turned(rotation([0, 0, 1], np.degrees(angle[index])))
        reach = loop * wobble[index] * 1.02
        beads.append(bead.moved([reach * np.cos(angle[index]), flat * reach * np.sin(angle[index]), size[index]]))
    return merge(beads)


def rhino(rng: np.random.Generator, height: float) -> tuple[Mesh, Array]:
    """A whole rhino horn, lying along x with its base at the origin; also where each vertex lies."""
    girth = height * rng.uniform(0.2, 0.3)
    curve = bent(height, rng.uniform(25, 65), 0.0, rng.uniform(0.8, 1.3))
    at = np.concatenate([np.zeros(60), np.linspace(0, 0.12, 120), np.linspace(0.12, 1, 420)[1:]])
    fill = np.concatenate([np.linspace(0, 1, 60), np.ones(len(at) - 60)])
    cone = (1 - at) ** rng.uniform(0.75, 1.0)
    flare = 0.28 * np.exp(-at / 0.07)
    radius = girth * fill * (0.10 * np.sqrt(np.clip(1 - at**8, 0, 1)) + 0.74 * cone + flare)
    mesh = geometry.sweep(curve, at, radius, around=300)
    position = np.repeat(at, 300)
    inward = np.repeat(1 - fill, 300)
    unrolled = along(mesh, height, girth)
    unrolled[:, 2] = position * height
    fibre = noise(unrolled, np.array([7, 7, 0.25]) / girth, seed_of(rng), 3)
    coarse = noise(unrolled, np.array([2, 2, 0.3]) / girth, seed_of(rng), 3)
    fray = np.exp(-position / 0.10)
    rings = np.sin(position * rng.uniform(50, 90)) * np.exp(-position / 0.3)
    under = (inward > 0) * noise(mesh.vertices / girth, 14, seed_of(rng), 2)
    mesh = mesh.displaced(
        girth * (0.025 * coarse + fibre * (0.012 + 0.06 * fray) * (inward == 0) + 0.006 * rings + 0.02 * under)
    )
    tone = np.array([0.30, 0.25, 0.20]) * rng.uniform(0.6, 1.5) + rng.normal(0, 0.01, 3)
    pale = tone * 1.5 + 0.08
    colour = blend(tone, pale, 0.3 + 0.5 * fibre + 0.35 * coarse + 0.5 * fray)
    colour = blend(colour, tone * 0.55, np.clip((position - 0.45) * 1.4, 0, 0.8))
    colour = blend(colour, (0.55, 0.45, 0.33), (inward > 0) * 0.7)
    return paint(mesh, np.clip(colour, 0.02, 1), 0.42 + 0.35 * np.clip(fray, 0, 1), 0.15), position


@scene("rhino_horn")
def rhino_horn_whole(rng: np.random.Generator) -> Subject:
    """A whole horn, standing on its base or lying."""
    height = rng.uniform(18, 60)
    mesh, _ = rhino(rng, height)
    standing = bool(rng.random() < 0.55)
    elevation = (20.0, 70.0)
    if standing:
        # The base is not square to the axis: the curve begins leaning.
        mesh = mesh.turned(rotation([0, 1, 0], -90) @ rotation([0, 0, 1], rng.uniform(12, 28)))
        elevation = (5, 40)
    return Subject(mesh.grounded(), elevation, {"height_cm": round(height), "standing": standing})


@scene("rhino_horn")
def rhino_horn_pair(rng: np.random.Generator) -> Subject:
    """The front and the back horn of one animal, lying."""
    height = rng.uniform(25, 55)
    first = rhino(rng, height)[0].grounded()
    second = rhino(rng, height * rng.uniform(0.45, 0.7))[0].grounded()
    second = second.turned(rotation([0, 0, 1], rng.normal(0, 20)))
    gap = (np.ptp(first.vertices[:, 1]) + np.ptp(second.vertices[:, 1])) * rng.uniform(0.5, 0.62)
    mesh = merge([first, second.moved([-height * 0.1, gap, 0])])
    return Subject(mesh, (25, 75), {"height_cm": round(height)})


@scene("rhino_horn")
def rhino_horn_tip(rng: np.random.Generator) -> Subject:
    """The sawn tip of a horn, with its pale cut."""
    length = rng.uniform(8, 18)
    girth = length * rng.uniform(0.22, 0.34)
    at = np.concatenate([np.zeros(80), np.linspace(0, 1, 360)])
    fill = np.concatenate([np.linspace(0, 1, 80), np.ones(360)])
    radius = girth * fill * (0.12 * np.sqrt(np.clip(1 - at**10, 0, 1)) + 0.88 * (1 - at) ** 0.8)
    mesh = geometry.sweep(bent(length, rng.uniform(10, 40)), at, radius, around=240)
    cut = np.repeat(fill < 0.985, 240) * np.repeat(at == 0, 240)
    unrolled = along(mesh, length, girth)
    fibre = noise(unrolled, np.array([6, 6, 0.3]) / girth, seed_of(rng), 3)
    mesh = mesh.displaced(girth * np.where(cut, 0, 0.02 * fibre))
    tone = np.array([0.27, 0.22, 0.18]) * rng.uniform(0.6, 1.4)
    colour = blend(tone, tone * 1.6 + 0.05, 0.3 + 0.5 * fibre)
    grain = noise(mesh.vertices / girth, 18, seed_of(rng), 2)
    middle = np.repeat(fill, 240)
    face = blend((0.30, 0.24, 0.19), (0.68, 0.58, 0.44), middle**3 + 0.3 * grain)
    mesh = paint(mesh, np.clip(np.where(cut[:, None], face, colour), 0.02, 1), 0.4, 0.2)
    return Subject(mesh.grounded(), (18, 65), {"length_cm": round(length)})


@scene("turtle_shell")
def tortoiseshell_jewellery(rng: np.random.Generator) -> Subject:
    """Bangles or a comb of polished hawksbill."""
    if rng.random() < 0.6:
        count = int(rng.integers(1, 4))
        things = []
        for _ in range(count):
            section = geometry.oval(rng.uniform(0.15, 0.35), rng.uniform(0.4, 1.5), 64, 3)
            mesh = geometry.ring(rng.uniform(2.9, 3.5), section, 320)
            things.append(tortoiseshell(rng, mesh, 5).grounded())
        placed = Heap(40).drop(rng, things, 3.2 if count > 1 else 0.01, tries=2)
        return Subject(merge(placed), (20, 70), {"piece": "bangles", "count": count})
    teeth = int(rng.integers(9, 22))
    width = rng.uniform(8, 13)
    parts = [geometry.rounded_box((width, 2.6, 0.35), 0.12, 60).moved([0, 1.3, 0])]
    for index in range(teeth):
        tooth = geometry.rounded_box((width / teeth * 0.55, 5, 0.26), 0.1, 16)
        parts.append(tooth.moved([(index + 0.5) / teeth * width - width / 2, -2.0, 0]))
    mesh = merge(parts)
    bow = mesh.vertices.copy()
    bow[:, 2] -= 0.02 * bow[:, 0] ** 2
    mesh = Mesh(bow, mesh.faces, mesh.coords, mesh.colour, mesh.surface)
    return Subject(tortoiseshell(rng, mesh, 6).grounded(), (30, 80), {"piece": "comb"})


@scene("turtle_shell")
def turtle_carapace(rng: np.random.Generator) -> Subject:
    """A whole shell with its scutes."""
    length = rng.uniform(25, 60)
    y, x = np.meshgrid(np.linspace(0, 2 * np.pi, 420, endpoint=False), np.linspace(0, 1, 240), indexing="xy")
    share, angle = x.ravel(), y.ravel()
    outline = 1 + 0.10 * np.cos(angle) - 0.06 * np.cos(2 * angle) + 0.012 * np.sin(angle * 24)
    flat = np.column_stack([share * np.cos(angle) * outline, 0.78 * share * np.sin(angle) * outline])
    # Five scutes along the spine, four at each side, and a border of small ones.
    spine = np.column_stack([np.linspace(-0.78, 0.8, 5), np.zeros(5)])
    rib = np.column_stack([np.linspace(-0.58, 0.62, 4), np.full(4, 0.42)])
    edge = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    border = np.column_stack([1.06 * np.cos(edge), 0.83 * np.sin(edge)])
    centres = np.concatenate([spine, rib, rib * [1, -1], border])
    distance = np.linalg.norm((flat[:, None] - centres[None]) * [1, 1.1], axis=2)
    order = np.sort(distance, axis=1)
    seam = np.clip((order[:, 1] - order[:, 0]) / 0.035, 0, 1)
    number = distance.argmin(axis=1)
    height = 0.36 * np.sqrt(np.clip(1 - share**2.2, 0, 1)) - 0.012 * (1 - seam)
    points = np.column_stack([flat, height])
    faces = geometry.grid_faces(240, 420, wrap=True)[:, ::-1]
    mesh = Mesh.bare(points, faces, np.column_stack([share, angle / 6.2832]))
    growth = np.sin(order[:, 0] * rng.uniform(70, 110))
    mesh = mesh.displaced(0.003 * growth * seam + 0.006 * noise(points, 6, seed_of(rng)))
    rays = np.arctan2(*(flat - centres[number]).T)
    streak = noise(np.column_stack([np.cos(rays) * 3, np.sin(rays) * 3, number * 7.3 + order[:, 0] * 2]), 1.6, seed_of(rng), 3)
    colour = blend((0.72, 0.50, 0.24), (0.22, 0.13, 0.07), 0.55 + 1.1 * streak + rng.uniform(-0.2, 0.3))
    colour = blend(colour, (0.12, 0.08, 0.05), 0.8 * (1 - seam))
    mesh = paint(mesh, colour, rng.uniform(0.15, 0.45), rng.uniform(0.2, 0.9)).scaled(length / 2)
    return Subject(mesh.grounded(), (20, 80), {"length_cm": round(length)})


@scene("coral")
def coral_branches(rng: np.random.Generator) -> Subject:
    """A branch of red or white coral, lying or standing."""
    red = bool(rng.random() < 0.65)
    height = rng.uniform(8, 25)
    parts: list[Mesh] = []

    def grow(start: Array, heading: Array, girth: float, length: float, depth: int) -> None:
        side = rng.normal(0, 0.35, 3)
        stop = start + heading * length
        middle = (start + stop) / 2 + side * length * 0.25

        def curve(at: Array) -> Array:
            t = at[:, None]
            return (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * stop

        at = np.concatenate([np.linspace(0, 0.95, 50), 1 - 0.05 * np.linspace(1, 0, 14) ** 2])
        end = 0.62 if depth else 0.35
        shape = (1 - (1 - end) * at) * np.sqrt(np.clip(1 - np.clip((at - 0.9) / 0.1, 0, 1) ** 2, 0, 1))
        parts.append(geometry.sweep(curve, at, girth * shape, around=40))
        if depth == 0:
            return
        for _ in range(int(rng.integers(2, 4))):
            from_ = float(rng.uniform(0.45, 1.0))
            turn = heading + rng.normal(0, 0.55, 3) * [1, 1, 0.5]
            turn /= np.linalg.norm(turn)
            place = curve(np.array([min(from_, 0.94)]))[0]
            grow(place, turn, girth * (1 - (1 - end) * from_) * 0.85, length * rng.uniform(0.55, 0.85), depth - 1)

    grow(np.zeros(3), np.array([0.0, 0.0, 1.0]), height * 0.055, height * 0.34, 4)
    mesh = merge(parts)
    bumps = noise(mesh.vertices / height, 40, seed_of(rng), 2)
    mesh = mesh.displaced(height * 0.0035 * bumps + height * 0.004 * noise(mesh.vertices / height, 12, seed_of(rng)))
    tone = (0.72, 0.16, 0.11) if red else (0.90, 0.86, 0.80)
    tone = tuple(np.clip(np.array(tone) + rng.normal(0, 0.04, 3), 0.05, 0.95))
    colour = blend(tone, np.array(tone) * 0.7 + 0.08, 0.4 + 0.6 * noise(mesh.vertices / height, 8, seed_of(rng), 4))
    polished = rng.random() < 0.5
    mesh = paint(mesh, colour, 0.25 if polished else 0.65, 0.7 if polished else 0.0)
    standing = bool(rng.random() < 0.4)
    if standing:
        foot = geometry.lathe(geometry.smooth_profile([[0, 0], [0.16, 0], [0.13, 0.05], [0.05, 0.09], [0, 0.1]]) * height)
        mesh = merge([mesh.moved([0, 0, 0.04 * height]), paint(foot, np.clip(colour.mean(axis=0), 0, 1), 0.6)])
    else:
        mesh = mesh.turned(rotation([1, 0, 0], 90)).scaled(1, 1, 0.55)
    return Subject(mesh.grounded(), (8, 45) if standing else (30, 80), {"red": red, "standing": standing})


@scene("coral")
def coral_beads(rng: np.random.Generator) -> Subject:
    """A necklace of red or pink coral beads."""
    tone = np.array([0.75, 0.2, 0.14]) if rng.random() < 0.65 else np.array([0.88, 0.55, 0.46])
    tone = np.clip(tone + rng.normal(0, 0.04, 3), 0.05, 0.95)

    def finish(bead: Mesh) -> Mesh:
        rough = bead.displaced(0.04 * noise(bead.vertices, 1.5, seed_of(rng)))
        own = np.clip(tone * rng.uniform(0.85, 1.1), 0.02, 0.95)
        cloud = noise(rough.vertices, 2.5, seed_of(rng), 2)
        return paint(rough, blend(own, own * 0.75, 0.3 + 0.6 * cloud), 0.22, 0.7)

    return Subject(strand(rng, finish), (30, 85))
