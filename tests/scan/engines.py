"""Recognizers with accidents, for workers: they are spawned, so nothing can be patched in them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Sequence

from recognizer.errors import ProviderError
from recognizer.imaging import ImageSource, LoadedImage
from recognizer.prediction import Prediction
from recognizer.recognizer import Recognizer

# Behind the end of a JPEG, where no decoder looks.
EXITS = b"<exits>"
SEGFAULTS = b"<segfaults>"
RAISES = b"<raises>"
DEADLY_WIDTH = 77
BROKEN_WIDTH = 78


class Fragile(Recognizer):
    def load_image(self, image: ImageSource) -> LoadedImage:
        assert isinstance(image, bytes)
        if image.endswith(EXITS):
            os._exit(7)
        if image.endswith(SEGFAULTS):
            os.kill(os.getpid(), signal.SIGSEGV)
        if image.endswith(RAISES):
            raise RuntimeError("boom")
        return super().load_image(image)

    def predict_loaded(
        self,
        images: Sequence[LoadedImage],
        *,
        regions_for: Callable[[Prediction], Iterable[str]] | None = None,
    ) -> list[Prediction]:
        widths = [image.width for image in images]
        if DEADLY_WIDTH in widths:
            os._exit(8)
        if BROKEN_WIDTH in widths:
            raise RuntimeError("the model broke")
        return super().predict_loaded(images, regions_for=regions_for)


def stillborn(*_: object, **__: object) -> Recognizer:
    os._exit(9)


def without_provider(*_: object, **__: object) -> Recognizer:
    raise ProviderError("no such accelerator")
