"""Threads in one process, or processes: which pipeline of decoding and scoring is faster?

    python -m benchmarks.threads_or_processes

Three forms with the same CPUs: a process on each; a thread on each in one process; and in one
process a thread that decodes ahead of one that scores. docs/speed.md says what came of it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2

from benchmarks.speed.__main__ import SAMPLES
from benchmarks.speed.photos import make_photos
from recognizer.engine import Recognizer
from recognizer.imaging import LoadedImage
from recognizer.scan.machine import available_cpus

_AHEAD = 2  # decoded images that wait to be scored


def proportional_bytes(pid: int | str = "self") -> int:
    """Return the memory of a process, each shared page divided among those that share it."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def threads(recognizer: Recognizer, paths: Sequence[Path], count: int) -> None:
    """Score photos in so many threads, each from bytes to the prediction."""
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(recognizer.predict, paths))


def pipeline(recognizer: Recognizer, paths: Sequence[Path], _: int) -> None:
    """Decode photos in one thread, and score them in another."""
    waiting: queue.Queue[LoadedImage | None] = queue.Queue(_AHEAD)

    def decode() -> None:
        for path in paths:
            waiting.put(recognizer.load_image(path))
        waiting.put(None)

    threading.Thread(target=decode, daemon=True).start()
    while (image := waiting.get()) is not None:
        recognizer.predict_loaded([image])


def serve(
    connection: Any, form: Callable[[Recognizer, Sequence[Path], int], None], count: int
) -> None:
    """Run a form on photos as they are asked for, and answer with the memory of the process."""
    cv2.setNumThreads(1)
    recognizer = Recognizer.load(threads=1)
    connection.send(None)
    while (paths := connection.recv()) is not None:
        form(recognizer, paths, count)
        connection.send(proportional_bytes())


def main() -> None:
    """Print the rate and the memory of each form, the best of several rounds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    cpus = available_cpus()
    forms = {
        f"{cpus} processes": (threads, cpus, 1),
        f"{cpus} threads in a process": (threads, 1, cpus),
        "a thread that decodes, one that scores": (pipeline, 1, 1),
    }
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        paths = make_photos(SAMPLES, Path(folder), (1600, 1200), 16, progressive=False)
        photos = [paths[number % len(paths)] for number in range(asked.photos)]
        rates: dict[str, list[float]] = {name: [] for name in forms}
        memory: dict[str, int] = {}
        running: dict[str, list[Any]] = {}
        for name, (form, processes, count) in forms.items():
            running[name] = []
            for _ in range(processes):
                ours, theirs = context.Pipe()
                context.Process(target=serve, args=(theirs, form, count), daemon=True).start()
                ours.recv()
                running[name].append(ours)
        for _ in range(asked.rounds):  # in turn, so that what else runs meets all of them
            for name, connections in running.items():
                began = time.perf_counter()
                for number, connection in enumerate(connections):
                    connection.send(photos[number :: len(connections)])
                memory[name] = sum(connection.recv() for connection in connections)
                rates[name].append(len(photos) / (time.perf_counter() - began))
    for connections in running.values():
        for connection in connections:
            connection.send(None)
    for name, found in rates.items():
        print(
            f"{name}: {max(found):.1f} photos/s ({min(found):.1f} to {max(found):.1f}), "
            f"{memory[name] / 1e6:.0f} MB in all"
        )


if __name__ == "__main__":
    main()
