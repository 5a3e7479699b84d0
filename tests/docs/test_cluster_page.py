"""The code of docs/cluster.md does what the page says; that for Spark needs pyspark and Java."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from recognizer.scan import Item, Scorer
from tests.conftest import encoded, picture
from tests.docs.blocks import ROOT, blocks

BLOCKS = [one.text for one in blocks(ROOT / "docs" / "cluster.md") if one.language == "python"]


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(encoded(picture("red", seed=number)))
    (tmp_path / "4.jpg").write_bytes(b"no picture")
    return [str(tmp_path / f"{number}.jpg") for number in range(6)]


def test_the_callable_of_the_page(photos: list[str]) -> None:
    pandas = pytest.importorskip("pandas")
    scope: dict[str, Any] = {"__name__": "page"}
    exec(BLOCKS[0], scope)
    frames = [pandas.DataFrame({"uri": photos[:4]}), pandas.DataFrame({"uri": photos[4:]})]
    found = pandas.concat(scope["score"](iter(frames)))
    assert found["uri"].tolist() == photos
    rows = [json.loads(line) for line in found["row"]]
    assert [row["source"] for row in rows] == photos
    assert [row["status"] for row in rows] == ["ok"] * 4 + ["failed"] * 2


def test_spark(photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sql = pytest.importorskip("pyspark.sql", reason="needs pyspark")
    pandas = pytest.importorskip("pandas")
    if shutil.which("java") is None:
        pytest.skip("needs Java")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pandas.DataFrame({"uri": photos}).to_parquet("listings.parquet")
    builder = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.driver.host", "127.0.0.1").getOrCreate()
    scope: dict[str, Any] = {"__name__": "page"}
    try:
        exec(BLOCKS[0], scope)
        exec(BLOCKS[1].replace("2000", "2"), scope)
    finally:
        spark.stop()
    rows = [json.loads(line) for line in pandas.read_parquet("rows.parquet")["row"]]
    with Scorer(scope["load_bundle"](), scope["Policy"]()) as scorer:
        expected = scorer.score([Item.at(uri) for uri in photos])
    by_source = {row["source"]: row | {"time": None} for row in rows}
    assert len(rows) == len(photos)
    assert by_source == {row["source"]: row | {"time": None} for row in expected}
