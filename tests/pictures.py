"""Pictures made by code, and image files of all formats, written byte by byte where it matters."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageDraw

COLORS = {
    "red": (230, 20, 20),
    "green": (20, 230, 20),
    "blue": (20, 20, 230),
    "gray": (90, 90, 90),
    "yellow": (230, 230, 20),
}


def picture(color="red", size=(64, 48), seed=0):
    """A picture of one color with a little noise, so that no two seeds are the same file."""
    noise = np.random.default_rng(seed).integers(-12, 13, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.array(COLORS[color]) + noise, 0, 255).astype(np.uint8))


def encoded(image, format="JPEG", **options):  # noqa: A002
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def scene(seed, size=(360, 280), shapes=20):
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


def distance(one, other):
    """Return the number of bits in which two hashes of equal length differ."""
    assert len(one) == len(other)
    return (int(one, 16) ^ int(other, 16)).bit_count()


def animated(*colors, format="GIF"):  # noqa: A002
    first, *rest = (Image.new("RGB", (48, 40), color) for color in colors)
    for i, frame in enumerate((first, *rest)):
        frame.putpixel((i, 0), (0, 0, 0))  # Pillow writes frames that are alike only once
    return encoded(first, format, save_all=True, append_images=rest, duration=50)


def photo(width=96, height=64):
    """A picture with structure in all channels and at all scales, always the same."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    noise = np.random.default_rng(7).normal(0, 12, (height, width, 3))
    waves = np.stack([np.sin(9 * x + 3 * y), np.cos(7 * y), np.sin(25 * x * y)], -1)
    return Image.fromarray(np.clip(128 + 90 * waves + noise, 0, 255).astype(np.uint8))


def frames(count=4, size=(48, 32)):
    """Different pictures for an animation."""
    return [Image.fromarray(np.roll(np.array(photo(*size)), 7 * i, 1)) for i in range(count)]


def animation(format, count=4):  # noqa: A002
    first, *rest = frames(count)
    options = {"lossless": True} if format == "WEBP" else {}
    return encoded(first, format, save_all=True, append_images=rest, duration=40, **options)


def png_chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width, height, pixels, *, depth=8, mode=2, chunk=b""):
    """A PNG from the unfiltered pixel data, in color (2), gray (0) or with alpha (6)."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, mode, 0, 0, 0))
    data = png_chunk(b"IDAT", zlib.compress(pixels, 9))
    return b"\x89PNG\r\n\x1a\n" + header + chunk + data + png_chunk(b"IEND", b"")


def tiff(array, *, claimed=None, next_page=0):
    """An uncompressed little-endian TIFF with its directory at byte 8."""
    height, width, samples = (*array.shape, 1)[:3]
    bits, pixels = 8 * array.itemsize, array.tobytes()
    end = 8 + 2 + 12 * 11 + 4
    width, height = claimed or (width, height)
    depth = (samples, end if samples > 2 else bits | bits << 16)
    longs = {256: width, 257: height, 273: end + 8, 278: height, 279: len(pixels)}
    shorts = {259: 1, 262: 2 if samples == 3 else 1, 277: samples, 284: 1}
    shorts[339] = 3 if array.dtype.kind == "f" else 1
    tags = [(tag, 4, 1, value) for tag, value in longs.items()] + [(258, 3, *depth)]
    tags += [(tag, 3, 1, value) for tag, value in shorts.items()]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", next_page)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<4H", *[bits] * 4) + pixels


def gif(screen, *parts):
    """A GIF of two colors: a logical screen, then frames as :func:`gif_frame` makes them."""
    header = struct.pack("<HHBBB", *screen, 0x80, 0, 0)
    return b"GIF89a" + header + b"\xff\0\0\0\0\xff" + b"".join(parts) + b";"


def gif_frame(width=1, height=1):
    """A frame of which one pixel is there."""
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"


def webp_canvas(width, height):
    body = b"\x02\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = b"VP8X" + struct.pack("<I", len(body)) + body
    chunks += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def jpeg(**options):
    return encoded(photo(), "JPEG", quality=85, **options)


def jpeg_claiming(width, height, *, progressive=False):
    """A JPEG whose header tells another size than its data."""
    data = jpeg(progressive=progressive)
    start = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    return data[: start + 5] + struct.pack(">HH", height, width) + data[start + 9 :]


def many_scans(count=500):
    """A progressive JPEG of so many scans, the last one repeated: little data, endless work."""
    data = jpeg(progressive=True)
    last = data.rindex(b"\xff\xda")
    more = count - data.count(b"\xff\xda") + 1
    return data[:last] + data[last:-2] * more + data[-2:]


def lossless_jpeg(width, height):
    """A lossless RGB JPEG of one color."""
    parts = b"".join(bytes([name, 0x11, 0]) for name in b"RGB")
    frame = b"\xff\xc3" + struct.pack(">HBHHB", 17, 8, height, width, 3) + parts
    table = b"\xff\xc4" + struct.pack(">HB", 20, 0) + bytes([1, *[0] * 15, 0])
    scan = b"\xff\xda" + struct.pack(">HB", 12, 3) + b"R\0G\0B\0\1\0\0"
    pixels = bytes(-(-3 * width * height // 8))  # a bit for each difference, of 0
    return b"\xff\xd8" + frame + table + scan + pixels + b"\xff\xd9"


def exif(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def cmyk_jpeg(*, adobe):
    """CMYK, inverted as Adobe does it and said so in an APP14 segment, or neither."""
    data = encoded(Image.new("CMYK", (64, 48), (0, 200, 200, 20)), "JPEG", quality=95)
    start = data.find(b"\xff\xee")
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    return data if adobe else data[:start] + data[start + 2 + length :]
