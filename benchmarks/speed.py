"""How fast the recognizer is on this machine, beside the loops that people write by hand.

    python -m benchmarks.speed --data DATA --photos 200 --markdown docs/speed.md
    python -m benchmarks.speed --bundle wildlife-v7 --bundle bundles/own-v1   # both in one run

A cascade takes longer for what it suspects, which is most of the sample images: with ``--data`` it
gets photos of a test split without a product. It takes some minutes, in which nothing else should
run. Each measurement runs in a process of its own, so that its memory is its own; scans run by the
command line, as a user starts them.
"""

import argparse
import importlib.metadata
import itertools
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

import cv2
import numpy as np
import onnxruntime
from PIL import Image

from recognizer import __version__
from recognizer.engine import Recognizer
from recognizer.errors import RecognizerError, UsageError
from recognizer.imaging import model_input, perceptual_hash
from recognizer.lab.dataset.manifest import load_data
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.folders import MODEL_FILE
from recognizer.model.session import open_session
from recognizer.scan.machine import available_cpus, cpu_name, worker_count

P = ParamSpec("P")
T = TypeVar("T")
Figures: TypeAlias = dict[str, float]

SAMPLES = Path(__file__).parents[1] / "datasets" / "samples"
MIN_IMAGES = 2000
"""With fewer, the start of a scan hides its rate: 256 gave more than its stages allow."""

MAX_LOAD = 0.2  # more processes that run already, and figures are not those of the machine
BYTES_PER_PIXEL = 0.2  # of a photo as platforms keep it: 384 kB at 1600x1200
_NOISE_STEPS = (2.0, 3.0, 4.5, 6.5, 9.0, 12.0, 16.0)  # standard deviations, of 255
_IMAGES_PER_WORKER = 64  # a multiple of what is given to a worker at once
_LOOK_SECONDS = 0.5  # at the memory of a scan, which costs its workers a moment
_CALLS = 3  # for each photo, of which the median counts
_TORCH_BATCH, _TORCH_BATCHES = 32, 5  # batches of each worker; the first does not count
_PACKAGES = ("onnxruntime", "simplejpeg", "numpy", "torch", "timm")


