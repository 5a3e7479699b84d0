"""What the site needs beyond Markdown."""

import re
from typing import Any

# Docstrings name other parts with Sphinx's roles.
_ROLE = re.compile(r":(?:class|meth|func|attr|data|mod|exc):<code>~?([^<]+)</code>")
# Pages link to files of the repository, which are not part of the site.
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Name files of the repository instead of linking to them."""

    def named(link: re.Match[str]) -> str:
        text, path = link.groups()
        return f"`{path}`" if path in text else f"{text} (`{path}` in the repository)"

    return _OUTSIDE.sub(named, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Leave the name and drop the role."""
    return _ROLE.sub(r"<code>\1</code>", html)
