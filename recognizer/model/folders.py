"""Where bundles lie, how their files are read, and where a new bundle may be put."""

import hashlib
import os
import re
from pathlib import Path

from recognizer._files import make_folder
from recognizer.errors import BundleDigestError, BundleNotFoundError, UsageError

DEFAULT_BUNDLE = "wildlife-v8"  # the bundle that is used if none is named

DESCRIPTION_FILE = "bundle.json"
MODEL_FILE, SECOND_FILE = "model.onnx", "second_look.onnx"
CARD_FILE = "MODEL_CARD.md"


def carried_bundles() -> dict[str, Path]:
    """Return the folders of the bundles that this package carries, by title."""
    package = Path(__file__).parent.parent
    # An installed package carries its bundles inside; a checkout keeps them in export/.
    shelves = [package.parent / "export", package / "bundles"]
    return {p.parent.name: p.parent for s in shelves for p in s.glob(f"*/{DESCRIPTION_FILE}")}


def bundle_title(folder: Path) -> tuple[str, int]:
    """Return the name and version in the name NAME-vN of a bundle's folder."""
    folder = folder.resolve()
    if match := re.fullmatch("(.+)-v([1-9][0-9]*)", folder.name):
        return match[1], int(match[2])
    words = f"try {folder.name or 'mine'}-v1"
    raise UsageError(f"{folder}: a bundle's folder is called NAME-vN, N a number from 1; {words}")


def check_output(output: Path, *, is_export: bool = False) -> tuple[str, int]:
    """Return the name and version of a new bundle; raise a UsageError if it cannot be put there.

    Only an export, which makes the released bundles, may give it the name of one.
    """
    title = bundle_title(output)
    if not is_export and output.resolve().name in carried_bundles():
        raise UsageError(f"{output}: that is the name of a released bundle; choose another")
    make_folder(output.parent)
    is_empty = output.is_dir() and not any(output.iterdir())
    if not is_empty and (output.exists() or output.is_symlink()):
        advice = f"name another, such as {title[0]}-v{title[1] + 1}, or delete it"
        raise UsageError(f"{output} exists already: a bundle is never overwritten; {advice}")
    return title


def find_bundle(bundle: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of a bundle that is given by its path, or carried under a name."""
    known = carried_bundles()
    name = DEFAULT_BUNDLE if bundle is None else os.fspath(bundle)
    if bundle is not None and (Path(bundle) / DESCRIPTION_FILE).is_file():
        if name in known and not known[name].samefile(name):
            words = f"write {os.path.join(os.curdir, name)} for the folder, or rename it"
            raise BundleNotFoundError(f"{name!r} is a folder, and a packaged bundle: {words}")
        return Path(bundle)
    if name in known:  # looked up, not joined to a path: no name leads off the shelf
        return known[name]
    there = ", ".join(sorted(known)) or "none is installed"
    words = f"give a folder with a {DESCRIPTION_FILE}, or one of: {there}"
    raise BundleNotFoundError(f"no bundle {name!r}: {words}")


def read_regular_file(path: Path, max_bytes: int = -1) -> bytes:
    """Read a file of a bundle, or its first bytes; a pipe, which would never end, is an error."""
    if path.exists() and not path.is_file():
        raise BundleNotFoundError(f"{path} is not a regular file")
    try:
        with path.open("rb") as file:
            return file.read(max_bytes)
    except OSError as error:
        raise BundleNotFoundError(f"{path}: {error.strerror}") from error


def read_verified(path: Path, sha256: str, max_bytes: int = -1) -> bytes:
    """Read a file of a bundle; a sha256 that the description does not name is an error."""
    data = read_regular_file(path, max_bytes)
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        words = f"{path} has the sha256 {digest[:12]}..., {DESCRIPTION_FILE} says {sha256[:12]}..."
        raise BundleDigestError(f"{words}: it was changed or is incomplete; fetch it again")
    return data
