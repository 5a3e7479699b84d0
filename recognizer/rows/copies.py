"""Near-copies in the queue: by perceptual hash, or of equal bytes."""

import os

from recognizer.imaging.near_copies import near_copies
from recognizer.rows.scanfile import ScanFile


def group_copies(file: ScanFile) -> None:
    """Fold the entries of the queue whose best images are near-copies, if that is out of date.

    In a file that is open for reading only, they stay as they were folded last.
    """
    if file.setting("grouped") == "1" or not file.is_writable:
        return
    mark = os.urandom(8).hex()  # others may write while the hashes are compared
    file.set_setting("grouped", mark)
    changes = _changed_groups(file)
    with file.transaction() as database:
        database.executemany("UPDATE entry SET copies = ? WHERE unit = ? AND best = ?", changes)
        database.execute(
            "UPDATE setting SET value = '1' WHERE name = 'grouped' AND value = ?", (mark,)
        )


def _changed_groups(file: ScanFile) -> list[tuple[int | None, int, int]]:
    """Return the group, unit and best image of entries whose group has changed."""
    entries = file.select(
        "SELECT entry.unit, best, entry.copies, phash, iif(status = 'failed', NULL, sha256)"
        " FROM entry JOIN image ON image.id = best WHERE section = 'queue' ORDER BY best"
    )
    first = near_copies([e[3] for e in entries], [e[4] for e in entries]).tolist()
    groups = {at for position, at in enumerate(first) if at != position}
    return [
        (group, unit, best)
        for (unit, best, before, *_), at in zip(entries, first, strict=True)
        if (group := entries[at][0] if at in groups else None) != before
    ]
