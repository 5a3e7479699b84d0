from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recognizer.cli.originals import read_original
from recognizer.rows.row import Row
from tests.conftest import encoded, picture


@pytest.mark.parametrize("name", ["x.csv!", "x.zip!", "photos"])
def test_a_folder_may_have_any_name(
    name: str, scanned: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    photo = encoded(picture("red"))
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.jpg").write_bytes(photo)
    (row,) = scanned(tmp_path / name)
    assert row["status"] == "ok"
    (line,) = (tmp_path / "scan.jsonl").read_bytes().splitlines()
    assert read_original(Row.from_json_line(line), allow_http=False) == photo
