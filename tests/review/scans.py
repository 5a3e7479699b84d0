"""The files of scans, written from rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from recognizer.imaging.thumbnail import Thumbnail
from recognizer.model.bundle import Bundle
from recognizer.rows import NewRow, Ranking, Row, ScanWriter
from recognizer.rows.row import ModelReference
from tests.rows.rows import MODEL


def write_scan(
    path: Path,
    rows: Iterable[Row],
    bundle: Bundle | None = None,
    thumbnails: Mapping[str | None, Thumbnail] | None = None,
) -> Path:
    """Write rows into a scan's file; those of :data:`MODEL` become rows of the bundle, if any.

    Thumbnails are given by the digests of their images.
    """
    if bundle is not None:
        model = ModelReference(name=bundle.name, version=bundle.version, digest=bundle.digest)
        rows = [replace(row, model=model) if row.model == MODEL else row for row in rows]
    kept = thumbnails or {}
    with ScanWriter(path, Ranking([bundle] if bundle else [])) as file:
        file.append([NewRow(row=row, thumbnail=kept.get(row.sha256)) for row in rows])
    return path
