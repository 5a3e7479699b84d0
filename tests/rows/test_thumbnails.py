from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from recognizer.errors import ScanFileError
from recognizer.rows.thumbnails import (
    MAX_THUMBNAIL_BYTES,
    StoredThumbnail,
    ThumbnailStore,
    shrink,
)
from tests.conftest import picture


def test_the_last_thumbnail_of_a_file_is_kept(tmp_path: Path) -> None:
    one = shrink(np.asarray(picture("red")), 32, 0)
    other = shrink(np.asarray(picture("green")), 32, 5)
    with ThumbnailStore(tmp_path / "t", create=True) as store:
        store.add([("a", one), ("b", one)])
        store.add([("a", other)])
    with ThumbnailStore(tmp_path / "t", create=True) as store:
        assert (store.get("a"), store.get("b"), store.get("c")) == (other, one, None)
        assert store.get(None) is None


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted there")
def test_a_store_that_is_deleted_in_mid_scan_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "t"
    thumbnail = StoredThumbnail(b"x", 1, 1, 0)
    with ThumbnailStore(path, create=True) as store:
        store.add([("a", thumbnail)])
        path.unlink()
        store.add([("b", thumbnail)])
        store.add([("c", thumbnail)])
        path.unlink()
        path.write_bytes(b"notes of somebody" * 100)
        with pytest.raises(ScanFileError, match="give the same command again"):
            store.add([("d", thumbnail)])
        path.unlink()
        ThumbnailStore(path, create=True).close()
    assert path.exists()


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    thumbnail = StoredThumbnail(b"x" * 5000, 1, 1, 0)
    with ThumbnailStore(tmp_path / "t", create=True) as store:
        store.add([("a", thumbnail)])
        store._database.execute("PRAGMA max_page_count = 6")  # as if no room were left
        with pytest.raises(ScanFileError, match="full"):
            store.add([(str(i), thumbnail) for i in range(9)])
        assert store.get("a") == thumbnail
        assert store.get("0") is None
    with sqlite3.connect(tmp_path / "t") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_a_blob_that_is_no_thumbnail_of_ours_is_not_read(tmp_path: Path) -> None:
    with ThumbnailStore(tmp_path / "t", create=True) as store:
        store.add(
            [
                ("huge", StoredThumbnail(bytes(20 << 20), 256, 256, 0)),
                ("text", StoredThumbnail("<script>", 256, 256, 0)),  # type: ignore[arg-type]
                ("ours", StoredThumbnail(bytes(MAX_THUMBNAIL_BYTES), 256, 256, 0)),
            ]
        )
        assert [store.get(name) is not None for name in ("huge", "text", "ours")] == [0, 0, 1]
