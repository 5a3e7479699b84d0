"""Every notebook runs from top to bottom, on what the repository ships, and is short."""

import json
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from tests.labelled import carry_small_recipe

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MAX_LINES = 80  # of the code of a notebook


def code_of(path):
    """Return the source of each code cell."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    """In this process, with a small network of random weights in place of the recipe's."""
    monkeypatch.delenv("RECOGNIZER_DATA", raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))  # nobody's startup files
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.chdir(tmp_path)
    carry_small_recipe(tmp_path, monkeypatch)
    assert sum(len(cell.splitlines()) for cell in code_of(path)) <= MAX_LINES
    shell = InteractiveShell()
    for source in code_of(path):
        shell.run_cell(source, silent=False, store_history=False).raise_error()
