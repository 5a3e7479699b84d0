"""Calculated meshes: swept tubes, lathes, plates, boxes, and the noise that roughens them.

Every function is a pure function of its arguments; randomness comes in as a generator or a seed.
Colour and surface quality are painted by ``materials``; placing meshes in an image is the scenes'
work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Curve = Callable[[Array], Array]

SURFACE = ("roughness", "clearcoat", "metallic", "sheen")


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh with one colour and one set of surface qualities for each vertex.

    Attributes:
        vertices: Positions, ``(n, 3)``; z points up and the table is ``z = 0``.
        faces: Indices of the corners, ``(m, 3)``.
        coords: Where a vertex lies on its own shape, ``(n, 2)``: along and around, both 0 to 1.
        colour: Linear RGB, ``(n, 3)``, 0 to 1.
        surface: The qualities named in ``SURFACE``, ``(n, 4)``, 0 to 1.
    """

    vertices: Array
    faces: NDArray[np.int64]
    coords: Array
    colour: Array
    surface: Array

    @classmethod
    def bare(cls, vertices: Array, faces: NDArray[np.int64], coords: Array) -> Mesh:
        """Return an unpainted mesh: middle grey and half rough."""
        count = len(vertices)
        return cls(
            np.asarray(vertices, dtype=np.float64),
            faces,
            coords,
            np.full((count, 3), 0.5),
            np.tile([0.5, 0.0, 0.0, 0.0], (count, 1)),
        )

    def reshaped(self, vertices: Array) -> Mesh:
        """Return the mesh with other positions for the same vertices."""
        return replace(self, vertices=vertices)

    def moved(self, offset: Sequence[float] | Array) -> Mesh:
        """Return the mesh shifted by ``offset``."""
        return replace(self, vertices=self.vertices + np.asarray(offset))

    def turned(self, matrix: Array) -> Mesh:
        """Return the mesh multiplied by a 3x3 matrix (a rotation or a scaling)."""
        return replace(self, vertices=self.vertices @ np.asarray(matrix).T)

    def scaled(self, *factors: float) -> Mesh:
        """Return the mesh scaled by one factor, or by one for each axis."""
        return replace(self, vertices=self.vertices * np.asarray(factors))

    def grounded(self) -> Mesh:
        """Return the mesh shifted so that it is centred on the origin and stands on the table."""
        low, high = self.vertices.min(axis=0), self.vertices.max(axis=0)
        return self.moved([-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]])

    def displaced(self, amount: Array) -> Mesh:
        """Return the mesh with every vertex moved along its normal by ``amount``."""
        return replace(self, vertices=self.vertices + normals(self) * np.asarray(amount)[:, None])


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """Join several meshes, in order."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]),
        np.concatenate([mesh.coords for mesh in meshes]),
        np.concatenate([mesh.colour for mesh in meshes]),
        np.concatenate([mesh.surface for mesh in meshes]),
    )


def normals(mesh: Mesh) -> Array:
    """Return unit normals of the vertices, ``(n, 3)``, weighted by the areas of the faces."""
    x, y, z = mesh.vertices.T
    a, b, c = mesh.faces.T
    ux, uy, uz = x[b] - x[a], y[b] - y[a], z[b] - z[a]
    vx, vy, vz = x[c] - x[a], y[c] - y[a], z[c] - z[a]
    corners = np.concatenate([a, b, c])
    across = (uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx)
    total = np.stack(
        [np.bincount(corners, np.tile(part, 3), minlength=len(x)) for part in across], axis=1
    )
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def rotation(axis: Sequence[float] | Array, degrees: float) -> Array:
    """Return the matrix that turns around ``axis`` by an angle (Rodrigues' formula)."""
    x, y, z = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def noise(
    points: Array, frequency: float | Sequence[float] | Array, seed: int, octaves: int = 3
) -> Array:
    """Return Perlin's gradient noise at ``points``, ``(n,)``, about -1 to 1.

    Args:
        points: Positions, ``(n, 3)``.
        frequency: Cells for each unit, one number or one for each axis (which stretches it).
        seed: Which noise.
        octaves: How many layers, each twice as fine and half as strong as the last.
    """
    rng = np.random.default_rng(seed)
    table = rng.permutation(256)
    gradients = rng.normal(size=(256, 3))
    gradients /= np.linalg.norm(gradients, axis=1, keepdims=True)
    total = np.zeros(len(points))
    at = np.asarray(points) * np.asarray(frequency) + rng.uniform(0, 64, 3)
    strength = 1.0
    for _ in range(octaves):
        total += strength * _perlin(at, table, gradients)
        at, strength = at * 2.03 + 17.3, strength / 2
    return total * 1.5


def _perlin(at: Array, table: NDArray[np.int64], gradients: Array) -> Array:
    floor = np.floor(at)
    cell = floor.astype(np.int64).T
    x, y, z = (at - floor).T
    fade_x, fade_y, fade_z = (t * t * t * (t * (t * 6 - 15) + 10) for t in (x, y, z))
    gradient_x, gradient_y, gradient_z = gradients.T
    total = np.zeros(len(at))
    for dx in (0, 1):
        first = table[(cell[0] + dx) & 255] + cell[1]
        weight_x = fade_x if dx else 1 - fade_x
        for dy in (0, 1):
            second = table[(first + dy) & 255] + cell[2]
            weight_xy = weight_x * (fade_y if dy else 1 - fade_y)
            for dz in (0, 1):
                corner = table[(second + dz) & 255]
                slope = (
                    (x - dx) * gradient_x[corner]
                    + (y - dy) * gradient_y[corner]
                    + (z - dz) * gradient_z[corner]
                )
                total += weight_xy * (fade_z if dz else 1 - fade_z) * slope
    return total


def grid_faces(rows: int, columns: int, wrap: bool) -> NDArray[np.int64]:
    """Return a grid's triangles in row order; with ``wrap`` the last column meets the first."""
    row, column = np.meshgrid(
        np.arange(rows - 1), np.arange(columns if wrap else columns - 1), indexing="ij"
    )
    a = (row * columns + column).ravel()
    b = (row * columns + (column + 1) % columns).ravel()
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, b, d], axis=1), np.stack([a, d, c], axis=1)])


