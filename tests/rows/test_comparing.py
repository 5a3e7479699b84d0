"""Changes between two scans."""

import json
from dataclasses import replace
from pathlib import Path

from recognizer.policy.values import Decision
from recognizer.rows import Row, ScanFile
from recognizer.rows.deciding import Comparison, compare
from tests.conftest import invoke, refuse, succeed
from tests.rows.rows import bare_row, write_scan


def compared(folder: Path, before: Row, after: Row) -> Comparison:
    for name, row in (("before", before), ("after", after)):
        (folder / name).unlink(missing_ok=True)
        write_scan(folder / name, [row])
    with ScanFile(folder / "before") as old, ScanFile(folder / "after") as new:
        return compare(old, new)


def test_images_are_paired_by_name_then_by_bytes(tmp_path: Path) -> None:
    one = bare_row("\udcffa", 0.1, "clear", item={"id": 1})
    other_bytes = replace(one, sha256="1" * 64, decision=Decision.REVIEW)
    assert compared(tmp_path, one, other_bytes).replaced == 1
    assert compared(tmp_path, one, other_bytes).common.rows == 0
    for moved in (replace(one, item={"id": 2}), replace(one, source="other/folder/a")):
        found = compared(tmp_path, one, moved)
        assert (found.common.rows, found.moved) == (1, 1)
        assert compared(tmp_path, one, replace(moved, sha256="1" * 64)).common.rows == 0
    unread = replace(bare_row("b", 0, "unscored"), sha256=None)
    assert compared(tmp_path, unread, replace(unread, source="c")).common.rows == 0
    later = replace(one, item={"id": 1, "reports": 3})  # the same listing, with other columns
    found = compared(tmp_path, one, later)
    assert (found.common.rows, found.moved) == (1, 0)


def test_decisions_and_scores_that_changed_are_printed(tmp_path: Path) -> None:
    scores = {"a\x1b": (0.1, 0.6), "b": (0.9, 0.9), "c": (0.6, 0.3), "d": (0.2, 0.25)}

    def written(name: str, of: int, *more: Row) -> Path:
        rows = [
            bare_row(source, both[of], "review" if both[of] > 0.5 else "clear")
            for source, both in scores.items()
        ]
        return write_scan(tmp_path / name, [*rows, *more])

    before = written("before.sqlite", 0, bare_row("e", 0, "unscored"), bare_row("x", 0.9, "review"))
    after = written("after.sqlite", 1, bare_row("e", 0.7, "review"))
    done = succeed("compare", before, after)
    assert "6 images before, 5 after, 5 in both" in done.stdout
    assert "clear to review: 1" in done.stdout
    assert "a\\x1b: clear to review, +0.500\n    ivory_worked 0.6" in done.stdout
    told = json.loads(invoke("compare", before, after, "--json").stdout)
    changes = [(one["after"]["source"], one["by"]) for one in told["changes"]]
    assert changes == [("e", 0.7), ("a\x1b", 0.5), ("c", -0.3), ("d", 0.05)]
    assert told["changes"][1]["before"]["why"] == []
    assert {"before": "review", "after": "clear", "images": 1} in told["common"]["decisions"]
    refuse("compare", before, tmp_path / "gone")
