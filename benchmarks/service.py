"""What a service takes: memory by processes, and the time of plain, suspicious and crafted uploads.

    python -m benchmarks.service --markdown docs/service.md

The uploads are sample images of 1600x1200 pixels: the one that takes least, the one that takes most
(a suspicious one goes through all networks), a collage of nine of the latter, and the costliest of
some images of noise, each as large as the limits allow. Each process has a client that waits for
its answers.
"""

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from benchmarks.speed import SAMPLES, SIZE, in_new_process, make_collage, make_photos, write_figures
from recognizer import GuardedRecognizer, Recognizer
from recognizer.guarded import SERVICE_LIMITS
from recognizer.imaging import load_image
from recognizer.model.machine import available_cpus, cpu_name

PROCESSES = (1, 2, 4)
_FORMS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "progressive.JPEG": {"quality": 95, "subsampling": 0, "progressive": True},
    "PNG": {"compress_level": 1},
    "WEBP": {"quality": 100, "method": 0},
    "AVIF": {"quality": 100, "speed": 10},
    "GIF": {},
}
_TRIED, _SHARE = 600, 0.95  # pixels of a side, by which the limit is estimated; and of the limit


def make_uploads() -> dict[str, bytes]:
    """Return the uploads by their names."""
    recognizer = Recognizer.load(threads=1, limits=SERVICE_LIMITS)

    def cost(path: Path) -> float:
        recognizer.predict(path)
        began = time.process_time()
        recognizer.predict(path)
        return time.process_time() - began

    samples = sorted(SAMPLES.glob("*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        photos = sorted(make_photos(Path(folder) / "photos", samples, SIZE, len(samples)), key=cost)
        collage = make_collage(Path(folder) / "collage.jpg", photos[-1:])
        costliest = max(make_noise(Path(folder)), key=cost)
        named = {"plain": photos[0], "suspicious": photos[-1], "collage of nine": collage}
        named[f"costliest ({costliest.name})"] = costliest
        return {name: path.read_bytes() for name, path in named.items()}


def make_noise(folder: Path) -> list[Path]:
    """Write images of noise, fine and coarse, that take nearly as long as a service allows."""
    rng, paths = np.random.default_rng(0), list[Path]()
    ImageFile.MAXBLOCK = 1 << 27  # of a progressive JPEG
    for form, options in _FORMS.items():
        for enlarged in (1, 4):
            path, side = folder / f"{enlarged}.{form}", _TRIED
            for _ in range(2):
                few = rng.integers(0, 256, (side // enlarged,) * 2 + (3,), np.uint8)
                image = Image.fromarray(few).resize((side, side), Image.Resampling.BICUBIC)
                image.save(path, **options)
                ms = load_image(path).decode_ms
                side = int(side * (_SHARE * SERVICE_LIMITS.max_ms / ms) ** 0.5)
                side = min(side, int(SERVICE_LIMITS.max_pixels**0.5))
            paths.append(path)
    return paths


def serve(processes: int, uploads: dict[str, bytes], count: int) -> dict[str, str]:
    """Return the memory of all processes, and of each upload the times of answers."""
    found = {"memory, MB": ""}
    with (
        GuardedRecognizer.load(processes=processes) as recognizer,
        ThreadPoolExecutor(processes) as clients,
    ):

        def wait(upload: bytes) -> float:
            began = time.perf_counter()
            recognizer.predict(upload)
            return 1000 * (time.perf_counter() - began)

        for name, upload in uploads.items():
            [*clients.map(wait, [upload] * processes)]  # processes start, and models are loaded
            times = [*clients.map(wait, [upload] * count * processes)]
            most = statistics.quantiles(times, n=20)[-1]
            found[f"{name}, ms"] = f"{statistics.median(times):.0f} ({most:.0f})"
        found["memory, MB"] = f"{held():.0f}"
    return found


def held() -> float:
    """Return the memory of this process and its children, shared pages once, in MB (Linux)."""
    children = " ".join(
        path.read_text("ascii") for path in Path("/proc/self/task").glob("*/children")
    )
    maps = [Path(f"/proc/{pid}/smaps_rollup") for pid in ("self", *children.split())]
    found = (re.search(r"^Pss: +(\d+) kB", path.read_text("ascii"), re.MULTILINE) for path in maps)
    return sum(int(pss[1]) for pss in found if pss) * 1024 / 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure services of one, two and four processes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=main.__doc__)
    parser.add_argument("--count", type=int, default=40, help="uploads for each process and kind")
    parser.add_argument("--markdown", type=Path, help="also write the figures into a page")
    options = parser.parse_args(arguments)
    uploads = in_new_process(make_uploads)
    columns = [in_new_process(serve, number, uploads, options.count) for number in PROCESSES]
    lines = ["| processes | 1 | 2 | 4 |", "|---|--:|--:|--:|"]
    lines += [f"| {name} | {' | '.join(one[name] for one in columns)} |" for name in columns[0]]
    lines += ["", f"Median (95th percentile) on {available_cpus()} CPUs ({cpu_name()})."]
    if options.markdown:
        write_figures(options.markdown, ["Written by `python -m benchmarks.service`.", "", *lines])
    print("\n".join(lines))


if __name__ == "__main__":
    main()
