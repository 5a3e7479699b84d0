"""Malformed images, made from sound ones: the same seed gives the same bytes.

``python -m tests.fuzz.mutate FOLDER --count 300`` writes them, with all hostile inputs that are
regular files, into a folder for the corpus test (tests/scan/test_corpus.py).
"""

from __future__ import annotations

import argparse
import random
import struct
from pathlib import Path

import numpy as np

from tests.hostile import HOSTILE, animation, encode, exif, gif, gif_frame, jpeg, photo, png, tiff

SEEDS: dict[str, bytes] = {
    "jpeg": jpeg(exif=exif(6)),
    "progressive.jpeg": jpeg(progressive=True),
    **{
        f"small.{name.lower()}": encode(photo(24, 20), name)
        for name in ("PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF")
    },
    "interlaced.gif": encode(photo(24, 20), "GIF", interlace=1),
    "palette.png": encode(photo(24, 20).convert("P"), "PNG", transparency=bytes(range(256))),
    "lzw.tiff": encode(photo(24, 20), "TIFF", compression="tiff_lzw"),
    "jpeg.tiff": encode(photo(24, 20), "TIFF", compression="jpeg"),
    "animated.png": animation("PNG"),
    "animated.gif": animation("GIF"),
    "animated.webp": animation("WEBP"),
    "two.gif": gif((4, 4), gif_frame(4, 4), gif_frame()),
    "plain.png": png(4, 4, bytes(52)),
    "plain.tiff": tiff(np.array(photo(16, 16))),
}
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Damage a file in one to four ways, headers above all."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        reach = len(damaged) if rng.random() < 0.5 else min(len(damaged), 128)
        place = rng.randrange(reach) if reach else 0
        match rng.randrange(6):
            case 0:
                damaged[place : place + 1] = bytes([rng.randrange(256)])
            case 1:  # a field of a header, at its ends
                number = struct.pack(rng.choice("<>") + "I", rng.choice(_EXTREMES))
                width = rng.choice([1, 2, 4])
                damaged[place : place + width] = number[:width]
            case 2:
                del damaged[place : place + rng.randint(1, 64)]
            case 3:
                damaged[place:place] = damaged[place : place + rng.randint(1, 256)]
            case 4:
                del damaged[place + 16 :]
            case _:
                damaged[place:place] = rng.randbytes(rng.randint(1, 32))
    return bytes(damaged)


def write_corpus(folder: Path, count: int, seed: int = 0) -> None:
    """Write the hostile inputs and ``count`` mutants into ``folder``."""
    for hostile in HOSTILE:
        if not hostile.skip:
            hostile.make(folder / "hostile" / hostile.name)
    rng = random.Random(seed)
    (folder / "mutants").mkdir(parents=True, exist_ok=True)
    names = sorted(SEEDS)
    for number in range(count):
        name = names[number % len(names)]
        (folder / "mutants" / f"{number:06}.{name}").write_bytes(mutate(SEEDS[name], rng))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_corpus(options.folder, options.count, options.seed)
