"""The words of the review pages, in English and Chinese; ``texts.toml`` is the one place for them.

Hints, CITES notes and evidence stay in English, the language of the taxonomy; the sentences of a
row are as the scan wrote them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal

from recognizer.errors import UsageError
from recognizer.review.guide import explain_reason
from recognizer.status import Reason
from recognizer.taxonomy import Taxonomy

LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "中文"}

Pages = Literal["page", "server"]
"""Where words are shown: in the HTML queue, or on the pages of the server."""


@cache
def catalogue() -> dict[str, Any]:
    """Return what ``texts.toml`` holds: its tables, of which most are key -> English, Chinese."""
    file = resources.files("recognizer.review") / "texts.toml"
    return tomllib.loads(file.read_text("utf-8"))


@cache
def texts_of(pages: Pages) -> dict[str, tuple[str, str]]:
    """Return the words that pages show: key -> English, Chinese."""
    tables = catalogue()
    return {key: tuple(words) for key, words in (tables["shared"] | tables[pages]).items()}


class Texts:
    """The words of one language; called with a key, it returns a text.

    Args:
        language: one of :data:`LANGUAGES`.
        pages: where they are shown.

    Raises:
        UsageError: there is no such language.
    """

    def __init__(self, language: str, pages: Pages) -> None:
        if language not in LANGUAGES:
            raise UsageError(f"language {language!r}: {' or '.join(LANGUAGES)}")
        self.language = language
        self._texts = texts_of(pages)
        self._place = [*LANGUAGES].index(language)

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its values filled in; numbers get separators."""
        shown = {k: f"{v:,}" if isinstance(v, int) else v for k, v in values.items()}
        return self._texts[key][self._place].format(**shown)

    def raw(self, key: str) -> str:
        """Return a text as it stands in the catalogue, for a script that fills it in."""
        return self._texts[key][self._place]

    def label(
        self, name: str, taxonomy: Taxonomy, *, family: bool = False, mark: bool = False
    ) -> str:
        """Return the name of a label or family for people; ``mark`` says that it is a family."""
        own = self._own("families" if family else "labels", name)
        shown = own or taxonomy.display_name(name, family=family)
        return self("family", name=shown) if family and mark else shown

    def reason(self, reason: Reason | None) -> str:
        """Return what the reason of a failure means."""
        own = None if reason is None else self._own("reasons", reason.value)
        return own or explain_reason(reason)

    def _own(self, table: str, name: str) -> str | None:
        """Return the Chinese name of what is called in English elsewhere."""
        found: str | None = catalogue()[table].get(name) if self.language == "zh" else None
        return found
