"""A recognizer in separate processes, where a hostile image costs one answer."""

import asyncio
import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn, Self

from PIL import Image

from recognizer._files import Closes
from recognizer._process import DiedError, ProcessPool, defect
from recognizer.engine import Explanation, Recognizer, RecognizerBase
from recognizer.errors import RecognizerError, UsageError
from recognizer.imaging import ImageSource, Limits, load_image
from recognizer.imaging.load import read_bytes
from recognizer.imaging.sources import Refused
from recognizer.imaging.thumbnail import Thumbnail, shrink
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.prediction import Prediction
from recognizer.status import DEADLY, Status

SERVICE_LIMITS = Limits(max_pixels=25_000_000, max_views=10, max_ms=150)
"""Default limits of a service: photos of 25 megapixels, ten passes, as of a collage of nine, and
150 ms of CPU, which are those of ten ordinary photos."""


class GuardedRecognizer(Closes, RecognizerBase):
    """A model in worker processes, for services that decode what strangers upload.

    Use :meth:`load`. An image that makes a decoder crash, or takes longer or more memory than it
    may, gives a ``failed`` prediction (``decoder_crash``, ``timeout``, ``out_of_memory``); its
    process is replaced, and no other answer is lost. Many threads may call :meth:`predict`, which
    answers in the order of the calls. Processes are spawned, so that a script needs the usual ``if
    __name__ == "__main__":``. A server that forks loads it after the fork, in each of its
    processes. Close it when done, or use it in a ``with`` block.
    """

    def __init__(self, bundle: Bundle, _pool: ProcessPool, _limits: Limits) -> None:
        super().__init__(bundle)
        self._pool = _pool
        self._limits = _limits
        self._lock = threading.Lock()
        self._answered: Counter[str] = Counter()

    @classmethod
    def load(
        cls,
        bundle: str | os.PathLike[str] | None = None,
        *,
        processes: int = 1,
        timeout: float = 30.0,
        memory_limit: int | None = None,
        provider: str = "cpu",
        limits: Limits | None = None,
    ) -> Self:
        """Load a bundle, as :meth:`Recognizer.load`, and start the first process.

        There are ``processes`` at most, each with the model, started as they are needed. An image
        may take ``timeout`` seconds, and a process ``memory_limit`` resident bytes, model included
        (Linux only). By default, ``limits`` refuse more than 25 megapixels, or 150 ms of CPU. A
        RecognizerError is raised if no process can be started.
        """
        if processes < 1:
            raise UsageError(f"processes = {processes}: at least 1")
        if timeout <= 0:
            raise UsageError(f"timeout = {timeout}: a number of seconds over 0")
        loaded, limits = load_bundle(bundle), limits or SERVICE_LIMITS
        make = partial(Recognizer, loaded, provider=provider, threads=1, limits=limits)
        pool = ProcessPool(
            make, _work, processes=processes, timeout=timeout, memory_limit=memory_limit
        )
        pool.start()
        return cls(loaded, pool, limits)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.bundle.title!r}, provider={self._pool.provider!r})"

    def __reduce__(self) -> NoReturn:
        advice = "load it where it is used"
        raise TypeError(f"the processes of a {type(self).__name__} cannot be pickled: {advice}")

    def close(self) -> None:
        """End all processes; images that they work on give ``decoder_crash``."""
        self._pool.close()

    def predict(self, image: ImageSource) -> Prediction:
        """Score one image, as :meth:`Recognizer.predict` does; wait for a free process.

        It also raises a UsageError for a Pillow image, which would have been decoded here, and if
        this is closed or was loaded before a fork; and a RecognizerError if no process starts.
        """
        return self._answer(*self._submit(_predict, image))

    async def predict_async(self, image: ImageSource) -> Prediction:
        """Score one image as :meth:`predict` does, while other tasks of the event loop go on."""
        future, sha256 = await asyncio.to_thread(self._submit, _predict, image)
        with suppress(Exception):  # raised below
            await asyncio.wrap_future(future)
        return self._answer(future, sha256)

    def stats(self) -> dict[str, int]:
        """Return counters for metrics: ``processes``, and images that are ``waiting`` or in work.

        Since it was loaded: processes ``replaced``, and images answered, by status and reason.
        """
        counts = dict.fromkeys((*map(str, Status), *map(str, DEADLY)), 0)
        with self._lock:
            return self._pool.stats() | counts | self._answered

    def explain(self, image: ImageSource, label: str | None = None) -> Explanation:
        """Show where a score comes from, as :meth:`Recognizer.explain` does.

        It raises as :meth:`predict`, and a UsageError for a label that the model does not have.
        """
        future, sha256 = self._submit(_explain, image, label)
        try:
            explanation: Explanation = _unwrapped(future)
        except (DiedError, Refused) as error:
            return Explanation(prediction=self._failed(error, sha256), label=label)
        return explanation

    def thumbnail(self, image: ImageSource, side: int, frame: int = 0) -> Thumbnail | None:
        """Return a JPEG of a frame by its number, or of the first one if it was not kept, upright.

        Its longer side has at most ``side`` pixels. None if the image cannot be decoded. It raises
        as :meth:`predict`.
        """
        jpeg: Thumbnail | None = None
        with suppress(DiedError, Refused):
            jpeg = _unwrapped(self._submit(_thumbnail, image, side, frame)[0])
        return jpeg

    def _plain(self, image: ImageSource) -> ImageSource:
        """Return bytes or a path, which a process can be sent."""
        if isinstance(image, Image.Image):
            raise UsageError("a Pillow image is decoded already: give its bytes")
        if hasattr(image, "read"):
            return read_bytes(image, self._limits)
        return bytes(image) if isinstance(image, bytearray | memoryview) else image

    def _submit(
        self, work: Callable[..., Any], image: ImageSource, *arguments: Any
    ) -> tuple[Future[Any], str | None]:
        """Start work on an image in a process; also return the SHA-256 of bytes."""
        try:
            image = self._plain(image)
        except Refused as refused:
            answered: Future[Any] = Future()
            answered.set_exception(refused)
            return answered, None
        sha256 = hashlib.sha256(image).hexdigest() if isinstance(image, bytes) else None
        return self._pool.submit((work, image, sha256, *arguments)), sha256

    def _answer(self, future: Future[Any], sha256: str | None) -> Prediction:
        try:
            prediction: Prediction = _unwrapped(future)
        except (DiedError, Refused) as error:
            prediction = self._failed(error, sha256)
        if sha256 is not None and prediction.sha256 not in {None, sha256}:
            raise RecognizerError("the prediction is that of another image")
        with self._lock:
            self._answered.update(map(str, filter(None, (prediction.status, prediction.reason))))
        return replace(prediction, sha256=prediction.sha256 or sha256)

    def _failed(self, error: DiedError | Refused, sha256: str | None) -> Prediction:
        who = "the process that worked on it " if isinstance(error, DiedError) else ""
        detail = f"{who}{error}" or None
        found = Prediction(status=Status.FAILED, reason=error.reason, detail=detail)
        return replace(found, sha256=sha256, bundle_digest=self.bundle.digest)  # for appeals


