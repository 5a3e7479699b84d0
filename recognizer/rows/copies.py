"""Near-copies: images that show the same picture, by their perceptual hash or equal bytes.

In the queue, listings are folded whose best images are near-copies of one another. This is the one
place that says which: the report, the desk and tables of listings read the groups from the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from recognizer.known import COPY_DISTANCE, near_copies
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile


def group_copies(file: ScanFile) -> None:
    """Fold the entries of the queue whose best images are near-copies, if that is out of date.

    In a file that is open for reading only, this connection alone has them folded.
    """
    if not file.is_writable:
        file.execute("DROP TABLE IF EXISTS temp.entry")
    if file.setting("grouped") == "1":
        return
    update = "UPDATE entry SET copies = ? WHERE unit = ? AND best = ?"
    if file.is_writable:  # others may write while the hashes are compared
        mark = os.urandom(8).hex()
        file.set_setting("grouped", mark)
        changes = _changed_groups(file)
        with file.transaction() as database:
            database.executemany(update, changes)
            database.execute(
                "UPDATE setting SET value = '1' WHERE name = 'grouped' AND value = ?", (mark,)
            )
    else:
        file.execute("CREATE TEMP TABLE entry AS SELECT * FROM main.entry")
        for change in _changed_groups(file):
            file.execute(update, change)
        file.execute("CREATE INDEX temp.entry_copies ON entry (copies)")


def _changed_groups(file: ScanFile) -> list[tuple[int | None, int, int]]:
    """Return the group, unit and best image of entries whose group has changed."""
    entries = file.select(
        "SELECT entry.unit, best, entry.copies, phash, sha256 FROM entry"
        " JOIN image ON image.id = best WHERE section = 'queue' ORDER BY best"
    )
    first = near_copies([e[3] for e in entries], [e[4] for e in entries]).tolist()
    groups = {at for position, at in enumerate(first) if at != position}
    return [
        (group, unit, best)
        for (unit, best, before, *_), at in zip(entries, first, strict=True)
        if (group := entries[at][0] if at in groups else None) != before
    ]


def find_copies(file: ScanFile, distance: int = COPY_DISTANCE) -> Iterator[list[Row]]:
    """Yield the rows of each group of near-copies among all images of a scan.

    Two near-copies differ in at most ``distance`` bits of their hashes, or have equal bytes.
    """
    images = file.select(
        "SELECT id, phash, sha256 FROM image WHERE coalesce(phash, sha256) IS NOT NULL ORDER BY id"
    )
    first = near_copies([i[1] for i in images], [i[2] for i in images], distance).tolist()
    groups: dict[int, list[int]] = {}
    for (image, *_), at in zip(images, first, strict=True):
        groups.setdefault(at, []).append(image)
    for members in groups.values():
        if len(members) > 1:
            some = json.dumps(members)
            yield [*file.rows("image.id IN (SELECT value FROM json_each(?))", (some,))]
