"""Hold the repository against its budget, ``[tool.budget]`` in pyproject.toml.

It only goes down. Run by ``make check``: ``python -m tests.budget``.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

from recognizer.commands import VERBS, load_verb

ROOT = Path(__file__).resolve().parent.parent


def tracked() -> list[Path]:
    """Return the files that git tracks and that are there."""
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    paths = (ROOT / name for name in listed.decode().split("\0") if name)
    return [path for path in paths if path.is_file() or path.is_symlink()]


def count() -> dict[str, int]:
    """Return what is spent, by the names of the budget."""
    files = tracked()
    sources = [path for path in files if path.suffix == ".py"]
    package = [path for path in sources if path.is_relative_to(ROOT / "recognizer")]
    desk = sum(_lines(path) for path in package if path.is_relative_to(ROOT / "recognizer/desk"))
    lab = sum(_lines(path) for path in package if path.is_relative_to(ROOT / "recognizer/lab"))
    pages = [path for path in (ROOT / "docs").glob("*.md") if path in files]
    folders = {path.parent for path in package if path.parent.name != "cli"}
    return {
        "core_lines": sum(map(_lines, package)) - desk - lab,
        "desk_lines": desk,
        "lab_lines": lab,
        "package_lines": sum(map(_lines, package)),
        "python_lines": sum(map(_lines, sources)),
        "commands": sum(len(getattr(load_verb(verb), "commands", [verb])) for verb in VERBS),
        "scan_options": sum(one.param_type_name == "option" for one in load_verb("scan").params),
        "pages": len(pages),
        "page_words": sum(len(page.read_text("utf-8").split()) for page in pages),
        "files_in_a_folder": max(
            sum(path.parent == folder for path in package) for folder in folders
        ),
    }


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def main() -> int:
    """Print what is spent of the budget; the exit status is 1 if any of it is overdrawn."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    spent, budget = count(), settings["tool"]["budget"]
    for name, most in budget.items():
        remark = "" if spent[name] <= most else "  TOO MUCH"
        print(f"{name:18} {spent[name]:7,} of {most:7,}{remark}")
    return int(any(spent[name] > most for name, most in budget.items()))


if __name__ == "__main__":
    sys.exit(main())
