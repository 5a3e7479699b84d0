"""What a platform adds to scores: keywords, reports by users, images that are never clear.

What these rules find is kept apart from the evidence of the image.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from recognizer.errors import PolicyError
from recognizer.policy.listing_columns import Role, texts_of

MAX_KEYWORDS = 10_000
MAX_KEYWORD_LENGTH = 200  # characters of one keyword

MAX_TEXT = 20_000  # characters of a title or description that are searched

_BLANKS = re.compile(r"\s+")
# Characters that are not seen, with which a seller may split a word: category Cf, and these.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u3164\ufe00-\ufe0f\uffa0]")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordHit:
    """A keyword of the policy that a listing has, and the column in which it stands."""

    keyword: str
    column: str


@dataclass(frozen=True, kw_only=True)
class Keywords:
    """Words that raise the level of a listing by one, however many there are.

    They are literal, and compared in NFKC, case-folded, and without characters that are not seen.
    ``words`` are found where no letter or digit stands beside them, ``substrings`` anywhere (for
    languages without blanks between words). ``columns`` are where they are looked for: ``title``
    and ``description`` by any of their usual names, others by their own name.
    """

    words: tuple[str, ...] = ()
    substrings: tuple[str, ...] = ()
    columns: tuple[str, ...] = (Role.TITLE.value, Role.DESCRIPTION.value)

    def __post_init__(self) -> None:
        for key in ("words", "substrings", "columns"):
            given = getattr(self, key)
            if isinstance(given, str):
                raise PolicyError(f"{key}: a list of texts, not {given!r}")
            for text in given:
                if not normalize(text) or len(text) > MAX_KEYWORD_LENGTH:
                    raise PolicyError(
                        f"{key}: {text[:40]!r}: each is a text of 1 to {MAX_KEYWORD_LENGTH} "
                        "characters that are seen"
                    )
            object.__setattr__(self, key, tuple(dict.fromkeys(given)))
        if len(self.words) + len(self.substrings) > MAX_KEYWORDS:
            raise PolicyError(f"more than {MAX_KEYWORDS:,} keywords")
        if not self.columns:
            raise PolicyError("columns: name one at least, or leave the key out")

    def __bool__(self) -> bool:
        return bool(self.words or self.substrings)

    def hits(self, columns: Mapping[str, Any] | None) -> tuple[KeywordHit, ...]:
        """Return each keyword that a listing's columns hold, once for each column."""
        if not self or not columns:
            return ()
        return tuple(
            KeywordHit(keyword=keyword, column=column)
            for column, text in texts_of(columns, self.columns)
            for keyword in self._found(normalize(text[:MAX_TEXT]))
        )

    @cached_property
    def _sought(self) -> tuple[tuple[str, str, bool], ...]:
        anywhere = {*self.substrings}
        every = dict.fromkeys((*self.substrings, *self.words))
        return tuple((keyword, normalize(keyword), keyword in anywhere) for keyword in every)

    def _found(self, text: str) -> Iterator[str]:
        for keyword, sought, is_anywhere in self._sought:
            if sought in text and (is_anywhere or _has_word(text, sought)):
                yield keyword


def _has_word(text: str, word: str) -> bool:
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        beside = text[max(0, start - 1) : start] + text[end : end + 1]
        if not any(unicodedata.category(character)[0] in "LMN" for character in beside):
            return True
        start = text.find(word, start + 1)
    return False


def normalize(text: str) -> str:
    """Return a text as keywords are compared: NFKC, case-folded, single blanks, nothing unseen."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")
        text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    return _BLANKS.sub(" ", text.casefold()).strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """How many reports by users make a listing at least ``review`` or ``priority``; None: never."""

    review: int | None = None
    priority: int | None = None

    def __post_init__(self) -> None:
        for key in fields(self):
            count = getattr(self, key.name)
            if count is not None and count < 1:
                raise PolicyError(f"{key.name} = {count!r}: a number of reports, at least 1")
        if self.review and self.priority and self.priority < self.review:
            raise PolicyError(f"priority = {self.priority} is easier to reach than review")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlwaysReview:
    """What is reviewed whatever the scores of products are.

    ``degraded`` images are damaged or incomplete, though scored; ``failed`` ones are there but
    could not be scored (one that could not be read stays unscored, since the next scan may read
    it); ``animals`` are those over this probability of a living animal.
    """

    degraded: bool = False
    failed: bool = False
    animals: float | None = None

    def __post_init__(self) -> None:
        if self.animals is not None and not 0 <= self.animals <= 1:
            raise PolicyError(f"animals = {self.animals!r}: a probability, a number from 0 to 1")
