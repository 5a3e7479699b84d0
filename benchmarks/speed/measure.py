"""The measurements. Each runs in a process of its own, so that its memory is its own too.

Times are medians over photos, in seconds: a photo that was slow because the system did something
else does not count. Rates are numbers of photos divided by the whole time.
"""

from __future__ import annotations

import csv
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np

from recognizer.engine import BATCH_SIZE, Recognizer
from recognizer.errors import UsageError
from recognizer.imaging import model_input, perceptual_hash
from recognizer.model.bundle import Bundle
from recognizer.model.session import open_session

if sys.platform != "win32":
    import resource

P = ParamSpec("P")
T = TypeVar("T")

_IMAGES_PER_WORKER = 64  # a multiple of what any engine gives to a worker at once
_UNCHANGED = (300, 2000)  # files of two folders, whose difference is free of the start
_SETTLED_SECONDS = 2.5  # files that are younger are read again
_LOOK_SECONDS = 0.5  # at the memory of a scan, which costs its workers a moment
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
        """Return the photos per second that ``cpus`` can do at most."""
        return cpus / (self.decode + self.resize + self.infer + self.hash)


@dataclass(frozen=True, slots=True)
class Throughput:
    """What a pipeline does.

    Attributes:
        photos_per_second: in the steady state.
        memory: largest resident memory of its largest process (of a scan, of a worker), in bytes;
            None where unknown.
        own_memory: the same, with each page that processes share divided among them.
    """

    photos_per_second: float
    memory: int | None
    own_memory: int | None = None


def in_new_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a new process, and return what it returns."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def stages_at_once(count: int, bundle: Bundle, photos: Sequence[Path]) -> Stages:
    """Measure the stages in several processes at the same time, and return their means."""
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:
        found = list(pool.map(stages, [bundle] * count, [photos] * count))
    names = [field.name for field in fields(Stages)]
    return Stages(**{name: statistics.fmean(getattr(one, name) for one in found) for name in names})


