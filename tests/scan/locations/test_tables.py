"""Tables: each row's columns go with its own images, whatever the format, or the row says why."""

import csv
import decimal
import gzip
import io
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.errors import UsageError
from recognizer.rows.records import to_json
from recognizer.scan import ScanOptions, expand
from recognizer.scan.items import Skipped
from recognizer.scan.table_rows import plain
from recognizer.status import Reason
from tests.scan.locations.conftest import GREEN, RED, read

BAD = Reason.CORRUPT_CONTAINER


def write(path, rows):
    """Write a table in the format of its suffix."""
    match path.suffix:
        case ".csv" | ".tsv":
            with path.open("w", newline="") as file:
                delimiter = "\t" if path.suffix == ".tsv" else ","
                writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
                writer.writeheader()
                writer.writerows(rows)
        case ".jsonl" | ".ndjson":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case ".gz":
            inner = write(path.with_suffix(""), rows)
            path.write_bytes(gzip.compress(inner.read_bytes()))
            inner.unlink()
    return path


def images_of(path, **options):
    """The items but for the listings without an image."""
    return [item for item in items_of(path, **options) if item.reason is not Reason.NO_IMAGE]


def items_of(path, **options):
    skipped = options.pop("skipped", None)
    items = list(expand([path], ScanOptions(**options), skipped=skipped))
    for item in items:  # all that comes out can stand in a row
        to_json({"item": item.columns})
    return items


def found_in(folder, items):
    """The name of each item's file, or of its place in the table; and its reason."""
    return [(item.source.removeprefix(f"{folder}/"), item.reason) for item in items]


@pytest.mark.parametrize(
    "name",
    ["t.csv", "t.TSV", "t.tsv", "t.jsonl", "t.ndjson", "t.parquet", "t.csv.gz", "t.jsonl.gz"],
)
def test_paths_and_columns(tmp_path, name):
    (tmp_path / "a.jpg").write_bytes(RED)
    rows = [
        {"id": "1", "title": 'x, "y"\nz', "image_path": "a.jpg", "reports": "3"},
        {"id": "2", "title": "象牙", "image_path": "/abs/b.jpg", "reports": "0"},
        {"id": "3", "title": "", "image_path": "s3://bucket/c.jpg", "reports": "1"},
        {"id": "4", "title": "no photo", "image_path": "", "reports": "1"},
    ]
    path = write(tmp_path / name.lower(), rows).rename(tmp_path / name)
    skipped = Skipped()
    items = items_of(path, skipped=skipped)
    sources = [str(tmp_path / "a.jpg"), "/abs/b.jpg", "s3://bucket/c.jpg", f"{path}!/4"]
    assert [item.source for item in items] == sources
    for row in rows:
        del row["image_path"]
    assert [item.columns for item in items] == rows
    assert read(items[0]) == RED
    assert items[3].reason is Reason.NO_IMAGE
    assert skipped == Skipped(
        without_image=Counter({str(path): 1}),
        image_columns={str(path): {"image_path": None}},
        unread_columns={str(path): {}},
    )


def test_each_of_json_lines_has_its_own_keys(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"id": 1}\n{"id": 2, "image": "a.jpg"}\n{"id": 3}\n')
    for wanted in ((), ("image",)):
        skipped = Skipped()
        (item,) = images_of(path, image_columns=wanted, skipped=skipped)
        assert item.columns == {"id": 2}
        assert skipped.without_image == {str(path): 2}
    with pytest.raises(UsageError, match="photo"):
        items_of(path, image_columns=("photo",))
    path.write_text('{"url": "a.jpg"}\n{"image": "b.jpg", "url": "x"}\n{"photo_path": "c.jpg"}\n')
    assert [Path(item.source).name for item in items_of(path)] == ["a.jpg", "b.jpg", "c.jpg"]


