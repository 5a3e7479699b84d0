"""A container, and its items: what runs in a process of its own, because strangers wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from recognizer._process import describe
from recognizer.errors import RecognizerError
from recognizer.imaging import Limits
from recognizer.imaging.sources import Refused
from recognizer.scan.containers.bounds import Bounds, Progress
from recognizer.scan.containers.members import items_of
from recognizer.scan.containers.roots import Roots
from recognizer.scan.containers.tables import table_items
from recognizer.scan.containers.tars import tar_members
from recognizer.scan.containers.zips import zip_members
from recognizer.scan.items import Item, Skipped
from recognizer.scan.location import ZIP_SUFFIX, Container, table_format
from recognizer.status import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An archive or a table, and how it is opened.

    Attributes:
        image_column: of a table; None to find it by its name.
        limits: larger members and cells are not read.
        roots: where the images that a table names may lie.
        is_only_source: whether a table without an image column is a mistake of the user, and not
            one of many files of others.
        is_careful: read as little as possible at once: it has cost a process before.
    """

    container: Container
    image_column: str | None = None
    limits: Limits = field(default_factory=Limits)
    bounds: Bounds = field(default_factory=Bounds)
    roots: Roots = field(default_factory=Roots)
    is_only_source: bool = False
    is_careful: bool = False

    def items(self, progress: Progress, skipped: Skipped) -> Iterator[Item]:
        """Yield the images of the container; one that cannot be read on ends in an item.

        Raises:
            MissingExtraError: pyarrow, or the library for a store, is not installed.
            UsageError: the only source is a table without such a column; there is no such store.
        """
        try:
            yield from self._items(progress, skipped)
        except RecognizerError:
            raise
        except Refused as refused:
            detail = f"{refused.detail}; {progress.rest}"
            yield Item.failed(self.container, refused.reason, detail)
        except MemoryError:
            if not self.is_careful:  # a process that has died of it is given another try
                raise
            detail = f"it takes more memory than there is (--memory-limit); {progress.rest}"
            yield Item.failed(self.container, Reason.CORRUPT_CONTAINER, detail)
        except Exception as error:  # of any class: whatever a parser makes of damage
            detail = f"{describe(error)}; {progress.rest}"
            yield Item.failed(self.container, Reason.CORRUPT_CONTAINER, detail)

    def _items(self, progress: Progress, skipped: Skipped) -> Iterator[Item]:
        name = str(self.container)
        if table_format(name):
            return table_items(self, progress, skipped)
        if name.lower().endswith(ZIP_SUFFIX):
            members = zip_members(self.container)
        else:
            members = tar_members(self.container, progress)
        return items_of(members, self.limits, progress, skipped)
