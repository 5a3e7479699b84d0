"""The forms in which a seller may hide a product: each makes a file of a photo that shows it.

Fonts, stickers, layouts and screens are this benchmark's own, not those of training's augmentation
(recognizer/lab/training): what is measured here must not be what was learned by heart. Forms of
which training has no counterpart at all are marked.
"""

import colorsys
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeAlias

import cv2
import numpy as np
from matplotlib import font_manager
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

RGB: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Material:
    """The material of a form, beside the photo.

    ``harmless()`` draws another photo, without a product; ``size`` is the side of the model's
    input, which the scaling attack is made for.
    """

    rng: np.random.Generator
    harmless: Callable[[], RGB]
    size: int


Draw: TypeAlias = Callable[[RGB, Material], RGB | bytes]


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a photo.

    ``best_of`` is of how many copies the seller shows the one that scores lowest; a form that takes
    long to score is made of at most ``photos``.
    """

    name: str
    group: str
    draw: Draw
    is_trained: bool = True  # training's augmentation has a counterpart
    best_of: int = 1
    photos: int = 1000


def encoded(image: RGB, kind: str = "JPEG", **options: object) -> bytes:
    """Return a file; JPEGs have the quality of a phone's gallery."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **({"quality": 90} | options))
    return buffer.getvalue()


def _rgb(array: NDArray[Any]) -> RGB:
    return np.asarray(array, np.uint8)


def fit(image: RGB, width: int, height: int) -> RGB:
    """Cover a field: scaled by one factor, and cut at the middle."""
    scale = max(width / image.shape[1], height / image.shape[0])
    wide, high = (
        max(n, round(s * scale)) for n, s in zip((width, height), image.shape[1::-1], strict=False)
    )
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = cv2.resize(image, (wide, high), interpolation=way)
    top, left = (high - height) // 2, (wide - width) // 2
    return np.ascontiguousarray(large[top : top + height, left : left + width])


def _on(page: RGB, image: RGB, left: float, top: float) -> RGB:
    """Put an image on a page; left and top are shares of the free space."""
    y, x = (
        round(share * (a - b))
        for share, a, b in zip((top, left), page.shape, image.shape, strict=False)
    )
    page[y : y + image.shape[0], x : x + image.shape[1]] = image
    return page


def _page(height: int, width: int, color: int | tuple[int, int, int] = 255) -> RGB:
    return np.full((height, width, 3), color, np.uint8)


def collage(columns: int, rows: int, image: RGB, material: Material) -> RGB:
    """Place the photo among others of its size, with a narrow white gutter or none."""
    height, width = image.shape[:2]
    fields = [fit(material.harmless(), width, height) for _ in range(columns * rows - 1)]
    fields.insert(int(material.rng.integers(columns * rows)), image)
    gap = int(material.rng.choice([0, 4, 8]))
    fields = [_rgb(cv2.copyMakeBorder(f, 0, gap, 0, gap, 0, value=(255,) * 3)) for f in fields]
    lines = [np.hstack(fields[i : i + columns]) for i in range(0, len(fields), columns)]
    return np.vstack(lines)[: rows * (height + gap) - gap, : columns * (width + gap) - gap]


def inset(image: RGB, material: Material) -> RGB:
    """Place the photo in a corner of a harmless one of 2.5 times its sides, in a thin frame."""
    height, width = image.shape[:2]
    framed = _rgb(cv2.copyMakeBorder(image, 4, 4, 4, 4, 0, value=(255,) * 3))
    around = fit(material.harmless(), round(2.5 * width), round(2.5 * height))
    left, top = material.rng.choice([0.06, 0.94], 2)
    return _on(around, framed, left, top)


def border(image: RGB, _: Material) -> RGB:
    """Add a white border, half of the photo's side on each side: 100 % in both directions."""
    height, width = image.shape[:2]
    return _on(_page(2 * height, 2 * width), image, 0.5, 0.5)


def corner(image: RGB, material: Material) -> RGB:
    """Lie in a corner of a white page of three times its sides."""
    height, width = image.shape[:2]
    return _on(_page(3 * height, 3 * width), image, *material.rng.choice([0.03, 0.97], 2))


