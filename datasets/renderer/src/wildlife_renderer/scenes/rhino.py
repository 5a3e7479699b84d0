"""Scenes with rhino horn: whole, sawn, sliced and carved."""

from __future__ import annotations

import numpy as np

from wildlife_renderer import geometry
from wildlife_renderer.forms import bent, scattered
from wildlife_renderer.geometry import Array, Mesh, merge, noise, rotation
from wildlife_renderer.materials import along, blend, paint, seed_of
from wildlife_renderer.scene import Subject, scene


def horn_section(rng: np.random.Generator, points: Array, share: Array) -> Array:
    """The colour of sawn rhino horn: fibres as dots, amber between a dark core and a dark rim.

    Args:
        rng: The generator of this image.
        points: Positions in units of the radius, ``(n, 3)``.
        share: 0 in the middle, 1 at the rim, ``(n,)``.
    """
    fibre = noise(points, 26, seed_of(rng), 2)
    cloud = noise(points, 2.2, seed_of(rng), 3)
    amber = np.array([0.70, 0.55, 0.36]) * rng.uniform(0.75, 1.1)
    core = np.exp(-((share / rng.uniform(0.25, 0.5)) ** 2)) * rng.uniform(0.4, 1)
    rim = np.clip((share - 0.85) * 7, 0, 1)
    colour = blend(amber, amber * 0.55, 0.25 + 0.5 * fibre + 0.3 * cloud)
    return np.clip(blend(colour, (0.16, 0.12, 0.10), np.maximum(0.8 * core, 0.75 * rim)), 0.02, 1)


def rhino(rng: np.random.Generator, height: float, upto: float = 1.0) -> tuple[Mesh, Array]:
    """A rhino horn, lying along x; also how far along it each vertex lies, 0 to 1.

    Args:
        rng: The generator of this image.
        height: Of the whole horn in centimetres.
        upto: Where its tip was sawn off, as a share of the height; 1 leaves it whole.
    """
    girth = height * rng.uniform(0.2, 0.3)
    curve = bent(height, rng.uniform(25, 65), 0.0, rng.uniform(0.8, 1.3))
    side = np.concatenate([np.linspace(0, 0.12, 120), np.linspace(0.12, upto, 420)[1:]])
    at = np.concatenate([np.zeros(60), side, np.full(60, upto)])
    fill = np.concatenate([np.linspace(0, 1, 60), np.ones(len(side)), np.linspace(1, 0, 60)])
    cone = (1 - at) ** rng.uniform(0.75, 1.0)
    flare = 0.28 * np.exp(-at / 0.07)
    radius = girth * fill * (0.10 * np.sqrt(np.clip(1 - at**8, 0, 1)) + 0.74 * cone + flare)
    mesh = geometry.sweep(curve, at, radius, around=300)
    position = np.repeat(at, 300)
    inward = np.repeat((1 - fill) * (at == 0), 300)
    sawn = np.repeat((fill < 1) * (at == upto), 300) > 0
    unrolled = along(mesh, height, girth)
    unrolled[:, 2] = position * height
    fibre = noise(unrolled, np.array([7, 7, 0.25]) / girth, seed_of(rng), 3)
    coarse = noise(unrolled, np.array([2, 2, 0.3]) / girth, seed_of(rng), 3)
    fray = np.exp(-position / 0.10)
    rings = np.sin(position * rng.uniform(50, 90)) * np.exp(-position / 0.3)
    under = (inward > 0) * noise(mesh.vertices / girth, 14, seed_of(rng), 2)
    mesh = mesh.displaced(
        girth
        * (
            0.025 * coarse
            + fibre * (0.012 + 0.06 * fray) * (inward == 0) * ~sawn
            + 0.006 * rings
            + 0.02 * under
        )
    )
    tone = np.array([0.30, 0.25, 0.20]) * rng.uniform(0.6, 1.5) + rng.normal(0, 0.01, 3)
    pale = tone * 1.5 + 0.08
    colour = blend(tone, pale, 0.3 + 0.5 * fibre + 0.35 * coarse + 0.5 * fray)
    colour = blend(colour, tone * 0.55, np.clip((position - 0.45) * 1.4, 0, 0.8))
    colour = blend(colour, (0.55, 0.45, 0.33), (inward > 0) * 0.7)
    if upto < 1:
        face = horn_section(rng, mesh.vertices / girth, np.repeat(fill, 300))
        colour = np.where(sawn[:, None], face, colour)
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


