"""``recognizer doctor``: what is installed, on which machine, and whether the model works here."""

from __future__ import annotations

import importlib
import io
import os
import platform
import time
from typing import TYPE_CHECKING, Any

from recognizer.cli.options import (
    EXTRAS,
    BundleArgument,
    JsonOption,
    ProviderOption,
    missing_modules,
    print_json,
)
from recognizer.cli.progress import print_values
from recognizer.errors import BundleError, RecognizerError, pip_line

if TYPE_CHECKING:
    from recognizer.engine import Recognizer

_MODULES = {
    "onnxruntime": "onnxruntime",
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "simplejpeg": "simplejpeg",
}
_SECONDS = 1.0  # of predictions, for the speed
_MEBIBYTE = 1024 * 1024


def command(
    bundle: BundleArgument = None,
    *,
    provider: ProviderOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Check the installation: versions, machine, extras, and the scores of the model.

    The model scores two images that are made in code. The bundle records the scores that it gave
    them at export: the exit code is 4 if they differ here, or the model is missing or was changed.
    """
    found: dict[str, Any] = {"versions": _versions(), "extras": _extras()}
    problems = [f"{name}: {text}" for name, text in found["versions"].items() if " " in text]
    error: RecognizerError | None = None
    if not problems:  # with a broken library nothing else can be imported
        found["machine"] = _machine()
        try:
            found["model"] = _model(bundle, provider)
        except RecognizerError as raised:
            error = raised
            found["model"] = {"error": str(raised)}
    if as_json:
        print_json({**found, "problems": problems})
    else:
        _print(found)
    if problems:
        raise RecognizerError(f"cannot be imported: {'; '.join(problems)}; install it again")
    if error is not None:
        raise error
    model = found["model"]
    if not model["self_test_passed"]:
        raise BundleError(
            f"{model['bundle']}: scores differ from those recorded at export by up to "
            f"{model['self_test_difference']:.3f}: with this CPU or provider it cannot be relied "
            "on; try another version of onnxruntime, or --provider cpu"
        )


def _versions() -> dict[str, str]:
    """Return the version of each package, or why it cannot be imported."""
    from recognizer import __version__

    found = {"recognizer": __version__, "python": platform.python_version()}
    for name, module in _MODULES.items():
        try:
            found[name] = importlib.import_module(module).__version__
        except Exception as error:
            found[name] = f"broken: {error}"
    try:
        from PIL import features

        for codec in ("libjpeg_turbo", "webp", "avif"):
            found[codec] = features.version(codec) or "missing"
    except ImportError:
        pass  # reported above
    return found


def _machine() -> dict[str, Any]:
    from recognizer.scan import machine

    memory = machine.available_memory()
    return {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "cpu": machine.cpu_name(),
        "cpus": machine.available_cpus(),
        "cpus_of_the_machine": os.cpu_count(),
        "memory_available_mib": memory and memory // _MEBIBYTE,
        "workers_of_a_scan": machine.worker_count(),
    }


def _extras() -> dict[str, dict[str, Any]]:
    """Return what each extra is for, the modules that it lacks, and what installs it."""
    return {
        extra: {
            "for": words,
            "missing": (missing := missing_modules(modules)),
            "install": pip_line(extra) if missing else None,
        }
        for extra, (words, modules) in EXTRAS.items()
    }


def _model(bundle: str | None, provider: str) -> dict[str, Any]:
    from recognizer.engine import Recognizer
    from recognizer.model.self_test import TOLERANCE, self_test

    recognizer = Recognizer.load(bundle, provider=provider, threads=1)
    difference = self_test(recognizer.bundle, provider)
    return {
        "bundle": recognizer.bundle.title,
        "digest": recognizer.bundle.digest,
        "provider": recognizer.provider,
        "self_test_difference": None if difference is None else round(difference, 6),
        "self_test_passed": difference is None or difference <= TOLERANCE,
        "photos_per_second": round(_speed(recognizer), 1),
    }


def _speed(recognizer: Recognizer) -> float:
    """Return how many JPEGs of 1600 x 1200 pixels one thread scores in a second."""
    from PIL import Image

    from recognizer.model.self_test import self_test_images

    file = io.BytesIO()
    with Image.open(io.BytesIO(self_test_images()[0])) as image:
        image.resize((1600, 1200)).save(file, "JPEG", quality=85)
    photo = file.getvalue()
    recognizer.predict(photo)  # the first one takes longer
    begin, count = time.perf_counter(), 0
    while (seconds := time.perf_counter() - begin) < _SECONDS:
        recognizer.predict(photo)
        count += 1
    return count / seconds


def _print(found: dict[str, Any]) -> None:
    print_values(found["versions"])
    print_values(found.get("machine", {}), unknown="unknown")
    for extra, one in found["extras"].items():
        words = f"not installed ({one['for']})" if one["missing"] else "installed"
        print_values({f"extra {extra}": words})
    if lines := [one["install"] for one in found["extras"].values() if one["missing"]]:
        print_values({"to add an extra": lines[0]})
    print_values(found.get("model", {}))