def sweep(curve: Curve, stations: Array, radii: Array, around: int = 96) -> Mesh:
    """Return a tube around a curve.

    Args:
        curve: Maps parameters ``(k,)``, 0 to 1, to positions ``(k, 3)``.
        stations: The curve's parameter at each ring, ``(k,)``; it may run back, which makes a
            hollow end.
        radii: The radius of each ring, ``(k,)``, or of each vertex on it, ``(k, around)``.
        around: Vertices on a ring.

    Returns:
        The tube; ``coords`` hold the number of the ring and the angle, both 0 to 1.
    """
    fine = np.linspace(0, 1, 400)
    path = curve(fine)
    tangents = np.gradient(path, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    side = np.cross(tangents[0], [0.31, 0.17, 0.93] if abs(tangents[0][2]) < 0.9 else [1, 0.0, 0])
    sides = []
    for tangent in tangents:
        side = side - tangent * (side @ tangent)
        side = side / np.linalg.norm(side)
        sides.append(side)
    at = np.asarray(stations)
    centre, tangent, first = (
        np.stack([np.interp(at, fine, values[:, axis]) for axis in range(3)], axis=1)
        for values in (path, tangents, np.array(sides))
    )
    second = np.cross(tangent, first)
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    radius = np.broadcast_to(
        np.asarray(radii) if np.ndim(radii) == 2 else np.asarray(radii)[:, None], (len(at), around)
    )
    ring = (
        first[:, None] * np.cos(angle)[None, :, None]
        + second[:, None] * np.sin(angle)[None, :, None]
    )
    vertices = (centre[:, None] + ring * radius[..., None]).reshape(-1, 3)
    coords = np.stack(
        np.meshgrid(np.linspace(0, 1, len(at)), angle / (2 * np.pi), indexing="ij"), axis=-1
    )
    return Mesh.bare(vertices, grid_faces(len(at), around, wrap=True), coords.reshape(-1, 2))


def lathe(profile: Array, around: int = 160, rings: int = 240) -> Mesh:
    """Turn a ``profile`` of radius and height, ``(k, 2)``, joined by straight lines."""
    profile = np.asarray(profile, dtype=np.float64)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    at = np.linspace(0, length[-1], rings)
    radius = np.interp(at, length, profile[:, 0])
    height = np.interp(at, length, profile[:, 1])
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    vertices = np.stack(
        [
            radius[:, None] * np.cos(angle),
            radius[:, None] * np.sin(angle),
            np.broadcast_to(height[:, None], (rings, around)),
        ],
        axis=-1,
    )
    coords = np.stack(np.meshgrid(at / length[-1], angle / (2 * np.pi), indexing="ij"), axis=-1)
    return Mesh.bare(
        vertices.reshape(-1, 3), grid_faces(rings, around, wrap=True), coords.reshape(-1, 2)
    )


def smooth_profile(points: Sequence[Any] | Array, count: int = 200) -> Array:
    """Return a profile for ``lathe`` that runs smoothly through ``points`` (Catmull-Rom)."""
    knots = np.asarray(points, dtype=np.float64)
    padded = np.concatenate([[2 * knots[0] - knots[1]], knots, [2 * knots[-1] - knots[-2]]])
    at = np.linspace(0, len(knots) - 1 - 1e-9, count)
    index = at.astype(np.int64)
    t = (at - index)[:, None]
    a, b, c, d = (padded[index + shift] for shift in range(4))
    curve = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    curve[:, 0] = np.maximum(curve[:, 0], 0)
    return curve


def ball(radius: float = 1.0, detail: int = 96) -> Mesh:
    """Return a sphere around the origin."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, detail)
    return lathe(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), 2 * detail, detail)


def ring(major: float, section: Array, around: int = 200) -> Mesh:
    """Return a flat closed ring; ``section`` has the outline ``(k, 2)`` (outwards, upwards)."""
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    radius = major + section[:, 0]
    vertices = np.stack(
        [
            radius * np.cos(angle)[:, None],
            radius * np.sin(angle)[:, None],
            np.broadcast_to(section[:, 1], (around, len(section))),
        ],
        axis=-1,
    ).reshape(-1, 3)
    faces = grid_faces(around + 1, len(section), wrap=True) % (around * len(section))
    coords = np.stack(
        np.meshgrid(angle / (2 * np.pi), np.linspace(0, 1, len(section)), indexing="ij"), axis=-1
    )
    return Mesh.bare(vertices, faces[:, ::-1], coords.reshape(-1, 2))


def oval(width: float, height: float, count: int = 64, squareness: float = 2.0) -> Array:
    """Return the outline of a superellipse, ``(count, 2)``; 2 is an ellipse, more is squarer."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    cosine, sine = np.cos(angle), np.sin(angle)
    power = 2 / squareness
    return np.stack(
        [
            width * np.sign(cosine) * np.abs(cosine) ** power,
            height * np.sign(sine) * np.abs(sine) ** power,
        ],
        axis=1,
    )


def rounded_box(size: Sequence[float] | Array, radius: float, detail: int = 28) -> Mesh:
    """Return a box around the origin with rounded edges; ``size`` is width, depth and height."""
    half = np.asarray(size, dtype=np.float64) / 2
    parts = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u_axis, v_axis = (axis + 1) % 3, (axis + 2) % 3
            u, v = (_edge_dense(half[side], radius, detail) for side in (u_axis, v_axis))
            grid_u, grid_v = np.meshgrid(u, v, indexing="ij")
            at = np.zeros((grid_u.size, 3))
            at[:, axis] = sign * half[axis]
            at[:, u_axis], at[:, v_axis] = grid_u.ravel(), grid_v.ravel()
            inner = np.clip(at, -(half - radius), half - radius)
            outward = at - inner
            outward /= np.linalg.norm(outward, axis=1, keepdims=True)
            faces = grid_faces(len(u), len(v), wrap=False)
            coords = np.stack([grid_u.ravel() / half[u_axis], grid_v.ravel() / half[v_axis]], 1)
            parts.append(
                Mesh.bare(
                    inner + radius * outward,
                    faces if sign < 0 else faces[:, ::-1],
                    coords / 2 + 0.5,
                )
            )
    return merge(parts)


def _edge_dense(half: float, radius: float, detail: int) -> Array:
    edge = half - radius * (1 - np.linspace(1, 0, 7))
    return np.concatenate(
        [-edge, np.linspace(-(half - radius), half - radius, detail)[1:-1], edge[::-1]]
    )


def plate(outline: Array, height: Callable[[Array, Array], Array], thickness: float) -> Mesh:
    """Return a thin closed plate.

    Args:
        outline: The border seen from above, ``(k, 2)``, counter-clockwise around the origin.
        height: Maps the share of the way to the border, 0 to 1, and positions ``(n, 2)`` to z.
        thickness: At the middle; the plate thins to its border.

    Returns:
        The plate; ``coords`` hold the share of the way to the border and the angle.
    """
    share = np.linspace(0, 1, 26)
    top = (share[:, None, None] * outline[None]).reshape(-1, 2)
    along = np.repeat(share, len(outline))
    z = height(along, top)
    body = thickness * (1 - 0.85 * along**2) / 2
    faces = grid_faces(len(share), len(outline), wrap=True)
    coords = np.stack([along, np.tile(np.linspace(0, 1, len(outline)), len(share))], axis=1)
    upper = Mesh.bare(np.column_stack([top, z + body]), faces[:, ::-1], coords)
    lower = Mesh.bare(np.column_stack([top, z - body]), faces, coords)
    rim_faces = grid_faces(2, len(outline), wrap=True)
    edge = slice(-len(outline), None)
    rim = Mesh.bare(
        np.concatenate([upper.vertices[edge], lower.vertices[edge]]),
        rim_faces[:, ::-1],
        np.concatenate([coords[edge], coords[edge]]),
    )
    return merge([upper, lower, rim])
