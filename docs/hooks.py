"""What the site needs beyond Markdown."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

# Docstrings name other parts with Sphinx's roles.
_ROLE = re.compile(r":(?:class|meth|func|attr|data|mod|exc):<code>~?([^<]+)</code>")
# Pages link to files of the repository, which are not part of the site.
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")
# Two pages are files of the repository.
_INCLUDE = re.compile(r"<!-- include: (\S+) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put included files in their place, and name files of the repository instead of linking."""

    def included(found: re.Match[str]) -> str:
        return (ROOT / found[1]).read_text(encoding="utf-8").replace("](docs/", "](")

    def named(link: re.Match[str]) -> str:
        text, path = link.groups()
        bare = text.strip("`")
        return f"`{path}`" if bare in path else f"{text} (`{path}` in the repository)"

    return _OUTSIDE.sub(named, _INCLUDE.sub(included, markdown))


def on_page_content(html: str, **_: Any) -> str:
    """Leave the name and drop the role."""
    return _ROLE.sub(r"<code>\1</code>", html)
