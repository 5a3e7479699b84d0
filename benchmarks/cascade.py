r"""Whether a cheap first pass would pay: the same network at a smaller input, before the full one.

What the first pass clears is done; the rest goes to the full model. The limit of the first pass is
set so that no photo is lost which the full model finds at a false-alarm rate of 0.1 %; what such a
limit loses of photos that did not set it is told beside it. The gain is computed from the times
of the single stages. A cascade pays where it gains at least 1.5 times and loses nothing.

All on the validation split of the run; the test split is not touched.

    python benchmarks/cascade.py runs/mine --data DATA
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

from recognizer.bench.photos import make_photos
from recognizer.dataset.manifest import Photo, load_photos, prepare, read_photo
from recognizer.evaluation.thresholds import expected_threshold
from recognizer.imaging import load_image, model_input
from recognizer.model.session import session_options
from recognizer.taxonomy import Kind, load_taxonomy
from recognizer.training.export import CALIBRATION_PHOTOS
from recognizer.training.onnx_export import ServedNetwork, export_fp32, quantize
from recognizer.training.runs import load_run

SAMPLES = Path(__file__).parent.parent / "datasets" / "samples"
RATE = 0.001
WANTED_GAIN = 1.5
BATCH = 8
PHOTOS = 24  # on which the stages are timed


@dataclass(frozen=True)
class Pass:
    """A model at one size of input, and its scores of the photos."""

    size: int
    session: onnxruntime.InferenceSession
    scores: np.ndarray

    def run(self, images: np.ndarray) -> np.ndarray:
        """Return the log-odds of a batch."""
        return self.session.run(["scores"], {"images": images})[0]


@dataclass(frozen=True)
class Cost:
    """What a photo costs in seconds: to be made into the model's input, and the model's pass."""

    decode: float
    infer: float


def main() -> None:
    """Print, for each size of the first pass, what it passes on, loses and gains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 160, 192])
    parser.add_argument("--samples", type=Path, default=SAMPLES)
    asked = parser.parse_args()
    network, config, labels = load_run(asked.run)
    served = ServedNetwork(network, config.loss, len(labels)).eval()
    photos = prepare([p for folder in asked.data for p in load_photos(folder)], config)
    train = [p for p in photos if p.split == "train"]
    held = [p for p in photos if p.split == "validation"]
    kinds = load_taxonomy().labels
    negative = np.array([kinds[p.label].kind is not Kind.PRODUCT for p in held])
    products = [i for i, name in enumerate(labels) if kinds[name].kind is Kind.PRODUCT]
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        kinds_of_photos = {
            f"{w}x{h}": make_photos(
                asked.samples, Path(scratch) / f"{w}", (w, h), PHOTOS, progressive=False
            )
            for w, h in ((1600, 1200), (800, 800))
        }
        passes = []
        for size in [config.input_size, *sorted(asked.sizes)]:
            print(f"input {size}: exporting, scoring {len(held)} photos", flush=True)
            model = _export(served, size, train, Path(scratch), config.seed)
            passes.append(_score(model, size, held, products))
        costs = {kind: _costs(passes, paths) for kind, paths in kinds_of_photos.items()}
    full, *others = passes
    threshold = expected_threshold(full.scores[negative], RATE)
    found = full.scores > threshold
    print(
        f"\n{(~negative).sum()} products, {negative.sum()} negatives; at {RATE:.1%} false alarms "
        f"the full model ({full.size}) finds {found[~negative].sum()} of the products"
    )
    print(f"so the limit of the first pass rests on {(found & ~negative).sum()} photos")
    paying = []
    for place, first in enumerate(others, 1):
        gains = [
            _gain(first, found, negative, kind, its[0], its[place]) for kind, its in costs.items()
        ]
        if min(gains) >= WANTED_GAIN:
            paying.append(str(first.size))
    print(
        f"\nGains at least {WANTED_GAIN} times for photos of each size, with nothing lost on the "
        f"validation split: {', '.join(paying) or 'none'}"
    )


