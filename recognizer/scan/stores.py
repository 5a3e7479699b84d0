"""Object stores, through fsspec: single objects, prefixes, patterns, and streamed files.

Credentials, end points and regions are those of the store's own library, from its environment
variables and files. fsspec is imported when the first URL comes: a scan of files needs none of it.

Transient failures are retried here, within a deadline; S3's library is configured not to retry,
or each of our tries would be a dozen of its own. A streamed file cannot be read again from its
start; there the library retries itself.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, BinaryIO, TypeVar, cast

from recognizer.errors import MissingExtraError, RecognizerError, UsageError
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused, open_regular, refusal
from recognizer.scan.items import Container, FileLocation, StoreObject
from recognizer.status import Reason

BUCKET_SCHEMES = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "b2"}
)
"""Schemes whose URLs name a bucket or container, and no host that could be anywhere."""

MAX_SECONDS = 20.0
"""No try begins later than this after the first: less than a scan's timeout for an image."""

PAUSES = (0.5, 2.0)  # seconds before the second and the third try
_S3_SCHEMES = frozenset({"s3", "s3a"})

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 10.0  # without a byte
_MAGIC = re.compile(r"[*?\[]")
_Result = TypeVar("_Result")

# What no retry can mend. Libraries have errors of their own for missing credentials.
_PERMANENT = (
    *(FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ValueError),
    *(TypeError, ImportError, NotImplementedError, MemoryError),
)
_CREDENTIALS = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"}
)


class Store:
    """The store of an object, a prefix or a pattern. All methods raise :class:`Refused`.

    ``place`` is any URL that fsspec knows, except chained ones (``a::b``); others are a
    :class:`UsageError`.
    """

    def __init__(self, place: StoreObject) -> None:
        self.url = url = place.url
        is_s3 = place.scheme in _S3_SCHEMES
        try:
            import fsspec  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingExtraError("fsspec", "cloud") from error
        if "::" in url:  # it could lead anywhere, past the gate for the web
            raise UsageError(f"{url}: chained URLs are not followed")
        try:
            options = _s3_options() if is_s3 else {}
            self._fs, self._path = fsspec.core.url_to_fs(url, **options)
            if options:
                self._fs.retries = 1  # the tries that s3fs adds to those of botocore
        except ImportError as error:
            if is_s3:
                raise MissingExtraError("s3fs", "cloud") from error
            raise UsageError(f"{url}: {error}") from error
        except Exception as error:  # each library has its own for a URL or a setting that is wrong
            raise UsageError(f"{url}: {error}") from error

    def read(self, limits: Limits) -> bytes:
        """Read the object whole."""
        data = self.read_range(0, limits.max_bytes + 1)
        if len(data) > limits.max_bytes:
            raise Refused(Reason.TOO_MANY_BYTES, f"more than {limits.max_bytes} bytes")
        return data

    def read_range(self, start: int, end: int) -> bytes:
        """Read the bytes from ``start`` up to ``end``, or up to the object's own end."""

        def read() -> bytes:
            try:
                # One request; to ask for the size first would double the time of small objects.
                return bytes(self._fs.cat_file(self._path, start=start, end=end))
            except _PERMANENT:
                raise
            except Exception:
                # To some stores a range of an empty object is an error.
                if self._fs.info(self._path).get("size") == 0:
                    return b""
                raise

        return _retried(read)

    def open(self) -> BinaryIO:
        """Open the object as a seekable stream."""
        import fsspec  # noqa: PLC0415 - an extra

        # With the library's own tries, as they are set: a read that fails is not begun anew here.
        filesystem, path = fsspec.core.url_to_fs(self.url)
        try:
            return cast(BinaryIO, filesystem.open(path, "rb"))
        except Exception as error:
            raise _refusal(error) from error

    def is_object(self) -> bool:
        """Whether the URL is that of an object, and not of what lies below it."""
        return bool(_retried(lambda: self._fs.info(self._path))["type"] == "file")

    @property
    def is_pattern(self) -> bool:
        """Whether the URL is a pattern."""
        return _first_magic(self.url) < len(self.url)

    def objects_below(self) -> Iterator[StoreObject]:
        """Yield all objects whose paths begin with this one and a slash.

        They come in the order of the store's own listing, which for S3 is that of their names.
        S3 lists them by pages; of other stores, one folder is held in memory at a time.
        """
        base = self.url.rstrip("/")
        root = self._path.rstrip("/")
        paths = self._pages(root) if hasattr(self._fs, "call_s3") else self._walk(root)
        for path in paths:
            yield StoreObject(base + path[len(root) :])

    def matches(self) -> Iterator[StoreObject]:
        """Yield the objects that match the URL as a pattern."""
        literal = self.url[: _first_magic(self.url)].rpartition("/")[0]
        from fsspec.utils import glob_translate  # noqa: PLC0415 - an extra

        pattern = re.compile(glob_translate(self.url[len(literal) + 1 :]))
        for found in Store(StoreObject(literal)).objects_below():
            if pattern.match(found.url[len(literal) + 1 :]):
                yield found

    def _pages(self, root: str) -> Iterator[str]:
        bucket, _, key = root.partition("/")
        options: dict[str, Any] = {"Bucket": bucket, "Prefix": f"{key}/" if key else ""}
        while True:
            page = _retried(lambda: self._fs.call_s3("list_objects_v2", **options))
            for entry in page.get("Contents", ()):
                if not entry["Key"].endswith("/"):  # a folder's stand-in
                    yield f"{bucket}/{entry['Key']}"
            if not page.get("IsTruncated"):
                return
            options["ContinuationToken"] = page["NextContinuationToken"]

    def _walk(self, root: str) -> Iterator[str]:
        try:
            for folder, folders, files in self._fs.walk(root, on_error="raise"):
                folders.sort()  # walked in this order
                for name in sorted(files):
                    yield f"{folder.rstrip('/')}/{name}"
        except Exception as error:
            raise _refusal(error) from error


