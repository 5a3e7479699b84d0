"""The code of docs/cluster.md does what the page says; that for Spark needs pyspark and Java."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recognizer.model.bundle import load_bundle
from recognizer.policy.values import Policy
from recognizer.rows import Ranking, ScanFile, merge
from recognizer.scan import Item, Scorer
from tests.conftest import encoded, picture
from tests.docs.blocks import ROOT, blocks
from tests.rows.rows import NOW

pandas = pytest.importorskip("pandas")

RAY, SPARK = [one.text for one in blocks(ROOT / "docs" / "cluster.md") if one.language == "python"]


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(encoded(picture("red", seed=number)))
    (tmp_path / "4.jpg").write_bytes(b"no picture")
    return [str(tmp_path / f"{number}.jpg") for number in range(6)]


class Dataset:
    """As much of a dataset of Ray as the page uses, here and now."""

    def __init__(self, frame: Any) -> None:
        self.frame = frame

    @classmethod
    def read_parquet(cls, path: str) -> Dataset:
        return cls(pandas.read_parquet(path))

    def select_columns(self, names: list[str]) -> Dataset:
        return Dataset(self.frame[names])

    def map_batches(self, actor: type, *, batch_size: int, **_: Any) -> Dataset:
        call, parts = actor(), []
        for start in range(0, len(self.frame), batch_size):
            part = self.frame[start : start + batch_size]
            parts.append(pandas.DataFrame(call({name: part[name].to_numpy() for name in part})))
        call.scorer.close()
        return Dataset(pandas.concat(parts))

    def write_parquet(self, folder: str) -> None:
        Path(folder).mkdir()
        self.frame.to_parquet(Path(folder, "0.parquet"))


def check(photos: list[str]) -> None:
    """The rows of the engine, merged into a scan's file, are those of a scorer."""
    output = Path("scan.sqlite")
    merge([*Path("rows").glob("*.parquet")], output, Ranking([load_bundle()]))
    with ScanFile(output) as file, Scorer(load_bundle(), Policy()) as scorer:
        found = {row.source: replace(row, time=NOW) for row in file.rows()}
        expected = [replace(row, time=NOW) for row in scorer.score(map(Item.at, photos))]
    assert found == {row.source: row for row in expected}
    assert [row.status for row in expected] == ["ok"] * 4 + ["failed"] * 2


def test_ray(photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Ray, where the extra is installed, otherwise by a stand-in for it."""
    monkeypatch.chdir(tmp_path)
    if importlib.util.find_spec("ray") is None:
        monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(data=Dataset))
    pandas.DataFrame({"uri": photos}).to_parquet("listings.parquet")
    exec(RAY.replace("200", "2"), {"__name__": "page"})
    check(photos)


def test_spark(photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sql = pytest.importorskip("pyspark.sql", reason="needs pyspark")
    if shutil.which("java") is None:
        pytest.skip("needs Java")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pandas.DataFrame({"uri": photos}).to_parquet("listings.parquet")
    builder = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.driver.host", "127.0.0.1").getOrCreate()
    try:
        exec(SPARK.replace("2000", "2"), {"__name__": "page"})
    finally:
        spark.stop()
    check(photos)
