"""The pages and cards of the laboratory, rendered with Jinja."""

import base64
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from numpy.typing import NDArray

from recognizer.imaging.thumbnail import shrink
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


def picture_uri(rgb: NDArray[np.uint8], side: int) -> str:
    """Return RGB, uint8 (height, width, 3), as a small JPEG in a ``data:`` URI."""
    return "data:image/jpeg;base64," + base64.b64encode(shrink(rgb, side, 0).jpeg).decode("ascii")
