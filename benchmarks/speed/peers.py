"""The loops that people write by hand, in their usual form, to compare a scan with."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from benchmarks.speed.measure import Throughput, memory, throughput
from recognizer.model.bundle import Bundle
from recognizer.model.folders import MODEL_FILE

_TORCH_BATCH = 32
_ROUNDS = 5  # batches of each worker; the first does not count


def pillow_and_onnxruntime(bundle: Bundle, photos: Sequence[Path]) -> Throughput:
    """Measure a loop in one process: Pillow decodes in full, onnxruntime scores one at a time.

    It runs the same model file, and onnxruntime uses as many threads as it likes.
    """
    session = onnxruntime.InferenceSession(str(bundle.path / MODEL_FILE))
    size = (bundle.input_size, bundle.input_size)

    def loop(paths: Sequence[Path]) -> None:
        for path in paths:
            image = Image.open(path).convert("RGB").resize(size, Image.Resampling.BILINEAR)
            session.run(None, {"images": np.asarray(image)[None]})

    return throughput(loop, photos)


class _Photos:
    """A data set as torch's documentation shows one."""

    def __init__(self, paths: Sequence[Path], size: int) -> None:
        from torchvision import transforms  # noqa: PLC0415 - an extra

        self._paths = paths
        self._transform = transforms.Compose(
            [
                transforms.Resize((size, size)),
                transforms.ToTensor(),
                transforms.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Any:
        return self._transform(Image.open(self._paths[index]).convert("RGB"))


def torch_and_timm(bundle: Bundle, photos: Sequence[Path], workers: int) -> Throughput:
    """Measure timm's network of the same architecture, fed by a DataLoader with workers.

    The rate is the steady one, without the start of the workers. The weights are random: they
    cost as much as trained ones.

    Raises:
        ImportError: torch, torchvision or timm is not installed.
    """
    import timm  # noqa: PLC0415 - an extra
    import torch  # noqa: PLC0415
    from torch.utils.data import DataLoader  # noqa: PLC0415

    network = timm.create_model(
        bundle.model.backbone or "", pretrained=False, num_classes=len(bundle.labels)
    ).eval()

    paths = list(itertools.islice(itertools.cycle(photos), workers * _ROUNDS * _TORCH_BATCH))
    data: Any = _Photos(paths, bundle.input_size)
    done = 0
    began = 0.0
    with torch.inference_mode():
        for number, batch in enumerate(DataLoader(data, _TORCH_BATCH, num_workers=workers), 1):
            network(batch).softmax(1).numpy()
            # A batch of each worker is there: starting them does not count against the loop.
            if number == workers:
                began = time.perf_counter()
            done += len(batch) if number > workers else 0
    return Throughput(done / (time.perf_counter() - began), memory())


def has_torch() -> bool:
    """Whether :func:`torch_and_timm` can be measured."""
    return all(find_spec(name) is not None for name in ("torch", "torchvision", "timm"))
