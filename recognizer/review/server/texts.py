"""The words of the pages, in English and Chinese; ``texts.toml`` is the one place for them."""

from __future__ import annotations

import tomllib
from datetime import datetime
from functools import cache
from importlib import resources

from recognizer.review import chinese
from recognizer.review.guide import explain_reason
from recognizer.status import Reason
from recognizer.taxonomy import Taxonomy

LANGUAGES = {"en": "English", "zh": "中文"}

_UNITS: tuple[tuple[int, str, str], ...] = (
    (86400, "{} d ago", "{} 天前"),
    (3600, "{} h ago", "{} 小时前"),
    (60, "{} min ago", "{} 分钟前"),
    (0, "just now", "刚刚"),
)


@cache
def catalogue() -> dict[str, list[str]]:
    """Return what ``texts.toml`` holds: key -> English, Chinese."""
    file = resources.files("recognizer.review.server") / "texts.toml"
    return tomllib.loads(file.read_text("utf-8"))


class Texts:
    """The words of one language; called with a key, it returns a text."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else "en"
        self.is_chinese = self.language == "zh"

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its values filled in; numbers get separators."""
        shown = {k: f"{v:,}" if isinstance(v, int) else v for k, v in values.items()}
        text: str = catalogue()[key][self.is_chinese]
        return text.format(**shown)

    def label(self, name: str, taxonomy: Taxonomy, *, family: bool = False) -> str:
        """Return the name of a label or family for people."""
        names = chinese.FAMILIES if family else chinese.LABELS
        own = names.get(name) if self.is_chinese else None
        return own or taxonomy.display_name(name, family=family)

    def reason(self, reason: Reason | None) -> str:
        """Return what the reason of a failure means."""
        own = chinese.REASONS.get(reason) if self.is_chinese and reason else None
        return own or explain_reason(reason)

    def ago(self, time: datetime, now: datetime) -> str:
        """Return how long ago a time was, in the largest unit."""
        passed = max(0.0, (now - time).total_seconds())
        unit, *words = next(one for one in _UNITS if passed >= one[0])
        return words[self.is_chinese].format(int(passed // (unit or 1)))


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
