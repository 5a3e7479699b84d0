"""Object stores and the web, through fsspec, which a scan of files does not import."""

import io
import re
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, cast

from recognizer.errors import MissingExtraError, UsageError, import_extra
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused, open_regular, read_file, refusal, refusing
from recognizer.scan.items import FileLocation, TableLocation, Url
from recognizer.status import Reason

BUCKET_SCHEMES = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "b2"}
)
"""Schemes whose URLs name a bucket or container, and no host that could be anywhere."""

WEB_SECONDS = 20.0  # for an image from the web: less than a scan's timeout
_CHUNK = 1 << 18
_STATUSES = {
    **dict.fromkeys((401, 403, 451), Reason.PERMISSION_DENIED),
    **dict.fromkeys((404, 410), Reason.NOT_FOUND),
}
# Any parser reads the same host from a URL that begins like this.
_HOST = re.compile(r"https?://([^/?#\\@\s]+)(?:[/?#]|$)", re.IGNORECASE)

_S3_SCHEMES = frozenset({"s3", "s3a"})
# All attempts together take less than a scan's timeout for an image.
_S3_CONFIG = {  # seconds; of reading, without a byte
    "retries": {"total_max_attempts": 3, "mode": "standard"},
    "connect_timeout": 5.0,
    "read_timeout": 8.0,
}


class Store:
    """The store of an object or a prefix; all methods raise :class:`Refused`."""

    def __init__(self, place: Url) -> None:
        self.place = url = place
        is_s3 = place.scheme in _S3_SCHEMES
        if "::" in url:  # it could lead anywhere
            raise UsageError(f"{url}: chained URLs are not followed")
        fsspec = import_extra("fsspec", "cloud")
        try:
            options = {}
            if is_s3:  # the user's own configuration takes precedence
                configured = fsspec.config.conf.get(place.scheme, {}).get("config_kwargs", {})
                options = {"config_kwargs": _S3_CONFIG | configured}
            self._fs, self._path = fsspec.core.url_to_fs(str.__str__(url), **options)
            if is_s3:
                self._fs.retries = 1  # the attempts that s3fs adds to those of botocore
        except Exception as error:  # each library has its own for a URL or a setting that is wrong
            if is_s3 and isinstance(error, ImportError):
                raise MissingExtraError("s3fs", "cloud") from error
            raise UsageError(f"{url}: {error}") from error

    def read(self, limits: Limits) -> bytes:
        with refusing():
            try:
                # One request; to ask for the size first would double the time of small objects.
                data = bytes(self._fs.cat_file(self._path, start=0, end=limits.max_bytes + 1))
            except Exception as error:
                # To some stores a range of an empty object is an error.
                if "range" in str(error).lower() and self._fs.info(self._path).get("size") == 0:
                    return b""
                raise
        limits.check_bytes(len(data))
        return data

    def open(self) -> BinaryIO:
        """Open the object as a seekable stream."""
        with refusing():
            return cast(BinaryIO, self._fs.open(self._path, "rb"))

    def is_object(self) -> bool:
        """Whether the URL is that of an object, and not of what lies below it."""
        with refusing():
            return bool(self._fs.info(self._path)["type"] == "file")

    def objects_below(self) -> Iterator[Url]:
        """Yield all objects below this one; S3 lists them by pages, other stores by folders."""
        base = self.place.rstrip("/")
        root = self._path.rstrip("/")
        with refusing():
            for path in self._pages(root) if hasattr(self._fs, "call_s3") else self._walk(root):
                yield Url(base + path[len(root) :])

    def _pages(self, root: str) -> Iterator[str]:
        bucket, _, key = root.partition("/")
        options: dict[str, Any] = {"Bucket": bucket, "Prefix": f"{key}/" if key else ""}
        while True:
            page = self._fs.call_s3("list_objects_v2", **options)
            for entry in page.get("Contents", ()):
                if not entry["Key"].endswith("/"):  # a folder's stand-in
                    yield f"{bucket}/{entry['Key']}"
            if not page.get("IsTruncated"):
                return
            options["ContinuationToken"] = page["NextContinuationToken"]

    def _walk(self, root: str) -> Iterator[str]:
        for folder, folders, files in self._fs.walk(root, on_error="raise"):
            folders.sort()  # walked in this order
            for name in sorted(files):
                yield f"{folder.rstrip('/')}/{name}"


def opened(location: TableLocation) -> BinaryIO:
    if isinstance(location, FileLocation):
        return io.BufferedReader(open_regular(location))
    return Store(location).open()


def read_url(url: Url, limits: Limits, allow_hosts: Collection[str]) -> bytes:
    """Read an object of a store, or an image of the web if its host is allowed."""
    return _fetch(url, limits, allow_hosts) if url.is_web else Store(url).read(limits)


def _fetch(url: Url, limits: Limits, allow_hosts: Collection[str]) -> bytes:
    """Fetch an image, by one request and without redirects, in :data:`WEB_SECONDS` at most."""
    match = _HOST.match(url)
    if match is None:
        raise Refused(Reason.SOURCE_REFUSED, "not the URL of an image on the web")
    if (host := match[1].lower()) not in allow_hosts:
        raise Refused(Reason.SOURCE_REFUSED, f"the web needs --allow-host {host}")
    fsspec, aiohttp = (import_extra(name, "cloud") for name in ("fsspec", "aiohttp"))
    web = fsspec.filesystem(
        "http",
        client_kwargs={"timeout": aiohttp.ClientTimeout(WEB_SECONDS), "auto_decompress": False},
        headers={"Accept-Encoding": "identity"},
        allow_redirects=False,
    )
    try:
        # A size, and no blocks: the answer is read as it comes, without a request for its size.
        with web.open(str.__str__(url), block_size=0, size=1) as answer:
            if answer.r.status != 200:
                raise Refused(Reason.READ_ERROR, f"HTTP {answer.r.status}")
            return read_file(answer, limits, _CHUNK)
    except Refused:
        raise
    except Exception as error:  # of any class, by fsspec or aiohttp
        if isinstance(status := getattr(error, "status", None), int):
            reason = _STATUSES.get(status, Reason.READ_ERROR)
            raise Refused(reason, f"HTTP {status}") from error
        raise refusal(error) from error
