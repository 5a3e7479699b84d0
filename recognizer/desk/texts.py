"""The templates of the review pages, and their words in English and Chinese (``texts.toml``)."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from recognizer.model.description import percent
from recognizer.status import Reason
from recognizer.taxonomy import Label, Taxonomy, load_taxonomy

LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "中文"}

ENVIRONMENT = Environment(
    loader=PackageLoader("recognizer.desk"),
    autoescape=select_autoescape(["html.j2"], default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
ENVIRONMENT.globals["percent"] = percent


@cache
def catalogue() -> dict[str, Any]:
    """Return the tables of ``texts.toml``: ``words`` and ``script`` are key -> both languages."""
    file = resources.files("recognizer.desk") / "texts.toml"
    return tomllib.loads(file.read_text("utf-8"))


class Texts:
    """The words of a language of :data:`LANGUAGES`; called with a key, it returns a text."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._place = [*LANGUAGES].index(language)
        tables = catalogue()
        self._words: dict[str, list[str]] = tables["words"] | tables["script"]
        self.of_script = {key: both[self._place] for key, both in tables["script"].items()}

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its values filled in; numbers get separators."""
        shown = {k: f"{v:,}" if isinstance(v, int) else v for k, v in values.items()}
        return self._words[key][self._place].format(**shown)

    def label(self, name: str, taxonomy: Taxonomy) -> str:
        """Return the name for people of a label, else of a family: in English, the taxonomy's."""
        family = name not in taxonomy.labels
        own = catalogue()["families" if family else "labels"] if self.language == "zh" else {}
        return own.get(name) or taxonomy.display_name(name, family=family)

    def hint(self, label: Label) -> str | None:
        """Return what reviewers look at; a hint of the bundle's own is in the bundle's words."""
        is_ours = load_taxonomy().labels.get(label.name, label).hint == label.hint
        own = catalogue()["hints"] if is_ours and self.language == "zh" else {}
        return own.get(label.name, label.hint)

    def reason(self, reason: Reason | None) -> str:
        meanings = catalogue()["reasons"]
        return self("no_reason") if reason is None else str(meanings[reason][self._place])


def language_of(accepted: str) -> str:
    """Return the first of our languages in an Accept-Language header, else English."""
    names = (part.strip().lower()[:2] for part in accepted.split(","))
    return next((name for name in names if name in LANGUAGES), "en")
