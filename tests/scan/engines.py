"""Recognizers with accidents, for workers: they are spawned, so nothing can be patched in them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from recognizer.errors import ProviderError
from recognizer.imaging import ImageSource, LoadedImage
from recognizer.prediction import Prediction
from recognizer.recognizer import Recognizer

# Behind the end of a JPEG, where no decoder looks.
EXITS = b"<exits>"
SEGFAULTS = b"<segfaults>"
RAISES = b"<raises>"
HANGS = b"<hangs>"
SWELLS = b"<swells>"
DEADLY_WIDTH = 77
BROKEN_WIDTH = 78
ENDLESS_WIDTH = 79
MEBIBYTES = 700  # of what swells


class Fragile(Recognizer):
    def load_image(self, image: ImageSource, *, sha256: str | None = None) -> LoadedImage:
        assert isinstance(image, bytes)
        if image.endswith(EXITS):
            os._exit(7)
        if image.endswith(SEGFAULTS):
            os.kill(os.getpid(), signal.SIGSEGV)
        if image.endswith(RAISES):
            raise RuntimeError("boom")
        if image.endswith(HANGS):
            time.sleep(3600)
        if image.endswith(SWELLS):
            held = b"x" * (MEBIBYTES << 20)
            time.sleep(3600)
            del held
        return super().load_image(image, sha256=sha256)

    def predict_loaded(
        self,
        images: Sequence[LoadedImage],
        *,
        regions_for: Callable[[Prediction], Iterable[str]] | None = None,
        embeddings: bool = False,
    ) -> list[Prediction]:
        widths = [image.width for image in images]
        if DEADLY_WIDTH in widths:
            os._exit(8)
        if ENDLESS_WIDTH in widths:
            time.sleep(3600)
        if BROKEN_WIDTH in widths:
            raise RuntimeError("the model broke")
        return super().predict_loaded(images, regions_for=regions_for, embeddings=embeddings)


class Slow(Recognizer):
    """Scores one batch, then takes its time; the file that the environment names tells when."""

    batches = 0

    def predict_loaded(
        self,
        images: Sequence[LoadedImage],
        *,
        regions_for: Callable[[Prediction], Iterable[str]] | None = None,
        embeddings: bool = False,
    ) -> list[Prediction]:
        self.batches += 1
        if self.batches > 1:
            Path(os.environ["RECOGNIZER_TEST_SLOW"]).touch()
            time.sleep(3600)
        return super().predict_loaded(images, regions_for=regions_for, embeddings=embeddings)


def stillborn(*_: object, **__: object) -> Recognizer:
    os._exit(9)


def without_provider(*_: object, **__: object) -> Recognizer:
    raise ProviderError("no such accelerator")
