"""All hostile inputs in one scan: a row for each, with its reason, and the run goes on."""

from __future__ import annotations

from pathlib import Path

from recognizer.policy import Decision
from recognizer.scan import Item
from recognizer.status import Status
from tests.conftest import encoded, picture
from tests.hostile import HOSTILE
from tests.rows.rows import read_scan
from tests.scan.engines import scan_into


def test_every_hostile_input_gets_its_row_and_the_run_goes_on(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    inputs = [hostile for hostile in HOSTILE if not hostile.skip]
    assert len(inputs) >= 40
    made = {hostile.make(tmp_path / hostile.name): hostile for hostile in inputs}
    good = tmp_path / "good.jpg"
    good.write_bytes(encoded(picture("red")))
    sources = [*made, str(good)]
    summary = scan_into(tmp_path / "scan.sqlite", map(Item.at, sources), tiny_bundle, workers=2)
    rows = read_scan(tmp_path / "scan.sqlite")
    assert sorted(row.source for row in rows) == sorted(sources)
    assert summary.scanned == len(sources)
    for row in rows:
        if row.source == str(good):
            assert (row.status, row.decision) == ("ok", "priority")
            continue
        hostile = made[row.source]
        assert row.status == hostile.status, hostile.name
        assert row.reason in hostile.reasons, hostile.name
        # What could not be scored is never clear.
        assert (row.decision is Decision.UNSCORED) == (row.status == Status.FAILED), hostile.name
