"""The pictures of a scan's images, if their bytes are those that were scored."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial

from recognizer._files import Closes
from recognizer.errors import RecognizerError, ScanFileError, UsageError
from recognizer.guarded import GuardedRecognizer
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.imaging.thumbnail import Thumbnail, draw_heatmap, shrink
from recognizer.model.bundle import Bundle
from recognizer.policy.values import Policy
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile
from recognizer.scan import Item
from recognizer.scan.options import allowed_hosts
from recognizer.scan.worker import Reader
from recognizer.status import Reason, Status

SIDES: Mapping[str, int] = {"small": 320, "large": 1280, "heat": 1280}  # longer side, in pixels
SHOWN_BY_BROWSERS = ("jpeg", "png", "webp", "gif", "avif")

_JPEG = "image/jpeg"
_PROCESSES, _TIMEOUT = 2, 30.0  # seconds for one picture
_MEMORY_LIMIT = 2 << 30  # bytes of one process


class Unavailable(Exception):  # noqa: N818 - says something of a photo, not of the program
    """No such picture; ``words`` say why on a page, the text of the error in a terminal."""

    def __init__(self, words: str, detail: str = "") -> None:
        super().__init__(detail or words)
        self.words = words


_GONE = "The file is no longer where the scan found it."
_CHANGED = "The file has changed since the scan and is not what was scored."
_UNDECODED = "The photo could not be decoded."


def read_original(row: Row, allow_hosts: Collection[str] = ()) -> bytes:
    """Return the bytes of a row's image as they are now; raise a Refused if they cannot be read."""
    return Reader(Limits(), allow_hosts).read(Item.at(row.source))


def original_reader(file: ScanFile) -> Callable[[Row], bytes]:
    """Return :func:`read_original` with the hosts that a scan's file allows."""
    return partial(read_original, allow_hosts=allowed_hosts(file))


def read_scored(row: Row, read: Callable[[Row], bytes]) -> bytes:
    """Return what ``read`` does if it is what was scored; else raise :class:`Unavailable`."""
    try:
        data = read(row)
    except Refused as error:
        is_gone = error.reason is Reason.NOT_FOUND
        words = _GONE if is_gone else "The photo cannot be read from here."
        raise Unavailable(words, f"{error.reason}: {error.detail}") from error
    if hashlib.sha256(data).hexdigest() != row.sha256:
        raise Unavailable(_CHANGED, "the file has changed since the scan")
    return data


class Photos(Closes):
    """Makes pictures of the images of a scan's file, or raises :class:`Unavailable`."""

    def __init__(self, file: ScanFile, bundles: Sequence[Bundle] = ()) -> None:
        self._file = file
        self._read = original_reader(file)
        self.bundles = {bundle.digest: bundle for bundle in bundles}
        self._recognizers: dict[str, GuardedRecognizer] = {}
        self._starting = threading.Lock()

    @property
    def policy(self) -> Policy | None:
        """The policy that decides in the scan's file now, if it is kept and its bundle is here."""
        for taxonomy in (*(bundle.taxonomy for bundle in self.bundles.values()), None):
            with suppress(UsageError, ScanFileError):  # it names labels of another bundle
                return self._file.policy(taxonomy)
        return None

    def close(self) -> None:
        with self._starting:
            for one in self._recognizers.values():
                one.close()

    def picture(self, image: int, row: Row, kind: str, label: str = "") -> tuple[bytes, str]:
        """Return a picture of an image and its media type, by the image's number and row.

        ``kind`` is a key of :data:`SIDES`, or ``original``; a heat-map is that of ``label``.
        """
        if row.status is Status.FAILED:  # what may have cost the scan a process is not tried here
            raise Unavailable(_UNDECODED)
        if kind == "small":
            return self.thumbnail(image, row).jpeg, _JPEG
        try:
            data = read_scored(row, self._read)
            if kind == "heat":
                return self._heatmap(row, data, label)
            if kind == "original" and row.format in SHOWN_BY_BROWSERS:
                return data, f"image/{row.format}"
            side = SIDES.get(kind) or max(row.width or 1, row.height or 1)
            return self._decoded(row, data, side).jpeg, _JPEG
        except Unavailable:
            stored = self._file.thumbnail(image)
            if stored is None or kind in {"heat", "original"}:
                raise
            return stored.jpeg, _JPEG

    def thumbnail(self, image: int, row: Row) -> Thumbnail:
        """Return what the scan has kept of an image, else what is made of the file as it is now."""
        if (kept := self._file.thumbnail(image)) is not None:
            return kept
        return self._decoded(row, read_scored(row, self._read), SIDES["small"])

    def _heatmap(self, row: Row, data: bytes, label: str) -> tuple[bytes, str]:
        if (bundle := self.bundles.get(row.model.digest)) is None:
            raise Unavailable("No heat-map: the model behind this row is not at hand (--model).")
        if label not in row.lead_labels:
            raise Unavailable("No heat-map: this photo has no lead of the label.")
        try:
            found = self._recognizer(bundle).explain(data, label)
        except RecognizerError as error:
            raise Unavailable("The heat-map could not be made.") from error
        if not found.heatmap.size:
            raise Unavailable(_UNDECODED)
        drawn = draw_heatmap(found.rgb, found.heatmap, heat_threshold(row, label))
        return shrink(drawn, SIDES["heat"], 0).jpeg, _JPEG

    def _decoded(self, row: Row, data: bytes, side: int) -> Thumbnail:
        frame = row.regions[0].frame if row.regions else 0
        bundle = self.bundles.get(row.model.digest) or next(iter(self.bundles.values()), None)
        with suppress(RecognizerError):
            if (made := self._recognizer(bundle).thumbnail(data, side, frame)) is not None:
                return made
        raise Unavailable(_UNDECODED)

    def _recognizer(self, bundle: Bundle | None) -> GuardedRecognizer:
        """Return the processes of a bundle, or of the default one: strangers sent the bytes."""
        digest = bundle.digest if bundle else ""
        with self._starting:
            if digest not in self._recognizers:
                self._recognizers[digest] = GuardedRecognizer.load(
                    None if bundle is None else bundle.path,
                    processes=_PROCESSES,
                    timeout=_TIMEOUT,
                    memory_limit=_MEMORY_LIMIT,
                    limits=Limits(),
                )
            return self._recognizers[digest]


def heat_threshold(row: Row, label: str) -> float:
    """Return the threshold of a row's lead of a label, else of the family that brought it in."""
    return {lead.name: lead.threshold for lead in row.leads[::-1]}.get(
        label, row.leads[0].threshold
    )
