"""The worker: a process that reads, decodes and scores batches of images.

Decoders are where hostile bytes do their harm, so they run where a crash costs one image. A worker
says which image it is about to read and decode; when it dies, or is long about it, its parent
knows whose row to write. All that a worker holds can be lost: the parent ends it by killing it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.imaging import PREPROCESSING_VERSION, Limits, LoadedImage
from recognizer.imaging.sources import Refused
from recognizer.known import KnownItems
from recognizer.model.bundle import Bundle
from recognizer.policy import CandidateKind, KnownMatch, Policy, Verdict, decide
from recognizer.prediction import Prediction
from recognizer.recognizer import Recognizer
from recognizer.rows.embeddings import quantize
from recognizer.rows.journal import COSTLY, result_key, row_key
from recognizer.rows.row import Row, build
from recognizer.rows.summary import is_lead
from recognizer.rows.thumbnails import THUMBNAIL_SIDE, StoredThumbnail, shrink
from recognizer.scan.items import Item
from recognizer.scan.locations import Access, Reader
from recognizer.status import Reason, Status


@dataclass(frozen=True, slots=True)
class Setup:
    """What every worker of a scan needs.

    Attributes:
        bundle: the model.
        policy: what its scores are held against.
        provider: see :meth:`recognizer.recognizer.Recognizer.load`.
        allow_fallback: likewise.
        limits: what is refused before it is read or decoded.
        retry_failed: try again what cost a worker before.
        thumbnails: make a thumbnail of each lead.
        embeddings: tell the embedding of each image.
        known: the known items that each image is compared with; None for none.
        engine: makes the recognizer; something that can be pickled.
        access: which places may be read from.
    """

    bundle: Bundle
    policy: Policy
    provider: str = "cpu"
    allow_fallback: bool = False
    limits: Limits = field(default_factory=Limits)
    retry_failed: bool = False
    thumbnails: bool = False
    embeddings: bool = False
    known: KnownItems | None = None
    engine: Callable[..., Recognizer] = Recognizer
    access: Access = field(default_factory=Access)


@dataclass(frozen=True, slots=True)
class Task:
    """An item on its way through a worker.

    Attributes:
        index: its number in the scan; results are paired by it.
        item: the image, without its columns: those stay with the parent.
        known: the result key of its last row, None where there is none.
    """

    index: int
    item: Item
    known: bytes | None


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker has loaded its model."""

    provider: str


@dataclass(frozen=True, slots=True)
class Unable:
    """The worker cannot load its model: the name of the error's class, and its words."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """The worker begins a step: if it dies now, or does not end it, that image did it.

    Attributes:
        index: of the task; None where all are decoded and the model's turn has come.
        sha256: of the bytes; None where they are to be read first.
    """

    index: int | None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a task.

    Attributes:
        row: its row; None where the last row still holds.
        thumbnail: of a lead, where they are wanted.
        embedding: int8, (channels,), where they are wanted and it could be scored.
    """

    row: Row | None
    thumbnail: StoredThumbnail | None = None
    embedding: NDArray[np.int8] | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """A batch is done: the result of each task, in order."""

    results: list[Result]


def run_worker(connection: Connection, setup: Setup) -> None:
    """Serve batches until the parent closes the connection, or dies."""
    _leave_signals_to_the_parent()
    _silence_libraries()
    cv2.setNumThreads(1)  # one worker, one CPU
    # What Pillow has to say of a file's metadata is no news for a terminal; a row says what counts.
    warnings.filterwarnings("ignore", module="PIL")
    inbox: queue.SimpleQueue[list[Task]] = queue.SimpleQueue()
    reader = Reader(setup.limits, setup.access)
    threading.Thread(target=_receive, args=(connection, inbox, reader), daemon=True).start()
    try:
        recognizer = setup.engine(
            setup.bundle,
            provider=setup.provider,
            threads=1,
            allow_fallback=setup.allow_fallback,
            limits=setup.limits,
        )
    except Exception as error:
        connection.send(Unable(type(error).__name__, str(error)))
        return
    connection.send(Ready(recognizer.provider))
    while True:
        batch = inbox.get()
        connection.send(Finished(_score(batch, reader, recognizer, setup, connection)))


