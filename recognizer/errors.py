"""The errors of the package; all are a :class:`RecognizerError`.

Bad *input* (a broken photo, a missing file) is never an error: it is a status with a reason on
the result. What raises is a mistake of the caller, or something wrong with the installation or
with a file that the program wrote.
"""

import difflib
import importlib
import os
from collections.abc import Sequence
from typing import Any

_MAX_SHOWN = 200  # characters of an unexpected error


class RecognizerError(Exception):
    """The base of every error that this package raises on purpose."""


class UsageError(RecognizerError):
    """An argument or option that makes no sense."""


def require_owner(pid: int) -> None:
    """Raise a UsageError unless this is the process ``pid``, which loaded the model."""
    if os.getpid() != pid:  # whose threads it does not have
        words = "load it after the fork, in each process (gunicorn: in post_fork)"
        raise UsageError(f"this process was forked after the model was loaded: {words}")


class BundleError(RecognizerError):
    """A model bundle that cannot be used."""


class BundleNotFoundError(BundleError):
    """No such bundle."""


class BundleDigestError(BundleError):
    """A file of a bundle, or a number in it, is not what ``bundle.json`` names."""


class BundleSchemaError(BundleError):
    """``bundle.json`` is unreadable, incomplete, or of a schema that this version does not know."""


class ProviderError(RecognizerError):
    """An onnxruntime execution provider is unavailable, or failed during a pass."""


class TaxonomyError(RecognizerError):
    """The taxonomy breaks one of its rules; the message names the entry."""


class PolicyError(RecognizerError):
    """A policy profile breaks one of its rules."""


class ScanFileError(RecognizerError):
    """The file of a scan that cannot be used."""


class ScanFileChangedError(ScanFileError):
    """The file of a scan was removed, replaced or truncated while a scan wrote it."""


class DatasetError(RecognizerError):
    """A manifest or data folder that cannot be used."""


class TrainingError(RecognizerError):
    """A training configuration or run that cannot go on."""


class MissingExtraError(RecognizerError, ImportError):
    """A module is not installed; the message says which extra of this distribution brings it."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(module, extra)  # of which it is made again in another process

    def __str__(self) -> str:
        module, extra = self.args
        return f"{module} is not installed; install it with: {pip_line(extra)}"


def import_extra(name: str, extra: str) -> Any:
    """Return a module that an extra brings, or raise a :class:`MissingExtraError`."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(name.partition(".")[0], extra) from error


def pip_line(extra: str) -> str:
    """Return the command that adds an extra to the installed package.

    It needs no index that has the package itself: what is installed satisfies the requirement.
    """
    return f"pip install 'wildlife-product-recognizer[{extra}]'"


def words_of(error: Exception) -> str:
    """Return the class and the message of an unexpected error, not too long."""
    return f"{type(error).__name__}: {error}"[:_MAX_SHOWN]


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural unless it is 1."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def unknown_name(what: str, name: object, names: Sequence[str]) -> str:
    """Return the words for a name that is not among ``names``, with the closest names."""
    close = difflib.get_close_matches(str(name), names)
    return f"unknown {what} {name!r}" + (f" (did you mean {' or '.join(close)}?)" if close else "")