def test_an_image_inside_a_table_has_a_row_that_says_so(tmp_path):
    (tmp_path / "b.jpg").write_bytes(GREEN)
    hugging_face = [{"bytes": RED, "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}]
    path = write(tmp_path / "t.parquet", [{"image": hugging_face, "photo": RED}])
    inside, beside, *_ = items_of(path)
    assert (inside.source, inside.reason) == (f"{path}!/1/1", Reason.UNSUPPORTED_FORMAT)
    assert inside.detail == "an image inside the table: write it to a file first"
    assert read(beside) == GREEN
    (item,) = items_of(write(tmp_path / "t.csv", [{"image": "data:image/jpeg;base64,/9j/"}]))
    assert item.reason is Reason.UNSUPPORTED_FORMAT


def test_values_of_a_parquet_table(tmp_path):
    path = tmp_path / "t.parquet"
    columns = {
        "path": ["a.jpg"],
        "price": [decimal.Decimal("12.50")],
        "at": pa.array([datetime(2026, 1, 2, 3, 4, tzinfo=UTC)], pa.timestamp("us", "UTC")),
        "precise": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")),
        "far": pa.array([10**17], pa.timestamp("ms")),
        "raw": [b"\0\xff"],
        "kind": pa.array(["x"]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), path)
    (item,) = items_of(path)
    found = dict(item.columns or {})
    assert found.pop("precise").startswith("2023-11-14")
    assert isinstance(found.pop("far"), str)
    assert found == {"price": "12.50", "at": "2026-01-02T03:04:00+00:00", "raw": None, "kind": "x"}


def test_all_columns_of_images_are_read_each_image_once(tmp_path):
    rows = [("b.jpg", "a.jpg", "b.jpg"), ("", "", '["c.jpg", "d.jpg"]'), ("", "", "")]
    names = ("main_image", "image_1", "image_2")
    listings = [{"url": "x", **dict(zip(names, row, strict=True))} for row in rows]
    skipped = Skipped()
    items = items_of(write(tmp_path / "t.csv", listings), skipped=skipped)
    assert [Path(item.source).name for item in items] == ["b.jpg", "a.jpg", "c.jpg", "d.jpg", "3"]
    assert all(set(item.columns or ()) == {"url"} for item in items)
    assert [*skipped.image_columns[f"{tmp_path}/t.csv"]] == [*names]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_columns_that_name_images_and_are_not_read(tmp_path, suffix):
    row = {
        "id": "1",
        "image": "p/a.jpg",
        "file": "a.jpg",  # a part of what is read
        "thumbnail": "thumbs/a.jpg",
        "assets": '["b.png", "c.png"]',
        "description": '<p>Old. <img src="https://x.example/d.webp?w=1"></p>',
        "title": "my jpg, no image.jpgs",
        "media": '[{"src": "e.gif"}]' if suffix == "csv" else [{"src": "e.gif"}],
    }
    table = write(tmp_path / f"t.{suffix}", [row, row | {"image": ""}])
    skipped = Skipped()
    items_of(table, skipped=skipped)
    unread = skipped.unread_columns[str(table)]
    assert [*unread] == ["thumbnail", "assets", "description", "media", "file"]
    items = items_of(table, image_columns=("assets", "image", "media"))
    names = ["b.png", "c.png", "a.jpg", "e.gif"]
    assert [Path(item.source).name for item in items[:4]] == names
    with pytest.raises(UsageError, match="no column 'x', but 'id', 'image'"):
        items_of(table, image_columns=("image", "x"))


LISTS = ['["b.jpg", "c.jpg"]', ' [{"url": "b.jpg"}, "", "c.jpg"]']


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_lists_in_a_cell_are_read_and_columns_of_other_names_are_warned_of(tmp_path, suffix):
    for cell in (*LISTS, *([] if suffix == "csv" else [["b.jpg", "c.jpg"]])):
        other, skipped = cell.replace(".", "2.") if cell in LISTS else ["d.jpg"], Skipped()
        table = write(tmp_path / f"t.{suffix}", [{"bild_1": cell, "hero": other}])
        found = items_of(table, skipped=skipped)
        assert [Path(item.source).name for item in found] == ["b.jpg", "c.jpg"]
        assert [*skipped.unread_columns[str(table)]] == ["hero"]
    cell = json.dumps({"url": "a.jpg", "large": "b.jpg"})
    table = write(tmp_path / f"o.{suffix}", [{"image": cell}])
    items_of(table, skipped=skipped)
    assert [*skipped.unread_columns[str(table)]] == ["image"]


VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.decimals(),
        st.dates(), st.datetimes(), st.times(), st.timedeltas(), st.uuids(),
    ),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)  # fmt: skip