def _leave_signals_to_the_parent() -> None:
    """Ctrl-C goes to the whole group of processes; how to stop is for the parent to say."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _silence_libraries() -> None:
    """Keep from the terminal what C libraries print of a file; Python's own errors still come."""
    sys.stderr = open(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _receive(connection: Connection, inbox: queue.SimpleQueue[list[Task]], reader: Reader) -> None:
    # Always listening, so that the parent's sending never waits for a batch to be done, and so
    # that a worker whose parent has died does not outlive it by more than an instant.
    with contextlib.suppress(EOFError, OSError):
        while True:
            batch = connection.recv()
            reader.expect(task.item for task in batch)
            inbox.put(batch)
    os._exit(0)


def _score(
    batch: Sequence[Task],
    reader: Reader,
    recognizer: Recognizer,
    setup: Setup,
    connection: Connection,
) -> list[Result]:
    loaded: dict[int, LoadedImage] = {}
    for task in batch:
        image = _load(task, reader, recognizer, setup, connection)
        if image is not None:
            loaded[task.index] = image
    connection.send(Step(None))
    scored = _predict([*loaded.values()], recognizer, setup) if loaded else []
    judged = dict(zip(loaded, scored, strict=True))
    return [
        _result(task, loaded[task.index], judged[task.index], setup)
        if task.index in loaded
        else Result(None)
        for task in batch
    ]


def _result(task: Task, image: LoadedImage, judged: Judged, setup: Setup) -> Result:
    prediction = judged.prediction
    row = make_row(task.item, judged, setup)
    if row_key(row) == task.known:  # failed again, for the same reason
        return Result(None)
    embedding = None if prediction.embedding is None else quantize(prediction.embedding)
    if not setup.thumbnails or not is_lead(row):
        return Result(row, None, embedding)
    wanted = prediction.regions[0].frame if prediction.regions else prediction.frame
    frame = next(frame for frame in image.frames if frame.index == wanted)
    return Result(row, shrink(frame.rgb, THUMBNAIL_SIDE, frame.index), embedding)


def _load(
    task: Task, reader: Reader, recognizer: Recognizer, setup: Setup, connection: Connection
) -> LoadedImage | None:
    """Read and decode; None where the same bytes have been scored before."""
    connection.send(Step(task.index))
    try:
        data = reader.read(task.item)
    except Refused as refused:
        return LoadedImage(Status.FAILED, refused.reason, refused.detail)
    except Exception as error:
        return _defect(error)
    sha256 = hashlib.sha256(data).hexdigest()
    if _is_settled(task.known, sha256, setup):
        return None
    connection.send(Step(task.index, sha256))
    try:
        return recognizer.load_image(data, sha256=sha256)
    except Exception as error:
        return replace(_defect(error), sha256=sha256)


def _is_settled(known: bytes | None, sha256: str, setup: Setup) -> bool:
    """Whether an item's last row still holds, its bytes being these."""
    settled: tuple[str | None, ...] = (None,) if setup.retry_failed else (None, *COSTLY)
    return known is not None and any(
        known
        == result_key(
            sha256,
            reason,
            setup.bundle.digest,
            setup.policy.digest,
            PREPROCESSING_VERSION,
            setup.known.digest if setup.known else None,
        )
        for reason in settled
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A prediction, and what the policy makes of it."""

    prediction: Prediction
    verdict: Verdict
    known: Sequence[KnownMatch] = ()


def judge(prediction: Prediction, setup: Setup) -> Judged:
    """Hold a prediction against the known items and the policy."""
    bundle, policy = setup.bundle, setup.policy
    known = setup.known.match(prediction.phash, policy.known.distance) if setup.known else ()
    verdict = decide(prediction, bundle.candidates, bundle.any_product_thresholds, policy, known)
    return Judged(prediction=prediction, verdict=verdict, known=known)


def _predict(images: Sequence[LoadedImage], recognizer: Recognizer, setup: Setup) -> list[Judged]:
    """Score a batch; where that raises, each image by itself, so that only the culprit fails."""
    decided: list[Judged] = []

    def leads(prediction: Prediction) -> tuple[str, ...]:
        decided.append(judge(prediction, setup))
        return leads_of(decided[-1], setup)

    try:
        predictions = recognizer.predict_loaded(
            images, regions_for=leads, embeddings=setup.embeddings
        )
    except Exception as error:
        if len(images) > 1:
            return [_predict([image], recognizer, setup)[0] for image in images]
        broken = _defect(error)
        failed = Prediction(
            status=broken.status,
            reason=broken.reason,
            detail=broken.detail,
            sha256=images[0].sha256,
        )
        return [judge(failed, setup)]
    rest = iter(decided)  # the failed ones were not asked about
    return [replace(next(rest), prediction=p) if p.scores else judge(p, setup) for p in predictions]


def leads_of(judged: Judged, setup: Setup) -> tuple[str, ...]:
    """Return the products whose place in the picture a reviewer will want to see."""
    leads = judged.verdict.leads
    labels = tuple(lead.name for lead in leads if lead.kind is CandidateKind.LABEL)
    if labels or not leads:
        return labels
    # Only a family is over its threshold: the likeliest of its products stands for it.
    family = next(f for f in setup.bundle.families if f.name == leads[0].name)
    members = [name for name in family.members if name not in setup.policy.ignore]
    return (max(members, key=lambda name: judged.prediction.scores[name]),)


def make_row(item: Item, judged: Judged, setup: Setup) -> Row:
    """Make an item's row, now."""
    return build(
        item,
        judged.prediction,
        judged.verdict,
        setup.bundle,
        setup.policy,
        datetime.now(UTC),
        setup.known,
        judged.known,
    )


def _defect(error: Exception) -> LoadedImage:
    if isinstance(error, MemoryError):
        return LoadedImage(Status.FAILED, Reason.OUT_OF_MEMORY, str(error) or None)
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(where.filename)}:{where.lineno}"
    return LoadedImage(
        Status.FAILED, Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error} ({place})"
    )
