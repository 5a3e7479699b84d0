"""Writing a case: the original bytes of some leads, and all that was said of them, in one folder.

What a case proves is that nothing was changed since it was made, and by which model, policy and
people it was judged. It does not prove when that was, nor what the object is made of.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from recognizer import __version__
from recognizer._atomic import sync_folder
from recognizer.engine import Recognizer
from recognizer.errors import MissingExtraError, UsageError
from recognizer.imaging.overlay import draw_heatmap
from recognizer.imaging.sources import Refused
from recognizer.model.bundle import Bundle
from recognizer.review.evidence.manifest import (
    KEY_FILE,
    MANIFEST_FILE,
    SIGNATURE_FILE,
    CaseFile,
    CasePhoto,
    Manifest,
    digest_of,
    links,
)
from recognizer.review.guide import make_guides
from recognizer.review.outcomes import Outcome, OutcomeStore
from recognizer.rows.row import Row
from recognizer.rows.thumbnails import shrink
from recognizer.status import Status

PAGE_FILE = "index.html"
ROWS_FILE = "rows.jsonl"
OUTCOMES_FILE = "outcomes.jsonl"
PDF_FILE = "case.pdf"

_PREVIEW_SIDE = 720  # pixels, of the pictures on the page
_LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "simplejpeg")
_SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "gif": ".gif", "tiff": ".tif"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoOnPage:
    """A photo as the page shows it; the pictures are ``data:`` URIs, None where there are none."""

    row: Row
    photo: CasePhoto
    preview: str | None
    heatmap: str | None
    explained: str | None
    outcomes: tuple[Outcome, ...]


def write_case(
    rows: Sequence[Row],
    output: Path,
    *,
    recognizer: Recognizer,
    read: Callable[[Row], bytes],
    journal: Path,
    outcomes: OutcomeStore | None = None,
    key: Path | None = None,
    title: str | None = None,
    pdf: bool = False,
) -> Manifest:
    """Write a case into a new folder, which appears whole or not at all.

    Args:
        rows: of the photos, at least one, all made by one model and one policy.
        output: the folder; it must not exist yet.
        recognizer: the model behind the rows; it makes the heat-maps.
        read: return the bytes of a row's image as they are now, or raise ``Refused``. Bytes that
            are not those of the row are left out, and the case says so.
        journal: where the rows come from.
        outcomes: what people found out; None for nothing.
        key: file with an Ed25519 private key with which the manifest is signed; None for none.
        title: None for the name of the folder.
        pdf: write the page as PDF too.

    Raises:
        UsageError: the rows come from several models or policies, or from another model than the
            recognizer's; or the folder exists or cannot be written.
        MissingExtraError: a package for the signature or the PDF is not installed.
    """
    _require_one_origin(rows, recognizer.bundle)
    if output.exists() or not output.absolute().parent.is_dir():
        raise UsageError(f"{output}: name a new folder, inside one that exists")
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        partial.mkdir()
        shown = [*_write_photos(rows, partial, recognizer, read, outcomes)]
        _write_rows(rows, shown, partial)
        manifest = Manifest(
            title=title or output.name,
            made=datetime.now(UTC).replace(microsecond=0),
            versions=_versions(),
            model={
                "name": rows[0].model.name,
                "version": rows[0].model.version,
                "digest": rows[0].model.digest,
            },
            policy={"name": rows[0].policy.name, "digest": rows[0].policy.digest},
            preprocessing=rows[0].preprocessing,
            journal={"name": journal.name, "sha256": digest_of(journal)[1]},
            outcomes=None if outcomes is None else outcomes.verify(),
            photos=tuple(one.photo for one in shown),
        )
        page = _page(manifest, shown, recognizer.bundle)
        (partial / PAGE_FILE).write_text(page, "utf-8", "xmlcharrefreplace")
        if pdf:
            _write_pdf(page, partial / PDF_FILE)
        manifest = _seal(manifest, partial, key)
        os.rename(partial, output)
        sync_folder(output.absolute().parent)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _require_one_origin(rows: Sequence[Row], bundle: Bundle) -> None:
    if not rows:
        raise UsageError("a case needs at least one lead")
    if {row.model.digest for row in rows} != {bundle.digest}:
        raise UsageError(
            f"the rows were made by {rows[0].model.title} ({rows[0].model.digest[:12]}), or by "
            f"several models, and not by {bundle.title}: name leads of one model, and its bundle"
        )
    if len({(row.policy, row.preprocessing) for row in rows}) > 1:
        raise UsageError("the rows were made by several policies: make a case for each")
    if any(row.sha256 is None or row.status is Status.FAILED for row in rows):
        raise UsageError("an image that failed is not evidence of anything: name others")


def _write_photos(
    rows: Sequence[Row],
    folder: Path,
    recognizer: Recognizer,
    read: Callable[[Row], bytes],
    outcomes: OutcomeStore | None,
) -> Iterator[PhotoOnPage]:
    (folder / "photos").mkdir()
    (folder / "heatmaps").mkdir()
    for row in rows:
        sha256 = row.sha256 or ""
        file = f"photos/{sha256}{_SUFFIXES.get(row.format or '', '')}"
        heatmap = f"heatmaps/{sha256}.png"
        missing = _copy(row, folder / file, read)
        preview = drawn = explained = None
        if missing is None:
            products = row.lead_labels
            explanation = recognizer.explain(folder / file, products[0] if products else None)
            preview, explained = _preview(explanation.rgb), explanation.label
            overlay = draw_heatmap(explanation.rgb, explanation.heatmap)
            drawn = _preview(overlay)
            _, png = cv2.imencode(".png", cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR))
            (folder / heatmap).write_bytes(png.tobytes())
        yield PhotoOnPage(
            row=row,
            photo=CasePhoto(
                source=row.source.encode("utf-8", "backslashreplace").decode(),
                sha256=sha256,
                file=file if missing is None else None,
                missing=missing,
                heatmap=heatmap if missing is None else None,
            ),
            preview=preview,
            heatmap=drawn,
            explained=explained,
            outcomes=tuple(outcomes.of(sha256)) if outcomes is not None else (),
        )


def _copy(row: Row, target: Path, read: Callable[[Row], bytes]) -> str | None:
    """Write the original bytes, or return why they are missing."""
    try:
        data = read(row)
    except Refused as refused:
        return f"{refused.reason}: {refused.detail}"
    if hashlib.sha256(data).hexdigest() != row.sha256:
        return "the file has changed since the scan and is not what was scored"
    target.write_bytes(data)
    return None


def _preview(rgb: NDArray[np.uint8]) -> str:
    small = shrink(rgb, _PREVIEW_SIDE, 0)
    return "data:image/jpeg;base64," + base64.b64encode(small.jpeg).decode("ascii")


def _write_rows(rows: Sequence[Row], shown: Sequence[PhotoOnPage], folder: Path) -> None:
    (folder / ROWS_FILE).write_bytes(b"".join(row.to_json_line() for row in rows))
    found = dict.fromkeys(outcome for one in shown for outcome in one.outcomes)
    if found:
        (folder / OUTCOMES_FILE).write_bytes(b"".join(one.to_json_line() for one in found))


def _versions() -> dict[str, str]:
    versions = {"recognizer": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):  # another build of the same
            versions[name] = importlib.metadata.version(name)
    return versions | {"system": platform.platform(), "machine": platform.machine()}


def _seal(manifest: Manifest, folder: Path, key: Path | None) -> Manifest:
    """List and chain the files of a case, write its manifest, and sign it."""
    found = [
        (path.relative_to(folder).as_posix(), *digest_of(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    files = tuple(
        CaseFile(path=path, bytes=size, sha256=sha256, link=link)
        for (path, size, sha256), link in zip(found, links(manifest, found), strict=True)
    )
    manifest = replace(manifest, files=files)
    content = manifest.to_bytes()
    (folder / MANIFEST_FILE).write_bytes(content)
    if key is not None:
        try:
            from recognizer.review.evidence.signing import sign  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingExtraError("cryptography", "evidence") from error
        signature, public = sign(content, key)
        (folder / SIGNATURE_FILE).write_bytes(signature)
        (folder / KEY_FILE).write_bytes(public)
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    return manifest


def _page(manifest: Manifest, shown: Sequence[PhotoOnPage], bundle: Bundle) -> str:
    environment = Environment(
        loader=PackageLoader("recognizer", "review"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("case.html.j2").render(
        manifest=manifest,
        shown=shown,
        bundle=bundle,
        guides=make_guides(bundle),
        columns=_columns,
        name=lambda source: PurePath(source).name or source,
        signed_by=SIGNATURE_FILE,
    )


def _columns(row: Row) -> list[tuple[str, object]]:
    """Return the listing's own columns that have a value."""
    return [(name, value) for name, value in (row.item or {}).items() if value is not None]


def _write_pdf(page: str, path: Path) -> None:
    try:
        from weasyprint import HTML, URLFetcher  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("weasyprint", "pdf") from error
    except OSError as error:  # it loads Pango when it is imported
        raise UsageError(
            f"the PDF needs the library Pango (Debian: apt install libpangoft2-1.0-0): {error}"
        ) from error
    HTML(string=page, url_fetcher=URLFetcher(allowed_protocols=("data",))).write_pdf(path)
