"""Meshes, about a unit long: swept tubes (horns, rings, bowls) and plates (scales, leaves).

Each carries two attributes for its surface: ``flow`` (around or across twice, then along), which
fibres and bands follow, and ``edge``, which is 1 at a rim or at a cut end.
"""

import random

import bpy
import numpy as np

SEAHORSE = (0, 0.3, 0.5, 0.6, 0.75, 0.8, 0.86, 1)  # places along its line, from the tail
CURLS = {  # where along the line the bend is; elsewhere it is even
    "seahorse": (SEAHORSE, (-9, -2, 0.2, 0.5, -0.4, -0.3, 1.6, 1.7)),
    "crook": ((0, 0.45, 0.9, 1), (0, 0.05, 1, 1)),
}


def profile(t: np.ndarray, kind: str, radius: float, a: float, b: float) -> np.ndarray:
    """Return radii, or half widths of a plate, by the share of the length ``t``."""
    rest = np.clip(1 - t, 0, 1)
    shape = {
        "cone": lambda: rest**a + b * np.exp(-8 * t),  # taper, flare of the base
        "rod": lambda: np.clip(4 * a * t * rest, 0, 1) ** 0.5,  # a=1: an ellipsoid
        "pipe": lambda: np.ones_like(t),
        "crook": lambda: 1 + 0.3 * np.exp(-(((t - 0.8) / 0.2) ** 2)),
        "spool": lambda: 0.4 + 0.6 * np.abs(2 * t - 1) ** (4 * a),
        "leaf": lambda: np.clip(4 * t * rest, 0, 1) ** a,
        "shield": lambda: (b + (1 - b) * np.clip(1.4 * t, 0, 1)) * np.clip(1 - t**3.5, 0, 1) ** a,
        "beak": lambda: rest**0.7 + a * np.exp(-(((t - 0.35) / 0.2) ** 2)),
        "seahorse": lambda: np.interp(t, SEAHORSE, (0.1, 0.35, 0.5, 1, 0.6, 0.55, 0.7, 0.2)),
    }[kind]()
    return radius * shape + 0.002


