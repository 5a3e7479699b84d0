"""Colors as browsers show them: a file's profile, or what a PNG or AVIF says instead, to sRGB.

A profile may hide an image from whoever ignores it, or from whoever heeds it; see
:func:`recognizer.imaging.pixels.renderings`.
"""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from recognizer.imaging.sources import Refused
from recognizer.status import Reason

MAX_PROFILE = 4 << 20  # bytes; those of printing presses take up to 3 MB

_MAX_NOISE = 9  # of 255: a gamma of 2.2 differs from sRGB by no more, in the shadows
_LINES, _MAX_FOLD = 128, 128  # along which colors are followed; of 255, that a channel goes back
_MAX_BEND = 40  # of 255: Display P3 bends colors by 22, Adobe RGB by 36, linear light by 73
_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_TAGS, _TAG_BYTES = 132, 12  # of a profile: ICC.1:2022, section 7.3
_TABLES, _CURVE_TAGS = (b"A2B0", b"A2B1"), b"rXYZ gXYZ bXYZ rTRC gTRC bTRC kTRC".split()
_IDENTITY = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
_STRIP_PIXELS = 1 << 18

_SRGB = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # x and y of white, red, green and blue
_XY: Mapping[int, tuple[float, ...]] = {  # ITU-T H.273, table 2
    1: _SRGB,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (0.3127, 0.329, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    **dict.fromkeys((6, 7), (0.3127, 0.329, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07)),
    8: (0.310, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    10: (1 / 3, 1 / 3, 1, 0, 0, 1, 0, 0),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (0.3127, 0.329, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}

_UNKNOWN, _SRGB_CURVE, _LINEAR, _PQ, _HLG = 2, 13, 8, 16, 18  # ITU-T H.273, table 3
_POWERS = {**dict.fromkeys((1, 6, 14, 15), 2.4), 4: 2.2, 5: 2.8, _LINEAR: 1.0, 17: 2.6}
_CURVES = frozenset({*_POWERS, _SRGB_CURVE, _PQ, _HLG})
_PQ_WHITE, _HLG_SCALE = 1 / 32, 1.45  # about as Chromium shows them on a usual screen
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@dataclass(frozen=True, slots=True)
class Conversion:
    """From pixels of a mode (RGB, L or CMYK) to sRGB.

    One that ``is_bent`` comes before an image is reduced: the mean of colors becomes another color
    than they do, so that a pattern of them, as fine as pixels, could hide what it shows.
    """

    mode: str
    convert: Callable[[Image.Image], Image.Image]
    is_bent: bool = True

    def __call__(self, image: Image.Image) -> Image.Image | None:
        """Return an image in sRGB, with its alpha; None if it does not have such pixels."""
        has_color, is_cmyk = image.mode in {"RGB", "RGBA"}, image.mode == "CMYK"
        if (self.mode == "CMYK") != is_cmyk or (self.mode == "L" and has_color):
            return None  # as browsers do
        alpha = image.getchannel("A") if "A" in image.mode else None
        converted = self.convert(image if image.mode == self.mode else image.convert(self.mode))
        if alpha:
            converted.putalpha(alpha)
        return converted


def _useful(conversion: Conversion) -> Conversion | None:
    # None if it changes nothing: most profiles are those of sRGB.
    lines = _lines(conversion.mode)
    shift = np.asarray(conversion.convert(lines), np.int16) - np.asarray(lines.convert("RGB"))
    if np.abs(shift).max() <= _MAX_NOISE:
        return None
    # Grays, and each channel by itself.
    axes = np.vstack([np.ones(bands := len(lines.getbands())), np.eye(bands)])
    ramps = np.ascontiguousarray(axes[:, None] * np.arange(256)[:, None], np.uint8)
    shown = conversion.convert(Image.frombytes(conversion.mode, (256, len(axes)), ramps.tobytes()))
    first, last = (np.asarray(shown, float)[:, [end]] for end in (0, -1))
    off = np.abs(shown - first - (last - first) * np.linspace(0, 1, 256)[:, None])
    return replace(conversion, is_bent=bool(off.max() > _MAX_BEND))


def _lines(mode: str) -> Image.Image:
    # Colors of which one channel goes from 0 to 255.
    count = len(Image.new(mode, (1, 1)).getbands())
    points = np.random.default_rng(0).integers(0, 256, (_LINES * count, 1, count), np.uint8)
    points = points.repeat(256, 1)
    for channel in range(count):
        points[channel::count, :, channel] = np.arange(256)
    return Image.frombytes(mode, (256, len(points)), points.tobytes())


@lru_cache(maxsize=16)
def of_profile(profile: bytes) -> Conversion | None:
    """Return the conversion by an ICC profile, None for sRGB.

    Raise a ValueError if it is broken, a Refused if it is too large to be looked at. It takes up to
    0.2 s, and is kept: photos share few profiles.
    """
    if min(len(profile), int.from_bytes(profile[:4], "big")) > MAX_PROFILE:
        raise Refused(Reason.TOO_MANY_BYTES, f"a color profile of more than {MAX_PROFILE} bytes")
    try:
        tags = _tags(profile)
        start, size = tags.get(b"cicp", (0, 0))
        primaries, transfer, *rest = profile[start + 8 : start + size] if size >= 12 else (0, 0)
        primaries = 1 if primaries == _UNKNOWN else primaries
        if rest[:2] == [0, 1] and primaries in _XY and transfer in _CURVES:
            return of_code(primaries, transfer)
        source = ImageCms.ImageCmsProfile(io.BytesIO(_as_chromium_reads(profile, tags)))
        has_table = any(name in tags for name in _TABLES)
        conversion = _conversion(source, _SPACES[source.profile.xcolor_space], has_table)
        return conversion if has_table else _useful(conversion)
    except Refused:
        raise
    except Exception as error:  # LittleCMS and Pillow raise all kinds
        raise ValueError(f"the color profile cannot be used: {error}"[:200]) from error


def _conversion(source: Any, mode: str, has_table: bool) -> Conversion:
    # LittleCMS is fast by tables of its own, which miss what others bring out here or there.
    srgb, flags = ImageCms.createProfile("sRGB"), ImageCms.Flags.NOWHITEONWHITEFIXUP
    flags |= ImageCms.Flags.NOOPTIMIZE if has_table else 0
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC  # others move a black that is no black
    transform = ImageCms.buildTransform(source, srgb, mode, "RGB", intent, flags)
    shown = np.asarray(transform.apply(_lines(mode)), np.int16)
    if (np.abs(np.diff(shown, axis=1)).sum(1) - np.ptp(shown, 1)).max() > _MAX_FOLD:
        # Images are reduced before they are converted: others would be left of different pixels.
        raise Refused(Reason.UNSUPPORTED_FORMAT, "a color profile that makes colors equal")
    return Conversion(mode, transform.apply)


def _tags(profile: bytes) -> dict[bytes, tuple[int, int]]:
    # Of each tag the first: where it begins, and its length. What Chromium refuses is a ValueError.
    size, count = (int.from_bytes(profile[at : at + 4], "big") for at in (0, 128))
    if not _TAGS + _TAG_BYTES * count <= size <= len(profile) or profile[8] > 4:
        raise ValueError("its header")
    tags: dict[bytes, tuple[int, int]] = {}
    for name, start, length in struct.iter_unpack(">4sII", profile[_TAGS:][: _TAG_BYTES * count]):
        if length < 4 or start + length > size:
            raise ValueError("its table of tags")
        tags.setdefault(name, (start, length))
    return tags


def _as_chromium_reads(profile: bytes, tags: Mapping[bytes, tuple[int, int]]) -> bytes:
    # LittleCMS refuses profiles by what Chromium does not look at, and prefers other tables: it
    # gets the tags that Chromium takes, and nothing else.
    table = next((name for name in _TABLES if name in tags), None)
    names = {_TABLES[0]: table} if table else {name: name for name in _CURVE_TAGS if name in tags}
    entries, body = [], b""
    for name, given in names.items():
        start, length = tags[given]
        tag = profile[start : start + length]
        if tag.startswith(b"mft"):  # its matrix is not applied
            tag = tag[:12] + _IDENTITY + tag[48:]
        at = _TAGS + _TAG_BYTES * len(names) + len(body)
        entries.append(struct.pack(">4sII", name, at, length))
        body += tag + bytes(-length % 4)
    size = _TAGS + _TAG_BYTES * len(names) + len(body)
    kind = b"\2\x40\0\0" + (b"prtr" if profile[16:20] == b"CMYK" else b"mntr")
    head = struct.pack(">I", size) + profile[4:8] + kind + profile[16:128]
    return head + struct.pack(">I", len(names)) + b"".join(entries) + body


@lru_cache(maxsize=64)
def of_code(primaries: int, transfer: int) -> Conversion | None:
    """Return the conversion by code points of ITU-T H.273, None for sRGB and what is unknown."""
    if primaries not in _XY or transfer not in _CURVES:
        return None
    return _of_light(_curve(transfer), _XY[primaries])


@lru_cache(maxsize=64)
def of_gamma(gamma: float, xy: tuple[float, ...] = _SRGB) -> Conversion | None:
    """Return the conversion by a PNG's gamma and primaries (PNG, sections 11.3.2.1 and .2)."""
    return _of_light(np.linspace(0, 1, 256) ** (1 / gamma), xy)


def _curve(transfer: int) -> NDArray[np.float64]:
    v = np.linspace(0, 1, 256)
    if transfer == _SRGB_CURVE:
        return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    if transfer == _PQ:  # ITU-R BT.2100, tables 4 and 5
        p = v ** (1 / 78.84375)
        light = np.maximum(p - 0.8359375, 0) / (18.8515625 - 18.6875 * p)
        return np.minimum(1, light ** (1 / 0.1593017578125) / _PQ_WHITE)
    if transfer == _HLG:
        high = (np.exp((v - 0.55991073) / 0.17883277) + 0.28466892) / 12
        return np.minimum(1, np.where(v <= 0.5, v * v / 3, high) * _HLG_SCALE)
    return v ** _POWERS[transfer]


def _to_xyz(xy: tuple[float, ...]) -> NDArray[np.float64]:
    # Linear light of these primaries -> XYZ, adapted to the white of sRGB.
    columns = np.array([[x, y, 1 - x - y] for x, y in zip(xy[2::2], xy[3::2], strict=True)]).T
    white, wanted = ([w[0] / w[1], 1, (1 - w[0] - w[1]) / w[1]] for w in (xy, _SRGB))
    scaled: NDArray[np.float64] = columns * np.linalg.solve(columns, white)
    cones = (_BRADFORD @ wanted) / (_BRADFORD @ white)
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ scaled)


def _of_light(curve: NDArray[np.float64], xy: tuple[float, ...]) -> Conversion | None:
    try:
        matrix = np.linalg.solve(_to_xyz(_SRGB), _to_xyz(xy)).astype(np.float32)
    except (ArithmeticError, np.linalg.LinAlgError):
        return None
    if not np.isfinite(matrix).all():
        return None
    table = curve.astype(np.float32)

    def convert(image: Image.Image) -> Image.Image:
        pixels = np.array(image)
        rows = max(1, _STRIP_PIXELS // pixels.shape[1])  # the arithmetic takes several copies
        for top in range(0, len(pixels), rows):
            light = np.clip(table[pixels[top : top + rows]] @ matrix.T, 0, 1)
            v = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
            pixels[top : top + rows] = (v * 255).round()
        return Image.fromarray(pixels)

    return _useful(Conversion("RGB", convert))


def of_png(chunks: Mapping[bytes, bytes]) -> Conversion | None:
    """Return the conversion by the chunks in front of a PNG's pixels, in Chromium's order.

    A gamma beside an sRGB chunk or impossible primaries, which Firefox alone heeds, counts as well.
    Raise a ValueError or a zlib.error if its profile is broken.
    """
    code = chunks.get(b"cICP", b"")
    if len(code) == 4 and code[2:] == b"\0\1" and code[0] in _XY and code[1] in _CURVES:
        return of_code(code[0], code[1])
    if b"iCCP" in chunks:
        packed = chunks[b"iCCP"].partition(b"\0")[2]
        return of_profile(zlib.decompressobj().decompress(packed[1:], MAX_PROFILE + 1))
    gamma, xy = chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")
    value = int.from_bytes(gamma, "big") / 100_000
    if len(gamma) != 4 or not value > 0:
        return None
    xy = xy if len(xy) == 32 and b"sRGB" not in chunks else b""
    primaries = tuple(number / 100_000 for (number,) in struct.iter_unpack(">I", xy))
    return of_gamma(value, primaries or _SRGB) or of_gamma(value)
