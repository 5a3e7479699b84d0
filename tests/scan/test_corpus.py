"""A folder of malformed images, scanned: a row for each, no crash, no hang, little memory.

``RECOGNIZER_CORPUS`` names a folder of your own; else the hostile inputs serve.
Archives and tables in it have the rows of what they hold; every other file has one.
"""

import os
import sys
from collections import Counter

import pytest

from recognizer.cli import ExitCode
from recognizer.scan.items import has_archive_suffix, table_format
from recognizer.status import Reason
from tests.conftest import read_rows
from tests.hostile import HOSTILE
from tests.scan.engines import run_measured, scan_command

MEBIBYTES, PARENT_MEBIBYTES = 1024, 300
ACCIDENTS = {Reason.DECODER_CRASH, Reason.TIMEOUT, Reason.OUT_OF_MEMORY, Reason.INTERNAL_ERROR}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


def test_a_corpus_of_malformed_images(tiny_bundle, tmp_path):
    corpus = os.environ.get("RECOGNIZER_CORPUS", tmp_path / "corpus")
    for hostile in HOSTILE if corpus == tmp_path / "corpus" else ():
        if not hostile.skip:
            hostile.make(corpus / hostile.name)
    files = sorted(
        os.path.join(folder, name) for folder, _, names in os.walk(corpus) for name in names
    )
    assert files
    output = tmp_path / "scan.sqlite"
    # The guards of the scan are the measure: what goes over them has a row that says so.
    command = scan_command(tiny_bundle, output, "-", "--quiet", "--strict", "--workers", 2)
    command += ["--memory-limit", str(MEBIBYTES)]
    done = run_measured(command, input=b"\0".join(map(os.fsencode, files)))
    assert done.code == ExitCode.SOME_FAILED
    assert len(done.errors.splitlines()) == 1, "how many failed, and no more"
    assert done.parent_mebibytes < PARENT_MEBIBYTES
    rows = read_rows(output)
    images = [name for name in files if not (table_format(name) or has_archive_suffix(name))]
    assert sorted({row["source"] for row in rows} & {*images}) == images
    found = Counter(row["source"] for row in rows)
    assert {name: found[name] for name in images} == dict.fromkeys(images, 1)
    print(f"{len(files)} files, {len(rows)} rows;", Counter(row["status"] for row in rows))
    print(Counter(row["reason"] for row in rows))
    print(f"parent {done.parent_mebibytes} MiB, largest worker {done.child_mebibytes} MiB")
    assert [(r["source"], r["reason"], r["detail"]) for r in rows if r["reason"] in ACCIDENTS] == []
