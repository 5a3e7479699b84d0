"""Object stores: S3, as a server on the loopback speaks it, and another library of fsspec."""

import io
import os
import sys
import threading
from unittest.mock import Mock

import fsspec
import pytest
import s3fs

from recognizer.errors import MissingExtraError, UsageError
from recognizer.scan import ScanOptions, expand
from recognizer.scan.items import Item, Skipped
from recognizer.status import Reason
from tests.scan.locations.conftest import GREEN, RED, contents, read
from tests.scan.locations.s3_server import S3Server

BUCKET = "s3://bucket"
PHOTOS = f"{BUCKET}/photos"
FILES = {"b.jpg": RED, "sub/a.png": GREEN, "f3a9": GREEN, "notes.txt": b"text"}
FILES |= {"empty.jpg": b"", "big.jpg": bytes(30_000), "[x] #?.jpg": RED}


@pytest.fixture(autouse=True)
def s3(monkeypatch):
    """An end point of S3 with a few photos; the environment leads there."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "DEFAULT_REGION"):
        monkeypatch.setenv(f"AWS_{name}", "us-east-1")
    with S3Server() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        server.objects |= {f"bucket/photos/{name}": data for name, data in FILES.items()}
        server.objects["bucket/photos-other/c.jpg"] = RED
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        s3fs.S3FileSystem.clear_instance_cache()
        yield server
        s3fs.S3FileSystem.clear_instance_cache()
        server.shutdown()


def expected(photos):
    found = {f"{photos}/{name}": data for name, data in FILES.items() if name != "notes.txt"}
    return {**found, f"{photos}/big.jpg": Reason.TOO_MANY_BYTES}


def test_a_prefix():
    skipped = Skipped()
    assert contents(PHOTOS, skipped=skipped) == expected(PHOTOS)
    assert skipped.other_files == 1
    assert contents(f"{PHOTOS}/") == expected(PHOTOS)
    assert len(contents(BUCKET)) == len(FILES)  # the whole bucket, without the notes


def test_a_prefix_of_another_store():
    store = fsspec.filesystem("memory")
    store.pipe({f"/bucket/photos/{name}": data for name, data in FILES.items()})
    assert contents("memory://bucket/photos/") == expected("memory://bucket/photos")
    assert contents("memory://bucket/gone/") == {"memory://bucket/gone/": Reason.NOT_FOUND}
    store.rm("/bucket", recursive=True)


def test_single_objects_and_what_is_not_there():
    assert contents(f"{PHOTOS}/b.jpg") == {f"{PHOTOS}/b.jpg": RED}
    assert contents(f"{PHOTOS}/f3a9") == {f"{PHOTOS}/f3a9": GREEN}
    for url in (f"{PHOTOS}/gone.jpg", f"{PHOTOS}/gone"):
        assert contents(url) == {url: Reason.NOT_FOUND}
    for url in ("s3://no-such-bucket", "s3://no-such-bucket/x/", "s3://no-such-bucket/a.jpg"):
        assert contents(url) == {url: Reason.NOT_FOUND}


def test_a_list_of_objects():
    names = [f"{PHOTOS}/b.jpg", f"{PHOTOS}/f3a9", f"{PHOTOS}/gone", f"{PHOTOS}/sub/"]
    found = contents("-", stdin=io.BytesIO("\n".join(names).encode()))
    assert list(found.values()) == [RED, GREEN, Reason.NOT_FOUND, GREEN]


def test_tables_and_archives_in_a_store(s3):
    table, gone = f"{BUCKET}/t.csv", f"{BUCKET}/gone.jpg"
    s3.objects["bucket/t.csv"] = f"id,path\n1,photos/b.jpg\n2,{gone}\n".encode()
    assert contents(table) == {f"{PHOTOS}/b.jpg": RED, gone: Reason.NOT_FOUND}
    (first, _) = expand([table])
    assert first.columns == {"id": "1"}
    url = f"{BUCKET}/shards/0.tar"
    s3.objects["bucket/shards/0.tar"] = b""
    assert contents(url) == contents(f"{BUCKET}/shards") == {url: Reason.UNSUPPORTED_FORMAT}
    assert contents(f"{BUCKET}/gone.csv") == {f"{BUCKET}/gone.csv": Reason.NOT_FOUND}


def test_an_end_point_that_is_busy_is_asked_three_times(s3):
    """By one layer alone: fsspec's library does not try again as well."""
    s3.is_busy = True
    for url in ("s3://b/p/", "s3://b/t.csv", "s3://b/t.zip"):
        (item,) = expand([url])
        assert (item.source, read(item)) == (url, Reason.READ_ERROR)
    s3.requests = 0
    assert read(Item.at("s3://b/a.jpg")) is Reason.READ_ERROR
    assert s3.requests == 3


def test_stores_that_cannot_be_used(monkeypatch):
    for url in ("nonsense://a/b", "s3://a::http://10.0.0.1/a.jpg"):
        with pytest.raises(UsageError, match=url):
            contents(url)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(MissingExtraError, match=r"\[cloud\]"):
        contents("s3://bucket/")
    assert read(Item.at("s3://bucket/a.jpg")) is Reason.READ_ERROR
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match="fsspec"):
        contents("gs://bucket/")


def test_file_urls_are_paths(tmp_path):
    path = tmp_path / "a b.jpg"
    path.write_bytes(RED)
    assert contents(path.as_uri()) == {str(path): RED}
    assert contents("-", stdin=io.BytesIO(path.as_uri().encode())) == {str(path): RED}
    (tmp_path / "t.csv").write_text(f"path\n{path.as_uri()}\n")
    assert contents(os.fspath(tmp_path / "t.csv")) == {str(path): RED}


@pytest.mark.parametrize("scheme", ["postgresql", "sqlite", "ftp"])
def test_a_password_is_used_and_never_shown(monkeypatch, tmp_path, scheme):
    monkeypatch.setattr("fsspec.core.url_to_fs", opened := Mock(side_effect=ValueError("no store")))
    url, shown = (f"{scheme}://user{part}@host:80/a.jpg" for part in (":s3cr:t@word", ""))
    (table := tmp_path / "t.csv").write_text(f"id,url\n1,{url}\n")
    (row,) = expand([table], ScanOptions())
    with pytest.raises(UsageError, match=f"{shown}: ") as caught:
        [*expand([url])]
    assert row.source == shown
    assert "s3cr" not in f"{row.detail}{caught.value}"
    assert [call.args for call in opened.mock_calls] == [(url,)]
