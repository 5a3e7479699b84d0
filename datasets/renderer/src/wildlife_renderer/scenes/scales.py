"""Scenes with pangolin scales, and with almonds, which look like them."""

from __future__ import annotations

import numpy as np

from wildlife_renderer import geometry
from wildlife_renderer.forms import heap_of
from wildlife_renderer.geometry import Array, Mesh, noise, rotation
from wildlife_renderer.materials import RGB, blend, paint, seed_of
from wildlife_renderer.scene import Subject, scene

_KERATIN: tuple[tuple[RGB, RGB], ...] = (
    ((0.78, 0.64, 0.40), (0.52, 0.37, 0.19)),  # straw
    ((0.58, 0.42, 0.25), (0.34, 0.22, 0.12)),  # brown
    ((0.42, 0.33, 0.24), (0.22, 0.16, 0.11)),  # grey-brown
    ((0.30, 0.23, 0.17), (0.12, 0.09, 0.07)),  # near black
)


def pangolin_scale(rng: np.random.Generator, length: float, tone: int) -> Mesh:
    """Return one scale of a tone of keratin, lying on its hollow side and pointing along +x."""
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    broad = rng.uniform(0.36, 0.5)
    point = rng.uniform(0.0, 0.14)
    # A fan: broad beyond the middle, narrower at the root, with a blunt point at the free end.
    reach = 0.5 + point * np.exp(-((np.minimum(angle, 2 * np.pi - angle) / 0.42) ** 2))
    x = reach * np.cos(angle)
    y = broad * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.82 * (1 + 0.28 * np.cos(angle))
    free = np.clip(np.cos(angle) * 1.5, 0, 1)
    wear = noise(np.column_stack([np.cos(angle), np.sin(angle), 0 * angle]), 4.5, seed_of(rng), 3)
    chip = 1 - free * (0.035 + 0.05 * rng.random()) * np.clip(0.4 + wear, 0, 2)
    outline = np.column_stack([x, y]) * chip[:, None] * length
    curl = rng.uniform(0.35, 0.8)
    keel = rng.uniform(0.0, 0.06)

    def height(share: Array, at: Array) -> Array:
        flat = at / length
        dome = -curl * (flat[:, 0] * 0.55) ** 2 - curl * 1.3 * flat[:, 1] ** 2
        spine = keel * np.exp(-((flat[:, 1] / 0.07) ** 2)) * np.clip(0.5 - flat[:, 0], 0, 1)
        return length * (dome + spine - 0.006 * share)

    mesh = geometry.plate(outline, height, length * 0.06)
    flat = mesh.vertices[:, :2] / length
    # Ridges run out from the root like the ribs of a fan; growth lines cross them as arcs.
    root = np.array([-0.75, 0.0])
    away = np.hypot(*(flat - root).T)
    bearing = np.arctan2(flat[:, 1], flat[:, 0] - root[0])
    jitter = noise(np.column_stack([flat * 3, np.full(len(flat), 0.5)]), 1.0, seed_of(rng), 2)
    ribs = np.sin(bearing * rng.uniform(75, 120) + 0.8 * jitter)
    fades = np.clip(1.35 - away, 0.1, 1) * (0.5 + 0.5 * rng.random())
    arcs = np.sin((away + 0.05 * jitter) * rng.uniform(55, 85))
    mesh = mesh.displaced(length * (0.0065 * ribs * fades + 0.0035 * arcs + 0.012 * jitter))
    light, dark = _KERATIN[tone]
    own = rng.normal(0, 0.006, 3) + rng.uniform(-0.05, 0.05)
    grime = noise(np.column_stack([flat * 5, np.full(len(flat), 1.5)]), 1.0, seed_of(rng), 4)
    share = 0.5 - 0.32 * ribs * fades + 0.16 * arcs + 0.45 * grime
    colour = blend(np.array(light) + own, np.array(dark) + own, share)
    # The free border is thin and lets light through; the root is covered with dried skin.
    border = np.clip((mesh.coords[:, 0] - 0.8) * 5, 0, 1) * np.clip(flat[:, 0] * 2.5 + 0.4, 0, 1)
    colour = blend(colour, np.array([0.80, 0.64, 0.38]), border * rng.uniform(0.2, 0.6))
    colour = blend(colour, (0.33, 0.27, 0.20), np.clip(-0.2 - flat[:, 0], 0, 1) * 2.2)
    return paint(mesh, np.clip(colour, 0.02, 1), 0.38 + 0.15 * np.clip(grime, 0, 1), 0.15)


def flipped(rng: np.random.Generator, plate: Mesh, chance: float) -> Mesh:
    """The plate, now and then upside down."""
    return plate.turned(rotation([1, 0, 0], 180)) if rng.random() < chance else plate


@scene("pangolin_scales")
def pangolin_heap(rng: np.random.Generator) -> Subject:
    """A heap of scales, loose or in a bowl."""
    count = int(rng.integers(35, 110))
    length = rng.uniform(2.5, 5)
    tone = int(rng.integers(4))
    mixed = rng.random() < 0.3
    held = bool(rng.random() < 0.35)

    def make() -> Mesh:
        which = int(rng.integers(4)) if mixed else tone
        piece = pangolin_scale(rng, length * rng.uniform(0.6, 1.25), which)
        return flipped(rng, piece, 0.2).grounded()

    mesh = heap_of(rng, make, length, count, held)
    return Subject(mesh, (30, 80), {"count": count, "bowl": held, "tone": tone})


@scene("pangolin_scales")
def pangolin_few(rng: np.random.Generator) -> Subject:
    """A few scales laid out."""
    count = int(rng.integers(3, 16))
    length = rng.uniform(3, 6)
    tone = int(rng.integers(4))

    def make() -> Mesh:
        piece = pangolin_scale(rng, length * rng.uniform(0.75, 1.2), tone)
        return flipped(rng, piece, 0.15).grounded()

    return Subject(
        heap_of(rng, make, length, count, held=False), (35, 85), {"count": count, "tone": tone}
    )


def _pip(rng: np.random.Generator, half: Array) -> Mesh:
    """Return a seed-like body, pointed at its +x end, with wrinkles along it."""
    mesh = geometry.ball(1.0, 40).turned(rotation([0, 1, 0], 90))
    x = mesh.vertices[:, 0]
    narrow = 1 - 0.5 * np.clip((x + 1) / 2, 0, 1) ** 2
    mesh = mesh.reshaped(mesh.vertices * np.column_stack([np.ones_like(x), narrow, narrow]) * half)
    lines = noise(mesh.vertices / half[0], (1.2, 11, 11), seed_of(rng), 2)
    return mesh.displaced(half[2] * 0.07 * lines)


@scene("food_pile")
def almonds(rng: np.random.Generator) -> Subject:
    """Almonds in their brown skins, loose or in a bowl."""
    count = int(rng.integers(30, 100))
    held = bool(rng.random() < 0.5)

    def make() -> Mesh:
        size = rng.uniform(0.85, 1.15)
        piece = _pip(rng, np.array([1.15, 0.65, 0.42]) * size)
        lines = noise(piece.vertices, (1.2, 10, 10), seed_of(rng), 2)
        tone = np.array([0.62, 0.38, 0.20]) * rng.uniform(0.85, 1.15)
        return paint(piece, blend(tone, tone * 0.6, 0.3 + 0.6 * lines), 0.6).grounded()

    return Subject(heap_of(rng, make, 1.8, count, held), (30, 80), {"count": count, "bowl": held})