def stages(bundle: Bundle, photos: Sequence[Path]) -> Stages:
    """Measure each stage by itself, with the functions that a scan calls."""
    recognizer = Recognizer(bundle, threads=1)
    session, _ = open_session(bundle, "cpu", 1, False)
    size = bundle.input_size
    data = [path.read_bytes() for path in photos]
    frames = [recognizer.load_image(image).frames[0].rgb for image in data]
    inputs = np.stack([model_input(frame, size) for frame in frames])

    def infer(batch: int) -> float:
        # Whole batches only: a smaller one at the end would cost more for each photo.
        count = -(-len(inputs) // batch) * batch
        repeated = inputs[np.arange(count) % len(inputs)]
        parts = [repeated[i : i + batch] for i in range(0, count, batch)]
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
    bundle: Bundle, photos: Sequence[Path], count: int, workers: int, engine: str
) -> Throughput:
    """Return the steady rate of a scan: what more images cost in more time.

    Two scans are made, a long one of about ``count`` images and a short one of a fourth of them;
    their difference is free of the start and the end of the processes. The photos are given again
    and again, as images of other listings. Every one is read, decoded, scored, hashed and written
    to a file with fsync.

    Raises:
        UsageError: the photos cannot be read, or there are too few images to measure.
    """
    unit = workers * _IMAGES_PER_WORKER
    units = max(2, -(-count // unit))
    few, many = unit * max(1, units // 4), unit * units
    held = Held()
    short, long = (scan_seconds(bundle, photos, n, workers, engine, held) for n in (few, many))
    if long <= short:
        raise UsageError(f"{many} images are too few to measure a scan: give more with --images")
    return Throughput((many - few) / (long - short), held.resident, held.proportional)


def second_scan(bundle: Bundle, photos: Sequence[Path], workers: int) -> float | None:
    """Return the photos per second of a second scan of unchanged files, free of its start.

    None where something else ran meanwhile, so that more files took no more time.
    """
    seconds = []
    with tempfile.TemporaryDirectory(dir=photos[0].parent) as scratch:
        for count in _UNCHANGED:
            folder = Path(scratch) / f"{count}"
            folder.mkdir()
            for number in range(count):
                os.link(photos[number % len(photos)], folder / f"{number}.jpg")
        time.sleep(_SETTLED_SECONDS)
        for count in _UNCHANGED:
            command = [str(Path(scratch) / f"{count}"), "--output", f"{scratch}/{count}.sqlite"]
            command += ["--bundle", str(bundle.path), "--workers", str(workers), "--quiet"]
            _run_scan(command)
            seconds.append(min(_run_scan(command) for _ in range(3)))
    few, many = _UNCHANGED
    if seconds[1] <= seconds[0]:
        return None
    return (many - few) / (seconds[1] - seconds[0])


def scan_seconds(
    bundle: Bundle,
    photos: Sequence[Path],
    count: int,
    workers: int,
    engine: str = "local",
    held: Held | None = None,
) -> float:
    """Return the seconds that ``recognizer scan`` takes for ``count`` images."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "images.csv"
        with table.open("w", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            rows.writerow(["image", "listing"])
            rows.writerows([photos[n % len(photos)], n] for n in range(count))
        command = [str(table), "--output", f"{folder}/scan.sqlite", "--bundle", str(bundle.path)]
        command += ["--workers", str(workers), "--engine", engine, "--quiet"]
        for place in {photo.parent for photo in photos}:  # the table lies elsewhere
            command += ["--image-root", str(place)]
        return _run_scan(command, held)


class Held:
    """The most memory that a worker of a scan ever held, in bytes; None until one is seen.

    It is looked at several times a second (Linux).
    """

    resident: int | None = None
    proportional: int | None = None

    def look(self, pid: int) -> None:
        """Look at the processes that a scan has started."""
        with suppress(OSError, ValueError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
            for child in children:
                text = Path(f"/proc/{child}/smaps_rollup").read_text(encoding="ascii")
                found = dict(re.findall(r"^(Rss|Pss): +(\d+) kB", text, re.MULTILINE))
                if found:
                    self.resident = max(self.resident or 0, 1024 * int(found["Rss"]))
                    self.proportional = max(self.proportional or 0, 1024 * int(found["Pss"]))


def _run_scan(arguments: Sequence[str], held: Held | None = None) -> float:
    command = [sys.executable, "-m", "recognizer", "scan", *arguments]
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)  # noqa: S603
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
                break
            if held is not None:
                held.look(process.pid)
        seconds = time.perf_counter() - began
        errors.seek(0)
        if process.returncode:
            raise UsageError(f"the scan ended with {process.returncode}: {errors.read().strip()}")
    return seconds


def single(bundle: Bundle, photos: Sequence[Path]) -> float:
    """Return the seconds that one photo takes, from bytes to the prediction, on one CPU."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    recognizer = Recognizer(bundle, threads=1)
    return _median(recognizer.predict, [path.read_bytes() for path in photos])


def first_prediction(bundle: Bundle, photo: Path) -> float:
    """Return the seconds from the start of a new process to its end, with one prediction in it."""
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    code = (
        "import sys; from pathlib import Path; from recognizer import Recognizer;"
        "print(Recognizer.load(sys.argv[1]).predict(Path(sys.argv[2])).status)"
    )
    command = [sys.executable, "-c", code, str(bundle.path), str(photo)]

    def start(_: int) -> None:
        subprocess.run(command, check=True, capture_output=True, env=environment)  # noqa: S603

    return _median(start, range(_STARTS))


def throughput(step: Callable[[Sequence[Path]], None], photos: Sequence[Path]) -> Throughput:
    """Measure a loop over photos, after a first call that does not count."""
    step(photos[:1])
    began = time.perf_counter()
    step(photos)
    return Throughput(len(photos) / (time.perf_counter() - began), memory())


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
