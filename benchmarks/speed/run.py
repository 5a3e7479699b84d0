"""The whole benchmark: its cases, in order, and its result."""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.speed import peers
from benchmarks.speed.measure import (
    Stages,
    Throughput,
    first_prediction,
    in_new_process,
    pipeline,
    second_scan,
    single,
    stages,
    stages_at_once,
)
from benchmarks.speed.photos import make_photos, mean_bytes
from recognizer import __version__
from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle, write_bundle
from recognizer.model.folders import MODEL_FILE
from recognizer.scan.machine import (
    available_cpus,
    available_memory,
    cpu_model,
    int8_kernel,
    worker_count,
)

SIZES = ((1600, 1200), (800, 800))  # width and height of the photos, in pixels

SMALL = (320, 240)  # of those of the second scan, which reads none of them

_BUSY_SECONDS = 1.0  # for so long the CPUs are watched before anything is measured

_PACKAGES = ("onnxruntime", "onnxruntime-openvino", "simplejpeg", "numpy", "torch", "timm", "ray")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The figures of one kind of photo and one model.

    Attributes:
        width: of the photos, in pixels.
        height: of the photos, in pixels.
        progressive: whether they are progressive JPEGs, or baseline ones.
        precision: of the model.
        bytes: mean size of the photos.
        workers: processes of the pipeline.
        cpus: CPUs that this process may use.
        stages: measured alone on the machine.
        busy_stages: measured in as many processes as there are workers, at the same time: CPUs
            that share a core, a cache or a clock are slower then.
        pipeline: the throughput of a scan.
        pillow: the loop of Pillow and onnxruntime, with the same model file.
        torch: the loop of timm and a DataLoader; None where torch is not installed.
    """

    width: int
    height: int
    progressive: bool
    precision: str
    bytes: int
    workers: int
    cpus: int
    stages: Stages
    busy_stages: Stages
    pipeline: Throughput
    pillow: Throughput | None
    torch: Throughput | None

    @property
    def roofline(self) -> float:
        """Photos per second that the CPUs of the workers can do at most, by :attr:`stages`."""
        return self.stages.roofline(min(self.workers, self.cpus))

    @property
    def busy_roofline(self) -> float:
        """The same by :attr:`busy_stages`."""
        return self.busy_stages.roofline(min(self.workers, self.cpus))

    @property
    def decode_limit(self) -> float:
        """Photos per second that the CPUs of the workers could do if they only decoded."""
        return min(self.workers, self.cpus) / self.stages.decode

    @property
    def decode_share(self) -> float:
        """What the pipeline reaches of :attr:`decode_limit`."""
        return self.pipeline.photos_per_second / self.decode_limit

    @property
    def share(self) -> float:
        """What the pipeline reaches of :attr:`roofline`."""
        return self.pipeline.photos_per_second / self.roofline

    @property
    def busy_share(self) -> float:
        """What the pipeline reaches of :attr:`busy_roofline`."""
        return self.pipeline.photos_per_second / self.busy_roofline

    def times_faster_than(self, peer: Throughput | None) -> float | None:
        """Return how many times faster the pipeline is than a peer; None where there is none."""
        if peer is None:
            return None
        return self.pipeline.photos_per_second / peer.photos_per_second

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values, in seconds and bytes."""
        return asdict(self) | {
            "decode_limit": self.decode_limit,
            "share_of_decode_limit": self.decode_share,
            "roofline": self.roofline,
            "share_of_roofline": self.share,
            "busy_roofline": self.busy_roofline,
            "share_of_busy_roofline": self.busy_share,
            "times_faster_than_pillow": self.times_faster_than(self.pillow),
            "times_faster_than_torch": self.times_faster_than(self.torch),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """Everything that was measured.

    Attributes:
        machine: CPU, memory and system.
        versions: of the packages that matter.
        model: title and precision of the bundle.
        engine: ``local`` or ``ray``.
        time: when, in UTC.
        first_prediction: seconds from the start of a new process to its end, with one prediction.
        single: seconds from bytes to prediction, with one CPU, for photos of the first size.
        second_scan: photos per second where no file has changed since the first scan; None
            where something else ran meanwhile.
        cases: one for each kind of photo and each model.
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    model: str
    engine: str
    time: str
    first_prediction: float
    single: float
    second_scan: float | None
    cases: tuple[Case, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return asdict(self) | {"cases": [case.to_dict() for case in self.cases]}


def benchmark(
    bundle: Bundle,
    samples: Path,
    *,
    fp32: Path | None = None,
    sizes: Sequence[tuple[int, int]] = SIZES,
    photos: int = 48,
    images: int = 1600,
    workers: int = 0,
    with_peers: bool = True,
    engine: str = "local",
    on_stage: Callable[[str], None] = lambda _: None,
) -> Benchmark:
    """Measure everything. Nothing else should run on the machine.

    Args:
        bundle: the model.
        samples: folder of JPEGs from which the photos are made.
        fp32: an ONNX file of the same network in fp32, to measure beside the bundle's own.
        sizes: width and height of the photos.
        photos: different photos of each kind.
        images: about how many images a scan is measured over; more are more exact.
        workers: processes of a scan; 0 for the default of a scan.
        with_peers: also measure the loops of others.
        engine: ``local`` or ``ray``.
        on_stage: called with what is being measured.

    Raises:
        BundleError: a model cannot be used.
        UsageError: there are no samples, or nothing to measure.
    """
    if photos < 1 or images < 1:
        raise UsageError("photos and images: at least 1")
    chosen = worker_count(workers)
    cases = []
    with tempfile.TemporaryDirectory() as scratch:
        models = [bundle]
        if fp32 is not None:
            models.append(_with_model(bundle, fp32, Path(scratch) / bundle.path.name))
        made: list[list[Path]] = []
        for (width, height), progressive in itertools.product(sizes, (False, True)):
            kind = f"{width}x{height} {'progressive' if progressive else 'baseline'}"
            on_stage(f"{kind}: making photos")
            folder = Path(scratch) / kind
            paths = make_photos(samples, folder, (width, height), photos, progressive=progressive)
            made.append(paths)
            torch = None
            if with_peers and peers.has_torch():
                on_stage(f"{kind}: torch and timm")
                torch = in_new_process(peers.torch_and_timm, bundle, paths, available_cpus())
            for model in models:
                precision = _precision(model)
                on_stage(f"{kind}, {precision}: stages")
                alone = in_new_process(stages, model, paths)
                busy = stages_at_once(chosen, model, paths)
                on_stage(f"{kind}, {precision}: scan")
                scan = in_new_process(pipeline, model, paths, images, chosen, engine)
                pillow = None
                if with_peers:
                    on_stage(f"{kind}, {precision}: Pillow and onnxruntime")
                    pillow = in_new_process(peers.pillow_and_onnxruntime, model, paths)
                cases.append(
                    Case(
                        width=width,
                        height=height,
                        progressive=progressive,
                        precision=precision,
                        bytes=mean_bytes(paths),
                        workers=chosen,
                        cpus=available_cpus(),
                        stages=alone,
                        busy_stages=busy,
                        pipeline=scan,
                        pillow=pillow,
                        torch=torch,
                    )
                )
        on_stage("second scan")
        small = make_photos(samples, Path(scratch) / "small", SMALL, 8, progressive=False)
        second = second_scan(bundle, small, chosen)
        on_stage("one photo, one CPU")
        one = in_new_process(single, bundle, made[0])
        on_stage("first prediction")
        first = first_prediction(bundle, made[0][0])
    return Benchmark(
        machine=_machine(),
        versions=_versions(),
        model=f"{bundle.title} {_precision(bundle)}",
        engine=engine,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        first_prediction=first,
        single=one,
        second_scan=second,
        cases=tuple(cases),
    )


def _with_model(bundle: Bundle, model: Path, folder: Path) -> Bundle:
    """Copy a bundle into a folder, with another model file."""
    shutil.copytree(bundle.path, folder)
    shutil.copy(model, folder / MODEL_FILE)
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    changed = replace(
        bundle, path=folder, model=replace(bundle.model, sha256=sha256, precision="fp32")
    )
    write_bundle(changed)
    return changed


def _precision(bundle: Bundle) -> str:
    return bundle.model.precision or "unknown"


def _machine() -> dict[str, Any]:
    name, instructions = cpu_model()
    return {
        "cpu": name,
        "kernel": int8_kernel(instructions),
        "cpus": available_cpus(),
        "memory": available_memory(),
        "system": platform.system(),
    }


def busy_cpus(seconds: float = _BUSY_SECONDS, stat: Path = Path("/proc/stat")) -> float | None:
    """Return how many CPUs other programs keep busy, or the hypervisor takes; None if unknown."""

    def ticks() -> list[int]:
        return [int(value) for value in stat.read_text(encoding="ascii").split()[1:9]]

    try:
        before = ticks()
        time.sleep(seconds)
        spent = [now - then for now, then in zip(ticks(), before, strict=True)]
    except (OSError, ValueError):
        return None
    idle = spent[3] + spent[4]  # and waiting for a disk
    return (os.cpu_count() or 1) * (1 - idle / max(1, sum(spent)))


def _versions() -> dict[str, str]:
    found = {"recognizer": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
