"""The example that prints hashes for other matchers."""

from pathlib import Path

from tests.conftest import run_python, succeed
from tests.desk.outcomes import outcome, store
from tests.rows.rows import FAR, HASH, bare_row, digest, write_scan

EXAMPLE = Path(__file__).parents[2] / "examples" / "pdq_hashes.py"


def test_the_hashes_of_confirmed_images_are_printed(tmp_path):
    hashes = {"a": HASH, "b": FAR, "c": None}
    rows = [bare_row(name, 0.6, "review", phash=phash) for name, phash in hashes.items()]
    scan = write_scan(tmp_path / "scan.sqlite", rows)
    store(scan, [outcome(sha256=digest(name)) for name in hashes])
    store(scan, [outcome("rejected", sha256=digest("b"))])
    succeed("outcomes", "export", scan, tmp_path / "outcomes.jsonl")
    done = run_python(EXAMPLE, tmp_path / "outcomes.jsonl")
    assert done.stdout.split() == [HASH]