@cache
def _s3_options() -> dict[str, Any]:
    """Return the options of S3's library; the user's own configuration takes precedence."""
    import botocore.session  # noqa: PLC0415 - an extra
    from fsspec.config import conf  # noqa: PLC0415

    options: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS}
    # Of AWS_MAX_ATTEMPTS, or of max_attempts in ~/.aws/config.
    if botocore.session.Session().get_config_variable("max_attempts") is None:
        options["retries"] = {"total_max_attempts": 1}
    for scheme in _S3_SCHEMES:
        options |= conf.get(scheme, {}).get("config_kwargs", {})
    return {"config_kwargs": options}


def _first_magic(url: str) -> int:
    start = url.find("://") + 3
    found = _MAGIC.search(url, start)
    return len(url) if found is None else found.start()


def _retried(action: Callable[[], _Result]) -> _Result:
    def attempt(_: float) -> _Result:
        try:
            return action()
        except Exception as error:
            raise _refusal(error) from error

    return with_retries(attempt)


def _refusal(error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    if type(error).__name__ in _CREDENTIALS:
        return Refused(Reason.PERMISSION_DENIED, f"{type(error).__name__}: {error}"[:200])
    if isinstance(error, MemoryError):
        return Refused(Reason.OUT_OF_MEMORY, "the bytes do not fit")
    refused = refusal(error)
    if refused.reason is not Reason.READ_ERROR or isinstance(error, _PERMANENT):
        return refused
    return TransientRefusal(refused.reason, refused.detail)


@contextmanager
def opened(location: Container) -> Iterator[BinaryIO]:
    """Open a local file, unbuffered, or an object; what fails to be read is :class:`Refused`."""
    if isinstance(location, FileLocation):
        file = cast(BinaryIO, open_regular(location.path))
    else:
        file = Store(location).open()
    with file, reading(location):
        yield file


@contextmanager
def reading(location: Container) -> Iterator[None]:
    """Turn what fails while a file is read into :class:`Refused`, with its reason."""
    try:
        yield
    except (Refused, RecognizerError):
        raise
    except OSError as error:
        raise refusal(error) from error
    except Exception as error:
        if isinstance(location, FileLocation):
            raise
        raise refusal(error) from error  # libraries of stores have errors of their own


def stamp_of(file: BinaryIO) -> tuple[int, int]:
    """Return the size and modification time (ns) of a local file."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


class TransientRefusal(Refused):
    """A failure that another try may mend."""


def with_retries(action: Callable[[float], _Result]) -> _Result:
    """Call ``action`` with its deadline (of :func:`time.monotonic`); retry while there is time."""
    deadline = time.monotonic() + MAX_SECONDS
    for pause in PAUSES:
        try:
            return action(deadline)
        except TransientRefusal:
            if time.monotonic() + pause >= deadline:
                raise
        time.sleep(pause)
    return action(deadline)
