"""Tables as strangers may send them: each case is a file with its bytes."""

import csv
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq

from tests.conftest import encoded, picture

PHOTO = encoded(picture("red", (16, 16)))
PLACES = ("/etc/shadow", "/proc/1/environ", "s3://bucket/a.jpg", "../../etc/passwd")


def parquet(columns, **options):
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, compression="zstd", **options)
    return file.getvalue()


def zeros(rows, size):
    """A Parquet table whose cells are zeros: little in the file, much in memory."""
    columns = {"image": ["a.jpg"] * rows, "raw": pa.array([bytes(size)] * rows, pa.large_binary())}
    return parquet(columns, use_dictionary=False, row_group_size=rows)


def listing(images, text):
    file = io.StringIO()
    names = [f"{number}.jpg" for number in range(images)]
    csv.writer(file).writerows([["id", "text", "images"], ["1", "x" * text, json.dumps(names)]])
    return file.getvalue().encode()


def nested(depth):
    row = f'{{"image": "b.jpg", "x": {"[" * depth + "]" * depth}}}'
    return f'{{"image": "a.jpg"}}\n{row}\n{{"image": "c.jpg"}}\n'.encode()


def corpus(size=1 << 20):
    """Name -> bytes, of each case; ``size``: of a large cell."""
    good = parquet({"image": ["a.jpg", "b.jpg"], "id": [1, 2]})
    return {
        "nested.jsonl": nested(700),
        "nested-deepest.jsonl": nested(100_000),
        "good.parquet": good,
        "cut.parquet": good[:-20],
        "middle.parquet": good[:40] + bytes(40) + good[80:],
        "zeros.parquet": zeros(8, size),
        "zeros.csv.gz": gzip.compress(b"image\n" + bytes(8 * size), mtime=0),
        "cut.csv.gz": gzip.compress(b"image\n" + b"a.jpg\n" * 9, mtime=0)[:-9],
        "no-image.csv": b"title,price\nhorn,3\n",
        "no-image.jsonl": b'{"title": "horn"}\n',
        "no-image.parquet": parquet({"title": ["horn"]}),
        "photo.csv": PHOTO,
        "photo.tsv": PHOTO,
        "photo.jsonl": PHOTO,
        "photo.parquet": PHOTO,
        "listing.csv": listing(200, 100_000),
        "cell.csv": b'image,text\na.jpg,"' + b"x" * 20 * size + b'"\nb.jpg,y\n',
        "columns.csv": ",".join(["image", *map(str, range(10_000))]).encode() + b"\na.jpg\n" * 50,
        "places.csv": "\n".join(["image", *PLACES, "a.jpg"]).encode(),
        "inside.jsonl": b'{"image": {"bytes": "eA=="}}\n{"image": "data:;base64,eA=="}\n',
        "long.csv": b"image\n" + b"x" * 10_000 + b".jpg\n",
        "path.jsonl": json.dumps({"image": "\0\udcff\n"}).encode(),
    }
