"""A recognizer in processes of its own, of which a hostile image costs one answer."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Generic, Self, TypeVar

from PIL import Image

from recognizer import _guard
from recognizer._closing import Closes
from recognizer._guard import DiedError, Guarded, StartupFailure
from recognizer.engine import DecisionMaker, Recognizer
from recognizer.errors import RecognizerError, UsageError
from recognizer.imaging import ImageSource, Limits
from recognizer.imaging.sources import Refused, read_file
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.prediction import Prediction
from recognizer.status import Reason, Status

_Free = TypeVar("_Free")

SERVICE_LIMITS = Limits(max_pixels=25_000_000)
"""What a service decodes by default: more than any camera's photo of a listing."""


class FairPool(Generic[_Free]):
    """Things that threads take, and put back: who has waited longest gets the next one.

    With a queue of the standard library, whoever comes at the right moment does: under load some
    threads would wait for minutes. What was put back last comes first, so that of processes that
    are started as they are needed few are.
    """

    def __init__(self, free: Iterable[_Free]) -> None:
        self._lock = threading.Lock()
        self._free = list(free)
        self._waiting: deque[Future[_Free]] = deque()

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        return len(self._waiting)

    def get(self) -> _Free:
        """Take one; wait for it."""
        place: Future[_Free] = Future()
        with self._lock:
            if self._free:
                return self._free.pop()
            self._waiting.append(place)
        try:
            return place.result()
        except BaseException:  # Ctrl-C: what was given to this thread is for another
            with self._lock:
                is_waiting = place in self._waiting
                if is_waiting:
                    self._waiting.remove(place)
            if not is_waiting:
                self.put(place.result())
            raise

    def put(self, thing: _Free) -> None:
        """Put one back."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set_result(thing)
            else:
                self._free.append(thing)


class GuardedRecognizer(Closes, DecisionMaker):
    """A model in worker processes, for services that decode what strangers upload.

    Use :meth:`load`. An image that makes a decoder crash, or takes longer or more memory than it
    may, gives a ``failed`` prediction (``decoder_crash``, ``timeout``, ``out_of_memory``); its
    process is replaced, and no other answer is lost. Many threads may call :meth:`predict`; as many
    images as there are processes are scored at once, in the order of the calls. Processes are
    spawned, so that a script needs the usual ``if __name__ == "__main__":``. Close it when done, or
    use it in a ``with`` block.

    Args:
        bundle: a verified description.
        processes: how many, at most; each holds the model. They are started as they are needed.
        timeout: seconds for one image.
        memory_limit: resident bytes of a process, model and libraries included (Linux only); None
            for no limit.
        provider: as for :class:`Recognizer`, as is ``allow_fallback``.
        limits: what is refused before it is decoded; by default more than 25 megapixels.
        recognizer: makes the recognizer of a process, for extensions of it; must be picklable.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        processes: int = 1,
        timeout: float = 30.0,
        memory_limit: int | None = None,
        provider: str = "cpu",
        allow_fallback: bool = False,
        limits: Limits | None = None,
        recognizer: Callable[..., Recognizer] = Recognizer,
    ) -> None:
        if processes < 1:
            raise UsageError(f"processes = {processes}: at least 1")
        if timeout <= 0:
            raise UsageError(f"timeout = {timeout}: a number of seconds over 0")
        super().__init__(bundle)
        self._timeout = timeout
        self._memory_limit = memory_limit
        self._limits = limits or SERVICE_LIMITS
        self._maker = partial(
            recognizer,
            bundle,
            provider=provider,
            threads=1,
            allow_fallback=allow_fallback,
            limits=self._limits,
        )
        self._is_closed = False
        self._held: set[Guarded] = set()
        self._lock = threading.Lock()
        self._free: FairPool[Guarded | None] = FairPool([None] * (processes - 1))
        self._free.put(self._started())

    @classmethod
    def load(
        cls,
        bundle: str | os.PathLike[str] | None = None,
        *,
        processes: int = 1,
        timeout: float = 30.0,
        memory_limit: int | None = None,
        provider: str = "cpu",
        allow_fallback: bool = False,
        limits: Limits | None = None,
    ) -> Self:
        """Load a bundle, as :meth:`Recognizer.load`, and start the first process.

        The other arguments are those of the class.

        Raises:
            BundleError: there is no such bundle, its digest is wrong, or it cannot be used.
            ProviderError: the provider is unavailable and no fallback is allowed.
            RecognizerError: no process can be started.
            UsageError: an argument makes no sense.
        """
        return cls(
            load_bundle(bundle),
            processes=processes,
            timeout=timeout,
            memory_limit=memory_limit,
            provider=provider,
            allow_fallback=allow_fallback,
            limits=limits,
        )

    def close(self) -> None:
        """End all processes; images that they work on give ``decoder_crash``."""
        self._is_closed = True
        with self._lock:
            for process in self._held:
                process.kill()

    def predict(self, image: ImageSource) -> Prediction:
        """Score one image, as :meth:`Recognizer.predict` does; wait for a free process.

        Raises:
            UsageError: the argument is not an image, or a Pillow image: it would have been decoded
                here. Or this recognizer is closed.
            ProviderError: onnxruntime failed.
            RecognizerError: no process can be started.
        """
        if isinstance(image, Image.Image):
            raise UsageError("a Pillow image is decoded already: give its bytes")
        if hasattr(image, "read"):
            try:
                image = read_file(image, self._limits)
            except Refused as refused:
                return Prediction(
                    status=Status.FAILED, reason=refused.reason, detail=refused.detail
                )
        if isinstance(image, bytearray | memoryview):
            image = bytes(image)
        process, is_new = self._free.get(), False
        answer: Prediction | StartupFailure | None = None
        try:
            while answer is None:
                if self._is_closed:
                    raise UsageError("this recognizer is closed")
                if process is None:
                    process, is_new = self._started(), True
                try:
                    answer = self._answer(process, image)
                except DiedError as died:
                    self._forget(process)
                    process = None
                    # Its memory may have grown before: in a new process it is this image's.
                    if died.reason is not Reason.OUT_OF_MEMORY or is_new:
                        return _failed(image, died)
        finally:
            if answer is None and process is not None:  # interrupted: by Ctrl-C, a signal's handler
                process.close()  # or it would give this answer to the next image
                self._forget(process)
                process = None
            self._free.put(process)
        if isinstance(answer, StartupFailure):
            answer.reraise("the image cannot be scored")
        return answer

    def _answer(self, process: Guarded, image: ImageSource) -> Any:
        try:
            process.connection.send(image)
        except OSError:
            raise process.end(Reason.DECODER_CRASH, self._timeout) from None
        return process.receive(self._timeout)

    def _started(self) -> Guarded:
        process, first = _guard.start(_serve, self._maker, memory_limit=self._memory_limit)
        if isinstance(first, StartupFailure):
            process.close()
            first.reraise("the model cannot be loaded")
        with self._lock:
            self._held.add(process)
            if self._is_closed:
                process.kill()
        return process

    def _forget(self, process: Guarded) -> None:
        with self._lock:
            self._held.discard(process)


def _failed(image: ImageSource, died: DiedError) -> Prediction:
    return Prediction(
        status=Status.FAILED,
        reason=died.reason,
        detail=f"the process that worked on it {died}",
        sha256=hashlib.sha256(image).hexdigest() if isinstance(image, bytes) else None,
    )


# --- the process ----------------------------------------------------------------------------------


def _serve(connection: Connection, maker: Callable[[], Recognizer]) -> None:
    _guard.settle()
    images = _guard.inbox(connection)
    recognizer = _guard.make(connection, maker)
    while True:
        connection.send(_prediction(recognizer, images.get()))


def _prediction(recognizer: Recognizer, image: ImageSource) -> Prediction | StartupFailure:
    try:
        return recognizer.predict(image)
    except RecognizerError as error:
        return StartupFailure.of(error)
    except MemoryError as error:
        return Prediction(status=Status.FAILED, reason=Reason.OUT_OF_MEMORY, detail=str(error))
    except Exception as error:
        detail = _guard.describe(error)
        return Prediction(status=Status.FAILED, reason=Reason.INTERNAL_ERROR, detail=detail)
