"""The templates of the review pages, and their words (``texts.toml``)."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from recognizer.model.description import percent


@cache
def catalogue() -> dict[str, dict[str, Any]]:
    """Return the tables of ``texts.toml``: key -> text, or the texts for one and for several."""
    return tomllib.loads((resources.files("recognizer.desk") / "texts.toml").read_text("utf-8"))


def text(key: str, **values: object) -> str:
    """Return a text with its values filled in; numbers get separators."""
    known = next(table[key] for table in catalogue().values() if key in table)
    words = known if isinstance(known, str) else known[values["n"] != 1]
    return words.format(**{k: f"{v:,}" if isinstance(v, int) else v for k, v in values.items()})


ENVIRONMENT = Environment(
    loader=PackageLoader("recognizer.desk"),
    autoescape=select_autoescape(["html.j2"], default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
ENVIRONMENT.globals |= {"percent": percent, "t": text}