# --- in the processes -----------------------------------------------------------------------------


def _work(recognizer: Recognizer, request: tuple[Callable[..., Any], Any], _: object) -> Any:
    """Return what a request comes to; of an unexpected error, the reason and its words."""
    work, *arguments = request
    try:
        return work(recognizer, *arguments)
    except RecognizerError:
        raise
    except Exception as error:
        return defect(error)


def _unwrapped(future: Future[Any]) -> Any:
    """Return the result of a request; an unexpected error there is a Refused here."""
    if isinstance(result := future.result(), tuple):
        reason, detail = result
        raise Refused(reason, detail or "")
    return result


def _predict(recognizer: Recognizer, image: ImageSource, sha256: str | None) -> Prediction:
    (scored,) = recognizer.score_loaded([recognizer.load_image(image, sha256=sha256)])
    return scored.prediction


def _explain(recognizer: Recognizer, image: ImageSource, _: str | None, label: str) -> Explanation:
    return recognizer.explain(image, label)


def _thumbnail(
    recognizer: Recognizer, image: ImageSource, _: str | None, side: int, index: int
) -> Thumbnail | None:
    frames = load_image(image, min_side=side, limits=recognizer.limits).frames
    chosen = next((frame for frame in frames if frame.index == index), next(iter(frames), None))
    return None if chosen is None else shrink(chosen.rgb, side, chosen.index)