@given(VALUES)
def test_any_value_can_stand_in_a_row(value):
    assert plain(plain(value)) == plain(value)
    assert json.loads(to_json({"item": plain(value)}))["item"] == plain(value)


@pytest.mark.parametrize(
    "text",
    [
        "id,path\n1,a.jpg\n".encode("utf-8-sig"),
        b"id;path\n1;a.jpg\n",
        b"id\tpath\r\n1\ta.jpg\r\n",
        b"id|path\n\n1|a.jpg",
        b'"id","path"\n"1","a.jpg"\n',
    ],
)
def test_dialects_of_csv(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text)
    (item,) = items_of(path)
    assert (item.source, item.columns) == (str(tmp_path / "a.jpg"), {"id": "1"})


def test_rows_that_cannot_be_read_cost_no_other(tmp_path):
    table = tmp_path / "t.csv"
    table.write_bytes(b"title,image\nhorn, old,a.jpg\nshort\nbone,b\xff.jpg\n")
    extra, short, undecodable = items_of(table)
    assert found_in(tmp_path, [extra, short]) == [("t.csv!/1", BAD), ("t.csv!/2", BAD)]
    # What follows a line break without quotes: the photo of this row may be in the next.
    assert (short.columns, short.detail) == ({"title": "short"}, "1 cells for 2 columns")
    assert extra.detail == "3 cells for 2 columns"
    assert undecodable.source.encode("utf-8", "surrogateescape").endswith(b"/b\xff.jpg")
    lines = tmp_path / "t.jsonl"
    lines.write_bytes(
        b'\xef\xbb\xbf{"image": "a.jpg"}\nnonsense\n[1]\n\n{"image": 7}\n{"image": "b.jpg"}\n'
        + b'{"x":' + b"[" * 100_000 + b"\n" + b'{"image": {"path": "c.jpg"}}\n{"image": "cut'
    )  # fmt: skip
    assert found_in(tmp_path, items_of(lines)) == [
        *[("a.jpg", None), ("t.jsonl!/2", BAD), ("t.jsonl!/3", BAD), ("t.jsonl!/4", BAD)],
        *[("b.jpg", None), ("t.jsonl!/6", BAD), ("c.jpg", None), ("t.jsonl!/8", BAD)],
    ]


