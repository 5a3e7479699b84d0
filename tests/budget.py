"""Check the size of the repository against ``[tool.budget]`` in pyproject.toml.

``make check`` runs ``python -m tests.budget``. A count may exceed its aim by its debt, which only
falls: ``--lower`` writes what is left of it.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from recognizer.commands import VERBS, load_verb

ROOT = Path(__file__).resolve().parent.parent


def tracked():
    """Return the files that git tracks and that are there."""
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    paths = (ROOT / name for name in listed.decode().split("\0") if name)
    return [path for path in paths if path.is_file() or path.is_symlink()]


def count():
    """Return the counts by the names of the budget."""
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


def _lines(path):
    return path.read_bytes().count(b"\n")


def main():
    """Print counts, aims and debts; exit with 1 if a count exceeds the sum of the other two."""
    path = ROOT / "pyproject.toml"
    text = path.read_text("utf-8")
    aims = tomllib.loads(text)["tool"]["budget"]
    debts, counts = aims.pop("debt", {}), count()
    over = {name: max(0, counts[name] - aim) for name, aim in aims.items()}
    left = {name: min(debt, over[name]) for name, debt in debts.items()}
    exceeded = [name for name in aims if over[name] > debts.get(name, 0)]
    for name, aim in aims.items():
        remark = "  TOO MUCH" if name in exceeded else ""
        debt = f", debt {debts[name]:6,}" if name in debts else ""
        print(f"{name:18} {counts[name]:7,}, aim {aim:7,}{debt}{remark}")
    if "--lower" in sys.argv[1:]:
        lines = "".join(f"{name} = {debt:_}\n" for name, debt in left.items() if debt)
        path.write_text(re.sub(r"(?<=\[tool\.budget\.debt\]\n)(.+\n)*", lines, text), "utf-8")
    elif left != debts:
        print("The debt can be lowered: python -m tests.budget --lower")
    return int(bool(exceeded))


if __name__ == "__main__":
    sys.exit(main())
