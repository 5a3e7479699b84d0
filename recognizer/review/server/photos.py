"""The photos of a queue: made from what the row names, if its bytes are those that were scored.

Small ones come from the thumbnails of the scan where it has kept them. Everything is made once and
kept in memory, up to a limit.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from recognizer.engine import Recognizer
from recognizer.errors import RecognizerError
from recognizer.imaging import Limits, load_image
from recognizer.imaging.overlay import draw_heatmap
from recognizer.imaging.sources import Refused
from recognizer.model.bundle import Bundle
from recognizer.rows.row import Row
from recognizer.rows.thumbnails import ThumbnailStore, shrink, thumbnails_path
from recognizer.status import Reason, Status

SIDES = {"small": 320, "large": 1280, "heat": 1280}
"""The longer side of what is made, in pixels; ``original`` is served as it is."""

SHOWN_BY_BROWSERS = ("jpeg", "png", "webp", "gif", "avif")

_CACHE_BYTES = 96 << 20
_HEATMAPS_AT_ONCE = 1  # a pass of the model uses all cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An encoded image; ``kept``: made by the scan, because the original is not there now."""

    data: bytes
    media_type: str = "image/jpeg"
    kept: bool = False


class Unavailable(Exception):  # noqa: N818 - says something of a photo, not of the program
    """There is no such picture; ``key`` names the text that says why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class Photos:
    """Makes the pictures of rows.

    Args:
        read: return the bytes of a row's image as they are now, or raise ``Refused``.
        journals: of the scans; their thumbnails lie beside them.
        bundles: the models that may be behind the rows.
    """

    def __init__(
        self, read: Callable[[Row], bytes], journals: Sequence[Path], bundles: Sequence[Bundle]
    ) -> None:
        self._read = read
        self._stores = [
            ThumbnailStore(path, create=False)
            for path in map(thumbnails_path, journals)
            if path.exists()
        ]
        self._bundles = {bundle.digest: bundle for bundle in bundles}
        self._recognizers: dict[str, Recognizer] = {}
        self._cache: OrderedDict[tuple[str, ...], Picture] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self._model = threading.Semaphore(_HEATMAPS_AT_ONCE)
        self._later = ThreadPoolExecutor(max_workers=1)

    def close(self) -> None:
        """Release the files."""
        self._later.shutdown(cancel_futures=True)
        for store in self._stores:
            store.close()

    def bundle_of(self, row: Row) -> Bundle | None:
        """Return the model behind a row, where it is at hand."""
        return self._bundles.get(row.model.digest)

    def picture(self, row: Row, kind: str, label: str = "") -> Picture:
        """Return a picture of a row's image.

        Args:
            row: of the image.
            kind: ``small``, ``large``, ``heat`` (the heat-map of a label over it) or ``original``.
            label: for a heat-map; empty for the highest product.

        Raises:
            Unavailable: the image has gone or changed, or cannot be decoded.
        """
        if row.status is Status.FAILED:  # what may have cost the scan a process is not tried here
            raise Unavailable("photo_undecoded")
        if kind == "original":  # not kept: it may be large
            return self._original(row)
        key = (row.sha256 or row.source, kind, label)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        picture = self._make(row, kind, label)
        with self._lock:
            self._size += len(picture.data) - len(self._cache.pop(key, Picture(data=b"")).data)
            self._cache[key] = picture
            while self._size > _CACHE_BYTES:
                self._size -= len(self._cache.popitem(last=False)[1].data)
        return picture

    def make_later(self, row: Row) -> None:
        """Make the large picture of a row in the background; whether that works shows later."""
        self._later.submit(self.picture, row, "large")

    def _make(self, row: Row, kind: str, label: str) -> Picture:
        stored = self._stored(row)
        if kind == "small" and stored is not None:
            return stored
        try:
            data = self._bytes(row)
            return (
                self._heatmap(row, data, label) if kind == "heat" else self._shrunk(row, data, kind)
            )
        except Unavailable:
            if stored is None or kind == "heat":
                raise
            return stored

    def _stored(self, row: Row) -> Picture | None:
        for store in self._stores:
            with self._lock:
                found = store.get(row.sha256)
            if found is not None:
                return Picture(data=found.jpeg, kept=True)
        return None

    def _bytes(self, row: Row) -> bytes:
        try:
            data = self._read(row)
        except Refused as error:
            raise Unavailable(
                "photo_gone" if error.reason is Reason.NOT_FOUND else "photo_unread"
            ) from error
        if hashlib.sha256(data).hexdigest() != row.sha256:
            raise Unavailable("photo_changed")
        return data

    def _shrunk(self, row: Row, data: bytes, kind: str) -> Picture:
        side = SIDES[kind]
        image = load_image(data, min_side=side)
        if not image.frames:
            raise Unavailable("photo_undecoded")
        wanted = row.regions[0].frame if row.regions else None
        frame = next((f for f in image.frames if f.index == wanted), image.frames[0])
        return Picture(data=shrink(frame.rgb, side, frame.index).jpeg)

    def _heatmap(self, row: Row, data: bytes, label: str) -> Picture:
        bundle = self.bundle_of(row)
        if bundle is None:
            raise Unavailable("no_model")
        with self._model:
            if bundle.digest not in self._recognizers:
                self._recognizers[bundle.digest] = Recognizer(bundle)
            try:
                explained = self._recognizers[bundle.digest].explain(
                    data, label if label in bundle.label_names else None
                )
            except RecognizerError as error:
                raise Unavailable("no_heatmap") from error
        if not explained.heatmap.size:
            raise Unavailable("photo_undecoded")
        drawn = draw_heatmap(explained.rgb, explained.heatmap)
        return Picture(data=shrink(drawn, SIDES["heat"], 0).jpeg)

    def _original(self, row: Row) -> Picture:
        data = self._bytes(row)
        if row.format in SHOWN_BY_BROWSERS:
            return Picture(data=data, media_type=f"image/{row.format}")
        image = load_image(data, limits=Limits())
        if not image.frames:
            raise Unavailable("photo_undecoded")
        rgb = image.frames[0].rgb
        return Picture(data=shrink(rgb, max(rgb.shape), 0).jpeg)
