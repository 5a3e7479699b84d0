"""Small files, made in code, that viewers may show in a way a decoder does not expect.

All show the same scene of four quarters, or hide it; ``CASES`` says how each one is made.
"""

import base64
import json
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tests.imaging.profiles import (
    LINEAR,
    RAMP,
    inks,
    inverted,
    lut,
    matrix,
    profile,
    srgb,
    swapped,
    table_profile,
)
from tests.pictures import cmyk_jpeg, encoded, exif, png_chunk
from tests.pictures import png as raw_png

SIZE = (96, 64)
HALF = (SIZE[0] // 2, SIZE[1] // 2)
QUARTERS = ((220, 30, 30), (30, 220, 30), (30, 30, 220), (220, 220, 60))
SIX, _SCAN, _LABEL = (0x0112, 3, 1, 6), b"\xff\xda", b"ICC_PROFILE\0\1\1"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
    b'"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def scene(mode="RGB", *, size=SIZE):
    """Four quarters of different colors, each darker towards the bottom."""
    colors = np.array(QUARTERS, np.float64).reshape(2, 2, 3)
    pixels = colors.repeat(size[1] // 2, 0).repeat(size[0] // 2, 1)
    shade = np.linspace(1, 0.5, size[1] // 2)
    pixels *= np.concatenate([shade, shade])[:, None, None]
    return Image.fromarray(pixels.astype(np.uint8)).convert(mode)


def plain(color=128):
    """Something harmless."""
    return Image.new("RGB", SIZE, (color,) * 3 if isinstance(color, int) else color)


def icc(name, profile, mode="RGB", **options):
    return lambda: encoded(scene(mode), name, icc_profile=profile, quality=95, **options)


def png(*chunks, image=None):
    """The scene with chunks in front of its pixels."""
    data = encoded(image or scene(), "PNG")
    place = data.index(b"IDAT") - 4
    return data[:place] + b"".join(chunks) + data[place:]


def gamma(value):
    return png_chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def cicp(*code):
    return png_chunk(b"cICP", bytes(code))


def iccp(profile):
    return png_chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))


def wide_png(mode, *values, chunk=b""):
    """16 bits for each value of gray (0), RGB (2) or RGBA (6)."""
    channels = np.stack([np.asarray(value, np.uint16) * 257 for value in values], -1)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    return raw_png(*SIZE, rows, depth=16, mode=mode, chunk=chunk)


def wide(image):
    return Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257)


def behind(chunk):
    """The scene with a chunk behind its pixels."""
    data = encoded(scene(), "PNG")
    return data[:-12] + chunk + data[-12:]


def with_chunks(data, place, *chunks):
    """A PNG with more chunks in front of the last one of a kind."""
    at = data.rindex(place) - 4
    return data[:at] + b"".join(chunks) + data[at:]


def palette(*before, behind=(), odd=0):
    """The scene in 16 colors, with chunks before and behind its pixels, and an odd palette."""
    data = encoded(scene().quantize(16), "PNG")
    at = data.index(b"PLTE")
    colors = png_chunk(b"PLTE", data[at + 4 : at + 52] + b"\x11" * odd)
    data = data[: at - 4] + colors + data[at + 56 :]
    return with_chunks(with_chunks(data, b"IDAT", *before), b"IEND", *behind)


def apng_with(chunk):
    """An animation whose last frame, behind a chunk, is the scene."""
    data = encoded(plain(), "PNG", **_all([plain(60), scene()], duration=100))
    return with_chunks(data, b"fcTL", chunk)


def on_black():
    """White whose transparency is the scene in gray: on white there is nothing to see."""
    image = Image.new("RGBA", SIZE, "white")
    image.putalpha(scene("L"))
    return image