def swept(
    rng: random.Random,
    kind: str,
    radius: float,
    a: float = 1.0,
    b: float = 0.0,
    *,
    length: float = 1.0,
    bend: float = 0.0,
    squash: float = 1.0,
    lumps: float = 0.02,
    rings: float = 0.0,
    depth: float = 0.0,
    hollow: float = 0.0,
    cut: float = 1.0,
    fringe: float = 0.0,
    carved: float = 0.0,
    sway: float = 0.0,
) -> bpy.types.Mesh:
    """Sweep a round section along a bent line, from the base at the origin.

    ``squash`` narrows the section, ``lumps`` make it irregular, ``depth`` is that of the rings,
    ``hollow`` that of the base; ``cut`` is the share of the length that is left, ``fringe`` the
    roughness of the base, ``carved`` that of the sides, ``sway`` a sideways swing as of a lyre.
    """
    noise = np.random.default_rng(rng.getrandbits(32))
    t = np.linspace(0, min(cut, 1), 48 + 4 * round(rings))
    turn = bend * np.interp(t, *CURLS.get(kind, ((0, 1), (0, 1))))
    line = np.column_stack([np.sin(turn), sway * np.cos(2 * np.pi * t), np.cos(turn)])
    line /= np.linalg.norm(line, axis=1, keepdims=True)
    steps = (line[1:] + line[:-1]) / 2 * length * (t[1] - t[0])
    points = np.vstack([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    swell = depth * np.sqrt(1 - t**3) * (2 * np.abs(np.sin(np.pi * rings * t)) - 1)
    radii = profile(t, kind, radius, a, b) * (1 + swell)
    inner = np.linspace(0, 1, 10)  # rows of the base, from its middle to the rim
    end = inner[::-1] if cut < 1 else inner[:1]
    along = np.concatenate([0 * inner, t, 0 * end + cut])
    edge = np.concatenate([0 * inner + 1, np.exp(-40 * t), 0 * end + float(cut < 1)])
    tangents = np.vstack([line[[0] * 10], line, line[[-1] * len(end)]])
    points = np.vstack([points[[0] * 10], points, points[[-1] * len(end)]])
    points[:10] += ((1 - inner**1.6) * hollow * length)[:, None] * line[0]
    radii = np.concatenate([inner * radii[0] * 0.97, radii, end * radii[-1]])
    angle, waves = np.linspace(0, 2 * np.pi, 28, endpoint=False), np.arange(1, 7)
    sizes, phases = noise.normal(0, lumps, 6) / waves**0.5, noise.uniform(0, 6.3, 6)
    lumpy = np.sin(angle[None, :, None] * waves + phases + 3 * along[:, None, None]) @ sizes
    worn = fringe * np.exp(-30 * along) + carved * (edge < 0.5)
    rough = noise.normal(0, 0.5, (2, len(along), 28))
    rough = worn[:, None] * (rough + np.roll(rough, 1, 1) + np.roll(rough, 1, 2))
    radii = radii[:, None] * (1 + lumpy + rough[0])
    normals = np.cross((0, 1, 0), tangents)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    across = np.cross(tangents, normals) * squash
    section = np.cos(angle)[:, None] * normals[:, None] + np.sin(angle)[:, None] * across[:, None]
    vertices = points[:, None] + radii[..., None] * section
    vertices += radius * rough[1][..., None] * tangents[:, None]
    return _mesh(vertices, (np.cos(angle), np.sin(angle), along[:, None]), edge[:, None])


def plate(
    rng: random.Random,
    kind: str,
    radius: float,
    a: float = 1.0,
    b: float = 0.0,
    *,
    thickness: float = 0.03,
    curve: float = 0.0,
    curl: float = 0.0,
    sweep: float = 0.0,
    ribs: float = 0.0,
    ragged: float = 0.0,
    waves: float = 0.0,
) -> bpy.types.Mesh:
    """Make a plate, thin at the rims, with its root at the lower end.

    ``curve`` bends it across, ``curl`` along, ``waves`` at the rims; ``sweep`` carries the tip
    sideways, ``ribs`` fan out from the root, ``ragged`` rims are worn.
    """
    noise = np.random.default_rng(rng.getrandbits(32))
    u, x = np.linspace(0, 1, 24)[:, None], np.linspace(-1, 1, 21)[None]
    worn = np.repeat(noise.normal(0, ragged, (12, 1)), 2, axis=0) * u
    half = profile(u, kind, radius, a, b) * (1 + worn)
    lie = curl * (u - 0.5) ** 2 - curve * (x * half) ** 2 / max(half.max(), 0.01)
    lie = lie + 0.012 * np.cos(np.pi * round(ribs) * x) * bool(ribs) * u
    lie = lie + waves * np.sin(4 * x + rng.uniform(0, 6.3) + 5 * u) * np.maximum(abs(x), u)
    tip = 1 - np.repeat(noise.normal(0, ragged, (1, 7)), 3, axis=1)
    bulge = thickness * np.sqrt(np.clip((1 - x**2) * (1 - u**6), 0, 1))
    rim = np.maximum(abs(x), u) ** 4
    parts = np.broadcast_arrays(x * half + sweep * u**2, (u - 0.5) * tip, lie, bulge, x, u, rim)
    wide, tall, lie, bulge, x, u, rim = (np.hstack([part, part[:, ::-1]]) for part in parts)
    bulge[:, 21:] *= -1
    return _mesh(np.stack([wide, tall, lie + bulge], axis=-1), (x, 3 * (bulge < 0), u), rim)


def box(x: float, y: float, z: float) -> bpy.types.Mesh:
    """Return a box that stands on the ground."""
    made = bpy.data.meshes.new("box")
    corners = [(a * x / 2, b * y / 2, c * z) for a in (-1, 1) for b in (-1, 1) for c in (0, 1)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    made.from_pydata(corners, [], faces)
    return made


def _mesh(vertices: np.ndarray, flow: tuple, edge: np.ndarray) -> bpy.types.Mesh:
    """Build a smooth mesh of a grid (rows, columns, 3) that is closed across its columns."""
    rows, columns = vertices.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    index = np.column_stack([index, index[:, 0]])
    faces = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1)
    vertices = vertices - vertices.mean(axis=(0, 1))  # bodies turn around their origin
    made = bpy.data.meshes.new("shape")
    made.from_pydata(vertices.reshape(-1, 3).tolist(), [], faces.reshape(-1, 4).tolist())
    *flow, edge, _ = np.broadcast_arrays(*flow, edge, vertices[..., 0])
    flow = np.stack(flow, axis=-1).astype(np.float32)
    made.attributes.new("flow", "FLOAT_VECTOR", "POINT").data.foreach_set("vector", flow.ravel())
    made.attributes.new("edge", "FLOAT", "POINT").data.foreach_set("value", edge.ravel().tolist())
    made.polygons.foreach_set("use_smooth", [True] * len(made.polygons))
    return made
