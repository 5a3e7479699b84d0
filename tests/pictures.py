"""Pictures that differ as photos do, made by code: a background, and shapes in front of it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from tests.conftest import encoded


def scene(seed: int, size: tuple[int, int] = (360, 280), shapes: int = 20) -> Image.Image:
    """Draw the scene of a number: the same one at any size, but for the edges."""
    rng = np.random.default_rng(seed)
    scale = 4
    width, height = scale * size[0], scale * size[1]
    image = Image.new("RGB", (width, height), tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(shapes):
        left, top = (rng.uniform(-0.1, 0.9, 2) * (width, height)).tolist()
        wide, high = (rng.uniform(0.1, 0.5, 2) * (width, height)).tolist()
        color = tuple(rng.integers(0, 256, 3).tolist())
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((left, top, left + wide, top + high), fill=color)
    return image.reduce(scale)


def distance(one: str, other: str) -> int:
    """Return the number of bits in which two hashes of equal length differ."""
    assert len(one) == len(other)
    return (int(one, 16) ^ int(other, 16)).bit_count()


def animated(*colors: str, format: str = "GIF") -> bytes:  # noqa: A002
    first, *rest = (Image.new("RGB", (48, 40), color) for color in colors)
    for i, frame in enumerate((first, *rest)):
        frame.putpixel((i, 0), (0, 0, 0))  # Pillow writes frames that are alike only once
    return encoded(first, format, save_all=True, append_images=rest, duration=50)
