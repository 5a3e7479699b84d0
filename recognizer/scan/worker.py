"""A worker of a scan reads, decodes and scores images, and reports each step that it begins."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from recognizer._process import defect
from recognizer.engine import ScoredImage
from recognizer.errors import RecognizerError
from recognizer.imaging import Limits, LoadedImage
from recognizer.imaging.sources import Refused, read_path
from recognizer.imaging.thumbnail import THUMBNAIL_SIDE, shrink
from recognizer.rows.identity import file_state
from recognizer.rows.images import NewRow
from recognizer.rows.records import result_of
from recognizer.scan.items import FileLocation, Item, Url
from recognizer.scan.options import WorkerPayload
from recognizer.scan.stores import read_url
from recognizer.status import Reason, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An item on its way through a worker; its result is paired with it by its number."""

    index: int
    item: Item
    previous: bytes | None = None  # the result key of its last row
    is_again: bool = False  # a process died, perhaps of it: by itself, and for the last time


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """The result of a task: a new row, or the state of the file for which its last one holds."""

    index: int
    new: NewRow | None = None
    file_state: bytes | None = None


@dataclass(frozen=True, slots=True)
class TaskStep:
    """The beginning of a step: if the worker dies in it, one of these tasks is the cause."""

    indices: tuple[int, ...]
    sha256: str | None = None  # of the image, if there is a single task


Send: TypeAlias = Callable[[object], None]


class Worker:
    """Turns tasks into results, and sends each step."""

    def __init__(self, payload: WorkerPayload) -> None:
        self.payload = payload
        self.reader = Reader(payload.options.limits, payload.options.allow_hosts)
        self.recognizer = payload.make_recognizer()

    def work(self, tasks: Sequence[Task], send: Send) -> None:
        """Score images, in batches, and send their results."""
        for task in tasks:
            self.reader.expect(task.item)
        size = self.payload.options.batch_size
        for start in range(0, len(tasks), size):
            self._work(tasks[start : start + size], send)

    def _work(self, tasks: Sequence[Task], send: Send) -> None:
        loaded: list[tuple[Task, LoadedImage, bytes | None]] = []
        for task in tasks:
            if len(tasks) > 1:  # a single task needs none: it follows the last result
                send(TaskStep((task.index,)))
            image, state = self._load(task, send)
            if image is None:
                send(TaskResult(index=task.index, file_state=state))
            else:
                loaded.append((task, image, state))
        if not loaded:
            return
        images = [image for _, image, _ in loaded]
        if len(tasks) > 1:  # the step of a single task goes on
            sha256 = images[0].sha256 if len(images) == 1 else None
            send(TaskStep(tuple(task.index for task, _, _ in loaded), sha256))
        for (task, _, state), scored in zip(loaded, self._score(images), strict=True):
            send(self._result(task, scored, state))

    def _load(self, task: Task, send: Send) -> tuple[LoadedImage | None, bytes | None]:
        """Return the image, or None if the last row still holds, and the state of its file."""
        path = task.item.path
        before = None if path is None else file_state(path)
        try:
            data = self.reader.read(task.item)
        except Refused as refused:
            return _failed(refused.reason, refused.detail), None
        except Exception as error:
            return _failed(*defect(error)), None
        sha256 = hashlib.sha256(data).hexdigest()
        state = None
        if path is not None and before is not None and before[1]:
            state = before[0] if file_state(path) == before else None
        if self.payload.is_up_to_date(task.previous, sha256):
            return None, state
        send(TaskStep((task.index,), sha256))
        try:
            return self.recognizer.load_image(data, sha256=sha256), state
        except Exception as error:
            return _failed(*defect(error), sha256), state

    def _score(self, images: Sequence[LoadedImage]) -> list[ScoredImage]:
        try:
            return self.recognizer.score_loaded(images, ["scores", "maps"])
        except Exception as error:
            if len(images) > 1:
                return [self._score([image])[0] for image in images]
            return self.recognizer.score_loaded([_failed(*defect(error), images[0].sha256)])

    def _result(self, task: Task, scored: ScoredImage, state: bytes | None) -> TaskResult:
        regions_of = partial(self.recognizer.regions, scored)
        source, columns = task.item.source, task.item.columns
        row = self.payload.decider.new_row(source, columns, scored.prediction, regions_of)
        if result_of(row) == task.previous:  # failed again, for the same reason
            return TaskResult(index=task.index, file_state=state)
        thumbnail = None
        if row.is_lead and scored.image.frames:
            shown = row.regions[0] if row.regions else scored.prediction
            frame = next(frame for frame in scored.image.frames if frame.index == shown.frame)
            thumbnail = shrink(frame.rgb, THUMBNAIL_SIDE, frame.index)
        return TaskResult(index=task.index, new=NewRow(row, thumbnail, state))


def _failed(reason: Reason, detail: str | None, sha256: str | None = None) -> LoadedImage:
    return LoadedImage(status=Status.FAILED, reason=reason, detail=detail, sha256=sha256)


_MAX_CONCURRENT = 8  # reads over a network


class Reader:
    """Reads items, for a worker. Remote items are read ahead, several at once."""

    def __init__(self, limits: Limits, allow_hosts: Collection[str] = ()) -> None:
        self._limits = limits
        self._allow_hosts = allow_hosts
        self._ahead: dict[int, Future[bytes]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def expect(self, item: Item) -> None:
        """Begin to read an item if it is remote; it must then be read, once."""
        if item.is_remote:
            self._threads = self._threads or ThreadPoolExecutor(_MAX_CONCURRENT)
            self._ahead[id(item)] = self._threads.submit(self._read, item)

    def read(self, item: Item) -> bytes:
        """Return an item's bytes, or raise :class:`Refused` with the reason."""
        future = self._ahead.pop(id(item), None)
        return self._read(item) if future is None else future.result()

    def _read(self, item: Item) -> bytes:
        if item.reason is not None:
            raise Refused(item.reason, item.detail or "")
        if item.data is not None:
            self._limits.check_bytes(len(item.data))
            return item.data
        try:
            match item.location:
                case FileLocation() as path:
                    return read_path(path, self._limits)
                case Url() as url:
                    return read_url(url, self._limits, self._allow_hosts)
                case row:
                    raise Refused(Reason.NOT_FOUND, f"{row}: a row without an image")
        except RecognizerError as error:  # of a store that a single item needs
            raise Refused(Reason.READ_ERROR, str(error)) from error
