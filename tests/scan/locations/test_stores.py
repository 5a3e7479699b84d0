"""Object stores: S3, as a server on the loopback speaks it."""

import io
import os
import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import fsspec
import pytest
import s3fs

from recognizer.errors import MissingExtraError, UsageError
from recognizer.scan import ScanOptions, expand
from recognizer.scan.items import Access, Item, Skipped
from recognizer.status import Reason
from tests.scan.locations.conftest import GREEN, RED, contents, read
from tests.scan.locations.test_archives import make_tar, make_zip


@pytest.fixture
def bucket(s3_server: str) -> Iterator[str]:
    """The URL of an empty bucket."""
    url = f"s3://bucket-{uuid.uuid4().hex[:8]}"
    filesystem = fsspec.filesystem("s3")
    filesystem.mkdir(url)
    yield url
    filesystem.rm(url, recursive=True)
    # Never the listing of a bucket that is gone.
    filesystem.invalidate_cache()


def put(url: str, data: bytes) -> str:
    with fsspec.open(url, "wb") as file:
        file.write(data)
    return url


@pytest.fixture
def photos(bucket: str) -> str:
    files = {"b.jpg": RED, "sub/a.png": GREEN, "f3a9": GREEN, "notes.txt": b"text"}
    files |= {"empty.jpg": b"", "big.jpg": bytes(30_000), "[x] #?.jpg": RED}
    for name, data in files.items():
        put(f"{bucket}/photos/{name}", data)
    put(f"{bucket}/photos-other/c.jpg", RED)
    return f"{bucket}/photos"


def test_a_prefix(photos: str) -> None:
    skipped = Skipped()
    expected = {
        f"{photos}/[x] #?.jpg": RED,
        f"{photos}/b.jpg": RED,
        f"{photos}/big.jpg": Reason.TOO_MANY_BYTES,
        f"{photos}/empty.jpg": b"",
        f"{photos}/f3a9": GREEN,
        f"{photos}/sub/a.png": GREEN,
    }
    assert contents(photos, skipped=skipped) == expected
    assert skipped.other_files == 1
    assert contents(f"{photos}/") == expected
    assert len(contents(photos.rpartition("/")[0])) == len(expected) + 1  # the whole bucket


def test_single_objects_and_what_is_not_there(photos: str) -> None:
    assert contents(f"{photos}/b.jpg") == {f"{photos}/b.jpg": RED}
    assert contents(f"{photos}/f3a9") == {f"{photos}/f3a9": GREEN}
    for url in (f"{photos}/gone.jpg", f"{photos}/gone"):
        assert contents(url) == {url: Reason.NOT_FOUND}


def test_a_list_of_objects(photos: str) -> None:
    names = [f"{photos}/b.jpg", f"{photos}/f3a9", f"{photos}/gone", f"{photos}/sub/"]
    found = contents("-", stdin=io.BytesIO("\n".join(names).encode()))
    assert list(found.values()) == [RED, GREEN, Reason.NOT_FOUND, GREEN]


def test_tables_and_archives_in_a_store(bucket: str, tmp_path: Path) -> None:
    put(f"{bucket}/photos/a.jpg", RED)
    table = put(f"{bucket}/t.csv", f"id,path\n1,photos/a.jpg\n2,{bucket}/gone.jpg\n".encode())
    assert contents(table) == {
        f"{bucket}/photos/a.jpg": RED,
        f"{bucket}/gone.jpg": Reason.NOT_FOUND,
    }
    (first, _) = expand([table])
    assert first.columns == {"id": "1"}
    members = [("1.json", b'{"id": 1}'), ("1.jpg", RED), ("2.jpg", GREEN), ("3.jpg", bytes(30_000))]
    for make, name in ((make_tar, "shard-0.tar"), (make_zip, "shard-1.zip")):
        url = put(f"{bucket}/shards/{name}", make(tmp_path / name, members).read_bytes())
        assert contents(url) == {
            f"{url}!/1.jpg": RED,
            f"{url}!/2.jpg": GREEN,
            f"{url}!/3.jpg": Reason.TOO_MANY_BYTES,
        }
    assert len(contents(f"{bucket}/shards")) == 6
    assert contents(f"{bucket}/gone.csv") == {f"{bucket}/gone.csv": Reason.NOT_FOUND}


def test_a_bucket_that_is_not_there(s3_server: str) -> None:
    for url in ("s3://no-such-bucket", "s3://no-such-bucket/x/", "s3://no-such-bucket/a.jpg"):
        assert contents(url) == {url: Reason.NOT_FOUND}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The requests to an end point of S3 that is always busy."""
    served: list[bytes] = []

    def be_busy(server: socket.socket) -> None:
        with suppress(OSError):  # closed, at the end
            while True:
                with server.accept()[0] as connection:
                    served.append(connection.recv(1 << 16))
                    connection.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        threading.Thread(target=be_busy, args=[server], daemon=True).start()
        s3fs.S3FileSystem.clear_instance_cache()
        yield served
    s3fs.S3FileSystem.clear_instance_cache()


def test_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/none")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    assert read(Item.at("s3://bucket/a.jpg")) is Reason.READ_ERROR
    s3fs.S3FileSystem.clear_instance_cache()


def test_an_end_point_that_is_busy_is_asked_three_times(requests: list[bytes]) -> None:
    """By one layer alone: fsspec's library does not try again as well."""
    for url in ("s3://b/p/", "s3://b/t.csv", "s3://b/t.zip"):
        (item,) = expand([url])
        assert (item.source, read(item)) == (url, Reason.READ_ERROR)
    requests.clear()
    assert read(Item.at("s3://b/a.jpg")) is Reason.READ_ERROR
    assert len(requests) == 3


def test_stores_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_file_urls_are_paths(tmp_path: Path) -> None:
    path = tmp_path / "a b.jpg"
    path.write_bytes(RED)
    assert contents(path.as_uri()) == {str(path): RED}
    assert contents("-", stdin=io.BytesIO(path.as_uri().encode())) == {str(path): RED}
    (tmp_path / "t.csv").write_text(f"path\n{path.as_uri()}\n")
    assert contents(os.fspath(tmp_path / "t.csv")) == {str(path): RED}


@pytest.mark.parametrize("scheme", ["postgresql", "sqlite", "https", "ftp"])
def test_a_password_is_used_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scheme: str
) -> None:
    monkeypatch.setattr("fsspec.core.url_to_fs", opened := Mock(side_effect=ValueError("no store")))
    url, shown = (f"{scheme}://user{part}@host:80/a.jpg" for part in (":s3cr:t@word", ""))
    (table := tmp_path / "t.csv").write_text(f"id,url\n1,{url}\n")
    (row,) = expand([table], ScanOptions(access=Access(allow_http=True)))
    with pytest.raises(UsageError, match=f"{shown}: ") as caught:
        [*expand([url])]
    assert row.source == shown
    assert "s3cr" not in f"{row.detail}{caught.value}"
    assert [call.args for call in opened.mock_calls] == [(url,)] * (scheme != "https")
