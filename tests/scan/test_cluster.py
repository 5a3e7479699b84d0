"""A scan on a cluster: by Ray, where the extra is installed, and by a stand-in for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from recognizer.errors import ProviderError
from recognizer.imaging.thumbnail import Thumbnail
from recognizer.rows import ScanFile, ScanSummary
from recognizer.scan import Access, Engine, Item, WorkerPayload
from tests.conftest import encoded, picture, read_rows
from tests.scan import engines
from tests.scan.engines import Run, scan_into
from tests.scan.locations.web_server import LoopbackToo, serving


class Dataset:
    """A dataset of Ray with one actor, here and now."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def map_batches(self, actor: type, *, fn_constructor_args: Any, **_: Any) -> Dataset:
        self.actor = actor(*fn_constructor_args)
        return self

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        try:
            for row in self.rows:
                answer = self.actor({key: [value] for key, value in row.items()})
                yield {key: value for key, (value,) in answer.items()}
        finally:
            self.actor._pool.stop()


STAND_IN = SimpleNamespace(
    is_initialized=lambda: True,
    put=lambda value: value,
    get=lambda value: value,
    cluster_resources=lambda: {"CPU": 2.0},
    exceptions=SimpleNamespace(RayError=RuntimeError),
    data=SimpleNamespace(
        DataContext=SimpleNamespace(get_current=SimpleNamespace),
        from_items=lambda rows, **_: Dataset(rows),
        ActorPoolStrategy=SimpleNamespace,
    ),
)


@pytest.fixture(scope="module", params=["ray", "stand-in"])
def cluster(request: pytest.FixtureRequest) -> Iterator[None]:
    """Two machines with a CPU each, as processes of this one."""
    if request.param == "stand-in":
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "ray", STAND_IN)
            patch.setitem(sys.modules, "ray.data", ModuleType("ray.data"))
            yield
        return
    ray = pytest.importorskip("ray", reason="needs the extra: ray")
    root = Path(__file__).parents[2]  # the actors import tests.scan.engines
    os.environ["PYTHONPATH"] = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    made.wait_for_nodes()
    ray.init(address=made.address, log_to_driver=False)
    yield
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    """Photos of all kinds, some of which no decoder survives, with the columns of their listing."""
    colors = ("red", "green", "blue", "gray")
    photos = [encoded(picture(colors[number % 4], seed=number)) for number in range(90)]
    photos[41] += engines.SEGFAULTS
    photos[57] = photos[57][: len(photos[57]) // 3]
    found = [Item.at(str(tmp_path / f"{n:03}.jpg"), {"id": n}) for n in range(90)]
    for item, data in zip(found, photos, strict=True):
        Path(item.source).write_bytes(data)
    return [*found, Item.at(str(tmp_path / "gone.jpg"))]


def comparable(path: Path) -> dict[str, dict[str, Any]]:
    rows = read_rows(path)
    assert len({row["source"] for row in rows}) == len(rows), "one row for each"
    return {row["source"]: row | {"time": None} for row in rows}


def thumbnails(path: Path) -> dict[str, Thumbnail]:
    with ScanFile(path) as file:
        found = {row.source: file.thumbnail(number) for number, row in file.numbered_rows()}
    return {source: shown for source, shown in found.items() if shown is not None}


@pytest.fixture
def run(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(
        items: list[Item],
        name: str,
        payload: type[WorkerPayload] = engines.FragilePayload,
        **options: Any,
    ) -> ScanSummary:
        monkeypatch.setattr("recognizer.scan.run.WorkerPayload", payload)
        given = {"workers": 2} | options
        return scan_into(tmp_path / name, items, tiny_bundle, **given)

    return run


@pytest.mark.usefixtures("cluster")
def test_the_rows_of_a_cluster_are_those_of_one_machine(
    run: Run, items: list[Item], tmp_path: Path
) -> None:
    run(items, "local")
    # Half of it first: what a broken scan left is not scored again.
    first = run(items[:40], "ray", engine=Engine.RAY)
    assert (first.scanned, first.skipped) == (40, 0)
    second = run(items, "ray", engine=Engine.RAY)
    assert (second.scanned, second.skipped) == (51, 40)
    expected = comparable(tmp_path / "local")
    assert comparable(tmp_path / "ray") == expected
    reasons = [row["reason"] for row in expected.values() if row["reason"] is not None]
    assert {"decoder_crash", "not_found"} < {*reasons}
    assert thumbnails(tmp_path / "ray") == thumbnails(tmp_path / "local") != {}


@pytest.mark.usefixtures("cluster")
def test_actors_read_the_web_where_the_scan_may(run: Run, tmp_path: Path) -> None:
    with serving() as server:
        item = Item.at(f"{server.url}/1.jpg")
        for name, access in (("closed", Access()), ("open", LoopbackToo(allow_http=True))):
            run([item], name, engine=Engine.RAY, access=access)
    ((closed,), (opened,)) = (read_rows(tmp_path / name) for name in ("closed", "open"))
    assert (closed["reason"], opened["reason"]) == ("source_refused", None)


@pytest.mark.usefixtures("cluster")
def test_an_error_of_an_actor_is_that_of_a_worker(run: Run, items: list[Item]) -> None:
    with pytest.raises(ProviderError, match="no such accelerator"):
        run(items, "ray", engine=Engine.RAY, payload=engines.NoProviderPayload)
