"""Near-copies in the queue: by perceptual hash, or of equal bytes."""

import os

from recognizer.imaging.near_copies import near_copies
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
        file.execute("CREATE INDEX temp.entry_unit ON entry (unit)")
        for change in _changed_groups(file):
            file.execute(update, change)
        file.execute("CREATE INDEX temp.entry_copies ON entry (copies)")


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
