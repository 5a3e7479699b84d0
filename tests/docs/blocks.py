"""The code blocks of the documentation, as a reader sees them."""

import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    *(ROOT / "README.md", ROOT / "examples/README.md", ROOT / "notebooks/README.md"),
    *(ROOT / "datasets/README.md", ROOT / "CONTRIBUTING.md"),
    *sorted((ROOT / "docs").glob("*.md")),
)
_BLOCK = re.compile(
    r"(?:^[ ]*<!-- (?P<note>not run|run by): (?P<words>[^>]+?) -->\n+)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
_SHELL = {"console", "bash", "sh"}


@dataclass(frozen=True)
class Block:
    """A fenced block; a comment above it may say why it is not run, or which test runs it."""

    page: Path
    language: str
    text: str
    not_run: str = ""
    run_by: str = ""

    @cached_property
    def lines(self):
        """The commands of a shell, continued lines joined and comments dropped."""
        if self.language not in _SHELL:
            return []
        joined = self.text.replace("\\\n", " ")
        bare = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
        return [line for line in bare if line]

    @property
    def has_code(self):
        """Whether it is Python, or has a command of this program."""
        return self.language == "python" or any(is_ours(line) for line in self.lines)


def is_ours(line):
    """Whether a line of a shell runs ``recognizer``, alone or at the end of a pipe."""
    return bool(re.search(r"(^|\|\s*)recognizer\s", line))


def blocks(page):
    """Yield the blocks of a page from top to bottom."""
    for found in _BLOCK.finditer(page.read_text("utf-8")):
        words = {found["note"]: found["words"]} if found["note"] else {}
        indent = len(found["indent"])
        text = "".join(line[indent:] for line in found["text"].splitlines(keepends=True))
        not_run, run_by = words.get("not run", ""), words.get("run by", "")
        yield Block(page, found["language"], text, not_run, run_by)


def words(line):
    """Split a command as a shell does, with the files that its patterns match."""
    found = []
    for word in shlex.split(line):
        matches = sorted(map(str, Path().glob(word))) if "*" in word and word[0] != "/" else []
        found += matches or [word]
    return found
