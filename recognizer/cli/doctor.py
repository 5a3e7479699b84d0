"""``recognizer doctor``: what is installed, on which machine, and whether the model works here."""

import importlib
import os
import platform
from contextlib import suppress

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


def doctor_command(
    bundle: options.BundleArgument = None, provider: options.ProviderOption = "cpu"
) -> None:
    """Check the installation: versions, extras, machine, and the scores of the model.

    The model scores two images that are made in code. The bundle records the scores that it gave
    them at export: the exit code is 4 if they differ here, or the model is missing or was changed.
    """
    versions = _versions()
    print_values(versions)
    for extra, (words, modules) in options.EXTRAS.items():
        missing = f"not installed ({words}; {pip_line(extra)})"
        print_values({f"extra {extra}": missing if missing_modules(modules) else "installed"})
    if problems := [f"{name}: {text}" for name, text in versions.items() if " " in text]:
        raise RecognizerError(f"cannot be imported: {'; '.join(problems)}; install it again")
    # With a broken library none of this can be imported.
    from recognizer.engine import Recognizer
    from recognizer.imaging.sources import MEBIBYTE
    from recognizer.model.self_test import TOLERANCE, self_test
    from recognizer.scan import machine

    memory = machine.available_memory()
    about = {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "cpu": machine.cpu_name(),
        "cpus": f"{machine.available_cpus()} of {os.cpu_count()}",
        "available memory, MiB": memory and memory // MEBIBYTE,
        "workers of a scan": machine.worker_count(),
    }
    print_values(about, unknown="unknown")
    recognizer = Recognizer.load(bundle, provider=provider, threads=1)
    difference = self_test(recognizer.bundle, provider)
    title, is_same = recognizer.bundle.title, difference is None or difference <= TOLERANCE
    print_values(
        {
            "bundle": title,
            "digest": recognizer.bundle.digest,
            "provider": recognizer.provider,
            "self-test difference": None if difference is None else round(difference, 6),
            "self-test": "passed" if is_same else "failed",
        }
    )
    if not is_same:
        raise BundleError(
            f"{title}: scores differ from those recorded at export by up to {difference:.3f}: "
            "with this CPU or provider it cannot be relied on; try another version of onnxruntime, "
            "or --provider cpu"
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
