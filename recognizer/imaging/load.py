"""Any form of image -> a :class:`LoadedImage` with a status -> the model's input."""

import hashlib
import os
from contextlib import suppress
from dataclasses import replace
from typing import BinaryIO, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recognizer.errors import UsageError
from recognizer.imaging.decode import Detail, LoadedImage, decode, decode_image
from recognizer.imaging.formats import SNIFF_BYTES, sniff
from recognizer.imaging.pixels import check_range
from recognizer.imaging.sources import Limits, Refused, read_file, read_path
from recognizer.status import Reason, Status

_Array: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
ImageSource: TypeAlias = (
    os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | _Array | Image.Image
)
"""A ``pathlib.Path``, encoded bytes, a binary file object, an array or a Pillow image.

A ``str`` is none of these: text from a request must never open a file. A file object is read from
its start, as Pillow does; one that cannot be rewound, from where it stands. Arrays are uint8 (0 to
255) or uint16 (0 to 65535), (height, width), (height, width, 1), (height, width, 3) as RGB or
(height, width, 4) as RGBA.
"""

PREPROCESSING_VERSION = 3
"""Raised whenever the same bytes would give other model inputs than before.

Version 3: EXIF orientation, colors in sRGB, alpha on white, the largest reduction (by a whole
factor; of a JPEG by 2, 4 or 8) that keeps the short side at or above :data:`DETAIL_SIDE` or the
model's input, whichever is smaller; then enlarged to a multiple of that, averaged by a whole
factor, and enlarged to a square where the input is larger. A first look decodes a JPEG at an
eighth, a quarter or half of its size, by its cosine transform, if that leaves the side that is
kept. Every pixel counts, so that none can be hidden between those that are read (Quiring et al.,
"Adversarial Preprocessing", USENIX Security 2020).
"""

VIEWING_VERSION = 5
"""Raised whenever of the same bytes other pictures are scored or their status is another."""

DETAIL_SIDE = 264
"""Short side, in pixels, of the photos that models are trained with."""

_FULL_SIZE = 1 << 30


def load_image(
    source: ImageSource,
    *,
    min_side: int = 0,
    limits: Limits | None = None,
    sha256: str | None = None,
    parts: bool = False,
    whole: bool = False,
) -> LoadedImage:
    """Read and decode an image. Bad bytes give a status; another kind of object is a UsageError.

    The image may be reduced as long as its short side keeps ``min_side`` pixels; 0 decodes at full
    size. ``sha256`` is that of the encoded bytes, if the caller has it: they are not hashed again.
    With ``parts``, the pictures within it are views of their own, of the same detail if it has it.
    ``whole`` decodes a JPEG before it is reduced, where else a fraction does.
    """
    limits, wanted = limits or Limits(), Detail(min_side or _FULL_SIZE, parts, whole)
    if isinstance(source, np.ndarray):
        source = _array_image(source)
    data = b""
    try:
        if isinstance(source, Image.Image):
            decoded = decode_image(source, wanted, limits)
        else:
            data = read_bytes(source, limits)
            sha256 = sha256 or hashlib.sha256(data).hexdigest()
            decoded = replace(decode(data, wanted, limits), sha256=sha256)
    except Refused as refused:
        failed = LoadedImage(status=Status.FAILED, reason=refused.reason, detail=refused.detail)
        return replace(failed, sha256=sha256, format=sniff(data[:SNIFF_BYTES]))
    return _limited(decoded, limits)


def _limited(image: LoadedImage, limits: Limits) -> LoadedImage:
    """Return an image with as many views as it may have; ``degraded`` if it had more."""
    count, most = len(image.views), limits.views_after(image.decode_ms)
    if count <= most:
        return image
    # The first of each frame before the rest: a part of a frame is seen there, too, though smaller.
    indices = [view.index for view in image.views]
    ranked = sorted(range(count), key=lambda at: indices.index(indices[at]) != at)
    views = tuple(image.views[at] for at in ranked[:most])
    if image.reason not in {None, Reason.TOO_SMALL, Reason.FRAMES_SKIPPED}:
        return replace(image, views=views)
    detail = f"looked at {len(views)} of {count} frames and parts"
    status, reason = Status.DEGRADED, Reason.FRAMES_SKIPPED
    return replace(image, views=views, status=status, reason=reason, detail=detail)


def model_input(
    rgb: NDArray[np.uint8], size: int, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Resize an image to the model's square input, uint8, (size, size, 3), RGB, 0 to 255."""
    scale = min(1.0, min(size, DETAIL_SIDE) / min(rgb.shape[:2]))
    reduced = [min(size, round(side * scale)) for side in rgb.shape[1::-1]]
    # By the next whole factor: OpenCV averages by another one a third as fast.
    whole = [side * -(-was // side) for side, was in zip(reduced, rgb.shape[1::-1], strict=True)]
    rgb = np.asarray(cv2.resize(rgb, whole, interpolation=cv2.INTER_LINEAR), np.uint8)
    if reduced == [size, size]:
        return np.asarray(cv2.resize(rgb, reduced, out, interpolation=cv2.INTER_AREA))
    rgb = np.asarray(cv2.resize(rgb, reduced, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.resize(rgb, (size, size), out, interpolation=cv2.INTER_LINEAR))


def read_bytes(source: object, limits: Limits) -> bytes:
    """Return the encoded bytes of an image, or raise a Refused; of other objects, a UsageError."""
    if isinstance(source, str):
        raise UsageError("a str is not an image: of a file, give pathlib.Path")
    if isinstance(source, os.PathLike):
        return read_path(source, limits)
    if isinstance(source, bytes | bytearray | memoryview):
        limits.check_bytes(memoryview(source).nbytes)
        return bytes(source)
    if hasattr(source, "read"):
        if getattr(source, "closed", False) is True:
            raise UsageError("the file object is closed")
        with suppress(Exception):  # a stream; remote storage raises errors of any class
            source.seek(0)  # type: ignore[attr-defined]
        return read_file(source, limits)
    kinds = "a pathlib.Path, bytes, a binary file object, a uint8 array or a Pillow image"
    raise UsageError(f"cannot read an image from {type(source).__name__}: give {kinds}")


def _array_image(array: _Array) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    channels = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    if channels not in {1, 3, 4} or array.dtype not in (np.uint8, np.uint16) or array.size == 0:
        words = "an image array must be uint8 or uint16 of shape (H, W) or (H, W, 1, 3 or 4)"
        raise UsageError(f"{words}, not {array.dtype} of shape {array.shape}")
    if array.dtype == np.uint16:
        check_range(array)
        array = array // 257
    return Image.fromarray(np.ascontiguousarray(array, np.uint8))
