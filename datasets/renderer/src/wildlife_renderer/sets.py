"""Write sets of renderings: a training set with masks and a manifest, or the sample images."""

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

from wildlife_renderer.render import Rendering, render
from wildlife_renderer.scenes import SCENES

COLUMNS = (
    "sha256", "file", "label", "kind", "subtype", "source",
    "split", "width", "height", "phash", "license", "origin",
)  # fmt: skip
LICENSE = "Apache-2.0"

SAMPLES = {  # Seeds below 1000 belong to the samples; training sets begin at 10000.
    "tusk-pair": ("tusk_pair", 3),
    "tusk-stack": ("tusk_stack", 4),
    "ivory-bangles": ("ivory_bangle", 6),
    "ivory-figure": ("ivory_figure", 3),
    "pangolin-heap": ("pangolin_heap", 3),
    "pangolin-few": ("pangolin_few", 5),
    "rhino-horn": ("rhino_horn_whole", 2),
    "rhino-horn-pair": ("rhino_horn_pair", 5),
    "cow-horn": ("cow_horn_single", 3),
    "wooden-bowl": ("wooden_bowl", 4),
    "mug": ("mug", 5),
    "toy-bricks": ("toy_bricks", 4),
    "jade-bangles": ("jade_bangle", 4),
    "almonds": ("almonds", 5),
    "bones": ("long_bones", 4),
    "bananas": ("bananas", 3),
}
"""Name of a sample image -> its scene and seed."""

_SAMPLE_SIZE, _SAMPLE_PATHS = 560, 40
_TILE, _COLUMNS = 132, 8  # of the contact sheet: pixels of a tile's side, tiles in a row


@dataclass(frozen=True)
class Job:
    """One rendering to make."""

    scene: str
    seed: int
    size: int
    paths: int

    @property
    def file(self) -> str:
        """Where the image lies inside the set."""
        return f"images/{SCENES[self.scene].label}/{self.scene}-{self.seed:07d}.jpg"

    @property
    def mask(self) -> str:
        """Where its mask lies: white on the object, black elsewhere."""
        return f"masks/{SCENES[self.scene].label}/{self.scene}-{self.seed:07d}.png"


def plan(count: int, seed: int, scenes: Sequence[str], size: int, paths: int) -> list[Job]:
    """Return the renderings of a set: every scene equally often, every seed once.

    Raises:
        KeyError: a scene is unknown.
    """
    unknown = [name for name in scenes if name not in SCENES]
    if unknown:
        raise KeyError(f"unknown scenes: {', '.join(unknown)}")
    names = list(scenes) or sorted(SCENES)
    return [Job(names[index % len(names)], seed + index, size, paths) for index in range(count)]


def write_set(
    jobs: Sequence[Job], output: Path, workers: int = 1, log: Callable[[str], None] = print
) -> int:
    """Render what the set lacks, and return how many renderings were made.

    An image is written before its row, and both whole, so that a stopped run leaves nothing that
    the next run would take for finished. The manifest is in the order of the jobs.
    """
    output.mkdir(parents=True, exist_ok=True)
    manifest = output / "manifest.csv"
    rows = _finished(manifest, output)
    missing = [job for job in jobs if job.file not in rows]
    log(f"{len(jobs)} renderings, {len(jobs) - len(missing)} of them exist")
    _write_rows(manifest, list(rows.values()))
    started = time.monotonic()
    with manifest.open("a", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        for done, (job, rendering) in enumerate(_rendered(missing, workers), start=1):
            rows[job.file] = _row(job, rendering)
            mask = cv2.imencode(".png", rendering.mask.astype(np.uint8) * 255)[1].tobytes()
            _write_whole(output / job.mask, mask)
            _write_whole(output / job.file, rendering.jpeg)
            table.writerow(rows[job.file])
            stream.flush()
            if done % 10 == 0 or done == len(missing):
                each = (time.monotonic() - started) / done
                left = each * (len(missing) - done) / 60
                log(f"{done}/{len(missing)}: {each:.1f} s each, {left:.0f} min left")
    order = {job.file: place for place, job in enumerate(jobs)}
    kept = sorted(rows.values(), key=lambda row: order.get(row["file"], len(order)))
    _write_rows(manifest, kept)
    write_contact_sheet(kept, output)
    return len(missing)


def _rendered(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Rendering]]:
    if workers <= 1:
        yield from ((job, _render(job)) for job in jobs)
        return
    # Mitsuba does not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from zip(jobs, pool.map(_render, jobs), strict=True)


