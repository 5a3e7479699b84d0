"""Writes a training set: pictures, masks, a manifest and a contact sheet; goes on after a stop."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.synthetic.registry import SCENES
from datasets.synthetic.render import Photo, render
from recognizer.dataset.sheets import contact_sheet

COLUMNS = (
    "sha256", "file", "label", "kind", "subtype", "source",
    "split", "width", "height", "phash", "license", "origin",
)  # fmt: skip
LICENSE = "Apache-2.0"

_TILE = 120  # side of a picture on the contact sheet, in pixels


@dataclass(frozen=True)
class Job:
    """One picture to make."""

    scene: str
    seed: int
    size: int
    samples: int

    @property
    def file(self) -> str:
        """Where the picture lies inside the set."""
        return f"images/{SCENES[self.scene].label}/{self.scene}-{self.seed:07d}.jpg"

    @property
    def mask(self) -> str:
        """Where its mask lies: white on the object, black elsewhere."""
        return f"masks/{SCENES[self.scene].label}/{self.scene}-{self.seed:07d}.png"


def plan(count: int, seed: int, scenes: Sequence[str], size: int, samples: int) -> list[Job]:
    """The pictures of a set: every scene as often as any other, every seed once.

    Raises:
        KeyError: If a scene is unknown.
    """
    unknown = [name for name in scenes if name not in SCENES]
    if unknown:
        raise KeyError(f"unknown scenes: {', '.join(unknown)}")
    names = list(scenes) or sorted(SCENES)
    return [Job(names[index % len(names)], seed + index, size, samples) for index in range(count)]


def write(
    jobs: Sequence[Job], output: Path, workers: int = 1, say: Callable[[str], None] = print
) -> int:
    """Render what is not there yet.

    A picture is written before its row, and both whole, so that a run that was stopped leaves
    nothing that the next run would take for finished. The finished manifest is in the order of the
    jobs, whichever way it came about.

    Args:
        jobs: What the set consists of.
        output: Its folder; made when absent.
        workers: Processes that render.
        say: Where progress is told.

    Returns:
        How many pictures were rendered now.
    """
    output.mkdir(parents=True, exist_ok=True)
    manifest = output / "manifest.csv"
    rows = _finished(manifest, output)
    missing = [job for job in jobs if job.file not in rows]
    say(f"{len(jobs)} pictures, {len(jobs) - len(missing)} already there")
    _write_rows(manifest, list(rows.values()))
    started = time.monotonic()
    with manifest.open("a", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        for done, (job, photo) in enumerate(_rendered(missing, workers), start=1):
            rows[job.file] = _row(job, photo)
            _write_whole(output / job.mask, _png(photo.mask))
            _write_whole(output / job.file, photo.jpeg)
            table.writerow(rows[job.file])
            stream.flush()
            if done % 10 == 0 or done == len(missing):
                rate = (time.monotonic() - started) / done
                left = rate * (len(missing) - done) / 60
                say(f"{done}/{len(missing)}  {rate:.1f} s a picture  {left:.0f} min left")
    order = {job.file: place for place, job in enumerate(jobs)}
    kept = sorted(rows.values(), key=lambda row: order.get(row["file"], len(order)))
    _write_rows(manifest, kept)
    _contact_sheet(output, kept)
    return len(missing)


def _rendered(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Photo]]:
    if workers <= 1:
        for job in jobs:
            yield job, _render(job)
        return
    # Mitsuba does not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from zip(jobs, pool.map(_render, jobs), strict=True)


def _render(job: Job) -> Photo:
    return render(job.scene, job.seed, job.size, job.samples, with_mask=True)


def _png(mask: NDArray[np.bool_] | None) -> bytes:
    assert mask is not None  # noqa: S101 - every job asks for it
    return cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes()


def _row(job: Job, photo: Photo) -> dict[str, str]:
    origin = {"seed": photo.seed, "size": job.size, **photo.parameters}
    return {
        "sha256": hashlib.sha256(photo.jpeg).hexdigest(),
        "file": job.file,
        "label": photo.label,
        "kind": photo.kind,
        "subtype": photo.scene,
        "source": f"synthetic/{photo.scene}",
        "split": "train",
        "width": str(photo.width),
        "height": str(photo.height),
        "phash": "",
        "license": LICENSE,
        "origin": json.dumps(origin, separators=(",", ":")),
    }


def _finished(manifest: Path, output: Path) -> dict[str, dict[str, str]]:
    """The rows whose pictures are there and unharmed, by file."""
    if not manifest.exists():
        return {}
    with manifest.open(newline="", encoding="utf-8") as stream:
        rows = [
            row for row in csv.DictReader(stream) if all(row.get(key) for key in ("file", "origin"))
        ]
    return {row["file"]: row for row in rows if _digest(output / row["file"]) == row["sha256"]}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _write_rows(manifest: Path, rows: Sequence[dict[str, str]]) -> None:
    fresh = manifest.with_suffix(".new")
    with fresh.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    os.replace(fresh, manifest)


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    os.replace(fresh, path)


def _contact_sheet(output: Path, rows: Sequence[dict[str, str]]) -> None:
    """``contact.png``: the first picture of each scene, by label."""
    first: dict[tuple[str, str], str] = {}
    for row in rows:
        first.setdefault((row["label"], row["subtype"]), row["file"])
    shown = [(scene, _read(output / file)) for (_, scene), file in sorted(first.items())]
    cv2.imwrite(str(output / "contact.png"), contact_sheet(shown, _TILE))


def _read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(path)), np.uint8)
