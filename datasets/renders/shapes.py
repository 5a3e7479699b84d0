"""Meshes from a few numbers: swept tubes (horns, sausages, rings), plates (scales, leaves, fins).

Each mesh carries two attributes for its surface: ``flow`` (around or across twice, then along),
which fibres and bands follow, and ``edge``, which is 1 at a rim or at a cut end.
"""

import math
import random
from collections.abc import Callable

import bpy
import numpy as np

Profile = Callable[[np.ndarray], np.ndarray]


def mesh(vertices: np.ndarray, flow: np.ndarray, edge: np.ndarray, closed: bool) -> bpy.types.Mesh:
    """Build a smooth mesh from a grid of vertices (rows, columns, 3) and its attributes."""
    rows, columns = vertices.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    if closed:
        index = np.column_stack([index, index[:, 0]])
    corners = (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])
    faces = np.stack(corners, axis=-1).reshape(-1, 4)
    made = bpy.data.meshes.new("shape")
    made.from_pydata(vertices.reshape(-1, 3).tolist(), [], faces.tolist())
    made.attributes.new("flow", "FLOAT_VECTOR", "POINT").data.foreach_set("vector", flow.ravel())
    made.attributes.new("edge", "FLOAT", "POINT").data.foreach_set("value", edge.ravel())
    made.polygons.foreach_set("use_smooth", [True] * len(made.polygons))
    return made


def cone(radius: float, taper: float = 1.0, flare: float = 0.0) -> Profile:
    """Return radii that fall to a point; ``flare`` widens the base."""
    return lambda t: radius * (np.clip(1 - t, 0, 1) ** taper + flare * np.exp(-12 * t)) + 0.004


def rod(radius: float, blunt: float = 8.0) -> Profile:
    """Return radii of a rod with round ends, an ellipsoid with ``blunt=1``."""
    return lambda t: radius * np.sqrt(np.clip(4 * blunt * t * (1 - t), 0, 1)) + 0.002


