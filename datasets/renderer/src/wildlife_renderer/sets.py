"""Write sets of renderings: a training set with masks and a manifest, or the sample images."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from wildlife_renderer.render import Rendering, render
from wildlife_renderer.scenes import SCENES

COLUMNS = ("sha256", "file", "label", "kind", "subtype", "source", "split", "width", "height",
           "license", "origin")  # fmt: skip
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


@dataclass(frozen=True)
class Job:
    """One rendering to make."""

    scene: str
    seed: int
    size: int
    paths: int

    def path(self, folder: str, suffix: str) -> str:
        """Return where one of its files lies inside the set."""
        return f"{folder}/{SCENES[self.scene].label}/{self.scene}-{self.seed:07d}.{suffix}"


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

    Files appear whole, the image last, so that a stopped run leaves nothing that the next run would
    take for finished. The manifest lists the images of the jobs, in their order.
    """
    output.mkdir(parents=True, exist_ok=True)
    missing = [job for job in jobs if not (output / job.path("images", "jpg")).exists()]
    log(f"{len(jobs)} renderings, {len(jobs) - len(missing)} of them exist")
    for done, (job, rendering) in enumerate(_rendered(missing, workers), start=1):
        mask = cv2.imencode(".png", rendering.mask.astype(np.uint8) * 255)[1].tobytes()
        _write_whole(output / job.path("masks", "png"), mask)
        _write_whole(output / job.path("images", "jpg"), rendering.jpeg)
        if done % 10 == 0 or done == len(missing):
            log(f"{done}/{len(missing)}")
    with (output / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        table.writerows(_row(job, output) for job in jobs)
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


def _row(job: Job, output: Path) -> dict[str, object]:
    scene, file = SCENES[job.scene], job.path("images", "jpg")
    jpeg = (output / file).read_bytes()
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if image is None:
        raise OSError(f"{file} cannot be decoded; delete it and give the same command again")
    height, width = image.shape[:2]
    return {
        "sha256": hashlib.sha256(jpeg).hexdigest(),
        "file": file,
        "label": scene.label,
        "kind": scene.kind,
        "subtype": job.scene,
        "source": f"synthetic/{job.scene}",
        "split": "train",
        "width": width,
        "height": height,
        "license": LICENSE,
        "origin": json.dumps({"seed": job.seed, "size": job.size, "paths": job.paths}),
    }


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    os.replace(partial, path)


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