def letterbox(ratio: int, image: RGB, material: Material) -> RGB:
    """Lie between black or white bars that make the photo a strip of 1:``ratio``."""
    height, width = image.shape[:2]
    color = int(material.rng.choice([0, 255]))
    if width >= ratio * height:
        return image
    return _on(_page(height, ratio * height, color), image, 0.5, 0.5)


def screenshot(image: RGB, material: Material) -> RGB:
    """Show a phone with a gallery app: status bar, title, photo, buttons, caption."""
    width = image.shape[1] + 2 * int(material.rng.choice([0, 0, 14]))
    width = max(width, round(image.shape[0] / 1.6))  # a tall photo has room at its sides
    dark = bool(material.rng.integers(2))
    paper, ink = ((18, 18, 20), (235, 235, 235)) if dark else ((255, 255, 255), (20, 20, 24))
    tall = max(round(width * 2.1), image.shape[0])
    screen = Image.fromarray(_on(_page(tall, width, paper), image, 0.5, 0.32))
    draw, unit = ImageDraw.Draw(screen), width / 24
    say = partial(draw.text, fill=ink, font=_font("DejaVu Serif", unit * 1.3))
    say((unit, unit * 0.5), "14:07            4G  81%")
    say((unit * 3, unit * 3.5), "marta_old_things")
    draw.ellipse([unit, unit * 3.2, unit * 2.6, unit * 4.8], fill=(190, 90, 120))
    below = (screen.height - image.shape[0]) * 0.32 + image.shape[0] + unit
    for x in (1, 4, 7):
        button = (unit * x, below, unit * (x + 1.6), below + unit * 1.6)
        draw.rectangle(button, outline=ink, width=2)
    captions = ("312 likes", "Grandmother's, pick up only.", "View all 14 comments")
    for line, text in enumerate(captions):
        say((unit, below + unit * (2.6 + 2 * line)), text)
    return np.asarray(screen)


