"""The manifest of a case: what is in the folder, chained, so that one digest stands for all of it.

``manifest.json`` names each file with its sha256 and a link of a hash chain; the first link is over
everything else that the manifest says. The last link is the *case digest*: whoever has written it
down can tell whether any byte of the folder was changed since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from recognizer.errors import UsageError
from recognizer.rows.row import Digest

MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.sig"
KEY_FILE = "public-key.pem"
OUTSIDE = frozenset({MANIFEST_FILE, SIGNATURE_FILE, KEY_FILE})
"""Files of a case that its manifest does not list, for they say something about the manifest."""

CLOCK = "the clock of the computer that made this case; nobody else attests to it"

_MAX_MANIFEST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """A file of a case.

    Attributes:
        path: below the folder, with ``/``.
        bytes: its size.
        sha256: of its bytes.
        link: sha256 over the link before it and this entry (see :func:`links`).
    """

    path: str
    bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Digest
    link: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePhoto:
    """A photo of a case.

    Attributes:
        source: where it was, as its row says.
        sha256: of its bytes.
        file: its copy in the folder; None where the original could not be had.
        missing: why there is no copy; None where there is one.
        heatmap: the file that shows where the score comes from; None where there is none.
    """

    source: str
    sha256: Digest
    file: str | None
    missing: str | None
    heatmap: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What ``manifest.json`` says.

    Attributes:
        format: tells it from other files.
        version: of this form.
        title: of the case.
        made: when, by :attr:`clock`.
        clock: what stands behind the times of the case.
        versions: program or library -> its version.
        model: name, version and digest of the model behind the scores.
        policy: name and digest of the policy behind the decisions.
        preprocessing: version of the steps from bytes to the model's input.
        journal: name and sha256 of the journal, as it was when the case was made.
        outcomes: last link of the chain of the store of outcomes; None where there was none.
        photos: the photos.
        files: all files but those in :data:`OUTSIDE`, in the order of the chain.
    """

    format: Literal["wildlife-case"] = "wildlife-case"
    version: Literal[1] = 1
    title: str
    made: datetime
    clock: str = CLOCK
    versions: dict[str, str]
    model: dict[str, str | int]
    policy: dict[str, str]
    preprocessing: int
    journal: dict[str, str]
    outcomes: str | None
    photos: tuple[CasePhoto, ...]
    files: tuple[CaseFile, ...] = ()

    @property
    def digest(self) -> str:
        """The case digest: the last link of the chain."""
        return self.files[-1].link if self.files else _first_link(self)

    def to_bytes(self) -> bytes:
        """Return the content of ``manifest.json``."""
        return json.dumps(msgspec.to_builtins(self), indent=1).encode("ascii") + b"\n"


def links(manifest: Manifest, files: Sequence[tuple[str, int, str]]) -> Iterator[str]:
    """Yield the link of each file: sha256 of the link before it, and of path, size and digest.

    Args:
        manifest: the first link is over all of it but its files.
        files: path, bytes and sha256 of each.
    """
    link = _first_link(manifest)
    for entry in files:
        link = hashlib.sha256(f"{link}\n{json.dumps(entry)}".encode("ascii")).hexdigest()
        yield link


def _first_link(manifest: Manifest) -> str:
    values: dict[str, Any] = msgspec.to_builtins(manifest)
    del values["files"]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode("ascii")).hexdigest()


def read_manifest(folder: Path) -> tuple[Manifest, bytes]:
    """Read the manifest of a case, and return it with its bytes.

    Raises:
        UsageError: there is none, or it is not that of a case.
    """
    path = folder / MANIFEST_FILE
    try:
        if not path.is_file() or path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise UsageError(f"{folder} is not a case: it has no {MANIFEST_FILE}")
        content = path.read_bytes()
        return msgspec.json.decode(content, type=Manifest), content
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not the manifest of a case: {error}") from error


def digest_of(path: Path) -> tuple[int, str]:
    """Return the size and the sha256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest
