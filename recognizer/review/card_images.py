"""Thumbnails that are certain to show the image that was scored, or say why there is none.

A lead's comes from the store of its scan; only where that has none is the file decoded again.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from recognizer.imaging import Limits, load_image
from recognizer.imaging.sources import Refused, read_path
from recognizer.review.guide import explain_reason
from recognizer.rows.thumbnails import StoredThumbnail, ThumbnailStore, shrink
from recognizer.status import Reason

NOT_THERE = "The file has gone or has changed; this is what was scored."
"""What a stored thumbnail says where the file cannot be opened from the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardImage:
    """A thumbnail as a ``data:`` URI, or why there is none, and what else there is to say."""

    uri: str | None = None
    width: int = 0
    height: int = 0
    frame: int = 0
    missing: str | None = None
    note: str | None = None


def make_card_image(
    source: str,
    sha256: str | None,
    *,
    side: int,
    frame: int | None = None,
    store: ThumbnailStore | None = None,
) -> CardImage:
    """Make the thumbnail of an image; a file with another digest is not it, and not shown."""
    if store is not None and (stored := store.get(sha256)) is not None:
        return _shown(stored, None if _is_at(source, sha256) else NOT_THERE)
    image = load_image(Path(source), min_side=side)
    if image.reason is Reason.NOT_FOUND:
        where = "is not a local file" if "://" in source else "has gone since the scan"
        return CardImage(missing=f"No thumbnail: the image {where}.")
    if image.sha256 is not None and image.sha256 != sha256:
        return CardImage(
            missing="No thumbnail: the file has changed since the scan and is not what was scored."
        )
    if not image.frames:
        return CardImage(missing=f"No thumbnail now. {explain_reason(image.reason)}")
    shown = next((f for f in image.frames if f.index == frame), image.frames[0])
    return _shown(shrink(shown.rgb, side, shown.index), None)


def _is_at(source: str, sha256: str | None) -> bool:
    try:
        return hashlib.sha256(read_path(source, Limits())).hexdigest() == sha256
    except Refused:
        return False


def _shown(thumbnail: StoredThumbnail, note: str | None) -> CardImage:
    return CardImage(
        uri="data:image/jpeg;base64," + base64.b64encode(thumbnail.jpeg).decode("ascii"),
        width=thumbnail.width,
        height=thumbnail.height,
        frame=thumbnail.frame,
        note=note,
    )
