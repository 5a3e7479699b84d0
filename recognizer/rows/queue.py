"""The entries of the queue, written with their images; views of the file say their order."""

import sqlite3
from collections.abc import Iterable

from recognizer._sqlite import columns_of
from recognizer.known import MAX_SECONDS_AHEAD
from recognizer.policy.values import QUEUE_ORDER, Decision
from recognizer.rows.identity import hash_of

_PLACE = {decision: place for place, decision in enumerate(QUEUE_ORDER)}
IS_LEAD = f"place < {_PLACE[Decision.UNSCORED]}"
IS_UNSCORED = f"place = {_PLACE[Decision.UNSCORED]}"
IS_QUEUED = f"place < {_PLACE[Decision.CLEAR]}"

SCHEMA_VALUES = {
    "image_order": "reason IS 'no_image', place, ifnull(unproven, 2), score DESC, source",
    "queue_order": "place, unproven, reports DESC, score DESC, first",
    "is_lead": IS_LEAD,
    "ahead": f"+{MAX_SECONDS_AHEAD} seconds",
    "places": " ".join(f"WHEN '{decision}' THEN {place}" for decision, place in _PLACE.items()),
    "levels": ", ".join(f"({place}, '{decision}')" for decision, place in _PLACE.items()),
}
"""Values of the names in braces in ``schema.sql``, which adds the image to both orders."""

IMAGE_ORDER = f"{SCHEMA_VALUES['image_order']}, image.id"
ENTRY_ORDER = f"{SCHEMA_VALUES['queue_order']}, best"

# Columns of an entry that are not those of the view ranked, or of the image of an audit sample.
_OF_QUEUE = {"section": "'queue'", "copies": "NULL"}
_OF_AUDIT = {"unit": ":unit", "section": "'audit'", "best": "id", "score": ":score"}
_OF_AUDIT |= {"place": "0", "unproven": "0", "reports": "0", "copies": "NULL"}
_UNITS_AT_A_TIME = 500


def refresh_entries(
    database: sqlite3.Connection, units: Iterable[int], audited: Iterable[str] = ()
) -> None:
    """Write the entries of units whose images have changed, in the transaction that changed them.

    ``audited`` are the digests of images that are or were in the audit sample.
    """
    left = sorted({*units})
    names = columns_of(database, "entry")
    of_queue, of_audit = (
        ", ".join(computed.get(name, name) for name in names) for computed in (_OF_QUEUE, _OF_AUDIT)
    )
    changes = ", ".join(f"{n} = excluded.{n}" for n in names if n not in {"unit", *_OF_QUEUE})
    for sha256 in {*audited}:
        unit = hash_of(f"audit {sha256}")  # equal bytes are looked at once
        database.execute("DELETE FROM entry WHERE unit = ?", (unit,))
        database.execute(  # in an order that says nothing of scores
            f"INSERT INTO entry SELECT {of_audit} FROM image"
            " WHERE sha256 = :sha256 AND audit IS NOT NULL ORDER BY id LIMIT 1",
            {"unit": unit, "score": int(sha256[:12], 16) / 16**12, "sha256": sha256},
        )
    for start in range(0, len(left), _UNITS_AT_A_TIME):
        some = ", ".join(map(str, left[start : start + _UNITS_AT_A_TIME]))
        database.execute(
            f"DELETE FROM entry WHERE unit IN ({some}) AND unit NOT IN"
            f" (SELECT unit FROM ranked WHERE unit IN ({some}) AND {IS_QUEUED})"
        )
        database.execute(
            f"INSERT INTO entry SELECT {of_queue} FROM ranked"
            f" WHERE unit IN ({some}) AND {IS_QUEUED} ON CONFLICT (unit) DO UPDATE SET {changes}"
        )
    if left:
        database.execute("INSERT OR REPLACE INTO setting VALUES ('grouped', '0')")
