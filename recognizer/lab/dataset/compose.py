"""Scenes made of cut-out objects: one thing on a table, a stack of tusks, a market stall.

Museum photos show one object on paper; seizures and stalls show heaps, and a listing shows the
object among others. A scene is a backdrop on which objects are laid, the farthest first.
Pictures are uint8, (height, width, 3), RGB; every draw depends only on the given generator.
"""

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from recognizer.lab.dataset.cutout import Cutout, Picture

_MAX_SIDE = 1280  # of a cut-out that is rotated, in pixels


def lay(
    canvas: Picture, cutout: Cutout, share: float, degrees: float, rng: np.random.Generator
) -> None:
    """Lay an object somewhere on a canvas, in place, perhaps mirrored.

    ``share`` is its size as a share of the largest that fits; ``degrees`` its rotation.
    """
    rgb, opacity = cutout.rgb, cutout.opacity
    if rng.random() < 0.5:
        rgb, opacity = rgb[:, ::-1], opacity[:, ::-1]
    if degrees:
        rgb, opacity = _turned(rgb, opacity, degrees)
    height, width = canvas.shape[:2]
    scale = share * min(height / rgb.shape[0], width / rgb.shape[1])
    size = (
        min(width, max(2, round(rgb.shape[1] * scale))),
        min(height, max(2, round(rgb.shape[0] * scale))),
    )
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(rgb), size, interpolation=method)
    weight = cv2.resize(np.ascontiguousarray(opacity), size, interpolation=method)
    y = int(rng.integers(height - size[1] + 1))
    x = int(rng.integers(width - size[0] + 1))
    place = canvas[y : y + size[1], x : x + size[0]]
    part = weight[..., None].astype(np.float32) / 255
    place[:] = np.rint(small * part + place * (1 - part)).astype(np.uint8)


def _turned(rgb: Picture, opacity: Picture, degrees: float) -> tuple[Picture, Picture]:
    height, width = opacity.shape
    angle = math.radians(degrees)
    wide = math.ceil(width * abs(math.cos(angle)) + height * abs(math.sin(angle)))
    high = math.ceil(width * abs(math.sin(angle)) + height * abs(math.cos(angle)))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    turn[:, 2] += (wide - width) / 2, (high - height) / 2
    size = (min(wide, _MAX_SIDE), min(high, _MAX_SIDE))
    edge = cv2.BORDER_REPLICATE
    return (
        np.asarray(cv2.warpAffine(rgb, turn, size, borderMode=edge), np.uint8),
        np.asarray(cv2.warpAffine(opacity, turn, size), np.uint8),
    )


def compose(
    backdrop: Picture,
    objects: Sequence[Cutout],
    others: Sequence[Cutout],
    rng: np.random.Generator,
) -> Picture:
    """Lay one or more objects on a copy of a backdrop.

    A single object lies as it was photographed, at any size. Several lie in any orientation, the
    smaller the more there are, and may cover each other. Others lie beneath them.
    """
    canvas = backdrop.copy()
    for other in others:
        lay(canvas, other, rng.uniform(0.2, 0.5), float(rng.normal(0, 30)), rng)
    if len(objects) == 1:
        degrees = float(rng.normal(0, 25)) if rng.random() < 0.5 else 0.0
        lay(canvas, objects[0], rng.uniform(0.3, 1.0), degrees, rng)
        return canvas
    size = rng.uniform(1.0, 1.9) / math.sqrt(len(objects))
    main = float(rng.uniform(0, 360))
    spread = float(rng.choice([8.0, 40.0, 180.0]))  # stacked alike, roughly so, or thrown
    for cutout in objects:
        share = float(np.clip(size * rng.uniform(0.7, 1.3), 0.12, 0.95))
        lay(canvas, cutout, share, main + float(rng.normal(0, spread)), rng)
    return canvas


def several(
    first: Cutout,
    draw: Callable[[], Cutout | None],
    most: int,
    rng: np.random.Generator,
) -> list[Cutout]:
    """Return two or more objects of a kind: the first, and others that ``draw`` returns, or copies.

    Small numbers are likelier than ``most``.
    """
    count = 2 + int((most - 1) * rng.random() ** 2)
    drawn = [draw() for _ in range(min(3, count - 1))]
    pool = [first, *(another for another in drawn if another is not None)]
    return [first, *(pool[int(rng.integers(len(pool)))] for _ in range(count - 1))]


def plain_backdrop(rng: np.random.Generator, side: int = 288) -> Picture:
    """Return a plain colour or a gentle gradient with a little grain: studio paper, dark cloth."""
    if rng.random() < 0.6:  # near grey, as studios have it
        first = np.full(3, rng.uniform(0, 255)) + rng.normal(0, 8, 3)
    else:
        first = rng.uniform(0, 255, 3)
    last = first + rng.normal(0, 30) + rng.normal(0, 6, 3)
    along = np.linspace(0, 1, side)[:, None, None]
    picture = np.broadcast_to(first * (1 - along) + last * along, (side, side, 3))
    if rng.random() < 0.5:
        picture = picture.swapaxes(0, 1)
    grain = rng.normal(0, rng.uniform(0.5, 6), (side, side, 1))
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def put_photo(rgb: Picture, backdrop: Picture, rng: np.random.Generator) -> Picture:
    """Put the whole photo, smaller, on a backdrop that is stretched to its size."""
    height, width = rgb.shape[:2]
    scale = rng.uniform(0.5, 0.95)
    canvas = cv2.resize(backdrop, (width, height), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    y = int(rng.integers(height - small.shape[0] + 1))
    x = int(rng.integers(width - small.shape[1] + 1))
    canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
    return np.asarray(canvas, np.uint8)


def recompress(rgb: Picture, quality: int) -> Picture:
    """Write the photo as JPEG, quality 0 to 100, and read it again."""
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])
