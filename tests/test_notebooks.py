"""Every notebook runs from top to bottom, on what the repository ships."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
for needed in ("ipykernel", "matplotlib", "onnxscript", "sklearn", "timm", "torch"):
    pytest.importorskip(needed)

from ipykernel.kernelspec import write_kernel_spec  # noqa: E402
from jupyter_client import AsyncKernelManager  # noqa: E402
from jupyter_client.kernelspec import KernelSpecManager  # noqa: E402

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SAMPLES = FOLDER.parent / "datasets" / "samples" / "samples.json"
SECONDS_PER_CELL = 240  # a limit for a machine that hangs, not a target


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> KernelSpecManager:
    """Knows this interpreter's own kernel, whatever else is installed for the user or machine."""
    shelf = tmp_path_factory.mktemp("kernels")
    write_kernel_spec(str(shelf / "python3"))
    return KernelSpecManager(kernel_dirs=[str(shelf)])


def test_the_readme_tells_of_each() -> None:
    words = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\((\w+\.ipynb)\)", words) == [path.name for path in NOTEBOOKS]


@pytest.mark.skipif(not json.loads(SAMPLES.read_text()), reason="no sample pictures to run on")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(
    path: Path, kernels: KernelSpecManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))  # nobody's startup files
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=kernels),
        timeout=SECONDS_PER_CELL,
        resources={"metadata": {"path": str(tmp_path)}},
    )
    # As in Jupyter, modules beside the notebook are found; what is written goes elsewhere.
    environment = {name: value for name, value in os.environ.items() if name != "RECOGNIZER_DATA"}
    paths = [str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment |= {
        "PYTHONPATH": os.pathsep.join(paths),
        "TMPDIR": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }
    # A manager that it was given, the client would leave running.
    client.execute(env=environment, cleanup_kc=True)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "error"]
    assert notebook.cells[-1].cell_type == "markdown" or notebook.cells[-1].outputs
