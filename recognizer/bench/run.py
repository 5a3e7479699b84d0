"""The whole benchmark: which cases, in which order, and what comes out."""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recognizer import __version__
from recognizer.bench import peers
from recognizer.bench.measure import (
    Rate,
    Stages,
    alone,
    first_prediction,
    pipeline,
    single,
    stages,
    together,
)
from recognizer.bench.photos import make_photos, mean_bytes
from recognizer.errors import UsageError
from recognizer.model.bundle import Bundle
from recognizer.model.folders import MODEL_FILE
from recognizer.scan.machine import available_cpus, available_memory, plan
from recognizer.scan.pool import Crew, Hire

SIZES = ((1600, 1200), (800, 800))
"""Width and height of the photos, in pixels."""

_INSTRUCTIONS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "asimddp", "i8mm")
"""What int8 is as fast as: the instructions that multiply bytes, as /proc/cpuinfo calls them."""

_PACKAGES = ("onnxruntime", "onnxruntime-openvino", "simplejpeg", "numpy", "torch", "timm", "ray")


@dataclass(frozen=True, slots=True)
class Case:
    """The figures of one kind of photo and one model.

    Attributes:
        width: of the photos, in pixels.
        height: likewise.
        progressive: whether they are progressive JPEGs, or baseline ones.
        precision: of the model.
        bytes: mean size of the photos.
        workers: processes of the pipeline.
        cpus: CPUs that this process may use.
        stages: measured with the machine to themselves.
        busy_stages: measured in as many processes as workers at once, as in a scan: CPUs that
            share a core, a cache or a clock are slower then.
        pipeline: what a scan does.
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
    pipeline: Rate
    pillow: Rate | None
    torch: Rate | None

    @property
    def roofline(self) -> float:
        """Photos in a second that the CPUs of the workers can do at most, by :attr:`stages`."""
        return self.stages.roofline(min(self.workers, self.cpus))

    @property
    def busy_roofline(self) -> float:
        """The same by :attr:`busy_stages`."""
        return self.busy_stages.roofline(min(self.workers, self.cpus))

    @property
    def share(self) -> float:
        """What the pipeline reaches of :attr:`roofline`."""
        return self.pipeline.photos_per_second / self.roofline

    @property
    def busy_share(self) -> float:
        """What the pipeline reaches of :attr:`busy_roofline`."""
        return self.pipeline.photos_per_second / self.busy_roofline

    def times_faster_than(self, peer: Rate | None) -> float | None:
        """Return how many times faster the pipeline is than a peer; None where there is none."""
        if peer is None:
            return None
        return self.pipeline.photos_per_second / peer.photos_per_second

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it, seconds and bytes as they are."""
        return asdict(self) | {
            "roofline": self.roofline,
            "share_of_roofline": self.share,
            "busy_roofline": self.busy_roofline,
            "share_of_busy_roofline": self.busy_share,
            "times_faster_than_pillow": self.times_faster_than(self.pillow),
            "times_faster_than_torch": self.times_faster_than(self.torch),
        }


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Everything that was measured.

    Attributes:
        machine: what it was measured on.
        versions: of the packages that matter.
        model: title and precision of the bundle.
        engine: ``local`` or ``ray``.
        time: when, in UTC.
        first_prediction: seconds from the start of a new process to its end, with one prediction.
        single: seconds from bytes to prediction, with one CPU, for photos of the first size.
        cases: see :class:`Case`.
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    model: str
    engine: str
    time: str
    first_prediction: float
    single: float
    cases: tuple[Case, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
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
    hire: Hire = Crew,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Benchmark:
    """Measure everything. Let the machine have nothing else to do.

    Args:
        bundle: the model.
        samples: pictures from which the photos are made.
        fp32: an ONNX file of the same network in fp32, to be measured beside the bundle's own.
        sizes: width and height of the photos.
        photos: different photos of each kind.
        images: how many a scan is measured over, about; the more, the surer.
        workers: processes of a scan; 0 as a scan chooses.
        with_peers: measure the loops of others too.
        engine: name of what ``hire`` makes.
        hire: who does the work of a scan.
        on_stage: called with what is being measured.

    Raises:
        BundleError: a model cannot be used.
        UsageError: there are no samples, or nothing to measure.
    """
    if photos < 1 or images < 1:
        raise UsageError("photos and images: at least 1")
    chosen = plan(workers).workers
    cases = []
    with tempfile.TemporaryDirectory() as scratch:
        models = [bundle]
        if fp32 is not None:
            models.append(_with_model(bundle, fp32, Path(scratch) / "fp32"))
        made: list[list[Path]] = []
        for (width, height), progressive in itertools.product(sizes, (False, True)):
            kind = f"{width}x{height} {'progressive' if progressive else 'baseline'}"
            on_stage(f"{kind}: making photos")
            folder = Path(scratch) / kind
            made.append(
                make_photos(samples, folder, (width, height), photos, progressive=progressive)
            )
            torch = None
            if with_peers and peers.has_torch():
                on_stage(f"{kind}: torch and timm")
                torch = alone(peers.torch_and_timm, bundle, made[-1], available_cpus())
            for model in models:
                precision = _precision(model)
                name = f"{kind}, {precision}"
                on_stage(f"{name}: stages")
                apart = alone(stages, model, made[-1])
                busy = together(chosen, stages, model, made[-1])
                on_stage(f"{name}: scan")
                rate = alone(pipeline, model, made[-1], images, chosen, hire)
                pillow = None
                if with_peers:
                    on_stage(f"{name}: Pillow and onnxruntime")
                    pillow = alone(peers.pillow_and_onnxruntime, model, made[-1])
                cases.append(
                    Case(
                        width, height, progressive, precision, mean_bytes(made[-1]),
                        chosen, available_cpus(), apart, busy, rate, pillow, torch,
                    )
                )  # fmt: skip
        on_stage("one photo, one CPU")
        one = alone(single, bundle, made[0])
        on_stage("first prediction")
        first = first_prediction(bundle, made[0][0])
    return Benchmark(
        _machine(),
        _versions(),
        f"{bundle.title} {_precision(bundle)}",
        engine,
        datetime.now(UTC).isoformat(timespec="seconds"),
        first,
        one,
        tuple(cases),
    )


def _with_model(bundle: Bundle, model: Path, folder: Path) -> Bundle:
    """Return the bundle with another model file, in a folder of its own."""
    folder.mkdir()
    shutil.copy(model, folder / MODEL_FILE)
    digest = hashlib.sha256((folder / MODEL_FILE).read_bytes()).hexdigest()
    described = {
        **bundle.description,
        "model": {**bundle.description["model"], "precision": "fp32"},
    }
    return replace(bundle, path=folder, digest=digest, model_digest=digest, description=described)


def _precision(bundle: Bundle) -> str:
    return str(bundle.description["model"].get("precision", "unknown"))


def _machine() -> dict[str, Any]:
    told: dict[str, str] = {}
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            told.setdefault(name.strip(), value.strip())
    flags = set(told.get("flags", told.get("Features", "")).split())  # of x86, of ARM
    return {
        "cpu": told.get("model name") or platform.processor() or platform.machine(),
        "instructions": [name for name in _INSTRUCTIONS if name in flags],
        "cpus": available_cpus(),
        "memory": available_memory(),
        "system": platform.system(),
    }


def _versions() -> dict[str, str]:
    found = {"recognizer": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
