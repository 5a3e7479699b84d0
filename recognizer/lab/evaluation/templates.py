"""The pages and cards of this package, rendered with Jinja."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from recognizer.model.description import percent

ENVIRONMENT = Environment(
    loader=PackageLoader("recognizer", "lab"),
    autoescape=select_autoescape(["html.j2"], default=False),  # the rest is Markdown and CSS
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
ENVIRONMENT.globals["percent"] = percent


def render(template: str, **values: Any) -> str:
    return ENVIRONMENT.get_template(template).render(values)
