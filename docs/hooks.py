"""Changes of pages that the site needs beyond Markdown."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# Files of the repository that are pages of the site, too.
PAGES = {
    "export/wildlife-v8/MODEL_CARD.md": "model-card.md",
    "export/EVASION.md": "evasion.md",
    "CHANGELOG.md": "changelog.md",
}

# Docstrings name other parts with Sphinx's roles.
_ROLE = re.compile(r":(?:class|meth|func|attr|data|mod|exc):<code>~?([^<]+)</code>")
# Pages link to files of the repository, which are not part of the site.
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")


def on_files(files: Files, *, config: Any, **_: Any) -> Files:
    """Add the pages that lie elsewhere in the repository."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        text = re.sub(r"\]\((?:\.\./)*docs/", "](", text)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Link to the pages of the site, and name other files of the repository."""

    def named(link: re.Match[str]) -> str:
        text, path = link.groups()
        if page := PAGES.get(path, PAGES.get(f"export/{path}")):  # a card is in a folder there
            return f"[{text}]({page})"
        bare = text.strip("`")
        return f"`{path}`" if bare in path else f"{text} (`{path}` in the repository)"

    return _OUTSIDE.sub(named, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Leave the name and drop the role."""
    return _ROLE.sub(r"<code>\1</code>", html)
