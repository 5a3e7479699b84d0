"""``recognizer doctor``: what is installed, on which machine, and whether the model works here."""

from __future__ import annotations

import importlib
import os
import platform
from contextlib import suppress
from typing import Any

from recognizer.cli import options
from recognizer.cli.options import missing_modules
from recognizer.cli.progress import print_values
from recognizer.errors import BundleError, RecognizerError, pip_line

_MODULES = {
    "onnxruntime": "onnxruntime",
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "simplejpeg": "simplejpeg",
}


def command(
    bundle: options.BundleArgument = None,
    *,
    provider: options.ProviderOption = "cpu",
    as_json: options.JsonOption = False,
) -> None:
    """Check the installation: versions, machine, extras, and the scores of the model.

    The model scores two images that are made in code. The bundle records the scores that it gave
    them at export: the exit code is 4 if they differ here, or the model is missing or was changed.
    """
    extras = {
        extra: {"for": words, "missing": missing_modules(modules), "install": pip_line(extra)}
        for extra, (words, modules) in options.EXTRAS.items()
    }
    found: dict[str, Any] = {"versions": _versions(), "extras": extras}
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
        options.print_json({**found, "problems": problems})
    else:
        print_values(found["versions"])
        print_values(found.get("machine", {}), unknown="unknown")
        for extra, one in extras.items():
            words = f"not installed ({one['for']}; {one['install']})"
            print_values({f"extra {extra}": words if one["missing"] else "installed"})
        print_values(found.get("model", {}))
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
    with suppress(ImportError):  # reported above
        from PIL import features

        found |= {c: features.version(c) or "missing" for c in ("libjpeg_turbo", "webp", "avif")}
    return found


def _machine() -> dict[str, Any]:
    from recognizer.imaging.sources import MEBIBYTE
    from recognizer.scan import machine

    memory = machine.available_memory()
    return {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "cpu": machine.cpu_name(),
        "cpus": machine.available_cpus(),
        "cpus_of_the_machine": os.cpu_count(),
        "memory_available_mib": memory and memory // MEBIBYTE,
        "workers_of_a_scan": machine.worker_count(),
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
    }
