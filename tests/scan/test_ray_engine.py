"""What the driver deals out, with a stand-in for Ray; test_cluster.py runs the real one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from recognizer.errors import MissingExtraError
from recognizer.model.bundle import load_bundle
from recognizer.policy import Policy
from recognizer.scan import Item, ScanOptions, WorkerPayload, machine, ray_engine
from recognizer.scan.ray_engine import GROUP_TASKS, RayPool
from recognizer.scan.worker import Task


class Dataset:
    """A dataset of Ray: maps row by row, here and now."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def map_batches(self, actor: type, *, fn_constructor_args: Any, **_: Any) -> Dataset:
        made = actor(*fn_constructor_args)
        answers = [made({key: [value] for key, value in row.items()}) for row in self.rows]
        return Dataset([{key: value[0] for key, value in answer.items()} for answer in answers])

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A Ray with a cluster of 200 CPUs."""
    context = SimpleNamespace(enable_progress_bars=True)
    fake = SimpleNamespace(
        is_initialized=lambda: True,
        put=lambda value: value,
        get=lambda value: value,
        cluster_resources=lambda: {"CPU": 200.0},
        exceptions=SimpleNamespace(RayError=RuntimeError),
        data=SimpleNamespace(
            DataContext=SimpleNamespace(get_current=lambda: context),
            from_items=lambda rows, **_: Dataset(rows),
            ActorPoolStrategy=SimpleNamespace,
        ),
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setitem(sys.modules, "ray.data", ModuleType("ray.data"))
    return fake


@pytest.fixture
def payload(tiny_bundle: Path) -> WorkerPayload:
    options = ScanOptions(workers=200)
    return WorkerPayload(bundle=load_bundle(tiny_bundle), policy=Policy(), options=options)


@pytest.mark.usefixtures("ray")
def test_what_an_actor_is_given_does_not_depend_on_the_memory_of_the_driver(
    payload: WorkerPayload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planned from a driver of 2 GiB for 200 actors, it was four images a call."""
    monkeypatch.setattr(machine, "available_memory", lambda *_: 2 << 30)
    given: list[int] = []

    class Actor:
        def __init__(self, packed: WorkerPayload) -> None:
            assert packed.options.workers == 1

        def __call__(self, groups: dict[str, Any]) -> dict[str, Any]:
            tasks = ray_engine.pickle.loads(groups["tasks"][0])
            given.append(len(tasks))
            answer = (
                "cpu",
                [ray_engine.TaskResult(index=task.index, key=task.key) for task in tasks],
            )
            return {"answer": [ray_engine.pickle.dumps(answer)]}

    monkeypatch.setattr(ray_engine, "_Actor", Actor)
    tasks = (Task(index=n, key=n, item=Item.at(f"{n}.jpg")) for n in range(10 * GROUP_TASKS + 3))
    done = [result.index for part in RayPool(payload).work(tasks) for result in part]
    assert done == list(range(10 * GROUP_TASKS + 3))
    assert given == [GROUP_TASKS] * 10 + [3]


def test_ray_is_an_extra(payload: WorkerPayload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"\[ray\]"):
        RayPool(payload)
