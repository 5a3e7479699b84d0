"""Alterations of photos on their way to a platform: cut out, pasted, written on, shrunk.

Training draws them at random; the robustness test applies them at set strengths. Pictures are
uint8, (height, width, 3), RGB, and never changed in place. Every draw depends only on the given
generator.
"""

from __future__ import annotations

import cv2
import numpy as np

from recognizer.dataset.compose import lay
from recognizer.dataset.cutout import Picture, cut_out, soft_mask

_WORDS = ("FOR SALE", "price in description", "(c) 2024", "SHOP", "no reserve", "DM me", "original")


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


def put_object(rgb: Picture, mask: Picture, backdrop: Picture, rng: np.random.Generator) -> Picture:
    """Cut an object out, by its mask, and put it somewhere on a backdrop, at some size.

    The mask has any size with the photo's aspect; the result has the backdrop's size.
    """
    canvas = backdrop.copy()
    lay(canvas, cut_out(rgb, mask), rng.uniform(0.35, 1.0), 0.0, rng)
    return canvas


def put_photo(
    rgb: Picture,
    backdrop: Picture,
    rng: np.random.Generator,
    scales: tuple[float, float] = (0.5, 0.95),
) -> Picture:
    """Put the whole photo, smaller, on a backdrop: a collage, a screenshot, a photo of a photo.

    The backdrop is stretched to the photo; ``scales`` are the limits of the factor of its sides.
    """
    height, width = rgb.shape[:2]
    scale = rng.uniform(*scales)
    canvas = cv2.resize(backdrop, (width, height), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    y = int(rng.integers(height - small.shape[0] + 1))
    x = int(rng.integers(width - small.shape[1] + 1))
    canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
    return np.asarray(canvas, np.uint8)


def write_across(rgb: Picture, rng: np.random.Generator) -> Picture:
    """Write a seller's line of text across the photo."""
    height, width = rgb.shape[:2]
    words = _WORDS[int(rng.integers(len(_WORDS)))]
    scale = width / 250 * rng.uniform(0.6, 1.4)
    place = (int(rng.uniform(0, 0.5) * width), int(rng.uniform(0.15, 0.95) * height))
    color = [int(v) for v in rng.choice([0, 255], 3)]
    written = cv2.putText(
        rgb.copy(),
        words,
        place,
        cv2.FONT_HERSHEY_SIMPLEX,
        scale,
        color,
        1 + int(scale),
        cv2.LINE_AA,
    )
    return np.asarray(cv2.addWeighted(rgb, 0.4, written, 0.6, 0), np.uint8)


def lose_resolution(
    rgb: Picture, rng: np.random.Generator, scales: tuple[float, float] = (0.3, 0.8)
) -> Picture:
    """Shrink the photo; the model's resize brings it back, softer."""
    scale = rng.uniform(*scales)
    height, width = rgb.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def swap_background(rgb: Picture, mask: Picture, backdrop: Picture) -> Picture:
    """Put another picture, stretched to the photo's size, behind the object, which stays in place.

    The mask has any size with the photo's aspect.
    """
    height, width = rgb.shape[:2]
    opacity = soft_mask(mask, height, width)[..., None].astype(np.float32) / 255
    behind = cv2.resize(backdrop, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.rint(rgb * opacity + behind * (1 - opacity)), np.uint8)


def recompress(rgb: Picture, quality: int) -> Picture:
    """Write the photo as JPEG, quality 0 to 100, and read it again."""
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])


def crop(rgb: Picture, share: float, rng: np.random.Generator) -> Picture:
    """Return a random part of the photo, of a share of its area and with its proportions."""
    height, width = rgb.shape[:2]
    rows, columns = (max(1, round(side * share**0.5)) for side in (height, width))
    y, x = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    return np.ascontiguousarray(rgb[y : y + rows, x : x + columns])


def turn(rgb: Picture, degrees: float) -> Picture:
    """Rotate the photo counterclockwise within its frame; right angles lose nothing.

    The corners repeat the photo's edge, so that they give no clue.
    """
    if degrees % 90 == 0:
        return np.ascontiguousarray(np.rot90(rgb, round(degrees / 90)))
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    turned = cv2.warpAffine(rgb, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)


def blur(rgb: Picture, share: float) -> Picture:
    """Blur with a Gaussian whose sigma is a share of the short side."""
    sigma = share * min(rgb.shape[:2])
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), max(sigma, 1e-3)), np.uint8)


def screenshot(rgb: Picture, share: float, rng: np.random.Generator) -> Picture:
    """Show the photo in the window of an app: bars, lines of text, a light or a dark theme.

    ``share`` is the share of the screen's area that the photo takes, 0 to 1.
    """
    height, width = rgb.shape[:2]
    tall = max(height + 2, round(height / share))
    paper, ink = (250, 30) if rng.random() < 0.5 else (22, 225)
    screen = np.full((tall, width, 3), paper, np.uint8)
    top = round((tall - height) * rng.uniform(0.15, 0.4))
    screen[top : top + height] = rgb
    line = max(3, width // 24)
    screen[: max(1, top // 2)] = rng.integers(0, 256, 3)
    for y in range(top + height + line, tall - line, 2 * line):  # text, seen from afar
        screen[y : y + line, line : round(width * rng.uniform(0.4, 0.95))] = ink
    return screen


def collage(rgb: Picture, others: list[Picture], rng: np.random.Generator) -> Picture:
    """Put the photo beside an odd number of others, two in a row, stretched to its size."""
    height, width = rgb.shape[:2]
    fields = [np.asarray(cv2.resize(other, (width, height)), np.uint8) for other in others]
    fields.insert(int(rng.integers(len(fields) + 1)), rgb)
    return np.vstack([np.hstack(fields[i : i + 2]) for i in range(0, len(fields), 2)])
