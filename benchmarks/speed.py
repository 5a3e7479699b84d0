"""How fast the recognizer is on this machine, beside the loops that people write by hand.

    python -m benchmarks.speed --data DATA --markdown docs/speed.md

With ``--data``, the photos are those of its training split: 90 % ordinary ones, 8 % look-alikes and
animals, 2 % products, all different, enlarged with noise. Without, they are the sample renderings,
of which nearly all look like products. Figures are CPU time, which a busy machine changes least,
and rates. Each loop runs in processes of its own; scans run by the command line.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from itertools import cycle, islice, product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

import cv2
import numpy as np
import onnxruntime
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from recognizer import __version__
from recognizer.engine import Recognizer
from recognizer.errors import RecognizerError, UsageError
from recognizer.imaging import DETAIL_SIDE, Limits, LoadedImage, load_image, model_input
from recognizer.imaging.sources import read_path
from recognizer.lab.dataset.manifest import load_data
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.folders import MODEL_FILE
from recognizer.model.machine import available_cpus, cpu_name
from recognizer.scan import worker_count

P = ParamSpec("P")
T = TypeVar("T")
Figures: TypeAlias = dict[str, float]
Photos: TypeAlias = dict[str, list[Path]]
Stages: TypeAlias = dict[str, tuple[Callable[[Any], object], Sequence[Any]]]
Loop: TypeAlias = tuple[list[float], float]

SAMPLES = Path(__file__).parents[1] / "datasets" / "samples"
SIZE, LARGE = (1600, 1200), (4000, 3000)
BYTES_PER_PIXEL = 0.2  # of a photo as platforms keep it: 384 kB at 1600x1200
SHARES = {"ordinary": 0.9, "look-alikes": 0.08, "products": 0.02}
"""The shares of a marketplace's photos; animals count as look-alikes."""
MAX_LOAD = 0.2  # more processes that run already, and rates are not those of the machine

_NOISE_STEPS = (2.0, 3.0, 4.5, 6.5, 9.0, 12.0, 16.0)  # standard deviations, of 255
_PROFILED, _LARGE, _COLLAGES = 40, 6, 4  # photos in a column of the profile, at most
_GROUPS = {"other": "ordinary", "product": "products"}  # kinds; all else is a look-alike
_CALLS = 5  # of each function for each photo, of which the fastest counts
_PACKAGES = ("onnxruntime", "simplejpeg", "numpy", "torch", "timm")