@scene("rhino_horn")
def rhino_horn_base(rng: np.random.Generator) -> Subject:
    """The sawn-off base of a horn, with its frayed, bristly rim and its pitted underside."""
    height = rng.uniform(25, 60)
    upto = rng.uniform(0.2, 0.45)
    mesh, position = rhino(rng, height, upto)
    rim = mesh.vertices[(position < 0.03) & (mesh.coords[:, 0] > 0.1)]
    roots = rim[rng.integers(len(rim), size=900)]
    outward = roots - rim.mean(axis=0)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    reach = height * rng.uniform(0.01, 0.05, (900, 1))
    tips = roots + reach * (0.6 * outward + rng.normal(0, 0.3, (900, 3)) - [0.5, 0, 0])
    side = np.cross(outward, [1, 0, 0]) * height * 0.0015
    blades = np.stack([roots - side, roots + side, tips], axis=1).reshape(-1, 3)
    bristles = Mesh.bare(blades, np.arange(2700).reshape(-1, 3), np.zeros((2700, 2)))
    tone = np.repeat(rng.uniform(0.15, 0.5, (900, 1)) * [1, 0.85, 0.7], 3, axis=0)
    mesh = merge([mesh, paint(bristles, tone, 0.8)])
    standing = bool(rng.random() < 0.6)
    if standing:
        mesh = mesh.turned(rotation([0, 1, 0], -90))
    return Subject(mesh.grounded(), (15, 60), {"standing": standing, "upto": round(upto, 2)})


@scene("rhino_horn")
def rhino_horn_slices(rng: np.random.Generator) -> Subject:
    """Sawn slices and blocks of horn that show its fibres as dots."""
    count = int(rng.integers(1, 8))
    girth = rng.uniform(2, 7)

    def make() -> Mesh:
        own = girth * rng.uniform(0.6, 1.05)
        thick = girth * rng.uniform(0.1, 0.6)
        share = np.concatenate([np.linspace(0, 1, 60), np.ones(40), np.linspace(1, 0, 60)])
        at = np.concatenate([np.zeros(60), np.linspace(0, 1, 40), np.ones(60)])
        mesh = geometry.sweep(bent(thick, 2), at, own * share, around=200)
        mesh = mesh.scaled(1, 1, rng.uniform(0.75, 1))
        flat = mesh.vertices / own
        uneven = noise(np.column_stack([0 * flat[:, 0], flat[:, 1:]]), 0.9, seed_of(rng), 2)
        mesh = mesh.reshaped(
            mesh.vertices * np.column_stack([1 + 0 * uneven, *2 * [1 + 0.08 * uneven]])
        )
        end = np.repeat(share < 1, 200)
        bark = noise(flat, (0.5, 9, 9), seed_of(rng), 3)
        side = blend((0.30, 0.25, 0.20), (0.13, 0.10, 0.08), 0.4 + 0.6 * bark)
        face = horn_section(rng, flat, np.repeat(share, 200))
        mesh = mesh.displaced(np.where(end, 0, 0.03 * own * bark))
        colour = np.where(end[:, None], face, np.clip(side, 0.02, 1))
        mesh = paint(mesh, colour, rng.uniform(0.25, 0.5), rng.uniform(0, 0.4))
        return mesh.turned(rotation([0, 1, 0], 90)).grounded()

    return Subject(scattered(rng, make, count, girth * 2.2), (30, 80), {"count": count})


@scene("rhino_horn")
def rhino_horn_cup(rng: np.random.Generator) -> Subject:
    """A carved cup: a wide oval mouth on a narrow foot, honey brown to nearly black."""
    height = rng.uniform(7, 14)
    mouth, foot = rng.uniform(0.55, 0.8), rng.uniform(0.22, 0.34)
    outer = [[0, 0], [foot, 0], [foot, 0.04], [foot * 0.85, 0.14], [mouth * 0.62, 0.5], [mouth, 1]]
    inner = [[mouth - 0.04, 1], [mouth * 0.56, 0.55], [foot * 0.5, 0.3], [0, 0.26]]
    profile = np.concatenate([geometry.smooth_profile(outer, 240), geometry.smooth_profile(inner)])
    mesh = geometry.lathe(profile * height, 260, 460)
    unit = mesh.vertices / height
    angle = mesh.coords[:, 1] * 2 * np.pi
    outside = mesh.coords[:, 0] < 0.56
    leaves = np.tanh(4 * noise(unit, 4.5, seed_of(rng), 2)) * outside * (unit[:, 2] > 0.08)
    branch = np.exp(-(((angle - np.pi + 0.6 * np.sin(7 * unit[:, 2])) / 0.28) ** 2)) * outside
    relief = 0.022 * leaves * rng.choice([0.0, 1.0], p=[0.25, 0.75]) + 0.10 * branch
    lip = 0.10 * np.cos(2 * angle) * np.clip(unit[:, 2] - 0.6, 0, 1)
    mesh = mesh.displaced(height * relief)
    mesh = mesh.reshaped(mesh.vertices + height * lip[:, None] * [0, 0, 1])
    mesh = mesh.scaled(1, rng.uniform(0.65, 0.85), 1)
    fibre = noise(unit, (22, 22, 1.0), seed_of(rng), 3)
    warm = np.array([0.52, 0.30, 0.13]) * rng.uniform(0.6, 1.25)
    colour = blend(warm, warm * 0.35, 0.15 + 0.35 * fibre + 0.75 * (1 - unit[:, 2]))
    colour = blend(colour, warm * 0.2, np.clip(-1.2 * leaves, 0, 1) * 0.7)
    mesh = paint(mesh, np.clip(colour, 0.015, 1), rng.uniform(0.18, 0.35), rng.uniform(0.3, 0.9))
    return Subject(mesh.grounded(), (12, 50), {"height_cm": round(height)})
