from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import invoke
from tests.rows.rows import FAR, HASH, NEAR, bare_row, write_scan


def test_the_command_lists_groups(tmp_path: Path) -> None:
    rows = [
        bare_row("a\x1b.jpg", 0.9, "review", phash=HASH),
        bare_row("b.jpg", 0.1, "clear", phash=FAR),
        bare_row("c.jpg", 0, "unscored", phash=None),
        bare_row("d.jpg", 0.2, "clear", phash=NEAR),
    ]
    path = write_scan(tmp_path / "x.sqlite", rows)
    done = invoke("similar", path)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "1: 2 near-copies",
        "  review  a\\x1b.jpg",
        "  clear  d.jpg",
        "4 images, 1 groups, 1 copies of others",
    ]
    (group,) = map(json.loads, invoke("similar", path, "--json").stdout.splitlines())
    assert [photo["source"] for photo in group["images"]] == ["a\x1b.jpg", "d.jpg"]
    assert invoke("similar", path, "--distance", 0, "--json").stdout == ""
    assert invoke("similar", path, "--distance", 32).exit_code == 2
    assert invoke("similar", tmp_path / "none").exit_code == 2
    (tmp_path / "bundle.json").write_text('{"labels": []}\n')
    other = invoke("similar", tmp_path / "bundle.json")
    assert (other.exit_code, "not the file of a scan" in other.stderr) == (2, True)