def test_a_short_row_that_has_its_photo_is_scanned(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("image,title,price\na.jpg,tusk\n,tusk\n")
    skipped = Skipped()
    (item,) = images_of(table, skipped=skipped)
    assert (item.reason, item.columns) == (None, {"title": "tusk", "price": None})
    assert skipped.without_image == {str(table): 1}


@pytest.mark.parametrize(
    ("damaged", "detail", "rest"),
    [
        (b'1,"big tusk,lost.jpg\n2,"carved",lost.jpg\n', "lines 3 to 4: ", b'3,"b\nb",b.jpg\n'),
        (b'1,"big" tusk,lost.jpg\n', "lines 3 to 3: ", b'3,"b\nb",b.jpg\n'),
        (b'1,"big tusk,b.jpg\n2,c,c.jpg\n', "lines 3 to 4: unexpected end of data", b""),
    ],
)
def test_a_damaged_line_gives_no_photo_to_another_listing(tmp_path, damaged, detail, rest):
    table = tmp_path / "t.csv"
    table.write_bytes(b"id,title,photo\n0,a,a.jpg\n" + damaged + rest)
    first, bad, *others = items_of(table)
    assert found_in(tmp_path, [first, bad]) == [("a.jpg", None), ("t.csv!/2", BAD)]
    assert str(bad.detail).startswith(detail)
    assert [item.columns for item in others] == [{"id": "3", "title": "b\nb"}] * bool(rest)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t.parquet", b"no parquet", BAD),
        ("t.parquet", b"", BAD),
        ("t.csv", b"path,path\na,b\n", BAD),
        ("t.csv", b'"id" of it,path\n1,a.jpg\n', BAD),
        ("t.csv.gz", b"no gzip", BAD),
        ("t.csv", b"path," + b"x" * (1 << 20) + b"\na.jpg,1\n", BAD),
        ("t.csv.gz", gzip.compress(b"path\n" + b"a.jpg\n" * 9, mtime=0)[:-12], Reason.TRUNCATED),
    ],
)
def test_unreadable_tables(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    item = items_of(path)[-1]
    assert (item.source, item.reason) == (str(path), reason)


def test_urls_in_a_table_lead_only_to_buckets(tmp_path):
    urls = ["sftp://10.0.0.1/a.jpg", "simplecache::http://10.0.0.1/a.jpg", "ftp://x/a.jpg"]
    first, chained, third = items_of(write(tmp_path / "t.csv", [{"url": url} for url in urls]))
    assert first.reason is third.reason is Reason.SOURCE_REFUSED
    assert chained.reason is None  # no URL by its beginning: a path, where nothing is
    assert chained.source == f"{tmp_path}/{urls[1]}".replace("//", "/")
    assert [i.reason for i in expand(["-"], stdin=io.BytesIO("\n".join(urls).encode()))] == [
        Reason.SOURCE_REFUSED, None, Reason.SOURCE_REFUSED,
    ]  # fmt: skip


def test_an_image_is_the_same_from_any_root(tmp_path):
    for name in ("t", "p", "elsewhere/deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "t" / "link").symlink_to(tmp_path / "elsewhere" / "deep")
    paths = [{"image": "../p/a.jpg"}, {"image": "link/../b.jpg"}, {"image": "../p/\0.jpg"}]
    table = write(tmp_path / "t" / "t.jsonl", paths)
    before, after = items_of(table), items_of(table, image_root=str(tmp_path / "p"))
    assert [one.reason for one in before] == [Reason.SOURCE_REFUSED] * 3
    sources = [f"{tmp_path}/p/a.jpg", f"{tmp_path}/elsewhere/b.jpg"]
    assert [one.source for one in before[:2]] == sources
    assert (after[0].source, after[0].reason) == (before[0].source, None)
    for name in ("p/a.jpg", "elsewhere/b.jpg"):
        (tmp_path / name).touch()
    for name in ("t/../p", "p/../p/*.jpg", "./t/.././p/a.jpg"):
        assert [one.source for one in expand([tmp_path / name])] == sources[:1]
    assert [one.source for one in expand([f"{tmp_path}/t/link/../*.jpg"])] == sources[1:]


def test_a_name_that_is_given_twice_is_no_matter_of_luck(tmp_path):
    """Which of the values counts, its author and a reader may see differently."""
    table = tmp_path / "t.jsonl"
    table.write_text('{"image": "a.jpg", "id": 1}\n{"image": "b.jpg", "id": 2, "id": 3}\n')
    first, second = expand([str(table)])
    assert (first.columns, second.reason) == ({"id": 1}, Reason.CORRUPT_CONTAINER)
    assert second.detail == "the key 'id' is given twice"
    csv_, parquet = tmp_path / "t.csv", tmp_path / "t.parquet"
    csv_.write_text("image,id,image\na.jpg,1,b.jpg\n")
    pq.write_table(pa.Table.from_arrays([pa.array("ab")] * 3, ["image", "id", "image"]), parquet)
    for item in expand([csv_, parquet]):
        assert "two columns are named 'image'" in str(item.detail)
    csv_.write_text('image\n"[{""path"": ""a.jpg"", ""path"": ""b.jpg""}]"\n')
    assert not next(expand([csv_])).source.endswith(("/a.jpg", "/b.jpg"))


def test_columns_without_a_name_are_called_by_their_place(tmp_path):
    """Spreadsheets write them behind the last column, often several."""
    (table := tmp_path / "t.csv").write_text("image,id,, \na.jpg,1,,x\n")
    (item,) = expand([str(table)])
    assert (item.columns, item.reason) == ({"id": "1", "column 3": "", "column 4": "x"}, None)