def swept(
    rng: random.Random,
    length: float,
    profile: Profile,
    bend: float | Profile = 0.0,
    *,
    squash: float = 1.0,
    lumps: float = 0.03,
    rings: float = 0.0,
    depth: float = 0.0,
    hollow: float = 0.0,
    cut: float = 1.0,
    fringe: float = 0.0,
    sway: float = 0.0,
    columns: int = 40,
) -> bpy.types.Mesh:
    """Sweep a round section along a bent line, from the base at the origin.

    Args:
        rng: The source of all irregularity.
        length: Of the line.
        profile: Radius by the share of the length, 0 to 1.
        bend: Turn in radians over the length, or the heading by the share of the length.
        squash: Width of the section across the bend, as a share of the radius.
        lumps: Irregularity of the section, as a share of the radius.
        rings: Number of rings along the length.
        depth: Of the rings, as a share of the radius.
        hollow: Depth of the cavity in the base, as a share of the length; negative bulges.
        cut: Share of the length that is left.
        fringe: Roughness of the base, as a share of the radius.
        sway: Sideways swing, as in a lyre.
        columns: Vertices around.
    """
    noise = np.random.default_rng(rng.getrandbits(32))
    t = np.linspace(0, cut, 90)
    heading = bend(t) if callable(bend) else bend * t
    line = np.column_stack([np.sin(heading), sway * np.cos(2 * np.pi * t), np.cos(heading)])
    line /= np.linalg.norm(line, axis=1, keepdims=True)
    steps = (line[1:] + line[:-1]) / 2 * length * (t[1] - t[0])
    points = np.vstack([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    fade = np.sqrt(np.clip(1 - t, 0, 1))
    radius = profile(t) * (1 + depth * fade * (2 * np.abs(np.sin(np.pi * rings * t)) - 1))
    inner = np.linspace(0, 1, 10)  # rows of the base, from its middle to the rim
    caps = inner[::-1] if cut < 1 else inner[:1]
    along = np.concatenate([0 * inner, t, 0 * caps + cut])
    edge = np.concatenate([0 * inner + 1, np.exp(-40 * t), 0 * caps + float(cut < 1)])
    tangents = np.vstack([line[[0] * 10], line, line[[-1] * len(caps)]])
    points = np.vstack([points[[0] * 10], points, points[[-1] * len(caps)]])
    points[:10] += ((1 - inner**1.6) * hollow * length)[:, None] * line[0]
    radii = np.concatenate([inner * radius[0] * 0.97, radius, caps * radius[-1]])
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    waves = np.arange(1, 7)
    sizes, phases = noise.normal(0, lumps, 6) / waves**0.5, noise.uniform(0, 6.3, 6)
    shape = (angle[None, :, None] * waves + phases + 3 * along[:, None, None]) % (2 * np.pi)
    radii = radii[:, None] * (1 + np.sin(shape) @ sizes)
    near = np.exp(-30 * along)[:, None] * edge.max() * fringe * radius[0]
    rough = noise.normal(0, 0.5, (len(along), columns))
    radii += near * rough * (radii > radius[0] * 0.5)
    normals = np.cross((0, 1, 0), tangents)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    across = np.cross(tangents, normals) * squash
    section = np.cos(angle)[:, None] * normals[:, None] + np.sin(angle)[:, None] * across[:, None]
    lift = near * noise.normal(0, 1, (len(along), columns))
    vertices = points[:, None] + radii[..., None] * section + lift[..., None] * tangents[:, None]
    size = (len(along), columns)
    flow = [np.cos(angle)[None], np.sin(angle)[None], along[:, None]]
    flow = np.stack([np.broadcast_to(part, size) for part in flow], axis=-1)
    return mesh(vertices, flow, np.broadcast_to(edge[:, None], size).copy(), closed=True)


def plate(
    rng: random.Random,
    length: float,
    width: Profile,
    *,
    thickness: float = 0.03,
    curve: float = 0.0,
    curl: float = 0.0,
    sweep: float = 0.0,
    ribs: int = 0,
    ragged: float = 0.0,
    waves: float = 0.0,
) -> bpy.types.Mesh:
    """Make a plate, root at the lower end, that is thin at the rims.

    ``width`` is half the width by the share of the length; ``curve`` bends it across, ``curl``
    along; ``sweep`` carries the tip sideways; ``ribs`` fan out from the root.
    """
    noise = np.random.default_rng(rng.getrandbits(32))
    u, x = np.linspace(0, 1, 36)[:, None], np.linspace(-1, 1, 33)[None]
    half = width(u) * (1 + ragged * np.repeat(noise.normal(0, 1, (18, 1)), 2, axis=0) * u)
    phase = rng.uniform(0, 6.3)
    lie = curl * (u - 0.5) ** 2 - curve * (x * half) ** 2 / max(half.max(), 0.01)
    lie = lie + 0.012 * length * np.cos(np.pi * ribs * x) * bool(ribs) * u
    lie = lie + waves * np.sin(4 * x + phase + 5 * u) * np.maximum(abs(x), u)
    tip = 1 - ragged * np.repeat(noise.normal(0, 1, (1, 11)), 3, axis=1)
    middle = (x * half + sweep * u**2, (u - 0.5) * length * tip, lie)
    bulge = thickness * np.sqrt(np.clip((1 - x**2) * (1 - u**6), 0, 1))
    size = (36, 33)
    sides = []
    for side in (bulge, -bulge):
        parts = (middle[0], middle[1], middle[2] + side)
        sides.append(np.stack([np.broadcast_to(part, size) for part in parts], axis=-1))
    vertices = np.concatenate([sides[0], sides[1][:, ::-1]], axis=1)
    rim = np.broadcast_to(np.maximum(abs(x), u) ** 4, size)
    parts = (np.broadcast_to(x, size), 0 * rim, np.broadcast_to(u, size))
    flow = np.stack(parts, axis=-1)
    flow = np.concatenate([flow, flow[:, ::-1] + (0, 3, 0)], axis=1)
    return mesh(vertices, flow, np.concatenate([rim, rim[:, ::-1]], axis=1), closed=True)


def turned(rng: random.Random, outline: list[tuple[float, float]], lumps=0.0) -> bpy.types.Mesh:
    """Turn an outline of (radius, height) around the upright axis: bowls, caps, coins."""
    noise = np.random.default_rng(rng.getrandbits(32))
    corners = np.array(outline, dtype=float)
    place = np.linspace(0, len(corners) - 1, 8 * len(corners))
    radius, height = (np.interp(place, range(len(corners)), part) for part in corners.T)
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    waves = np.arange(1, 6)
    wobble = np.sin(angle[:, None] * waves + noise.uniform(0, 6.3, 5)) @ noise.normal(0, lumps, 5)
    around = radius[:, None] * (1 + wobble)
    size = around.shape
    vertices = [around * np.cos(angle), around * np.sin(angle), height[:, None]]
    vertices = np.stack([np.broadcast_to(part, size) for part in vertices], axis=-1)
    span = height - height.min()
    flow = [np.cos(angle)[None], np.sin(angle)[None], (span / max(span.max(), 1e-6))[:, None]]
    flow = np.stack([np.broadcast_to(part, size) for part in flow], axis=-1)
    return mesh(vertices, flow, np.zeros(size), closed=True)


def ring(rng: random.Random, radius: float, thick: float, squash: float = 1.0) -> bpy.types.Mesh:
    """Return a ring that stands on the ground; ``squash`` makes it a band."""
    return swept(rng, math.tau * radius, lambda t: thick + 0 * t, math.tau, squash=squash, lumps=0)


def box(*size: float) -> bpy.types.Mesh:
    """Return a box that stands on the ground."""
    made = bpy.data.meshes.new("box")
    x, y, z = size
    corners = [(a * x / 2, b * y / 2, c * z) for a in (-1, 1) for b in (-1, 1) for c in (0, 1)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    made.from_pydata(corners, [], faces)
    return made