def make_photos(
    folder: Path, originals: Sequence[Path], size: tuple[int, int], count: int
) -> list[Path]:
    """Write images, enlarged, with the noise of a camera: the same ones everywhere.

    The cost of decoding a JPEG depends on its bytes as much as on its pixels: noise is added until
    it has as many as a photo.
    """
    folder.mkdir(parents=True)
    paths = []
    for number, original in zip(range(count), cycle(originals)):
        image = np.asarray(Image.open(original).convert("RGB"))
        large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        drawn = np.asarray(np.random.default_rng(number).standard_normal(large.shape), np.float32)
        # A camera's noise is smoothed by its own processing, and mostly of brightness.
        grain = np.asarray(cv2.GaussianBlur(drawn, (3, 3), 0.6), np.float32)
        grain = 0.7 * grain.mean(axis=2, keepdims=True) * np.sqrt(3) + 0.3 * grain
        path = folder / f"{number:04}.jpg"
        for deviation in _NOISE_STEPS:
            noisy = np.clip(large + deviation * grain, 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(path, quality=85)
            if path.stat().st_size >= BYTES_PER_PIXEL * size[0] * size[1]:
                break
        paths.append(path)
    return paths


def make_collage(path: Path, photos: Sequence[Path]) -> Path:
    """Write a collage of nine photos, on white."""
    page = Image.new("RGB", SIZE, "white")
    wide, high = (side // 3 for side in SIZE)
    for number, photo in zip(range(9), cycle(photos)):
        field = Image.open(photo).resize((wide - 10, high - 10))
        page.paste(field, (number % 3 * wide + 5, number // 3 * high + 5))
    page.save(path, quality=85)
    return path


def make_groups(data: Path | None, folder: Path, count: int) -> tuple[list[Path], Photos]:
    """Return the photos of a marketplace, ``count`` or as many as there are, and those by kind."""
    if data is None:
        samples = json.loads((SAMPLES / "samples.json").read_text("utf-8"))
        found = [(entry["kind"], SAMPLES / entry["file"]) for entry in samples]
    else:
        photos = [photo for photo in load_data([data]) if photo.split == "train"]
        found = [(str(p.taxonomy.labels[p.label].kind), p.path) for p in photos]
    order = np.random.default_rng(1).permutation(len(found))
    originals: Photos = {name: [] for name in SHARES}
    for kind, path in (found[place] for place in order):
        originals[_GROUPS.get(kind, "look-alikes")].append(path)
    mix, kinds = list[Path](), Photos()
    for name, share in SHARES.items():
        if here := originals[name]:
            wanted = max(1, round(share * count))
            most = min(len(here), max(wanted, min(count, _PROFILED)))
            made = make_photos(folder / name, here, SIZE, most)
            mix += made[:wanted]
            kinds[name] = made[:_PROFILED]
    if not mix:
        raise UsageError(f"{data} has no photos of the split train")
    plain, products = next(iter(kinds.values())), [*kinds.values()][-1]
    large = make_photos(folder / "large", plain, LARGE, min(_LARGE, count))
    starts = range(min(_COLLAGES, count))
    collages = [make_collage(folder / f"{at}.jpg", products[9 * at :] + products) for at in starts]
    return mix, {**kinds, "12 megapixels": large, "collages of nine": collages}


def in_new_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a new process, and return what it returns."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def profile(bundle: Bundle, kinds: Photos) -> dict[str, Figures]:
    """Return the CPU milliseconds that a photo of each kind takes in each stage, one by one."""
    recognizer = Recognizer(bundle, threads=1)
    without_tta = Recognizer(replace(bundle, tta_threshold=1.0), threads=1)
    size, outputs = bundle.input.size, ["scores", "maps"]
    load = partial(load_image, min_side=min(size, DETAIL_SIDE), sha256="0" * 64)
    found = dict[str, Figures]()
    for kind, paths in kinds.items():
        data = [path.read_bytes() for path in paths]
        images = [load(one, parts=True) for one in data]
        views = np.array([len(image.views) for image in images])
        stages: Stages = {
            "read, sha256": (lambda path: sha256(read_path(path, Limits())), paths),
            "decode": (partial(simplejpeg.decode_jpeg, fastupsample=True), data),
            "reduce": (load, data),
            "find parts": (partial(load, parts=True), data),
            "model input": (partial(_inputs, size=size), images),
            "networks": (recognizer.features, [_inputs(image, size) for image in images]),
            "hash, calibration": (lambda one: without_tta.score_loaded([one], outputs), images),
            "TTA": (lambda one: recognizer.score_loaded([one], outputs), images),
            "decision": (recognizer.decide, [*map(recognizer.predict, data)]),
        }
        spent = _spent(stages)
        spent["find parts"] -= spent["reduce"]  # these four hold stages before them
        spent["reduce"] -= spent["decode"]
        spent["TTA"] -= spent["hash, calibration"]
        spent["hash, calibration"] -= spent["networks"] + spent["model input"]
        means = {name: 1000 * float(own.mean()) for name, own in spent.items()}
        found[kind] = {**means, "**all**": sum(means.values()), "views": float(views.mean())}
        for share in (10, 90):  # they differ if a gate decides which networks run
            a_view = 1000 * float(np.quantile(spent["networks"] / views, share / 100))
            found[kind][f"networks, a view, p{share}"] = a_view
    return found


def _inputs(image: LoadedImage, size: int) -> list[NDArray[np.uint8]]:
    return [model_input(view.rgb, size) for view in image.views]


def _spent(stages: Stages) -> dict[str, NDArray[np.float64]]:
    """Return the CPU seconds of functions for each of their values: the least of some rounds."""
    taken = {name: np.empty((_CALLS, len(values))) for name, (_, values) in stages.items()}
    for call, name in product(range(_CALLS), stages):  # in turn: machines slow down and recover
        function, values = stages[name]
        for place, value in enumerate(values):
            began = time.process_time()
            function(value)
            taken[name][call, place] = time.process_time() - began
    return {name: own.min(axis=0) for name, own in taken.items()}


Score: TypeAlias = Callable[[Path], object]


def decoding(_: Bundle) -> Score:
    """Decode with simplejpeg, and nothing else."""
    return lambda path: simplejpeg.decode_jpeg(path.read_bytes())


def predicting(bundle: Bundle) -> Score:
    """Predict with the recognizer."""
    recognizer = Recognizer(bundle, threads=1)
    return recognizer.predict


def pillow_draft(bundle: Bundle) -> Score:
    """Decode with Pillow at a fraction of the size, and run the same networks by onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(bundle.path / MODEL_FILE), options)
    size = (bundle.input.size, bundle.input.size)

    def score(path: Path) -> object:
        with Image.open(path) as image:
            image.draft("RGB", size)
            pixels = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
        return session.run(["scores"], {"images": np.asarray(pixels)[None]})

    return score


def torch_and_timm(bundle: Bundle) -> Score:
    """Decode with Pillow, and run timm's first network in fp32; random weights cost the same."""
    import timm  # noqa: PLC0415 - an extra
    import torch  # noqa: PLC0415
    from torchvision import transforms  # noqa: PLC0415

    torch.set_num_threads(1)
    backbone = (bundle.model.backbone or "").split()[0].rstrip(",")
    network = timm.create_model(backbone, pretrained=False, num_classes=len(bundle.labels)).eval()
    steps = (transforms.Resize((bundle.input.size,) * 2), transforms.ToTensor())
    prepare = transforms.Compose([*steps, transforms.Normalize([0.5] * 3, [0.5] * 3)])

    def score(path: Path) -> object:
        with torch.inference_mode(), Image.open(path) as image:
            return network(prepare(image.convert("RGB"))[None]).softmax(1).numpy()

    return score


def loop(make: Callable[[Bundle], Score], bundle: Bundle, photos: Sequence[Path]) -> Loop:
    """Return the CPU seconds of each photo, and the seconds of all of them together."""
    score = make(bundle)
    score(photos[0])
    spent, began = [], time.perf_counter()
    for path in photos:
        before = time.process_time()
        score(path)
        spent.append(time.process_time() - before)
    return spent, time.perf_counter() - began


def at_once(make: Callable[[Bundle], Score], bundle: Bundle, photos: list[Path]) -> list[Loop]:
    """Run a loop over the photos in a process for each CPU, all at the same time."""
    count = available_cpus()
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:
        return [*pool.map(loop, [make] * count, [bundle] * count, [photos] * count)]


def scan(bundle: Bundle, photos: Sequence[Path], images: int, workers: int) -> Figures:
    """Return the CPU milliseconds of a photo in a scan, and photos a second.

    A long scan and one of a fourth of the images are made; their difference is free of the start
    and the end of the processes. The photos are given again and again, as images of other listings.
    """
    few, many = (scan_seconds(bundle, photos, count, workers) for count in (images // 4, images))
    cpu, wall = (long - short for short, long in zip(few, many, strict=True))
    count = images - images // 4
    if min(cpu, wall) <= 0:
        raise UsageError(f"{images} images are too few to measure a scan: give more with --images")
    return {"ms": 1000 * cpu / count, "rate": count / wall}


def scan_seconds(
    bundle: Bundle, photos: Sequence[Path], count: int, workers: int
) -> tuple[float, float]:
    """Return the CPU and wall seconds that ``recognizer scan`` takes for ``count`` images."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "images.csv"
        rows = (f"{path},{n}\n" for n, path in enumerate(islice(cycle(photos), count)))
        table.write_text("".join(["image,listing\n", *rows]), encoding="utf-8")
        roots = os.path.commonpath([path.parent for path in photos])  # the table lies elsewhere
        arguments = ["--output", f"{folder}/scan.sqlite", "--model", str(bundle.path)]
        arguments += ["--workers", str(workers), "--image-root", roots, "--quiet"]
        return run("-m", "recognizer", "scan", str(table), *arguments)


def run(*arguments: str) -> tuple[float, float]:
    """Return the CPU and wall seconds of Python with these arguments, and of its children."""
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, check=False, env=environment)  # noqa: S603
    if done.returncode:
        raise UsageError(f"{shlex.join(arguments)}: {done.stderr.decode()[-300:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - began


_ONE_PREDICTION = (
    "import sys; from pathlib import Path; from recognizer import Recognizer;"
    "print(Recognizer.load(sys.argv[1], threads=1).predict(Path(sys.argv[2])).status)"
)


def measure(options: argparse.Namespace, bundle: Bundle, folder: Path) -> Iterator[str]:
    """Measure everything, and yield the lines of the tables."""
    mix, kinds = make_groups(options.data, folder, options.photos)
    yield from table(
        f"CPU ms a photo, by stage ({bundle.title})", in_new_process(profile, bundle, kinds)
    )
    yield ""
    loops = {
        "decoding alone": decoding,
        "`predict` in a loop": predicting,
        "Pillow's `draft` and onnxruntime, the same networks": pillow_draft,
        "torch and timm, its first network": torch_and_timm,
    }
    if not all(map(find_spec, ("torch", "torchvision", "timm"))):
        del loops["torch and timm, its first network"]
    found = {"`recognizer scan`": scan(bundle, mix, options.images, worker_count(options.workers))}
    for name, make in loops.items():
        ran = at_once(make, bundle, mix)
        spent = 1000 * np.array([cpu for times, _ in ran for cpu in times])
        rate = sum(len(mix) / wall for _, wall in ran)
        found[name] = {"ms": spent.mean(), "rate": rate, "p50": np.quantile(spent, 0.5)}
        found[name]["p95"] = np.quantile(spent, 0.95)
    alone = dict.fromkeys(found, found["decoding alone"]["ms"])
    large, name = kinds["12 megapixels"], "`recognizer scan` of 12 megapixels"
    found[name] = scan(bundle, large, options.images // 4, worker_count(options.workers))
    ran = at_once(decoding, bundle, large)
    alone[name] = 1000 * float(np.mean([times for times, _ in ran]))
    rows = {
        name: {
            "CPU ms, mean": figures["ms"],
            "decoding alone / it": alone[name] / figures["ms"],
            "photos/s, all CPUs": figures["rate"],
            **{f"CPU ms, {q}": figures[q] for q in ("p50", "p95") if q in figures},
        }
        for name, figures in found.items()
    }
    yield from table(f"{len(mix)} photos of a marketplace, {SIZE[0]}x{SIZE[1]}", rows, by_row=True)
    starts = {
        "import, load, first prediction": ("-c", _ONE_PREDICTION, str(bundle.path), str(mix[0])),
        "`recognizer scan --help`": ("-m", "recognizer", "scan", "--help"),
    }
    yield ""
    for name, arguments in starts.items():
        yield f"- {name}: {1000 * min(run(*arguments)[0] for _ in range(_CALLS)):.0f} ms of CPU"


def table(title: str, found: dict[str, Figures], *, by_row: bool = False) -> Iterator[str]:
    """Yield a table in Markdown; each key of ``found`` is a column, or with ``by_row`` a row."""
    names = dict.fromkeys(name for figures in found.values() for name in figures)
    rows, columns = (found, names) if by_row else (names, found)
    yield f"| {title} | {' | '.join(columns)} |"
    yield f"|---|{'--:|' * len(columns)}"
    for row in rows:
        pairs = ((row, column) if by_row else (column, row) for column in columns)
        values = (found[key].get(name) for key, name in pairs)
        cells = ("" if value is None else f"{value:.3g}" for value in values)
        yield f"| {row} | {' | '.join(cells)} |"


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
    add("--bundle", "-b", help="a bundle: a folder or a name; default: the released one")
    add("--data", type=Path, help="photos of its training split, instead of the samples")
    add("--photos", type=int, default=200, help="photos of the marketplace; default: 200")
    add("--images", type=int, default=1600, help="images that a scan is measured over; 1600")
    add("--workers", "-w", type=int, default=0, help="processes of a scan; default: by CPUs")
    add("--markdown", type=Path, help="also write the figures into a page")
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    load = os.getloadavg()[0]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            lines = [*measure(options, load_bundle(options.bundle), Path(scratch))]
    except RecognizerError as error:
        parser.error(str(error))
    busy = (
        "**The machine was busy**, so that rates are too low: load" if load > MAX_LOAD else "Load"
    )
    lines += ["", f"{busy} {load:.1f} before. {machine()}."]
    if options.markdown is not None:
        command = shlex.join(["python", "-m", "benchmarks.speed", *given])
        write_figures(options.markdown, [f"Written by `{command}`; do not edit.", "", *lines])
    print("\n".join(lines))


if __name__ == "__main__":
    main()
