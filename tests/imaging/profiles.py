"""Color profiles, made in code, of all kinds that a file may carry."""

import itertools
import struct

import numpy as np
from PIL import ImageCms

_STEPS = 9  # of each channel in a table of colors


def srgb():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped():
    """sRGB with red and blue exchanged."""
    names = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}
    return profile(*((names.get(n, n), data) for n, data in _tags(srgb()).items()), pcs=b"XYZ ")


def _lab(rgb):
    # Linear light of sRGB -> Lab of the connection space (D50), one byte each.
    to_xyz = [[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]]
    linear = np.asarray(rgb, float) ** 2.2
    x, y, z = np.cbrt(np.clip(to_xyz @ linear / [0.9642, 1, 0.8249], 0.008856, None))
    lab = (116 * y - 16) * 2.55, 500 * (x - y) + 128, 200 * (y - z) + 128
    return bytes(int(np.clip(round(value), 0, 255)) for value in lab)


def table_profile(space, color):
    """A profile whose pixels are looked up: ``color`` gives RGB, 0 to 1, for each corner."""
    channels = {b"RGB ": 3, b"CMYK": 4, b"GRAY": 1}[space]
    ramp = bytes(range(256))
    steps = np.linspace(0, 1, _STEPS)
    corners = b"".join(_lab(color(*at)) for at in itertools.product(steps, repeat=channels))
    identity = struct.pack(">9i", *[65536 * (i % 4 == 0) for i in range(9)])
    lut = b"mft1\0\0\0\0" + bytes([channels, 3, _STEPS, 0]) + identity
    lut += ramp * channels + corners + ramp * 3
    return profile((b"A2B0", lut), space=space, kind=b"prtr" if space == b"CMYK" else b"mntr")


def profile(*tags, space=b"RGB ", kind=b"mntr", pcs=b"Lab "):
    table, body = b"", b""
    for name, data in tags:
        data += bytes(-len(data) % 4)  # noqa: PLW2901
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(body), len(data))
        body += data
    size = 132 + len(table) + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, kind, space, pcs)
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + body


def matrix(*curves, more=()):
    """A profile of the primaries of sRGB, with a curve for each channel: values from 0 to 1."""
    tags = [(name, data) for name, data in _tags(srgb()).items() if name[1:] == b"XYZ"]
    for name, values in zip((b"rTRC", b"gTRC", b"bTRC"), curves, strict=True):
        curve = b"".join(struct.pack(">H", round(65535 * value)) for value in values)
        tags.append((name, b"curv\0\0\0\0" + struct.pack(">I", len(values)) + curve))
    return profile(*tags, *more, pcs=b"XYZ ")


def _tags(profile):
    count = int.from_bytes(profile[128:132], "big")
    table = struct.iter_unpack(">4sII", profile[132 : 132 + 12 * count])
    return {name: profile[start : start + size] for name, start, size in table}


RAMP = np.linspace(0, 1, 256)
LINEAR = (b"cicp", b"cicp\0\0\0\0\1\x08\0\1")


def lut(name, *, plain=False):
    """The table of a profile that inverts, or does nothing, changed as its ``name`` says."""
    data = _tags(table_profile(b"RGB ", lambda *rgb: rgb) if plain else inverted())[b"A2B0"]
    curve = {"steep": 64 * (np.arange(256) - 126), "saw": np.arange(256) * 64 % 256}
    values = np.clip(curve[name], 0, 255).astype(np.uint8).tobytes() if name in curve else b""
    return data[:48] + 3 * values + data[48 + 768 :] if values else data


def inverted():
    return table_profile(b"RGB ", lambda *rgb: [1 - value for value in rgb])


def inks():
    """CMYK in which cyan ink is yellow, and yellow ink cyan."""
    return table_profile(b"CMYK", lambda c, m, y, k: [(1 - v) * (1 - k) for v in (y, m, c)])
