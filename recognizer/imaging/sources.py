"""From whatever names or holds an image to its bytes.

Only regular files are read, and only up to the byte limit: a FIFO, a device or a directory is
refused before it could block. What cannot be read raises :class:`Refused`, with the reason.
"""

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from io import FileIO
from typing import BinaryIO

from recognizer.errors import UsageError
from recognizer.status import Reason

MEBIBYTE = 1024 * 1024

MAX_SIDE = 65_535  # pixels, as of a JPEG: Pillow takes memory for each row, however short it is

VIEW_MS = 11.0  # of CPU: to cut a view out of an image, reduce and score it by all networks

_BYTES_A_PIXEL = 10
_MIN_DECODED = 256 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on what one image may cost.

    An image is refused before it is read if it is larger than ``max_bytes``, and before it is
    decoded if its header claims more than ``max_pixels`` (width x height of any frame), or if
    decoding would take more memory than ten bytes for each of ``max_pixels`` (at least 256 MiB), or
    more milliseconds of CPU than ``max_ms``, as estimated by format, pixels and bytes. Of an
    animation, the frames within ``max_pixels`` and ``max_ms`` are decoded and ``max_frames`` kept;
    of an image with more frames and parts together, ``max_views`` are scored, or what decoding
    leaves of ``max_ms``, and the result is ``degraded`` (``frames_skipped``). What is left then
    bounds test-time augmentation: five passes for each near-threshold view.
    """

    max_bytes: int = 64 * MEBIBYTE
    max_pixels: int = 100_000_000
    max_frames: int = 8
    max_views: int = 16
    max_ms: int = 20_000

    def __post_init__(self) -> None:
        for field in fields(self):
            if not (isinstance(value := getattr(self, field.name), int) and value >= 1):
                raise UsageError(f"{field.name} = {value!r}: a number from 1")

    def check_bytes(self, size: int) -> None:
        """Raise a Refused if so many encoded bytes are too many."""
        if size > self.max_bytes:
            raise Refused(Reason.TOO_MANY_BYTES, f"{size} bytes, limit {self.max_bytes}")

    def views_after(self, ms: float) -> int:
        """Return how many views may be scored of an image that took so long to decode."""
        return max(1, min(self.max_views, int((self.max_ms - ms) / VIEW_MS)))

    @property
    def max_decoded(self) -> int:
        """Bytes that decoding one image may take at its peak."""
        return max(_MIN_DECODED, self.max_pixels * _BYTES_A_PIXEL)


class Refused(Exception):  # noqa: N818 - says something of an input, not of the program
    """An input that cannot be read or decoded, with its reason.

    What reads or decodes images raises it, and whoever scores them turns it into a status; it never
    leaves the public API.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


_OS_REASONS = {
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.ESTALE), Reason.NOT_FOUND),
    **dict.fromkeys((errno.ELOOP, errno.ENAMETOOLONG), Reason.NOT_FOUND),
    **dict.fromkeys((errno.EACCES, errno.EPERM), Reason.PERMISSION_DENIED),
    **dict.fromkeys((errno.EISDIR, errno.ENXIO), Reason.NOT_A_FILE),
}
_MIN_CHUNK = 1 << 16  # of files that are longer than they say
_MAX_DETAIL = 200  # of an error: libraries may quote a whole answer


def refusal(error: Exception) -> Refused:
    """Return the refusal for an error of the operating system or of a storage's library."""
    reason = Reason.READ_ERROR
    if isinstance(error, OSError):
        # A library may raise the class without the number.
        kinds = {FileNotFoundError: errno.ENOENT, PermissionError: errno.EACCES}
        reason = _OS_REASONS.get(error.errno or kinds.get(type(error), 0), reason)
    unnamed = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    words = getattr(error, "strerror", None) or f"{unnamed}: {error}".removesuffix(": ")
    return Refused(reason, str(words)[:_MAX_DETAIL])


@contextmanager
def refusing() -> Iterator[None]:
    """Raise a Refused for whatever reading raises: remote storage has errors of any class."""
    try:
        yield
    except (Refused, UsageError):
        raise
    except MemoryError as error:
        raise Refused(Reason.OUT_OF_MEMORY, "the bytes do not fit") from error
    except Exception as error:
        raise refusal(error) from error


def open_regular(path: str | os.PathLike[str]) -> FileIO:
    """Open a regular file for reading, unbuffered, without ever blocking on another."""
    try:
        # Looked at before it is opened: opening some devices has side effects.
        _require_regular(os.stat(path))
        # Between the two calls the name may have become a FIFO, so opening must not block either.
        descriptor = os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
        try:
            _require_regular(os.fstat(descriptor))
            return FileIO(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise
    except OSError as error:
        raise refusal(error) from error
    except ValueError as error:  # a NUL inside the name
        raise Refused(Reason.NOT_FOUND, str(error)) from error


def read_path(path: str | os.PathLike[str], limits: Limits) -> bytes:
    """Read a regular file; the limit holds on disk and in reading."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        limits.check_bytes(size)
        # No more at a time: memory for the limit takes longer to get than a photo to read.
        return read_file(file, limits, max(size + 1, _MIN_CHUNK))


def read_file(file: BinaryIO | object, limits: Limits, chunk_bytes: int = sys.maxsize) -> bytes:
    """Read a binary file to its end, at most a byte past the limit; text mode is a UsageError."""
    chunks: list[bytes] = []
    left = limits.max_bytes + 1
    with refusing():
        while left > 0 and (chunk := file.read(min(left, chunk_bytes))):  # type: ignore[union-attr]
            if not isinstance(chunk, bytes | bytearray | memoryview):
                words = f"the file object's read() gives {type(chunk).__name__}, not bytes"
                raise UsageError(f"{words}: open it in binary mode")
            chunks.append(bytes(chunk))
            left -= len(chunk)
    limits.check_bytes(sum(map(len, chunks)))
    return b"".join(chunks)


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        is_folder = stat.S_ISDIR(status.st_mode)
        raise Refused(Reason.NOT_A_FILE, "a directory" if is_folder else "not a regular file")
