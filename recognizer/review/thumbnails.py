"""Thumbnails that are certain to show the photo that was scored, or say why there is none."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.imaging import load_image
from recognizer.review.reasons import explain_reason
from recognizer.status import Reason

_JPEG_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A thumbnail, or the words that stand in its place.

    Attributes:
        uri: the JPEG as a ``data:`` URI; None where there is none.
        width: in pixels, 0 where there is none.
        height: likewise.
        frame: number of the frame that it shows.
        missing: why there is none, as one sentence; None where there is one.
    """

    uri: str | None = None
    width: int = 0
    height: int = 0
    frame: int = 0
    missing: str | None = None


def make_thumbnail(
    source: str, sha256: str | None, *, side: int, frame: int | None = None
) -> Thumbnail:
    """Make the thumbnail of a photo that a scan has seen.

    Args:
        source: the row's path. Nothing but a local file is ever read.
        sha256: the row's digest: a file with another one is another picture, and is not shown.
        side: the longer side of the thumbnail at most, in pixels.
        frame: which of the sampled frames; the first one where it is None or not among them.
    """
    image = load_image(source, min_side=side)
    if image.reason is Reason.NOT_FOUND:
        where = "is not a local file" if "://" in source else "has vanished since the scan"
        return Thumbnail(missing=f"No thumbnail: the photo {where}.")
    if image.sha256 is None:  # nothing could be read
        return Thumbnail(missing=f"No thumbnail now. {explain_reason(image.reason)}")
    if image.sha256 != sha256:
        return Thumbnail(
            missing="No thumbnail: the file has changed since the scan and is not what was scored."
        )
    if not image.frames:
        return Thumbnail(missing=f"No thumbnail now. {explain_reason(image.reason)}")
    shown = next((f for f in image.frames if f.index == frame), image.frames[0])
    small = _fit(shown.rgb, side)
    height, width = small.shape[:2]
    return Thumbnail(_data_uri(small), width, height, shown.index)


def _fit(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:  # a small picture is shown as it is
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _data_uri(rgb: NDArray[np.uint8]) -> str:
    _, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")