def _export(
    served: ServedNetwork, size: int, train: Sequence[Photo], folder: Path, seed: int
) -> Path:
    fp32, int8 = folder / f"{size}-fp32.onnx", folder / f"{size}.onnx"
    export_fp32(served, size, fp32)
    sample = np.random.default_rng(seed).permutation(len(train))[:CALIBRATION_PHOTOS]
    inputs = np.stack([model_input(read_photo(train[i], size), size) for i in sample])
    quantize(fp32, int8, inputs)
    return int8


def _score(model: Path, size: int, held: Sequence[Photo], products: Sequence[int]) -> Pass:
    session = onnxruntime.InferenceSession(
        model, session_options(threads=1), providers=["CPUExecutionProvider"]
    )
    one = Pass(size, session, np.empty(0))
    inputs = [model_input(read_photo(photo, size), size) for photo in held]
    log_odds = np.concatenate(
        [one.run(np.stack(inputs[i : i + BATCH])) for i in range(0, len(inputs), BATCH)]
    )
    # Of any product; not calibrated, which no order of photos within a label depends on.
    scores = 1 - np.prod(1 - 1 / (1 + np.exp(-log_odds[:, products].astype(np.float64))), axis=1)
    return replace(one, scores=scores)


def _costs(passes: Sequence[Pass], paths: Sequence[Path]) -> list[Cost]:
    """Time the stages of all passes in turns, so that what else the machine does hits all alike."""
    decode: list[list[float]] = [[] for _ in passes]
    infer: list[list[float]] = [[] for _ in passes]
    data = [path.read_bytes() for path in paths]
    for number in range(len(data) + 1):
        for place, one in enumerate(passes):
            image = data[number % len(data)]
            decoded, its = _timed(partial(_prepare, one.size), image)
            decode[place].append(its)
            infer[place].append(_timed(one.run, np.stack([decoded] * BATCH))[1] / BATCH)
    # The first round of each warms up.
    return [
        Cost(float(np.median(d[1:])), float(np.median(i[1:])))
        for d, i in zip(decode, infer, strict=True)
    ]


def _timed(function: Callable[[Any], Any], value: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    result = function(value)
    return result, time.perf_counter() - began


def _prepare(size: int, data: bytes) -> np.ndarray:
    return model_input(load_image(data, min_side=size).frames[0].rgb, size)


def _gain(
    first: Pass, found: np.ndarray, negative: np.ndarray, kind: str, full: Cost, cost: Cost
) -> float:
    """Print a line, and return how many times faster this cascade is."""
    wanted = found & ~negative
    passed = first.scores >= first.scores[wanted].min()
    share = passed[negative].mean()
    without = full.decode + full.infer
    # Either each photo is decoded once, for the full model, or what is passed on is decoded again.
    once = full.decode + cost.infer + share * full.infer
    again = cost.decode + cost.infer + share * without
    gain = without / min(once, again)
    # With a first pass that costs nothing and passes nothing on, the decoder would be left.
    most = without / cost.decode
    print(
        f"{kind:>9}, first pass {first.size}: passes on {share:.1%} of the negatives; "
        f"decode {1000 * cost.decode:.1f} + infer {1000 * cost.infer:.1f} ms, before "
        f"{1000 * full.decode:.1f} + {1000 * full.infer:.1f} ms; "
        f"gain {gain:.2f} (at most {most:.2f}); "
        f"photos that did not set the limit: loses {_lost_elsewhere(first.scores, wanted):.1%}"
    )
    return float(gain)


def _lost_elsewhere(scores: np.ndarray, wanted: np.ndarray) -> float:
    """Return the share of the found photos that a limit set by the other half would lose."""
    rng = np.random.default_rng(0)
    values = scores[wanted]
    shares = []
    for _ in range(100):
        order = rng.permutation(len(values))
        one, other = np.array_split(values[order], 2)
        shares += [(other < one.min()).mean(), (one < other.min()).mean()]
    return float(np.mean(shares))


if __name__ == "__main__":
    main()