def make_photos(
    folder: Path, originals: Sequence[Path], size: tuple[int, int], count: int, *, progressive: bool
) -> list[Path]:
    """Write images, enlarged, with the noise of a camera: the same ones everywhere.

    The cost of decoding a JPEG depends on its bytes as much as on its pixels: noise is added until
    it has as many as a photo.
    """
    folder.mkdir(parents=True)
    paths = []
    for number, original in zip(range(count), itertools.cycle(originals)):
        image = np.asarray(Image.open(original).convert("RGB"))
        large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        drawn = np.asarray(np.random.default_rng(number).standard_normal(large.shape), np.float32)
        # A camera's noise is smoothed by its own processing, and mostly of brightness.
        grain = np.asarray(cv2.GaussianBlur(drawn, (3, 3), 0.6), np.float32)
        grain = 0.7 * grain.mean(axis=2, keepdims=True) * np.sqrt(3) + 0.3 * grain
        path = folder / f"{number:04}.jpg"
        for deviation in _NOISE_STEPS:
            noisy = np.clip(large + deviation * grain, 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(path, quality=85, progressive=progressive)
            if path.stat().st_size >= BYTES_PER_PIXEL * size[0] * size[1]:
                break
        paths.append(path)
    return paths


def in_new_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a new process, and return what it returns."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def stages(bundle: Bundle, photos: Sequence[Path]) -> Figures:
    """Return the seconds that a photo takes in each stage on one CPU, one by one as in a scan."""
    recognizer = Recognizer(bundle, threads=1)
    session, _ = open_session(bundle, "cpu", 1, False)
    data = [path.read_bytes() for path in photos]
    frames = [recognizer.load_image(image).frames[0].rgb for image in data]
    inputs = [model_input(frame, bundle.input.size)[None] for frame in frames]
    return {
        "decode": _seconds(recognizer.load_image, data),
        "resize": _seconds(lambda frame: model_input(frame, bundle.input.size), frames),
        "infer": _seconds(lambda image: session.run(["scores", "maps"], {"images": image}), inputs),
        "hash": _seconds(perceptual_hash, frames),
    }


def scan_rate(bundle: Bundle, photos: Sequence[Path], images: int, workers: int) -> Figures:
    """Return the steady rate of a scan, and the most memory in bytes that a worker held.

    A long scan and one of a fourth of the images are made; their difference is free of the start
    and the end of the processes. The photos are given again and again, as images of other listings.
    """
    unit = workers * _IMAGES_PER_WORKER
    units = max(4, -(-images // unit))
    few, many = unit * (units // 4), unit * units
    held: Figures = {}
    short, long = (scan_seconds(bundle, photos, count, workers, held) for count in (few, many))
    if long <= short:
        raise UsageError(f"{many} images are too few to measure a scan: give more with --images")
    return {"rate": (many - few) / (long - short), **held}


def scan_seconds(
    bundle: Bundle, photos: Sequence[Path], count: int, workers: int, held: Figures
) -> float:
    """Return the seconds that ``recognizer scan`` takes for ``count`` images."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "images.csv"
        rows = (f"{photos[n % len(photos)]},{n}\n" for n in range(count))
        table.write_text("".join(["image,listing\n", *rows]), encoding="utf-8")
        command = [sys.executable, "-m", "recognizer", "scan", str(table), "--quiet"]
        command += ["--output", f"{folder}/scan.sqlite", "--model", str(bundle.path)]
        # The table lies elsewhere than the photos.
        command += ["--workers", str(workers), "--image-root", str(photos[0].parent)]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
            with suppress(OSError, ValueError):
                _look(process.pid, held)
        if process.returncode:
            raise UsageError(f"the scan ended with {process.returncode}")
        return time.perf_counter() - began


def _look(pid: int, held: Figures) -> None:
    """Look at the memory of the workers of a scan (Linux)."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
        text = Path(f"/proc/{child}/smaps_rollup").read_text(encoding="ascii")
        for kind, kilobytes in re.findall(r"^(Rss|Pss): +(\d+) kB", text, re.MULTILINE):
            held[kind] = max(held.get(kind, 0.0), 1024.0 * int(kilobytes))


def single(bundle: Bundle, photos: Sequence[Path]) -> float:
    """Return the seconds that one photo takes, from bytes to the prediction, on one CPU."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return _seconds(Recognizer(bundle, threads=1).predict, [path.read_bytes() for path in photos])


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

    return _seconds(start, range(2))


def _seconds(function: Callable[[T], object], values: Sequence[T]) -> float:
    """Return the mean over the values; of calls the median, as the system does other things too."""
    function(values[0])
    taken = np.empty((_CALLS, len(values)))
    for place in np.ndindex(taken.shape):
        began = time.perf_counter()
        function(values[place[1]])
        taken[place] = time.perf_counter() - began
    return float(np.median(taken, axis=0).mean())


def pillow_and_onnxruntime(bundle: Bundle, photos: Sequence[Path]) -> float:
    """Return the rate of one process in which Pillow decodes and onnxruntime scores, one by one.

    It runs the same model file, and onnxruntime uses as many threads as it likes.
    """
    session = onnxruntime.InferenceSession(str(bundle.path / MODEL_FILE))
    size = (bundle.input.size, bundle.input.size)
    began = 0.0
    for path in [photos[0], *photos]:  # the first call does not count
        image = Image.open(path).convert("RGB").resize(size, Image.Resampling.BILINEAR)
        session.run(None, {"images": np.asarray(image)[None]})
        began = began or time.perf_counter()
    return len(photos) / (time.perf_counter() - began)


def torch_and_timm(bundle: Bundle, photos: Sequence[Path], workers: int) -> float:
    """Return the steady rate of timm's network, in fp32, fed by a DataLoader with workers.

    The weights are random: they cost as much as trained ones.
    """
    import timm  # noqa: PLC0415 - an extra
    import torch  # noqa: PLC0415
    from torch.utils.data import DataLoader  # noqa: PLC0415

    network = timm.create_model(
        bundle.model.backbone or "", pretrained=False, num_classes=len(bundle.labels)
    ).eval()
    count = workers * _TORCH_BATCHES * _TORCH_BATCH
    given: Any = list(itertools.islice(itertools.cycle(photos), count))
    prepare = partial(_batch, size=bundle.input.size)
    loader = DataLoader(given, _TORCH_BATCH, num_workers=workers, collate_fn=prepare)
    done, began = 0, 0.0
    with torch.inference_mode():
        for number, batch in enumerate(loader, 1):
            network(batch).softmax(1).numpy()
            # A batch of each worker is there: starting them does not count against the loop.
            if number == workers:
                began = time.perf_counter()
            done += len(batch) if number > workers else 0
    return done / (time.perf_counter() - began)


def _batch(paths: Sequence[Path], size: int) -> Any:
    """Prepare images as torch's documentation shows it."""
    import torch  # noqa: PLC0415 - an extra
    from torchvision import transforms  # noqa: PLC0415

    steps = (transforms.Resize((size, size)), transforms.ToTensor())
    prepare = transforms.Compose([*steps, transforms.Normalize([0.5] * 3, [0.5] * 3)])
    return torch.stack([prepare(Image.open(path).convert("RGB")) for path in paths])


def make_kinds(options: argparse.Namespace, folder: Path) -> dict[str, list[Path]]:
    """Write the photos to measure, of each size, baseline and progressive."""
    originals = sorted(SAMPLES.glob("*.jpg"))
    if options.data:
        held = [p for p in load_data([options.data]) if p.split == "test" and not p.is_product]
        order = np.random.default_rng(1).permutation(len(held))
        originals = [held[place].path for place in order]
    kinds = {}
    for size, progressive in itertools.product(options.size, (False, True)):
        kind = f"{size[0]}x{size[1]} {'progressive' if progressive else 'baseline'}"
        kinds[kind] = make_photos(
            folder / kind, originals, size, options.photos, progressive=progressive
        )
    return kinds


def measure(options: argparse.Namespace, kinds: dict[str, list[Path]]) -> dict[str, Figures]:
    """Measure everything once: the figures of each kind of photo with each bundle."""
    workers, cpus = worker_count(options.workers), available_cpus()
    found: dict[str, Figures] = {}
    bundles = [load_bundle(name) for name in options.bundle or [None]]
    for kind, photos in kinds.items():
        peers: Figures = {}
        if options.peers and all(map(find_spec, ("torch", "torchvision", "timm"))):
            peers["torch, timm and a DataLoader"] = in_new_process(
                torch_and_timm, bundles[0], photos, cpus
            )
        for bundle in bundles:
            print(f"{kind}, {bundle.title}", file=sys.stderr)
            if options.peers:
                peers["Pillow and onnxruntime"] = in_new_process(
                    pillow_and_onnxruntime, bundle, photos
                )
            spent = in_new_process(stages, bundle, photos)
            scan = in_new_process(scan_rate, bundle, photos, options.images, workers)
            found[f"{kind}, {bundle.title}"] = {
                "kB": statistics.fmean(path.stat().st_size for path in photos) / 1000,
                **_figures(spent, scan, peers, min(workers, cpus)),
                "one photo from bytes, ms": 1000 * in_new_process(single, bundle, photos),
                "first prediction of a process, ms": 1000 * first_prediction(bundle, photos[0]),
            }
    return found


def _figures(spent: Figures, scan: Figures, peers: Figures, cpus: int) -> Figures:
    """Return stages in milliseconds, and the rate of a scan beside what bounds it."""
    rate = scan["rate"]
    return {
        **{f"{name}, ms": 1000 * seconds for name, seconds in spent.items()},
        "scan, photos/s": rate,
        "scan / decoding alone": rate * spent["decode"] / cpus,
        "scan / roofline of the stages": rate * sum(spent.values()) / cpus,
        **{f"scan / {name}": rate / other for name, other in peers.items()},
        "CPU-hours for a million photos": 1e6 / rate * cpus / 3600,
        **{
            words: scan[kind] / 1e6
            for kind, words in (("Rss", "memory of a worker, MB"), ("Pss", "without shares, MB"))
            if kind in scan
        },
    }


def table(rounds: Sequence[dict[str, Figures]]) -> Iterator[str]:
    """Yield a table in Markdown: the median of the rounds, and their spread."""
    kinds = list(rounds[0])
    yield f"| | {' | '.join(kinds)} |"
    yield f"|---|{'---|' * len(kinds)}"
    for name in dict.fromkeys(name for one in rounds for found in one.values() for name in found):
        cells = [[one[kind][name] for one in rounds if name in one[kind]] for kind in kinds]
        yield f"| {name} | {' | '.join(map(_cell, cells))} |"


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    middle = statistics.median(values)
    low, high = (f"{value:.3g}" for value in (min(values), max(values)))
    return f"{middle:.3g}" + (f" ({low} to {high})" if low != high else "")


def machine() -> str:
    """Return what was measured on, and with."""
    versions = {"recognizer": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return f"{available_cpus()} CPUs ({cpu_name()}), " + ", ".join(
        f"{package} {version}" for package, version in versions.items()
    )


_BEGIN, _END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def write_figures(page: Path, lines: Iterable[str]) -> None:
    """Replace the figures between the two comments of a page, or add them at its end."""
    before, _, rest = (page.read_text("utf-8") if page.exists() else "").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text("\n".join([before + _BEGIN.strip(), *lines, _END + after]), "utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the stages, whole scans, and the loops that people write by hand."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=main.__doc__)
    add = parser.add_argument
    add("--bundle", "-b", action="append", help="a bundle; may be repeated; default: the released")
    add("--size", type=_size, action="append", metavar="WxH", help="of the photos; 1600x1200")
    add("--data", type=Path, help="enlarge photos of its test split, instead of the samples")
    add("--photos", type=int, default=48, help="photos of each kind; default: 48")
    add("--images", type=int, default=2048, help="images that a scan is measured over; 2048")
    add("--workers", "-w", type=int, default=0, help="processes of a scan; default: by CPUs")
    add("--peers", action=argparse.BooleanOptionalAction, default=True, help="loops of others")
    add("--rounds", type=int, default=3, help="how often everything is measured; default: 3")
    add("--json", action="store_true", help="print the rounds as JSON")
    add("--markdown", type=Path, help="also write the figures into a page")
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    options.size = options.size or [(1600, 1200)]
    if options.images < MIN_IMAGES:
        parser.error(f"--images {options.images}: at least {MIN_IMAGES}, or the start counts most")
    if options.photos < 1 or options.rounds < 1:
        parser.error("--photos and --rounds: at least 1")
    if (load := os.getloadavg()[0]) > MAX_LOAD:
        print(f"Warning: load {load:.1f} already; figures will be too low", file=sys.stderr)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            kinds = make_kinds(options, Path(scratch))
            rounds = [measure(options, kinds) for _ in range(options.rounds)]
    except RecognizerError as error:
        parser.error(str(error))
    lines = [*table(rounds), "", f"Rounds: {len(rounds)}, {machine()}."]
    if options.markdown is not None:
        command = shlex.join(["python", "-m", "benchmarks.speed", *given])
        write_figures(options.markdown, [f"Written by `{command}`; do not edit.", "", *lines])
    print(json.dumps(rounds, indent=1) if options.json else "\n".join(lines))


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r}: width and height in pixels, as in 1600x1200")
    return int(found[1]), int(found[2])


if __name__ == "__main__":
    main()
