"""Where the images that a table names may lie: a stranger may have written it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from recognizer.scan.location import (
    BUCKET_SCHEMES,
    Container,
    FileLocation,
    Location,
    StoreObject,
)
from recognizer.scan.locations.web import Access


@dataclass(frozen=True, slots=True)
class Roots:
    """Folders, by their real paths, and prefixes of stores."""

    folders: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Container, sources: Iterable[Container], access: Access) -> Self:
        """Return the roots of a table: what was allowed, else its folder and those named."""
        folders, prefixes = [*access.roots], [*access.stores]
        for place in (table, *sources):
            if isinstance(place, StoreObject):
                prefixes.append(place.url if place is not table else f"{_parent(place.url)}/")
            elif not access.roots:
                folders.append(place.path if place is not table else os.path.dirname(place.path))
        real = (os.path.realpath(folder or os.curdir) for folder in folders)
        return cls(tuple(dict.fromkeys(real)), tuple(p.rstrip("/") + "/" for p in prefixes))

    def refusal(self, location: Location) -> str | None:
        """Return why a table may not name a location; None where it may."""
        if isinstance(location, FileLocation) and not self._holds(location.path):
            return "a table names it, and it is outside the table's folder: allow another by --root"
        if not isinstance(location, StoreObject):
            return None
        if location.scheme not in BUCKET_SCHEMES:
            return f"{location.scheme}:// URLs in a list or table are not followed"
        is_plain = not {".", ".."} & {*location.url.split("/")}
        if is_plain and location.url.startswith(self.prefixes):
            return None
        return "a table names it: allow what its URL begins with by --allow-store"

    def _holds(self, path: str) -> bool:
        try:
            real = os.path.realpath(path)
        except ValueError:  # a NUL: the reader will say that there is no such file
            return True
        return any(real == root or real.startswith(os.path.join(root, "")) for root in self.folders)


def _parent(url: str) -> str:
    return url.rpartition("/")[0]
