"""Where the photos of a collection come from: the source of each, the unit of independence.

Photos of one seller, shop or camera are alike. A model that is tested on the same sources that it
was trained on looks better than it is, so a source has to be known, or taken from what there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from recognizer.dataset.layouts import FOLDER, SPLIT_FOLDERS, Collection, CollectionEntry
from recognizer.errors import UsageError

SOURCE_COLUMNS = (
    *("source", "seller", "seller_id", "seller_name", "shop", "store", "account", "user"),
    *("user_id", "username", "owner", "photographer", "author", "listing", "listing_id", "case"),
    *("case_id", "site", "website", "domain", "platform", "repository", "collection", "dataset"),
)
"""Columns that are taken for the source, the first one first."""

MODES = ("folder", "photo")
"""What --source takes besides the name of a column."""

Origins = tuple[Sequence[str | None], str]
"""The source of each entry, or None, and in words how it was found."""


def find_origins(found: Collection, asked: str | None = None) -> Origins:
    """Return the source of each photo: of a column, one of :data:`MODES`, or None to find out."""
    entries = found.entries
    columns = list(dict.fromkeys(key for entry in entries for key in entry.fields))
    if asked in columns and asked != FOLDER:
        return _of_column(entries, asked)
    if asked == "photo":
        return [None] * len(entries), "each photo is its own source"
    if asked == "folder":
        return _of_folder(found)
    if asked is not None:
        given = ", ".join(name for name in columns if name != FOLDER)
        raise UsageError(
            f"--source {asked}: no such column{f' (there are {given})' if given else ''}; "
            f"give a column, or one of: {', '.join(MODES)}"
        )
    return _guess(found, columns)


def _guess(found: Collection, columns: Sequence[str]) -> Origins:
    """Return the sources of the first way that tells photos of a label apart."""
    entries = found.entries
    plain = {name.strip().lower().replace(" ", "_"): name for name in columns}
    same = ""
    for name in SOURCE_COLUMNS:
        if name in plain:
            sources, words = _of_column(entries, plain[name])
            if len(set(sources) - {None}) > 1:
                return sources, words + same
            same += f" ({words} says the same of all)"
    sources, words = _of_folder(found)
    if _tells_apart(sources, [entry.label for entry in entries]):
        return sources, words + same
    words = "nothing says where the photos come from: each is its own source"
    return [None] * len(entries), words + same


def _tells_apart(sources: Sequence[str | None], labels: Sequence[str]) -> bool:
    """Return whether folders are more than another name of the labels.

    At least half of the photos must have a source, shared by another photo, and some label must
    have two.
    """
    counts = Counter(source for source in sources if source is not None)
    pairs = {(label, s) for label, s in zip(labels, sources, strict=True) if s is not None}
    of_label = Counter(label for label, _ in pairs).values()
    shared = sum(n for n in counts.values() if n > 1)
    return max(of_label, default=0) > 1 and 2 * shared >= len(sources)


def _of_column(entries: Sequence[CollectionEntry], column: str) -> Origins:
    sources = [(entry.fields.get(column) or "").strip() or None for entry in entries]
    return sources, f"the column {column!r}"


def _of_folder(found: Collection) -> Origins:
    if found.layout == "folders":
        sources = [entry.fields.get(FOLDER) for entry in found.entries]
        return sources, "the folder inside each label's folder"
    return [_parent(e, found.root) for e in found.entries], "the folder that a photo lies in"


def _parent(entry: CollectionEntry, root: Path) -> str | None:
    parts = entry.path.relative_to(root).parts[:-1]
    names = [p for p in parts if p.lower() not in SPLIT_FOLDERS | {"images", "data", entry.label}]
    return names[-1] if names else None