def cut_out():
    """The scene as sellers cut it out: opaque, with all around it transparent."""
    image = Image.new("RGBA", (2 * SIZE[0], 2 * SIZE[1]))
    image.paste(scene("RGBA"), (SIZE[0] // 2, SIZE[1] // 2))
    return image


def alphas(value):
    """The transparency of 16 colors."""
    return png_chunk(b"tRNS", bytes([value] * 16))


def pixels_of(image):
    """The chunk of pixels of a PNG."""
    data = encoded(image, "PNG")
    return data[data.index(b"IDAT") - 4 : -12]


def short_of_colors():
    (image := scene().quantize(16)).putpalette(image.getpalette()[:24])
    return image


def palette_png():
    """Two colors of a palette are transparent, one wholly, one by half."""
    return encoded(scene().quantize(16), "PNG", transparency=bytes([0, 128] + [255] * 14))


def directory(*entries):
    """EXIF of tags with their type, count and value."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


EXIFS = {
    "of a long": directory((0x0112, 4, 1, 6)),
    "of two": directory((0x0112, 3, 2, 6)),
    "0, then 6": directory((0x0112, 3, 1, 0), SIX),
    "within": directory((0x8769, 4, 1, 26)) + struct.pack("<HHHIII", 1, *SIX, 0),
}


def frames(name, durations, hidden, **options):
    """An animation of gray frames, with the scene as one of them."""
    images = [plain(90 + 9 * (i % 9)) for i in range(len(durations))]
    images[hidden] = scene()
    return encoded(images[0], name, **_all(images[1:], duration=list(durations)), **options)


def _all(others, **options):
    return {"save_all": True, "append_images": others, **options}


def frame_gif(screen, *parts):
    """A GIF of frames with a place, a disposal and a transparent color (or -1), local palettes."""
    data = b"GIF89a" + struct.pack("<HHBBB", *screen, 0, 0, 0)
    for place, image, disposal, transparent in parts:
        single = encoded(image.quantize(8), "GIF")
        start = 13 + (3 << ((single[10] & 7) + 1))
        while single[start] == 0x21:
            start += 2
            while single[start]:
                start += 1 + single[start]
            start += 1
        palette = single[13 : 13 + (3 << ((single[10] & 7) + 1))]
        flags = disposal << 2 | (transparent >= 0)
        data += b"!\xf9\4" + struct.pack("<BHBB", flags, 50, max(0, transparent), 0)
        data += b"," + struct.pack("<HHHHB", *place, *image.size, 0x80 | single[10] & 7)
        data += palette + single[start + 10 : -1]
    return data + b";"


def gif_profile():
    profile = inverted()
    pieces = [profile[at : at + 255] for at in range(0, len(profile), 255)]
    blocks = b"".join(bytes([len(piece)]) + piece for piece in pieces)
    frame = b",\0\0\0\0"
    extension = b"!\xff\x0bICCRGBG1012" + blocks + b"\0"
    return encoded(scene().quantize(16), "GIF").replace(frame, extension + frame, 1)


def apng(*, default_is_frame):
    first, *others = [scene(), plain()] if default_is_frame else [plain(), scene(), plain(60)]
    return encoded(first, "PNG", **_all(others, default_image=not default_is_frame, duration=100))


def bmp(alpha, depth, packing):
    """A BMP of 9 x 9 pixels whose header (BITMAPV3INFOHEADER) names a mask of its alpha."""
    head = struct.pack("<IiiHHII28x", 56, 9, 9, 1, depth, packing, 0) + struct.pack("<I", alpha)
    return b"BM" + struct.pack("<IHHI", 1000, 0, 0, 70) + head + bytes(1000)


def secret_webp(*, animated):
    """Black whose transparency is the scene, and no word of that in the header of the file."""
    (image := plain(0)).putalpha(scene("L"))
    body = encoded(image, "WEBP", lossless=True, exact=True)[12:]
    size = bytes([SIZE[0] - 1, 0, 0, SIZE[1] - 1, 0, 0])
    if animated:
        body = bytes(6) + size + b"\x64\0\0\2" + body
        body = b"ANIM\6\0\0\0" + bytes(6) + b"ANMF" + struct.pack("<I", len(body)) + body
    data = b"WEBPVP8X\n\0\0\0" + bytes([2 * animated, 0, 0, 0]) + size + body
    return b"RIFF" + struct.pack("<I", len(data)) + data


def webp_of_two_alphas():
    """The scene with alpha, and more alpha behind it, without a header that announces any."""
    (image := scene("RGBA")).putalpha(80)
    lossy = encoded(image, "WEBP")
    at = lossy.index(b"ALPH")
    alpha = lossy[at : at + 8 + int.from_bytes(lossy[at + 4 : at + 8], "little")]
    data = encoded(image, "WEBP", lossless=True)
    data = data[data.index(b"VP8L") :] + alpha
    return b"RIFF" + struct.pack("<I", 4 + len(data)) + b"WEBP" + data


def segment(data, marker, body):
    """A JPEG with one more segment as its first."""
    return data[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + data[2:]


def beyond_white():
    """One gray at half its size; decoded whole, 512 is cut to 255, and its right half is dark."""
    values = np.full((64, 96), 128)
    values[:, 48:], values[::2, 48::2] = 0, 512
    data = encoded(Image.fromarray(np.uint8(96 + values // 4)), "JPEG", qtables=[[1] * 64])
    return data.replace(bytes([1] * 64), bytes([4] * 64))


def xmp_jpeg(data=None):
    xmp = b"http://ns.adobe.com/xap/1.0/\0" + XMP
    return segment(data or encoded(scene(), "JPEG", quality=95), 0xE1, xmp)


def segment_of(marker, body):
    return segment(encoded(scene(), "JPEG", quality=95), marker, body)


def thumbnail():
    """An EXIF thumbnail of another picture."""
    small = encoded(plain(), "JPEG")
    head = b"Exif\0\0II*\0\x08\0\0\0\0\0\x0e\0\0\0\3\0"
    tags = ((0x0103, 3, 1, 6), (0x0201, 4, 1, 56), (0x0202, 4, 1, len(small)))
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return segment(encoded(scene(), "JPEG", quality=95), 0xE1, head + body + small)


def stream_avif(transfer, **keywords):
    """An AVIF of which no box, but its stream of AV1 describes the colors."""
    data = encoded(scene(), "AVIF", **keywords).replace(b"colrnclx", b"freenclx")
    bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"
    other = bits.replace(f"{0x010D06:024b}", f"{0x010006 + (transfer << 8):024b}")
    return int(other, 2).to_bytes(len(data), "big")


# By avifenc (libavif 1.2) and cjpeg, of four quarters; the grid has two, shows 96 of 128 columns.
_ENCODED = json.loads(Path(__file__).with_name("encoded.json").read_text("ascii"))
ENCODED = {name: base64.b64decode(text) for name, text in _ENCODED.items()}
_TABLE, _STEEP = (b"A2B0", lut("")), profile((b"A2B0", lut("steep", plain=True)))

CASES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encoded(scene(), "JPEG", quality=95),
    "jpeg exif 6": lambda: encoded(scene(), "JPEG", quality=95, exif=exif(6)),
    "jpeg xmp 6": xmp_jpeg,
    "jpeg xmp 6 exif 3": lambda: xmp_jpeg(encoded(scene(), "JPEG", quality=95, exif=exif(3))),
    "jpeg exif 6 exif 3": lambda: segment(segment_of(0xE1, exif(3)), 0xE1, exif(6)),
    "jpeg thumbnail": thumbnail,
    "jpeg progressive": lambda: encoded(scene(), "JPEG", quality=95, progressive=True),
    "jpeg beyond white": beyond_white,
    "jpeg gray": lambda: encoded(scene("L"), "JPEG", quality=95),
    "jpeg cmyk": lambda: encoded(scene("CMYK"), "JPEG", quality=95),
    "jpeg cmyk adobe": lambda: cmyk_jpeg(adobe=True),
    "jpeg cmyk bare": lambda: cmyk_jpeg(adobe=False),
    "jpeg swapped": icc("JPEG", swapped()),
    "jpeg inverted": icc("JPEG", inverted()),
    "jpeg inverted exif 6": icc("JPEG", inverted(), exif=exif(6)),
    "jpeg inverted progressive": icc("JPEG", inverted(), progressive=True),
    "jpeg srgb": icc("JPEG", srgb()),
    "jpeg cut profile": icc("JPEG", inverted()[:999]),
    "jpeg profile of inks": icc("JPEG", inks()),
    "jpeg cmyk profile": icc("JPEG", inks(), "CMYK"),
    "jpeg cmyk profile of light": icc("JPEG", inverted(), "CMYK"),
    "jpeg gray profile of light": icc("JPEG", inverted(), "L"),
    "jpeg gray profile": icc("JPEG", table_profile(b"GRAY", lambda v: [1 - v] * 3), "L"),
    "mpo": lambda: encoded(scene(), "MPO", **_all([plain()])),
    "png": png,
    "png exif 6": lambda: encoded(scene(), "PNG", exif=exif(6)),
    "png swapped": lambda: png(iccp(swapped())),
    "png inverted": lambda: png(iccp(inverted())),
    "png inverted gray": lambda: png(iccp(inverted()), image=scene("L")),
    "png inverted palette": lambda: png(iccp(inverted()), image=scene().quantize(16)),
    "png inverted alpha": lambda: png(iccp(inverted()), image=cut_out()),
    "png cut profile": lambda: png(iccp(inverted()[:999])),
    "png gamma 0.45455": lambda: png(gamma(0.45455)),
    "png inverted, gamma 1": lambda: png(iccp(inverted()), gamma(1.0)),
    "png srgb, inverted": lambda: png(png_chunk(b"sRGB", b"\0"), iccp(inverted())),
    "png cicp srgb, inverted": lambda: png(cicp(1, 13, 0, 1), iccp(inverted())),
    "png cicp behind": lambda: behind(cicp(1, 8, 0, 1)),
    "png exif 6 behind": lambda: behind(png_chunk(b"eXIf", exif(6)[6:])),
    "png on black": lambda: encoded(on_black(), "PNG"),
    "png cut out": lambda: encoded(cut_out(), "PNG"),
    "png palette": palette_png,
    "png beyond its palette": lambda: encoded(short_of_colors(), "PNG", bits=8),
    "png color key": lambda: png(png_chunk(b"tRNS", struct.pack(">3H", 220, 30, 30))),
    "png gray key": lambda: png(png_chunk(b"tRNS", struct.pack(">H", 91)), image=scene("L")),
    "png 16 bits": lambda: wide_png(2, *scene().split()),
    "png 16 bits gray": lambda: wide_png(0, scene("L")),
    "png 16 bits alpha": lambda: wide_png(6, *on_black().split()),
    "png gray alpha": lambda: encoded(on_black().convert("LA"), "PNG"),
    "webp": lambda: encoded(scene(), "WEBP", quality=95),
    "webp exif 6": lambda: encoded(scene(), "WEBP", quality=95, exif=exif(6)),
    "webp xmp 6": lambda: encoded(scene(), "WEBP", quality=95, xmp=XMP),
    "webp inverted": icc("WEBP", inverted()),
    "webp on black": lambda: encoded(on_black(), "WEBP", lossless=True),
    "avif": lambda: encoded(scene(), "AVIF", quality=95),
    "avif irot": lambda: encoded(scene(), "AVIF", quality=95, exif=exif(6)),
    "avif imir": lambda: encoded(scene(), "AVIF", quality=95, exif=exif(2)),
    "avif inverted": icc("AVIF", inverted()),
    "avif on black": lambda: encoded(on_black(), "AVIF", quality=95),
    **{name: partial(bytes, data) for name, data in ENCODED.items()},
    "jpeg 3x1 exif 6": lambda: segment(ENCODED["jpeg 3x1"], 0xE1, exif(6)),
    "jpeg 3x1 inverted": lambda: segment(ENCODED["jpeg 3x1"], 0xE2, _LABEL + inverted()),
    "gif": lambda: encoded(scene().quantize(16), "GIF"),
    "gif interlaced": lambda: encoded(scene().quantize(16), "GIF", interlace=1),
    "gif large frame": lambda: frame_gif((48, 32), ((0, 0), scene(), 0, -1)),
    "gif transparent": lambda: frame_gif((96, 64), ((0, 0), scene(), 0, 0)),
    "gif profile": gif_profile,
    "bmp": lambda: encoded(scene(), "BMP"),
    "bmp alpha": lambda: encoded(on_black(), "BMP"),
    "tiff pages": lambda: encoded(plain(), "TIFF", **_all([scene()])),
    **{f"jpeg exif {how}": partial(segment_of, 0xE1, b"Exif\0\0" + e) for how, e in EXIFS.items()},
    **{f"png exif {how}": partial(png, png_chunk(b"eXIf", exif)) for how, exif in EXIFS.items()},
    "png exif with a label": lambda: png(png_chunk(b"eXIf", exif(6))),
    "png exif 6 exif 3": lambda: png(*(png_chunk(b"eXIf", exif(n)[6:]) for n in (6, 3))),
    "jpeg exif empty, 6": lambda: segment(segment_of(0xE1, exif(6)), 0xE1, b"Exif\0\0"),
    "jpeg exif behind a scan": lambda: (segment(b"", 0xE1, exif(6)) + _SCAN).join(
        encoded(scene(), "JPEG", quality=95, progressive=True).rsplit(_SCAN, 1)
    ),
    "jpeg inverted, srgb": lambda: segment(icc("JPEG", srgb())(), 0xE2, _LABEL + inverted()),
    "jpeg label, inverted": lambda: segment(icc("JPEG", inverted())(), 0xE2, _LABEL[:-2]),
    "jpeg cmyk profile, damaged": lambda: icc("JPEG", inks(), "CMYK")().replace(
        _SCAN, b"x" + _SCAN
    ),
    "png inverted, srgb profile": lambda: png(iccp(inverted()), iccp(srgb())),
    "png inverted, damaged": lambda: png(iccp(inverted()), png_chunk(b"tEXt", b"a\0b")[:-1] + b"x"),
    "png inverted, long": lambda: png(iccp(profile(_TABLE, (b"x", bytes(3 << 20))))),
    "png inverted white": lambda: png(iccp(inverted()), image=on_black().convert("LA")),
    "png two keys": lambda: palette(alphas(255), behind=[alphas(0)]),
    "png key behind": lambda: palette(behind=[alphas(0)]),
    "png key too long": lambda: palette(png_chunk(b"tRNS", bytes(17))),
    "png palette behind": lambda: palette(behind=[png_chunk(b"PLTE", bytes(48))]),
    **{f"png palette and {odd} bytes": partial(palette, odd=odd) for odd in (1, 2)},
    "png odd palette, true colors": lambda: png(png_chunk(b"PLTE", bytes(49))),
    "png pixels behind": lambda: behind(png_chunk(b"tEXt", b"a\0b") + pixels_of(plain())),
    "png steep": lambda: png(iccp(_STEEP), image=scene().point(lambda v: 126 + v // 64)),
    "png alpha without colors": lambda: png(
        png_chunk(b"tRNS", bytes(99)), image=scene().quantize(16)
    ),
    "png key twice": lambda: png(*(png_chunk(b"tRNS", bytes([0, v] * 3)) for v in (1, 220))),
    "png key, palette": lambda: png(png_chunk(b"tRNS", bytes(6)), png_chunk(b"PLTE", bytes(6))),
    "png saw": lambda: png(iccp(profile((b"A2B0", lut("saw", plain=True))))),
    "jpeg v": icc("JPEG", matrix(*[abs(2 * RAMP - 1)] * 3)),
}

REFUSED = {
    "bmp alpha without a mask": lambda: bmp(0xFF000000, depth=32, packing=0),
    "bmp of a palette": lambda: encoded(scene().quantize(16), "BMP"),
    "avif of high range": lambda: encoded(scene(), "AVIF").replace(b"x\0\1\0\r", b"x\0\t\0\x10"),
    "avif of other primaries": lambda: encoded(scene(), "AVIF").replace(b"nclx\0\1", b"nclx\0\x0a"),
    "avif with a crop": lambda: encoded(scene(), "AVIF") + b"\0\0\0\x08clap",
    "icon": lambda: encoded(scene(), "ICO").replace(b"\0\0\0\0 \0", b"\0\2\0\0 \0", 1),
    "png long key of gray": lambda: png(png_chunk(b"tRNS", b"\0[[["), image=scene("L")),
    "png key of 16 bits": lambda: png(png_chunk(b"tRNS", b"ab"), image=scene("L").convert("I;16")),
    "webp of alpha twice": webp_of_two_alphas,
    **{f"webp of secret alpha {i}": partial(secret_webp, animated=bool(i)) for i in (0, 1)},
    "tiff of 32 bits": lambda: encoded(scene("I"), "TIFF"),
}
"""Files that browsers show in a way that is not looked at, and that are never cleared."""

DOUBTFUL = {
    "png gamma 1": lambda: png(gamma(1.0)),
    "png of high range": lambda: png(cicp(9, 16, 0, 1)),
    "png of other primaries": lambda: png(gamma(0.45455), png_chunk(b"cHRM", bytes(32))),
    "webp endless profile": icc("WEBP", profile(_TABLE, (b"x", bytes(5 << 20)))),
    "jpeg second table": icc("JPEG", profile((b"A2B1", lut("")))),
    "jpeg table for others": icc("JPEG", profile(_TABLE, (b"D2B0", lut("", plain=True)))),
    "jpeg many tags": icc("JPEG", profile(*[(b"x%03d" % i, bytes(8)) for i in range(150)], _TABLE)),
    "jpeg tag twice": icc("JPEG", profile(*((b"A2B0", lut("", plain=p)) for p in (False, True)))),
    "jpeg two tables": icc("JPEG", profile(_TABLE, (b"A2B1", lut("", plain=True)))),
    "jpeg profile of a name": icc("JPEG", profile(_TABLE, kind=b"nmcl")),
    "jpeg unlike curves": icc("JPEG", matrix(1 - RAMP, RAMP**2.2, RAMP)),
    "jpeg profile with a code": icc("JPEG", matrix(*[RAMP**2.2] * 3, more=[LINEAR])),
}
"""Files whose colors browsers may read in another way; they are scored as they are stored."""

_PART = ((HALF, scene().resize(HALF), 0, -1),)
COMPOSED = {
    **{f"tiff {i}": partial(encoded, scene(), "TIFF", tiffinfo={i: 1}) for i in (254, 330)},
    "tiff with alpha": lambda: encoded(on_black(), "TIFF"),
    "avif called gray": lambda: encoded(scene(), "AVIF").replace(b"\x81\0\x0c", b"\x81\0\x1c"),
    "avif of a linear stream": lambda: stream_avif(8),
    "avif of linear frames": lambda: stream_avif(8, **_all([plain()])),
    "apng": lambda: apng(default_is_frame=True),
    "apng default is no frame": lambda: apng(default_is_frame=False),
    "gif cleared": lambda: frame_gif(SIZE, ((0, 0), scene(), 2, -1), *_PART),
    "gif in part": lambda: frame_gif(SIZE, *_PART),
    "gif described twice": lambda: frame_gif(SIZE, ((0, 0), scene(), 0, -1)).replace(
        b"!\xf9", b"!\xf9\4\1\0\0\0\0!\xf9", 1
    ),
}
"""Frames that Pillow lays over one another, and colors that it reads, in its own way."""

_INTERLACED = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *SIZE, 8, 2, 0, 0, 1))
_FEW_PASSES = png_chunk(b"IDAT", zlib.compress(bytes(2 * SIZE[0] * SIZE[1])))
SHORT = {
    "png of fewer rows": lambda: raw_png(*SIZE, bytes(20 * (1 + 3 * SIZE[0]))),
    "png of fewer passes": lambda: raw_png(*SIZE, b"")[:8] + _INTERLACED + _FEW_PASSES,
}
"""Pixels that end early, in a stream that ends as it should."""

ANIMATIONS: dict[str, Callable[[], bytes]] = {
    "gif": partial(
        frame_gif,
        SIZE,
        ((0, 0), scene(), 1, -1),
        (HALF, plain().resize(HALF), 1, -1),
        ((0, 0), scene().resize(HALF), 1, -1),
        (HALF, plain(60).resize(HALF), 0, -1),
    ),
    "webp": lambda: frames("WEBP", [100, 20, 300], 1, lossless=True),
    "png": lambda: frames("PNG", [100, 20, 300], 1),
    "avif": lambda: frames("AVIF", [100, 20, 300], 1, quality=95),
    "png of 16 bits": lambda: encoded(wide(scene("L")), "PNG", **_all([wide(plain(60))])),
}
"""Files of which all frames are compared."""
