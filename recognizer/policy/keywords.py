"""Keywords: words of a policy that are looked for in the text of a listing."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import unescape
from typing import Any

from recognizer.errors import PolicyError
from recognizer.listing import Role, texts_of

MAX_KEYWORDS = 10_000
MAX_KEYWORD_LENGTH = 200  # characters of one keyword

MAX_TEXT = 20_000  # characters of a title or description that are searched

_BLANKS = re.compile(r"[\s\u2800]+")  # as is the empty Braille pattern
# Characters that are not seen, with which a seller may split a word: control characters that are no
# blanks, Unicode's Default_Ignorable_Code_Point, and the null notehead. Others are of category Cf.
_UNSEEN = re.compile(
    "[\0-\x08\x0b\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\ufffc"
    "\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordHit:
    """A keyword of the policy that a listing has, and the column in which it stands."""

    keyword: str
    column: str


@dataclass(frozen=True, kw_only=True)
class Keywords:
    """Words that raise the level of a listing by one, however many there are.

    They are literal, compared in NFKC, case-folded, without characters that are not seen.
    ``words`` match where no letter or digit stands beside them, ``substrings`` anywhere (for
    languages without blanks between words). ``columns`` are where they are looked for: ``title``
    and ``description`` by any of their usual names, others by their own name.
    """

    words: tuple[str, ...] = ()
    substrings: tuple[str, ...] = ()
    columns: tuple[str, ...] = (Role.TITLE.value, Role.DESCRIPTION.value)

    def __post_init__(self) -> None:
        for key in ("words", "substrings", "columns"):
            given = getattr(self, key)
            for text in given:
                if not normalize(text) or len(text) > MAX_KEYWORD_LENGTH:
                    lengths = f"1 to {MAX_KEYWORD_LENGTH} characters that are seen"
                    raise PolicyError(f"{key}: {text[:40]!r}: each is a text of {lengths}")
            object.__setattr__(self, key, tuple(dict.fromkeys(given)))
        if len(self.words) + len(self.substrings) > MAX_KEYWORDS:
            raise PolicyError(f"more than {MAX_KEYWORDS:,} keywords")
        if not self.columns:
            raise PolicyError("columns: name a column, or leave the key out")

    def __bool__(self) -> bool:
        return bool(self.words or self.substrings)

    def hits(self, columns: Mapping[str, Any] | None) -> tuple[KeywordHit, ...]:
        """Return each keyword that a listing's columns hold, once for each column."""
        if not self or not columns:
            return ()
        return tuple(
            KeywordHit(keyword=keyword, column=column)
            for column, text in texts_of(columns, self.columns)
            for plain in [normalize(unescape(text)[:MAX_TEXT])]
            for keyword, sought, is_anywhere in self._sought
            if sought in plain and (is_anywhere or _has_word(plain, sought))
        )

    @cached_property
    def _sought(self) -> tuple[tuple[str, str, bool], ...]:
        anywhere = {*self.substrings}
        every = dict.fromkeys((*self.substrings, *self.words))
        return tuple((keyword, normalize(keyword), keyword in anywhere) for keyword in every)


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
    """Return a text as keywords are compared: NFKC, case-folded, single blanks, nothing unseen.

    Marks behind ASCII letters are dropped: e and é are the same. Other scripts need theirs.
    """
    text = _UNSEEN.sub("", text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        kept = [""]
        for c in _UNSEEN.sub("", unicodedata.normalize("NFKD", text)):
            is_mark = unicodedata.category(c)[0] == "M" and kept[-1].isascii()
            if not is_mark and unicodedata.category(c) != "Cf":
                kept.append(c)
        text = unicodedata.normalize("NFKC", "".join(kept))
    return _BLANKS.sub(" ", text.casefold()).strip()
