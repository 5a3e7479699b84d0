"""Docstrings name other parts with Sphinx's roles, which Markdown does not know."""

import re
from typing import Any

_ROLE = re.compile(r":(?:class|meth|func|attr|data|mod|exc):<code>~?([^<]+)</code>")


def on_page_content(html: str, **_: Any) -> str:
    """Leave the name and drop the role."""
    return _ROLE.sub(r"<code>\1</code>", html)
