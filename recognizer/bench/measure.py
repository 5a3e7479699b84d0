"""The measurements. Each runs in a process of its own, so that its memory is its own too.

Times are medians over photos, in seconds: one slow photo while the system did something else is
not the program's. Rates are whole counts over whole times.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np

from recognizer.errors import UsageError
from recognizer.imaging import model_input, perceptual_hash
from recognizer.model.bundle import Bundle
from recognizer.model.session import open_session
from recognizer.policy import Policy
from recognizer.recognizer import BATCH_SIZE, Recognizer
from recognizer.rows import Journal, Row, ScanSummary
from recognizer.scan import Item, scan
from recognizer.scan.pool import Crew, Hire

if sys.platform != "win32":
    import resource

P = ParamSpec("P")
T = TypeVar("T")

_MEBIBYTE = 1 << 20
_EVEN_SHARE = 64  # images for each worker: a multiple of what any engine hands out together
_STARTS = 5  # new processes, of which the median counts


@dataclass(frozen=True, slots=True)
class Stages:
    """What one photo costs in each stage on one CPU, in seconds.

    Attributes:
        read: reading the file, from the system's cache.
        decode: bytes to RGB, at the reduced scale; the digest of the bytes included.
        resize: RGB to the model's input.
        infer: the model's pass, in batches of eight, with one thread.
        infer_single: the same, one photo at a time.
        infer_32: the same, in batches of 32.
        hash: the perceptual hash.
    """

    read: float
    decode: float
    resize: float
    infer: float
    infer_single: float
    infer_32: float
    hash: float

    def roofline(self, cpus: int) -> float:
        """Return the photos in a second that ``cpus`` can do at most."""
        return cpus / (self.decode + self.resize + self.infer)


@dataclass(frozen=True, slots=True)
class Rate:
    """What a pipeline does.

    Attributes:
        photos_per_second: in the steady state.
        memory: largest resident memory of its largest process, in bytes; None where unknown.
    """

    photos_per_second: float
    memory: int | None


def alone(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a new process, and return what it returns."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def together(count: int, function: Callable[..., Stages], *args: object) -> Stages:
    """Call a function in several new processes at once, and return the mean of the stages."""
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:
        found = list(pool.map(function, *([argument] * count for argument in args)))
    names = [field.name for field in fields(Stages)]
    return Stages(*(statistics.fmean(getattr(one, name) for one in found) for name in names))


def stages(bundle: Bundle, photos: Sequence[Path]) -> Stages:
    """Measure each stage by itself, by the very functions that a scan calls."""
    recognizer = Recognizer(bundle, threads=1)
    session, _ = open_session(bundle, "cpu", 1, False)
    size = bundle.input_size
    data = [path.read_bytes() for path in photos]
    frames = [recognizer.load_image(image).frames[0].rgb for image in data]
    inputs = np.stack([model_input(frame, size) for frame in frames])

    def infer(batch: int) -> float:
        # Of whole batches: a smaller one at the end would cost more for each photo.
        wanted = -(-len(inputs) // batch) * batch
        repeated = inputs[np.arange(wanted) % len(inputs)]
        parts = [repeated[i : i + batch] for i in range(0, wanted, batch)]
        return (
            _median(lambda part: session.run(["scores", "maps"], {"images": part}), parts) / batch
        )

    return Stages(
        read=_median(lambda path: path.read_bytes(), photos),
        decode=_median(recognizer.load_image, data),
        resize=_median(lambda frame: model_input(frame, size), frames),
        infer=infer(BATCH_SIZE),
        infer_single=infer(1),
        infer_32=infer(32),
        hash=_median(perceptual_hash, frames),
    )


def pipeline(
    bundle: Bundle,
    photos: Sequence[Path],
    count: int,
    workers: int,
    hire: Hire = Crew,
) -> Rate:
    """Return the steady rate of a scan: what more images cost in more time.

    Two scans are made, a long one of about ``count`` images and a short one of a fourth; what they
    differ in is free of the start of the workers, and does not depend on when an engine hands its
    rows over. The photos are given again and again, as images of other listings. Every one is
    read, decoded, scored, hashed and written to a journal with fsync.

    Raises:
        UsageError: the photos cannot be read, or there are too few images to tell.
    """
    unit = workers * _EVEN_SHARE
    units = max(2, -(-count // unit))
    few, many = unit * max(1, units // 4), unit * units
    short, long = (scan_seconds(bundle, photos, images, workers, hire) for images in (few, many))
    if long <= short:
        raise UsageError(f"{many} images are too few to measure a scan: more --images")
    return Rate((many - few) / (long - short), memory())


def scan_seconds(
    bundle: Bundle, photos: Sequence[Path], count: int, workers: int, hire: Hire
) -> float:
    """Return the seconds from the beginning of a scan of ``count`` images to its last row."""
    last = [0.0]

    def note(_: ScanSummary, __: Sequence[tuple[int, Row]]) -> None:
        last[0] = time.perf_counter()

    items = (Item(str(photos[n % len(photos)]), {"number": n}) for n in range(count))
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "scan.jsonl") as journal:
        began = time.perf_counter()
        summary = scan(items, bundle, Policy(), journal, workers=workers, on_rows=note, hire=hire)
    if summary.failed:
        raise UsageError(f"the photos cannot be measured with: {dict(summary.failed)}")
    return last[0] - began


def single(bundle: Bundle, photos: Sequence[Path]) -> float:
    """Return the seconds that one photo takes, from bytes to the prediction, on one CPU."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    recognizer = Recognizer(bundle, threads=1)
    return _median(recognizer.predict, [path.read_bytes() for path in photos])


def first_prediction(bundle: Bundle, photo: Path) -> float:
    """Return the seconds from the start of a new process to its end, with one prediction in it."""
    code = (
        "import sys; from recognizer import Recognizer;"
        "print(Recognizer.load(sys.argv[1]).predict(sys.argv[2]).status)"
    )
    command = [sys.executable, "-c", code, str(bundle.path), str(photo)]

    def start(_: int) -> None:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own code

    return _median(start, range(_STARTS))


def rate_of(step: Callable[[Sequence[Path]], None], photos: Sequence[Path]) -> Rate:
    """Return the rate of a loop over photos, after a first call that does not count."""
    step(photos[:1])
    began = time.perf_counter()
    step(photos)
    return Rate(len(photos) / (time.perf_counter() - began), memory())


def memory() -> int | None:
    """Return the largest memory that this process, or one of its children, ever held."""
    if sys.platform == "win32":
        return None
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    unit = 1 if sys.platform == "darwin" else 1024
    return max(usage.ru_maxrss for usage in usages) * unit


def _median(function: Callable[[T], object], values: Iterable[T]) -> float:
    values = list(values)
    function(values[0])
    taken = []
    for value in values:
        began = time.perf_counter()
        function(value)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