def _render(job: Job) -> Rendering:
    return render(job.scene, job.seed, job.size, job.paths)


def _row(job: Job, rendering: Rendering) -> dict[str, str]:
    scene = SCENES[job.scene]
    origin = {"seed": job.seed, "size": job.size, **rendering.parameters}
    return {
        "sha256": hashlib.sha256(rendering.jpeg).hexdigest(),
        "file": job.file,
        "label": scene.label,
        "kind": scene.kind,
        "subtype": job.scene,
        "source": f"synthetic/{job.scene}",
        "split": "train",
        "width": str(rendering.width),
        "height": str(rendering.height),
        "phash": "",
        "license": LICENSE,
        "origin": json.dumps(origin, separators=(",", ":")),
    }


def _finished(manifest: Path, output: Path) -> dict[str, dict[str, str]]:
    """Return the whole rows whose images exist unchanged, by file."""
    if not manifest.exists():
        return {}
    with manifest.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row.get("file") and row.get("origin")]
    return {row["file"]: row for row in rows if _digest(output / row["file"]) == row["sha256"]}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _write_rows(manifest: Path, rows: Sequence[dict[str, str]]) -> None:
    partial = manifest.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    os.replace(partial, manifest)


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    os.replace(partial, path)


def write_contact_sheet(rows: Sequence[dict[str, str]], output: Path) -> None:
    """Write ``contact.jpg``: the first image of each scene under its name, by label."""
    first: dict[tuple[str, str], str] = {}
    for row in rows:
        first.setdefault((row["label"], row["subtype"]), row["file"])
    height = _TILE + 16
    columns = min(_COLUMNS, len(first))
    sheet = np.full((-(-len(first) // columns) * height, columns * _TILE, 3), 255, np.uint8)
    for place, ((_, name), file) in enumerate(sorted(first.items())):
        image = cv2.imread(str(output / file))
        assert image is not None  # noqa: S101 - this run or an earlier one wrote it
        scale = (_TILE - 4) / max(image.shape[:2])
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        top, left = place // columns * height, place % columns * _TILE
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
        at = (left, top + _TILE + 8)
        cv2.putText(sheet, name, at, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.imwrite(str(output / "contact.jpg"), sheet)


def write_samples(output: Path, log: Callable[[str], None] = print) -> None:
    """Render the sample images into a folder, with ``samples.json`` beside them."""
    output.mkdir(parents=True, exist_ok=True)
    entries = []
    for name, (scene, seed) in SAMPLES.items():
        rendering = render(scene, seed, _SAMPLE_SIZE, _SAMPLE_PATHS)
        (output / f"{name}.jpg").write_bytes(rendering.jpeg)
        entries.append(
            {
                "file": f"{name}.jpg",
                "label": SCENES[scene].label,
                "kind": SCENES[scene].kind,
                "scene": scene,
                "seed": seed,
                "width": rendering.width,
                "height": rendering.height,
                "sha256": hashlib.sha256(rendering.jpeg).hexdigest(),
                "license": LICENSE,
                "parameters": rendering.parameters,
            }
        )
        log(f"Wrote {name}.jpg, {len(rendering.jpeg) // 1024} kB")
    text = json.dumps(entries, indent=2)
    (output / "samples.json").write_text(text + "\n", encoding="utf-8")
