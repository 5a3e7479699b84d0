"""Worker processes that tests play: threads with scripts, at the other end of the pipe."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import cast

from recognizer.prediction import Prediction
from recognizer.scan import WorkerPayload
from recognizer.scan.worker import Ready, Task, TaskResult, TaskStep, make_row
from recognizer.status import Reason, Status

SHA256 = "ab" * 32
Script = Callable[["FakeProcess"], None]

HELD: dict[int, int] = {}  # process id -> resident bytes


class FakeProcess:
    """Plays a worker process: a script at the other end of the pipe."""

    def __init__(self, connection: Connection, script: Script, payload: WorkerPayload) -> None:
        self.connection = connection
        self.payload = payload
        self.exitcode: int | None = None
        self.pid = id(self)
        self.received: list[Task] = []
        self.killed = threading.Event()
        self.send = connection.send
        threading.Thread(target=self._run, args=[script], daemon=True).start()

    def _run(self, script: Script) -> None:
        with suppress(EOFError, OSError):  # the parent has closed the pipe
            script(self)
        self.connection.close()

    def take(self) -> Task:
        task: Task = self.connection.recv()
        self.received.append(task)
        return task

    def finish(self, task: Task) -> None:
        prediction = Prediction(status=Status.FAILED, reason=Reason.EMPTY)
        row = make_row(task.item, prediction, self.payload)
        self.send(TaskResult(index=task.index, key=task.key, row=row))

    def die(self, code: int) -> None:
        self.exitcode = code
        raise EOFError

    def hang(self) -> None:
        self.killed.wait(60)
        raise EOFError

    def swell(self) -> None:
        HELD[self.pid] = 3 << 20
        self.hang()

    def kill(self) -> None:
        self.exitcode = -9
        self.killed.set()

    def join(self, timeout: float) -> None: ...


def ready_then(act: Callable[[FakeProcess, Task], None]) -> Script:
    """A worker that acts on task 3, or on what is in its place, and obeys otherwise."""

    def script(process: FakeProcess) -> None:
        process.send(Ready(provider="cpu", memory=1))
        while True:
            task = process.take()
            if task.index == 3:
                act(process, task)
            process.send(TaskStep((task.index,)))
            process.send(TaskStep((task.index,), SHA256))
            process.finish(task)

    return script


def says(message: object) -> Script:
    return lambda process: process.send(message)


def dies(process: FakeProcess) -> None:
    process.die(9)


obedient = ready_then(lambda *_: None)


class Factory:
    """Starts fake workers; the last script serves all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.started: list[FakeProcess] = []

    def __call__(self, _: object, payload: WorkerPayload) -> tuple[BaseProcess, Connection]:
        ours, theirs = Pipe()
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        self.started.append(FakeProcess(theirs, script, payload))
        return cast(BaseProcess, self.started[-1]), ours
