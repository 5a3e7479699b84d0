"""Which language a browser asks for, and times in words."""

from __future__ import annotations

from datetime import datetime

from recognizer.review.texts import LANGUAGES, Texts

_UNITS = ((86400, "days_ago"), (3600, "hours_ago"), (60, "minutes_ago"), (1, "just_now"))


def ago(time: datetime, now: datetime, texts: Texts) -> str:
    """Return how long ago a time was, in the largest unit."""
    passed = max(1.0, (now - time).total_seconds())
    seconds, key = next(unit for unit in _UNITS if passed >= unit[0])
    return texts(key, n=int(passed // seconds))


def language_of(accepted: str) -> str:
    """Return the first language of an Accept-Language header that there is; else English."""
    ranked = []
    for place, part in enumerate(accepted.split(",")[:20]):
        name, _, weight = part.strip().partition(";q=")
        try:
            ranked.append((-float(weight or 1), place, name.lower().split("-")[0]))
        except ValueError:
            continue
    return next((name for _, _, name in sorted(ranked) if name in LANGUAGES), "en")
