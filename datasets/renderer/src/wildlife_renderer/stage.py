"""Everything around the object: ground, wall, clutter, light and camera.

The stage is chosen without regard to what lies on it, so that no background, light or camera gives
a label away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from wildlife_renderer import geometry
from wildlife_renderer.geometry import Array, Mesh
from wildlife_renderer.materials import paint
from wildlife_renderer.textures import GROUNDS, PIXELS, Ground

LIGHTS = ("window", "overcast", "lamp", "flash", "ceiling")
ASPECTS = {"4:3": (4, 3), "3:4": (3, 4), "1:1": (1, 1), "3:2": (3, 2)}

_SPAN = 9.0  # the ground's detailed square, in radii of the object
_FAR = 60.0  # how far the plain ground goes on, in the same unit


@dataclass(frozen=True)
class Camera:
    """Where the photo is taken from.

    Attributes:
        origin: Position, in radii of the object.
        target: The point in the middle of the image.
        up: The image's upward direction (the hand is never quite level).
        fov: The angle of view along the longer side, in degrees.
        aperture: Radius of the lens opening.
        focus: Distance of the sharp plane.
    """

    origin: Array
    target: Array
    up: Array
    fov: float
    aperture: float
    focus: float


@dataclass(frozen=True)
class Stage:
    """The surroundings of one image, and the choices that made them."""

    ground: Ground
    floor: Mesh
    surroundings: Mesh
    light: Array
    camera: Camera
    parameters: dict[str, Any]


def build(
    rng: np.random.Generator,
    subject: Mesh,
    radius: float,
    elevation: tuple[float, float],
    aspect: str,
) -> Stage:
    """Choose the surroundings of an object that lies within the unit circle.

    Args:
        rng: The generator of this image.
        subject: The object.
        radius: The true radius of that circle in centimetres.
        elevation: The lowest and highest camera angle that shows the object well, in degrees.
        aspect: One of ``ASPECTS``.
    """
    kind = str(rng.choice(list(GROUNDS), p=[share for _, share in GROUNDS.values()]))
    light_kind = str(rng.choice(LIGHTS))
    ground = GROUNDS[kind][0](rng, _SPAN * radius)
    camera, angles = _camera(rng, subject, elevation, aspect)
    floor = _floor(
        ground, radius, rng.uniform(0, 360), sweep=kind == "paper", away=angles["azimuth"]
    )
    pieces = [_speck()]
    behind = kind != "paper" and angles["elevation"] < 50 and rng.random() < 0.7
    if kind == "grass":
        pieces.append(_blades(rng, radius, subject))
    if behind:
        pieces += _wall(rng, angles["azimuth"])
    light = _light(rng, light_kind, angles)
    parameters = {"ground": kind, "light": light_kind, "wall": bool(behind), **angles}
    return Stage(ground, floor, geometry.merge(pieces), light, camera, parameters)


def _floor(ground: Ground, radius: float, turn: float, sweep: bool, away: float) -> Mesh:
    near = np.linspace(-_SPAN / 2, _SPAN / 2, 420)
    far = np.geomspace(0.2, _FAR, 12) + _SPAN / 2
    side = np.concatenate([-far[::-1], near, far])
    x, y = np.meshgrid(side, side, indexing="ij")
    picture = np.stack([x, y], axis=-1) / _SPAN + 0.5
    # Beyond its square the ground is mirrored, like the texture.
    folded = 1 - np.abs(picture % 2 - 1)
    at = (folded * (PIXELS - 1)).astype(np.float32)
    relief = cv2.GaussianBlur(ground.relief.astype(np.float32), (0, 0), 1.2)
    z = cv2.remap(relief, at[..., 0], at[..., 1], cv2.INTER_LINEAR).astype(np.float64) / radius
    within = np.hypot(x, y) < 1
    z -= np.percentile(z[within], 80)
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3) @ geometry.rotation([0, 0, 1], turn).T
    if sweep:
        # Studio paper bends up behind the object.
        direction = np.radians(away + 180)
        depth = vertices[:, 0] * np.cos(direction) + vertices[:, 1] * np.sin(direction)
        beyond = np.clip(depth - 2.6, 0, None)
        vertices[:, 2] += np.where(beyond < 2, beyond**2 / 4, beyond - 1)
    faces = geometry.grid_faces(len(side), len(side), wrap=False)
    return Mesh.bare(vertices, faces, picture.reshape(-1, 2))


def _speck() -> Mesh:
    """One hidden triangle, so that the surroundings are never an empty mesh."""
    corners = np.array([[0, 0, -3.0], [0.01, 0, -3], [0, 0.01, -3]])
    return Mesh.bare(corners, np.array([[0, 1, 2]]), np.zeros((3, 2)))


def _wall(rng: np.random.Generator, azimuth: float) -> list[Mesh]:
    """A wall behind the object, and things that stand before it, out of focus."""
    distance = rng.uniform(2.2, 7)
    slab = geometry.rounded_box((0.2, 60, 40), 0.02, 8).moved([-distance, 0, 19])
    tint = np.clip(rng.uniform(0.3, 0.92) + rng.normal(0, 0.05, 3), 0.02, 0.95)
    pieces = [paint(slab, tint, 0.9)]
    if rng.random() < 0.4:
        board = geometry.rounded_box((0.3, 60, rng.uniform(0.4, 1.2)), 0.05, 8)
        tint = np.clip(rng.uniform(0.2, 0.9) + rng.normal(0, 0.05, 3), 0.02, 0.95)
        pieces.append(paint(board.moved([-distance + 0.2, 0, 0.3]), tint, 0.5))
    for _ in range(rng.integers(0, 5)):
        height = rng.uniform(0.4, 2.4)
        width = rng.uniform(0.3, 1.1)
        if rng.random() < 0.55:
            thing = geometry.rounded_box((width, width * rng.uniform(0.4, 1.6), height), 0.03, 6)
            thing = thing.turned(geometry.rotation([0, 0, 1], rng.uniform(0, 90)))
        else:
            profile = np.array([[0, 0], [0.4, 0], [0.45, 0.5], [0.25, 0.8], [0.25, 1], [0, 1]])
            thing = geometry.lathe(profile * [width, height], 32, 40)
        place = [-distance + 1.0 + rng.uniform(0, 0.6), rng.uniform(-4, 4), 0]
        place[0] = min(place[0], -1.8)
        hue = np.clip(rng.uniform(0.05, 0.9) + rng.normal(0, 0.07, 3), 0.02, 0.95)
        pieces.append(paint(thing.grounded().moved(place), hue, rng.uniform(0.2, 0.8)))
    turn = geometry.rotation([0, 0, 1], azimuth)
    return [piece.turned(turn) for piece in pieces]


def _blades(rng: np.random.Generator, radius: float, subject: Mesh) -> Mesh:
    """Blades of grass around the object and not through it, a few centimetres long."""
    at = rng.normal(0, 2.0, (16000, 2))
    covered = np.zeros((64, 64), dtype=bool)  # the unit square around the object
    covered[tuple(np.clip((subject.vertices[:, :2] + 1) * 32, 0, 63).astype(int).T)] = True
    beside = np.abs(at).max(axis=1) > 1
    cell = np.clip((at + 1) * 32, 0, 63).astype(int)
    at = at[beside | ~covered[cell[:, 0], cell[:, 1]]]
    count = len(at)
    length = rng.uniform(1.0, 4.5, count) / radius
    length = np.minimum(length, 0.22)
    lean = rng.normal(0, 0.5, (count, 2)) * length[:, None]
    side = rng.normal(0, 1, (count, 2))
    side *= (0.14 / radius) / np.linalg.norm(side, axis=1, keepdims=True)
    side *= np.minimum(1, 0.22 * radius / 4)
    low = np.full((count, 1), -0.02)
    left = np.hstack([at - side, low])
    right = np.hstack([at + side, low])
    tip = np.hstack([at + lean, length[:, None]])
    vertices = np.stack([left, right, tip], axis=1).reshape(-1, 3)
    faces = np.arange(3 * count).reshape(-1, 3)
    shade = rng.uniform(0, 1, (count, 1))
    tint = (1 - shade) * np.array([0.25, 0.36, 0.12]) + shade * np.array([0.60, 0.62, 0.30])
    mesh = Mesh.bare(vertices, faces, np.zeros((3 * count, 2)))
    return paint(mesh, np.repeat(tint, 3, axis=0), 0.6)


def _direction(azimuth: float, elevation: float) -> Array:
    a, e = np.radians([azimuth, elevation])
    return np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])


def _camera(
    rng: np.random.Generator, subject: Mesh, elevation: tuple[float, float], aspect: str
) -> tuple[Camera, dict[str, float]]:
    azimuth = rng.uniform(0, 360)
    angle = rng.uniform(*elevation)
    fov = rng.uniform(38, 66)
    fill = rng.uniform(0.62, 0.97)
    width, height = ASPECTS[aspect]
    reach = np.tan(np.radians(fov) / 2) * np.array([width, height]) / max(width, height)
    back = _direction(azimuth, angle)
    right = np.cross([0, 0, 1], back)
    right /= np.linalg.norm(right)
    roll = rng.normal(0, 2.5)
    turn = geometry.rotation(back, roll)
    right = turn @ right
    up = np.cross(back, right)
    step = max(1, len(subject.vertices) // 20000)
    points = subject.vertices[::step]
    target = (points.min(axis=0) + points.max(axis=0)) / 2
    shift, distance = _framed(points - target, np.stack([right, up, back]), reach * fill)
    target = target + shift
    slack = (1 - fill) * reach * distance * rng.uniform(-0.9, 0.9, 2)
    target = target + slack[0] * right + slack[1] * up
    origin = target + distance * back
    depths = (points - origin) @ -back
    focus = float(np.quantile(depths, rng.uniform(0.15, 0.6)))
    aperture = float(rng.choice([0.004, 0.012, 0.025]) * distance * rng.uniform(0.6, 1.4) * 0.5)
    angles = {
        "azimuth": round(azimuth, 1),
        "elevation": round(angle, 1),
        "fov": round(fov, 1),
        "roll": round(float(roll), 1),
    }
    return Camera(origin, target, up, fov, aperture, focus), angles


def _framed(points: Array, axes: Array, reach: Array) -> tuple[Array, float]:
    """Find how a camera that looks at the origin gets all points into its image.

    Args:
        points: Positions around the origin, ``(n, 3)``.
        axes: The camera's directions: right, up and back.
        reach: Half the width and height that may be filled, at distance 1.

    Returns:
        How far to move the target, and the distance from it.
    """
    flat = points @ axes.T
    near, far = float(flat[:, 2].max()) + 0.4, 80.0
    for _ in range(30):
        distance = (near + far) / 2
        seen = flat[:, :2] / (distance - flat[:, 2])[:, None]
        if (np.ptp(seen, axis=0) / (2 * reach)).max() > 1:
            near = distance
        else:
            far = distance
    seen = flat[:, :2] / (far - flat[:, 2])[:, None]
    middle = (seen.min(axis=0) + seen.max(axis=0)) / 2 * far
    return middle @ axes[:2], far


def _light(rng: np.random.Generator, kind: str, angles: dict[str, float]) -> Array:
    """The light that comes from every direction, ``(128, 256, 3)``, for mitsuba's ``envmap``."""
    v, u = np.mgrid[0:128, 0:256]
    theta, phi = (v + 0.5) / 128 * np.pi, u / 255 * 2 * np.pi
    toward = np.stack(
        [np.sin(phi) * np.sin(theta), np.cos(phi) * np.sin(theta), np.cos(theta)], axis=-1
    )
    azimuth = np.degrees(np.arctan2(toward[..., 1], toward[..., 0])) % 360
    height = toward[..., 2]
    sky = np.array([0.85, 0.95, 1.1])
    warm = np.array([1.25, 1.0, 0.68])
    room = np.array([1.0, 0.96, 0.9]) * (0.5 + 0.35 * height[..., None])
    # Dark and bright pieces of furniture in the reflections of glossy things.
    for _ in range(14):
        centre, width = rng.uniform(0, 360), rng.uniform(5, 30)
        low = rng.uniform(-0.6, 0.7)
        part = (np.abs((azimuth - centre + 180) % 360 - 180) < width) & (height > low)
        part &= height < low + rng.uniform(0.1, 0.6)
        room[part] *= rng.uniform(0.3, 1.6)
    camera = angles["azimuth"]
    if kind == "overcast":
        light = sky * (0.55 + 0.9 * np.clip(height, -0.3, 1)[..., None])
        sun = _spot(toward, camera + rng.uniform(-160, 160), rng.uniform(30, 70), 28)
        return np.maximum(
            light + sun[..., None] * rng.uniform(0.5, 6) * np.array([1, 0.98, 0.94]), 0.02
        )
    if kind == "window":
        light = room * rng.uniform(0.3, 0.8)
        for _ in range(rng.integers(1, 3)):
            centre = camera + rng.uniform(-150, 150)
            wide, low = rng.uniform(12, 32), rng.uniform(0.05, 0.35)
            off = np.abs((azimuth - centre + 180) % 360 - 180)
            pane = (off < wide) & (height > low) & (height < low + rng.uniform(0.3, 0.5))
            pane &= np.abs(off) > 1.5  # the window's bar
            light[pane] = sky * rng.uniform(8, 22)
        return light
    if kind == "lamp":
        lamp = _spot(
            toward, camera + rng.uniform(-130, 130), rng.uniform(35, 80), rng.uniform(4, 11)
        )
        return room * warm * rng.uniform(0.2, 0.5) + lamp[..., None] * warm * rng.uniform(40, 110)
    if kind == "flash":
        lamp = _spot(toward, camera + rng.uniform(-4, 4), angles["elevation"] + 3, 4)
        return room * warm * rng.uniform(0.08, 0.3) + lamp[..., None] * rng.uniform(90, 170)
    light = room * rng.uniform(0.3, 0.6)
    for _ in range(rng.integers(2, 5)):
        panel = _spot(toward, rng.uniform(0, 360), rng.uniform(45, 85), rng.uniform(5, 12))
        light = light + panel[..., None] * np.array([0.95, 1.0, 0.97]) * rng.uniform(8, 25)
    return light


def _spot(toward: Array, azimuth: float, elevation: float, width: float) -> Array:
    """A soft round light, 1 in its middle; ``width`` is its radius in degrees."""
    angle = np.degrees(np.arccos(np.clip(toward @ _direction(azimuth, elevation), -1, 1)))
    return np.clip(1.5 - angle / width, 0, 1)
