from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recognizer.cli.originals import read_original
from recognizer.imaging.sources import Refused
from recognizer.rows.row import Row
from tests.conftest import encoded, picture
from tests.rows.rows import bare_row


@pytest.mark.parametrize("name", ["x.csv!", "x.zip!", "photos"])
def test_a_folder_may_have_any_name(
    name: str, scanned: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    photo = encoded(picture("red"))
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.jpg").write_bytes(photo)
    (row,) = scanned(tmp_path / name)
    assert row["status"] == "ok"
    assert read_original(Row.from_json(row), allow_http=False) == photo


@pytest.mark.parametrize("allow_http", [True, False])
@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:8420/photo/1/original", "http://localhost/a.jpg", "http://[::1]/a.jpg"),
        *("http://169.254.169.254/latest/meta-data", "http://10.0.0.1/a.jpg", "http://0/a.jpg"),
        *("http://2130706433/a.jpg", "http://0x7f.1/a.jpg", "http://[::ffff:127.0.0.1]/a.jpg"),
        *("http://user@127.0.0.1/a.jpg", "http://127.0.0.1#@shop.example/", "http://[::1/a.jpg"),
        *("http:///etc/passwd", "https://127.0.0.1%2f@shop.example/", "http://shop.example:22/"),
    ],
)
def test_no_address_in_a_row_leads_the_desk_to_this_machine(url: str, allow_http: bool) -> None:
    with pytest.raises(Refused):
        read_original(bare_row(url, 0.9, "review"), allow_http=allow_http)
