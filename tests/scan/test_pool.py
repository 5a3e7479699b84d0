"""The worker pool, with threads in the place of processes: who is blamed, retried, replaced."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from recognizer import _process
from recognizer._process import RemoteError
from recognizer.errors import ProviderError, RecognizerError, UsageError
from recognizer.model.bundle import load_bundle
from recognizer.policy import Policy
from recognizer.rows.records import result_of
from recognizer.scan import Item, ScanOptions, WorkerPayload
from recognizer.scan.pool import WorkerPool
from recognizer.scan.worker import (
    Inbox,
    Ready,
    Task,
    TaskResult,
    TaskStep,
)
from recognizer.status import Reason
from tests.scan.fake_workers import (
    HELD,
    SHA256,
    Factory,
    FakeProcess,
    Script,
    dies,
    obedient,
    ready_then,
    says,
)


@pytest.fixture
def make(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[WorkerPool, Factory]]]:
    pools: list[WorkerPool] = []

    def make(*scripts: Script, **given: Any) -> tuple[WorkerPool, Factory]:
        bundle, options = load_bundle(tiny_bundle), ScanOptions(**{"workers": 1} | given)
        payload = WorkerPayload(bundle=bundle, policy=Policy(), options=options)
        monkeypatch.setattr("recognizer.scan.pool.spawn", factory := Factory(*scripts))
        pools.append(WorkerPool(payload))
        return pools[-1], factory

    yield make
    for pool in pools:
        pool.stop()


def tasks(count: int, **item: Any) -> Iterator[Task]:
    return (Task(index=i, key=i, item=Item.at(f"{i}.jpg", **item)) for i in range(count))


Results = Iterator[Sequence[TaskResult]]


def reasons(done: Results) -> dict[int, Reason]:
    found = [(result.index, result.row) for part in done for result in part if result.row]
    assert len({index for index, _ in found}) == len(found), "once each"
    return {index: row.reason for index, row in found}


def detail(done: Results, index: int) -> tuple[str, str | None]:
    rows = {result.index: result.row for part in done for result in part}
    row = rows[index]
    assert len(rows) == 10
    return row.detail, row.sha256


def all_but_3(reason: Reason, count: int = 10) -> dict[int, Reason]:
    return {index: reason if index == 3 else Reason.EMPTY for index in range(count)}


def test_results_come_soon_however_long_another_takes(make: Any) -> None:
    pool, _ = make(ready_then(lambda process, _: process.hang()), timeout=30)
    began = time.monotonic()
    first = next(pool.work(tasks(10)))
    assert sorted(result.index for result in first) == [0, 1, 2]
    assert time.monotonic() - began < 5


# --- accidents --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "sha256"),
    [([], None), ([TaskStep((3,))], None), ([TaskStep((3,)), TaskStep((3,), SHA256)], SHA256)],
)
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (7, "died (exit code 7)"),
        (-11, "died (SIGSEGV)"),
        (-9, "died (SIGKILL; perhaps the system ran out of memory)"),
        (-99, "died (exit code -99)"),
    ],
)
def test_the_image_that_a_worker_holds_when_it_dies_is_the_cause(
    make: Any, steps: list[TaskStep], sha256: str | None, code: int, words: str
) -> None:
    def crash(process: FakeProcess, _: Task) -> None:
        for step in steps:
            process.send(step)
        process.die(code)

    pool, factory = make(ready_then(crash))
    found = detail(pool.work(tasks(10)), 3)
    assert found == (f"the process that worked on it {words}", sha256)
    assert len(factory.started) == 2
    pool, _ = make(ready_then(crash), workers=2)
    assert reasons(pool.work(tasks(10))) == all_but_3(Reason.DECODER_CRASH)


def test_a_step_that_takes_too_long_costs_one_image(make: Any) -> None:
    def hang(process: FakeProcess, _: Task) -> None:
        process.send(TaskStep((3,), SHA256))
        process.hang()

    pool, factory = make(ready_then(hang), timeout=0.2)
    found = detail(pool.work(tasks(10)), 3)
    assert found == ("the process that worked on it was killed after 0.2 s", SHA256)
    assert factory.started[0].killed.is_set()


def test_idle_time_is_not_that_of_an_image(make: Any) -> None:
    def slowly(given: Iterator[Task]) -> Iterator[Task]:
        for task in given:
            yield task
            time.sleep(0.15 if task.index > 2 else 0)

    pool, factory = make(obedient, timeout=0.1)
    assert set(reasons(pool.work(slowly(tasks(8)))).values()) == {Reason.EMPTY}
    assert len(factory.started) == 1


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "resident_bytes", lambda pid: HELD.get(pid, 1))
    monkeypatch.setattr("sys.platform", "linux")


@pytest.mark.usefixtures("memory")
def test_an_image_that_takes_too_much_memory(make: Any) -> None:
    pool, factory = make(ready_then(lambda process, _: process.swell()), memory_limit=2 << 20)
    found = detail(pool.work(tasks(10)), 3)
    assert found[0] == "the process that worked on it was killed: it held more than 2 MiB"
    # The memory might have been of the images before: it was tried again in a new process.
    assert [t.index for t in factory.started[1].received if t.index == 3] == [3]
    assert factory.started[1].received[0].index == 3
    assert len(factory.started) == 3


def work_slowly(process: FakeProcess, _: Task) -> None:
    for _ in range(4):
        time.sleep(0.15)
        process.send(TaskStep((3,), SHA256))


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    ("scripts", "options"),
    [
        ([ready_then(work_slowly)], {"timeout": 0.4}),  # each step has the whole time
        # Memory that grew before.
        ([ready_then(lambda p, _: p.swell()), obedient], {"memory_limit": 2 << 20}),
        ([dies, dies, obedient], {}),  # failed starts
    ],
)
def test_what_costs_no_image(make: Any, scripts: list[Script], options: dict[str, Any]) -> None:
    pool, factory = make(*scripts, **options)
    assert set(reasons(pool.work(tasks(10))).values()) == {Reason.EMPTY}
    assert len(factory.started) == len(scripts)


def test_what_failed_again_for_the_same_reason_has_no_new_row(make: Any) -> None:
    crash = ready_then(lambda process, _: process.die(7))
    pool, _ = make(crash)
    (row,) = [r.row for part in pool.work(tasks(10)) for r in part if r.index == 3]
    known = result_of(row)
    pool, _ = make(crash)
    again = pool.work(iter([Task(index=3, key=3, item=Item.at("3.jpg"), known=known)]))
    assert [result.row for part in again for result in part] == [None]


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    ("script", "error", "words", "starts"),
    [
        (dies, RecognizerError, r"cannot be started: .* died \(exit code 9\)", 3),
        (
            says(Ready(provider="cpu", memory=3 << 20)),
            *(UsageError, "2 MiB leaves no room for images: a worker takes 3 MiB", 1),
        ),
        (
            says(RemoteError(kind="ProviderError", message="no such thing")),
            *(ProviderError, "^no such thing$", 1),
        ),
        (
            says(RemoteError(kind="ValueError", message="no such thing")),
            *(RecognizerError, "cannot load the model: ValueError: no such thing", 1),
        ),
    ],
)
def test_workers_that_cannot_start(
    make: Any, script: Script, error: type[Exception], words: str, starts: int
) -> None:
    pool, factory = make(script, memory_limit=2 << 20)
    with pytest.raises(error, match=words):
        list(pool.work(tasks(10)))
    assert len(factory.started) == starts


def test_a_start_that_takes_too_long(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "START_SECONDS", 0.1)
    pool, _ = make(FakeProcess.hang)
    with pytest.raises(RecognizerError, match=r"was killed after 0.1 s"):
        list(pool.work(tasks(10)))


def test_processes_that_ignore_sigkill_are_not_waited_for_one_by_one(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_process, "JOIN_SECONDS", 0.2)
    monkeypatch.setattr(FakeProcess, "join", lambda _, seconds: time.sleep(seconds))
    pool, _ = make(obedient, workers=10)
    next(pool.work(tasks(1000)))
    began = time.monotonic()
    pool.stop()
    assert time.monotonic() - began < 1


# --- batches ----------------------------------------------------------------------------------


def batched(act: Callable[[FakeProcess, list[Task]], None]) -> Script:
    """A worker that scores what waits together, and acts on each batch."""

    def script(process: FakeProcess) -> None:
        process.send(Ready(provider="cuda", memory=1))
        inbox, waiting = Inbox(4), 0
        while True:
            while waiting == 0 or process.connection.poll(0.02):  # so that a batch comes together
                inbox.put(process.take())
                waiting += 1
            together = inbox.take()
            waiting -= len(together)
            process.send(TaskStep(tuple(task.index for task in together)))
            act(process, together)
            for task in together:
                process.finish(task)

    return script


def test_a_batch_that_crashes_the_model_is_tried_one_by_one(make: Any) -> None:
    sizes: list[int] = []

    def crash(process: FakeProcess, together: list[Task]) -> None:
        sizes.append(len(together))
        if any(task.index == 3 for task in together):
            process.die(8)

    pool, _ = make(batched(crash), batch=4)
    assert reasons(pool.work(tasks(20))) == all_but_3(Reason.DECODER_CRASH, 20)
    assert max(sizes) == 4
    assert sizes.count(1) >= 4


def test_the_inbox_gives_what_waits() -> None:
    def given(batch: int, alone: set[int]) -> list[list[int]]:
        inbox = Inbox(batch)
        for task in tasks(6):
            inbox.put(Task(index=task.index, key=0, item=task.item, is_alone=task.index in alone))
        found: list[list[int]] = []
        while sum(map(len, found)) < 6:
            found.append([task.index for task in inbox.take()])
        return found

    assert given(1, set()) == [[0], [1], [2], [3], [4], [5]]
    assert given(4, set()) == [[0, 1, 2, 3], [4, 5]]
    assert given(4, {0, 2}) == [[0], [1], [2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("timeout", seconds) for seconds in (0, -1, float("inf"), float("nan"))),
        *[("memory_limit", -1), ("workers", -1)],
    ],
)
def test_options_that_make_no_sense(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name.partition("_")[0]):
        ScanOptions(**{name: value})