def printed(image: RGB, material: Material) -> RGB:
    """Show a sheet of paper, photographed aslant: headline, photo, columns of text."""
    height, width = image.shape[:2]
    sheet = Image.new("RGB", (2 * width, 3 * height), (246, 244, 238))
    sheet.paste(Image.fromarray(image), (width // 2, round(0.7 * height)))
    draw = ImageDraw.Draw(sheet)
    font = _font("DejaVu Serif", width / 10)
    draw.text((width // 4, height // 5), "Lot 27, estate of a lady", (30, 30, 30), font)
    for y in np.arange(1.85 * height, 2.85 * height, height / 16):
        for x in (0.15, 1.08):
            end = (x + material.rng.uniform(0.5, 0.75)) * width
            draw.line([x * width, y, end, y], (90, 90, 90), 3)
    light = np.linspace(1, material.rng.uniform(0.75, 0.9), 2 * width)[None, :, None]
    return _aslant((np.asarray(sheet) * light).astype(np.uint8), material, 0.04, (92, 78, 66))


def _aslant(image: RGB, material: Material, most: float, ground: tuple[int, int, int]) -> RGB:
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    room = np.array([width, height]) * most
    inward = corners * 0.94 + np.array([width, height]) * 0.03
    to = inward + material.rng.uniform(-1, 1, (4, 2)) * room
    matrix = cv2.getPerspectiveTransform(corners, to.astype(np.float32))
    return _rgb(cv2.warpPerspective(image, matrix, (width, height), borderValue=ground))


def turned(quarters: int, image: RGB, _: Material) -> RGB:
    return np.ascontiguousarray(np.rot90(image, quarters))


def askew(image: RGB, _: Material) -> RGB:
    """Turn by 45 degrees, whole, with white corners."""
    return np.asarray(
        Image.fromarray(image).rotate(45, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    )


def hue(degrees: int, image: RGB, _: Material) -> RGB:
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    hsv[..., 0] += np.uint8(degrees * 256 // 360)
    return _rgb(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL))


def cast(gains: Sequence[float], image: RGB, _: Material) -> RGB:
    """Tint a photo by gains of red, green and blue."""
    return np.asarray((image * np.array(gains)).clip(0, 255), np.uint8)


@cache
def _font(name: str, size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_manager.findfont(name), max(8, round(size)))


def text(image: RGB, material: Material) -> RGB:
    """Write four lines of large colored text with an outline over all of the width."""
    drawn = Image.fromarray(image)
    draw, (width, height) = ImageDraw.Draw(drawn), drawn.size
    for line, words in enumerate(("NEW PRICE!!", "only this week", "write to me", "7 left, hurry")):
        bright = colorsys.hsv_to_rgb(material.rng.uniform(), 0.9, 1)
        color = tuple(round(255 * value) for value in bright)
        font = _font("DejaVu Sans:bold", height / 6)
        at = (material.rng.uniform(0, 0.25) * width, (0.02 + 0.24 * line) * height)
        draw.text(at, words, color, font, stroke_width=2, stroke_fill="black")
    return np.asarray(drawn)


def watermark(image: RGB, _: Material) -> RGB:
    """Write a name, tiled aslant over the whole photo, at half opacity."""
    side = round(1.5 * max(image.shape[:2]))
    layer = Image.new("L", (side, side))
    draw, step = ImageDraw.Draw(layer), side // 9
    for row, y in enumerate(range(0, side, step)):
        draw.text(
            (-step * (row % 2), y), "(c) antik-haus   " * 8, 140, _font("DejaVu Serif", step * 0.55)
        )
    layer = layer.rotate(28, Image.Resampling.BICUBIC)
    mask = (
        np.asarray(layer)[side // 6 :, side // 6 :][: image.shape[0], : image.shape[1], None] / 255
    )
    return (image * (1 - mask) + 255 * mask).astype(np.uint8)


def stickers(image: RGB, material: Material) -> RGB:
    """Put on six faces, hearts and stars, each of a fifth to a third of the short side."""
    drawn = Image.fromarray(image)
    draw, (width, height) = ImageDraw.Draw(drawn), drawn.size
    for shape in range(6):
        r = material.rng.uniform(0.1, 0.17) * min(width, height)
        x, y = material.rng.uniform(r, width - r), material.rng.uniform(r, height - r)
        if shape % 3 == 0:
            draw.ellipse([x - r, y - r, x + r, y + r], (255, 204, 51), (120, 80, 0), 2)
            for eye in (-0.4, 0.4):
                draw.ellipse(
                    [x + eye * r - r / 7, y - r / 2, x + eye * r + r / 7, y - r / 6], "black"
                )
            draw.arc([x - r / 2, y - r / 4, x + r / 2, y + r / 2], 10, 170, "black", 3)
        else:
            heart, star = ("\u2665", (225, 30, 60)), ("\u2605", (60, 130, 240))
            sign, color = heart if shape % 3 == 1 else star
            font = _font("DejaVu Sans:bold", 2.2 * r)
            draw.text((x, y), sign, color, font, "mm", stroke_width=3, stroke_fill="white")
    return np.asarray(drawn)


def bars(image: RGB, material: Material) -> RGB:
    """Draw three opaque bars across, together a fifth of the area."""
    height, width = image.shape[:2]
    drawn = image.copy()
    for _ in range(3):
        color = tuple(int(v) for v in material.rng.integers(0, 256, 3))
        start, end = ((0, int(y)) for y in (material.rng.uniform(0, height), 0))
        end = (width, int(start[1] + material.rng.uniform(-0.3, 0.3) * height))
        cv2.line(drawn, start, end, color, max(1, round(height / 15)))
    return drawn


def blur(share: float, image: RGB, _: Material) -> RGB:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), share * min(image.shape[:2])), np.uint8)


def shrunk(side: int, image: RGB, _: Material) -> RGB:
    """Shrink to a long side of so many pixels."""
    scale = min(1.0, side / max(image.shape[:2]))
    return _rgb(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def recompressed(quality: int, image: RGB, _: Material) -> bytes:
    return encoded(image, quality=quality)


def on_screen(image: RGB, material: Material) -> RGB:
    """Photograph a monitor: its pixels, which beat with those of the camera, aslant, with glare."""
    large = cv2.resize(image, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST).astype(np.float32)
    mask = np.full((4, 4, 3), 0.55, np.float32)
    for channel in range(3):
        mask[:3, channel, channel] = 1.6
    height, width = image.shape[:2]
    large *= np.tile(mask, (height, width, 1))
    lit = _aslant(large.clip(0, 255).astype(np.uint8), material, 0.05, (12, 12, 14))
    small = cv2.resize(lit, None, fx=0.37, fy=0.37, interpolation=cv2.INTER_LINEAR)
    y, x = np.mgrid[: small.shape[0], : small.shape[1]]
    at = material.rng.uniform(0.2, 0.8, 2) * small.shape[:2]
    glare = 110 * np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (0.2 * small.shape[1]) ** 2)
    return np.asarray((small + glare[..., None]).clip(0, 255), np.uint8)


def mild(image: RGB, material: Material) -> bytes:
    """Change a little in several ways at once, none of which a buyer would notice."""
    rng, (height, width) = material.rng, image.shape[:2]
    cut = (rng.uniform(0, 0.08, 4) * [height, height, width, width]).astype(int)
    part = image[cut[0] : height - cut[1], cut[2] : width - cut[3]]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-6, 6), 1.05)
    edge = cv2.BORDER_REFLECT_101
    part = _rgb(cv2.warpAffine(part, matrix, part.shape[1::-1], borderMode=edge))
    levels = 255 * (np.arange(256) / 255) ** rng.uniform(0.75, 1.35)
    part = _rgb(cv2.LUT(part, levels.clip(0, 255).astype(np.uint8)))
    part = cast(rng.uniform(0.92, 1.08, 3).tolist(), part, material)
    part = blur(rng.uniform(0.0005, 0.003), part[:, :: int(rng.choice([-1, 1]))], material)
    return encoded(part, quality=int(rng.integers(45, 90)))


_QUARTERS = {90: 1, 180: 2, 270: 3}
_CASTS: Mapping[str, Sequence[float]] = {
    "warm": (1.25, 1.0, 0.6),
    "blue": (0.6, 0.9, 1.3),
    "green": (0.7, 1.2, 0.7),
}
_COLLAGES = {2: (2, 1), 4: (2, 2), 9: (3, 3)}

FORMS: Sequence[Form] = (
    Form("mirrored", "mirrored (the floor)", lambda image, _: np.ascontiguousarray(image[:, ::-1])),
    Form("white border, 100 %", "frames", border),
    Form("letterbox 1:3", "frames", partial(letterbox, 3)),
    Form("letterbox 1:8", "frames", partial(letterbox, 8)),
    Form("corner of a white page, a third of its side", "frames", corner),
    Form("phone screenshot", "frames", screenshot),
    Form("printed page", "frames", printed, is_trained=False),
    *(
        Form(f"collage of {n}", f"collage of {n}", partial(collage, *_COLLAGES[n]))
        for n in _COLLAGES
    ),
    Form("inset in a harmless photo", "inset", inset),
    *(
        Form(f"turned by {n}\u00b0", "quarter turns", partial(turned, _QUARTERS[n]))
        for n in _QUARTERS
    ),
    Form("turned by 45\u00b0, white corners", "45\u00b0", askew),
    *(Form(f"hue turned by {n}\u00b0", "hue, casts", partial(hue, n)) for n in (60, 90, 120, 180)),
    *(Form(f"{name} cast", "hue, casts", partial(cast, _CASTS[name])) for name in _CASTS),
    Form("large coloured text", "text, watermark, stickers, bars", text),
    Form("strong tiled watermark", "text, watermark, stickers, bars", watermark),
    Form("six stickers", "text, watermark, stickers, bars", stickers),
    Form("bars", "text, watermark, stickers, bars", bars),
    Form("blur, 0.5 % of the side", "blur, small, JPEG", partial(blur, 0.005)),
    Form("shrunk to 200 pixels", "blur, small, JPEG", partial(shrunk, 200)),
    Form("JPEG of quality 10", "blur, small, JPEG", partial(recompressed, 10)),
    Form("blur, 1.5 % of the side", "hardly to be seen", partial(blur, 0.015)),
    Form("shrunk to 128 pixels", "hardly to be seen", partial(shrunk, 128)),
    Form("JPEG of quality 3", "hardly to be seen", partial(recompressed, 3), is_trained=False),
    Form("photo of a screen", "photo of a screen", on_screen),
    Form("best of 16 mild edits", "best of 16 mild edits", mild, best_of=16),
)
