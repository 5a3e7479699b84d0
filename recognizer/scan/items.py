"""What a scan works on: an item is one image, by the name of where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recognizer.rows.row import item_key
from recognizer.status import Reason


@dataclass(frozen=True, slots=True)
class Span:
    """Where in an archive the bytes of a member lie, so that a worker can read them there.

    Attributes:
        archive: path or URL of the archive.
        offset: where the member's bytes begin; in a zip archive, its local header.
        size: how many bytes there are, as they are stored.
        stamp: size and time of modification (ns) of the archive when it was looked through; None
            where that cannot be told. An archive that has changed is not read by old offsets.
        zipped: what a zip archive says of it; None in a tar.
    """

    archive: str
    offset: int
    size: int
    stamp: tuple[int, int] | None = None
    zipped: Zipped | None = None


@dataclass(frozen=True, slots=True)
class Zipped:
    """How a member of a zip archive is packed.

    Attributes:
        method: number of the compression method.
        size: bytes when unpacked.
        crc: CRC-32 of the unpacked bytes.
    """

    method: int
    size: int
    crc: int


@dataclass(frozen=True, slots=True)
class Item:
    """One image to scan.

    Attributes:
        source: its path, as it was given; a URL; or ``ARCHIVE!/MEMBER``, ``TABLE!/ROW``. A name
            that is no valid text is a ``str`` with lone surrogates, as :func:`os.fsdecode` makes
            it.
        columns: the listing's own columns, passed through to the row; None where there are none.
        reason: why it cannot be read, where that is known already.
        detail: what exactly, in words.
        data: its bytes, where they were read on the way to it, or where an archive holds them;
            None where ``source`` says where they are.
    """

    source: str
    columns: Mapping[str, Any] | None = None
    reason: Reason | None = None
    detail: str | None = None
    data: bytes | Span | None = field(default=None, repr=False)

    @property
    def key(self) -> int:
        """64 bits that tell this item from others, also in a later run."""
        return item_key(self.source, self.columns)


@dataclass(slots=True)
class Imageless:
    """The rows of a table that name no image where images are looked for.

    Attributes:
        rows: how many.
        first: the numbers of the first of them, counted from 1 behind a header.
        elsewhere: columns in which some of them have a value, and which are named like one of
            images too.
    """

    rows: int = 0
    first: list[int] = field(default_factory=list)
    elsewhere: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Passed:
    """What an expansion passed over, so that the summary can tell.

    Attributes:
        other_files: files in folders and archives that are no images, by name nor by first bytes.
        hidden: files and folders in folders whose names begin with a dot.
        without_image: table -> its rows that name no image.
        bad_metadata: metadata beside images in archives that could not be read; the images are
            scanned without it.
    """

    other_files: int = 0
    hidden: int = 0
    without_image: dict[str, Imageless] = field(default_factory=dict)
    bad_metadata: int = 0
