"""The worker: a process that reads, decodes and scores images.

Decoders are where hostile bytes do their harm, so they run where a crash costs one image. A worker
reports each step that it begins; when it dies, or takes too long, its parent knows which image was
the cause. All that a worker holds can be lost: the parent ends it by killing it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from recognizer import _process
from recognizer.decision import decide, with_listing
from recognizer.engine import Recognizer
from recognizer.imaging import LoadedImage
from recognizer.imaging.sources import Refused
from recognizer.imaging.thumbnail import THUMBNAIL_SIDE, Thumbnail, shrink
from recognizer.policy import CandidateKind, KnownMatch, Verdict
from recognizer.prediction import Prediction
from recognizer.rows.records import result_of
from recognizer.rows.row import Row
from recognizer.rows.similar import quantize
from recognizer.scan.file_state import FileState
from recognizer.scan.items import Item
from recognizer.scan.locations import Reader
from recognizer.scan.options import WorkerPayload
from recognizer.status import Reason, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An item on its way through a worker; its result is paired with it by its number."""

    index: int
    item: Item
    known: bytes | None = None  # the result key of its last row
    is_alone: bool = False  # it must not share a pass of the model
    has_data: bool = False  # the bytes of its item follow it

    def send(self, connection: Connection) -> None:
        """Send it to a worker; its bytes follow it."""
        data = self.item.data
        if data is None:
            connection.send(self)
        else:  # not pickled: that would be one more copy of them
            connection.send(replace(self, item=replace(self.item, data=None), has_data=True))
            connection.send_bytes(data)

    @classmethod
    def receive(cls, connection: Connection) -> Self:
        """Receive one with its bytes."""
        task: Self = connection.recv()
        if not task.has_data:
            return task
        item = replace(task.item, data=connection.recv_bytes())
        return replace(task, item=item, has_data=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a task, with the thumbnail of a lead and the embedding where wanted."""

    row: Row | None = None  # None where the last row still holds
    thumbnail: Thumbnail | None = None
    embedding: NDArray[np.int8] | None = None  # (channels,)
    file: tuple[FileState, str] | None = None  # that was read, and its sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The model is loaded: where onnxruntime really computes, and resident bytes until now."""

    provider: str
    memory: int


@dataclass(frozen=True, slots=True)
class Step:
    """A step begins: if the worker dies or takes too long now, these tasks are the cause.

    They are one that is read or decoded, or all in a pass of the model. A single one comes with
    the digest of its bytes, once they are read. Without a step it is the first task.
    """

    indices: tuple[int, ...]
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A task is done: its number, and what became of it."""

    index: int
    result: Result


def run_worker(connection: Connection, payload: WorkerPayload) -> None:
    """Serve tasks until the parent closes the connection, or dies."""
    _process.settle()
    options = payload.options
    reader = Reader(options.limits, options.access)
    inbox = Inbox(options.batch_size)

    def receive() -> None:
        task = Task.receive(connection)
        reader.expect(task.item)
        inbox.put(task)

    def ready(recognizer: Recognizer) -> Ready:
        return Ready(provider=recognizer.provider, memory=_process.resident_bytes(os.getpid()))

    _process.listen(receive)
    recognizer = _process.prepare(connection, payload.make_recognizer, ready)
    worker = Worker(connection, payload, reader, recognizer)
    while True:
        worker.work(inbox.take())


class Inbox:
    """The tasks that wait in a worker, at most ``batch`` of them for a pass of the model.

    Where fewer wait, the pass is smaller: nothing waits to fill it.
    """

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self.put = self._waiting.put  # by another thread
        self._next: Task | None = None

    def take(self) -> list[Task]:
        """Wait for a task, and return it with those that share its pass."""
        tasks = [self._next or self._waiting.get()]
        self._next = None
        with contextlib.suppress(queue.Empty):
            while len(tasks) < self._batch and not tasks[0].is_alone:
                task = self._waiting.get_nowait()
                if task.is_alone:
                    self._next = task
                    break
                tasks.append(task)
        return tasks


class _Loaded(NamedTuple):
    """A task, its image (None where the last row still holds), and the file that was read."""

    task: Task
    image: LoadedImage | None
    file: tuple[FileState, str] | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """Turns tasks into results, and reports each step."""

    connection: Connection
    payload: WorkerPayload
    reader: Reader
    recognizer: Recognizer

    def work(self, tasks: Sequence[Task]) -> None:
        """Score images in one pass of the model, and send their results."""
        loaded: list[_Loaded] = []
        for task in tasks:
            if len(tasks) > 1:
                self.connection.send(Step((task.index,)))
            one = self._load(task)
            if one.image is None:
                self.connection.send(Finished(index=task.index, result=Result(file=one.file)))
            else:
                loaded.append(one)
        images = [one.image for one in loaded if one.image is not None]
        if not images:
            return
        if len(tasks) > 1:  # the step of a single one goes on
            sha256 = images[0].sha256 if len(images) == 1 else None
            self.connection.send(Step(tuple(one.task.index for one in loaded), sha256))
        for one, image, judged in zip(loaded, images, self._predict(images), strict=True):
            result = self._result(one.task, image, judged)
            result = replace(result, file=one.file)
            self.connection.send(Finished(index=one.task.index, result=result))

    def _load(self, task: Task) -> _Loaded:
        path = task.item.path
        before = None if path is None else FileState.of(path)
        try:
            data = self.reader.read(task.item)
        except Refused as refused:
            image = LoadedImage(status=Status.FAILED, reason=refused.reason, detail=refused.detail)
            return _Loaded(task, image)
        except Exception as error:
            return _Loaded(task, _defect(error))
        sha256 = hashlib.sha256(data).hexdigest()
        file = None
        if path is not None and before is not None and before.is_settled():
            file = (before, sha256) if FileState.of(path) == before else None
        if self.payload.settles(task.known, sha256):
            return _Loaded(task, None, file)
        self.connection.send(Step((task.index,), sha256))
        try:
            return _Loaded(task, self.recognizer.load_image(data, sha256=sha256), file)
        except Exception as error:
            return _Loaded(task, replace(_defect(error), sha256=sha256), file)

    def _predict(self, images: Sequence[LoadedImage]) -> list[Judged]:
        """Score images; if that raises, each by itself, so that only the culprit fails."""
        decided: list[Judged] = []

        def products_of(prediction: Prediction) -> tuple[str, ...]:
            decided.append(judge(prediction, self.payload))
            return lead_products(decided[-1], self.payload)

        try:
            predictions = self.recognizer.predict_loaded(
                images, regions_for=products_of, embeddings=self.payload.options.embeddings
            )
        except Exception as error:
            if len(images) > 1:
                return [self._predict([image])[0] for image in images]
            broken = _defect(error)
            failed = Prediction(
                status=broken.status,
                reason=broken.reason,
                detail=broken.detail,
                sha256=images[0].sha256,
            )
            return [judge(failed, self.payload)]
        rest = iter(decided)  # the failed ones were not asked about
        return [
            replace(next(rest), prediction=p) if p.scores else judge(p, self.payload)
            for p in predictions
        ]

    def _result(self, task: Task, image: LoadedImage, judged: Judged) -> Result:
        prediction = judged.prediction
        row = make_row(task.item, judged, self.payload)
        if result_of(row) == task.known:  # failed again, for the same reason
            return Result()
        embedding = None if prediction.embedding is None else quantize(prediction.embedding)
        if not row.is_lead or not image.frames:
            return Result(row=row, embedding=embedding)
        wanted = prediction.regions[0].frame if prediction.regions else prediction.frame
        frame = next(frame for frame in image.frames if frame.index == wanted)
        thumbnail = shrink(frame.rgb, THUMBNAIL_SIDE, frame.index)
        return Result(row=row, thumbnail=thumbnail, embedding=embedding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A prediction, and what the policy makes of it."""

    prediction: Prediction
    verdict: Verdict
    known: Sequence[KnownMatch] = ()


def judge(prediction: Prediction, payload: WorkerPayload) -> Judged:
    """Hold a prediction against the known items and the policy."""
    bundle, policy, bank = payload.bundle, payload.policy, payload.options.known
    known = bank.match(prediction.phash, policy.known.distance) if bank else ()
    verdict = decide(
        prediction,
        bundle.candidates,
        bundle.any_product_thresholds,
        policy,
        known,
        animals=bundle.animals,
    )
    return Judged(prediction=prediction, verdict=verdict, known=known)


def lead_products(judged: Judged, payload: WorkerPayload) -> tuple[str, ...]:
    """Return the products whose place in the picture a reviewer will want to see."""
    members = {family.name: family.members for family in payload.bundle.families}
    scores, ignored = judged.prediction.scores, payload.policy.ignore
    labels: dict[str, None] = {}
    for lead in judged.verdict.leads:
        # For a family, the likeliest of its products.
        names = (lead.name,) if lead.kind is CandidateKind.LABEL else members[lead.name]
        labels[max((n for n in names if n not in ignored), key=lambda name: scores[name])] = None
    return tuple(labels)


def make_row(item: Item, judged: Judged, payload: WorkerPayload) -> Row:
    """Make an item's row, now."""
    return Row.from_prediction(
        item.source,
        judged.prediction,
        with_listing(judged.verdict, payload.policy, item.columns),
        item=item.columns,
        bundle=payload.bundle,
        policy=payload.policy,
        time=datetime.now(UTC),
        bank=payload.options.known,
        known=judged.known,
    )


def _defect(error: Exception) -> LoadedImage:
    if isinstance(error, MemoryError):
        return LoadedImage(
            status=Status.FAILED, reason=Reason.OUT_OF_MEMORY, detail=str(error) or None
        )
    return LoadedImage(
        status=Status.FAILED, reason=Reason.INTERNAL_ERROR, detail=_process.describe(error)
    )
