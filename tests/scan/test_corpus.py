"""A folder of malformed images, scanned: a row for each, no crash, no hang, little memory.

``RECOGNIZER_CORPUS`` names a folder of your own; else the hostile inputs and some mutants serve.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from recognizer.status import Reason
from tests.conftest import read_rows
from tests.fuzz.mutate import write_corpus
from tests.scan.engines import scan_command

SECONDS = 10
MEBIBYTES = 1024
ACCIDENTS = {Reason.DECODER_CRASH, Reason.TIMEOUT, Reason.OUT_OF_MEMORY, Reason.INTERNAL_ERROR}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    if folder := os.environ.get("RECOGNIZER_CORPUS"):
        return Path(folder)
    write_corpus(tmp_path / "corpus", 60)
    return tmp_path / "corpus"


def test_a_corpus_of_malformed_images(corpus: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    files = sorted(
        os.path.join(folder, name) for folder, _, names in os.walk(corpus) for name in names
    )
    assert files
    output = tmp_path / "scan.jsonl"
    # The guards of the scan are the measure: what goes over them has a row that says so.
    given = ("-", "--quiet", "--workers", 2, "--timeout", SECONDS)
    command = scan_command(tiny_bundle, output, *given)
    if sys.platform == "linux":
        command += ["--memory-limit", str(MEBIBYTES)]
    done = subprocess.run(
        command, input=b"\0".join(map(os.fsencode, files)), capture_output=True, check=False
    )
    assert (done.returncode in {0, 3}, done.stderr) == (True, b"")
    rows = read_rows(output)
    assert sorted(row["source"] for row in rows) == files
    accidents = [(r["source"], r["reason"], r["detail"]) for r in rows if r["reason"] in ACCIDENTS]
    assert accidents == []
    print(Counter((row["status"], row["reason"]) for row in rows))
