"""From a finished run to a bundle: export, calibrate, measure, describe.

The order matters. Calibration, thresholds and the choice between int8 and fp32 come from the
validation split. The test split then gives the figures of the model card; nothing is chosen by it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recognizer.dataset.manifest import Photo, read_photo, taxonomy_of
from recognizer.dataset.outputs import run_photos
from recognizer.engine import Recognizer
from recognizer.errors import TrainingError
from recognizer.evaluation.calibrate import calibrated
from recognizer.evaluation.evaluate import Evaluation, all_figures, evaluate
from recognizer.imaging import model_input
from recognizer.model.bundle import write_bundle
from recognizer.model.description import Parity
from recognizer.model.folders import MODEL_FILE, bundle_title, install_bundle
from recognizer.taxonomy import Kind
from recognizer.training.config import TrainingConfig
from recognizer.training.describe import Measured, describe, draft_bundle
from recognizer.training.model import ProductNetwork
from recognizer.training.negative_bank import attach_bank
from recognizer.training.onnx_export import ServedNetwork, export_fp32, parity
from recognizer.training.quantization import correct_head, quantize

CALIBRATION_PHOTOS = 256
"""Training photos from which the ranges of the int8 activations are read."""

HEAD_PHOTOS = 1500
"""Training photos on which the int8 network learns to answer as the exact one does."""

PARITY_PHOTOS = 64
"""Validation photos on which torch, fp32 and int8 are compared, from file bytes."""

MAX_LOSS = 0.005
"""Average precision that int8 may lose on the validation split, for any family or product with
enough photos there."""

MIN_FOR_CHOICE = 20
"""Labels with fewer validation photos than this have no say in the choice of precision."""

EnrollFunction: TypeAlias = "Callable[[Path, Sequence[str], Path], Sequence[str]]"
"""Makes, from the bundle in a folder, another one in a second folder that knows these photos.

It returns what weakens their evidence, a sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolling:
    """How a product is enrolled, by a layer above this one, and how many photos that takes."""

    function: EnrollFunction
    min_photos: int


@dataclass(frozen=True, slots=True)
class Release:
    """A bundle that was exported: its folder, its precision (``int8`` or ``fp32``), its figures."""

    path: Path
    precision: str
    measured: Measured


def export_bundle(
    network: ProductNetwork,
    config: TrainingConfig,
    labels: Sequence[str],
    photos: Sequence[Photo],
    output: Path,
    *,
    averaged: int = 1,
    enroll: Mapping[str, Enrolling] | None = None,
    notes: str = "",
    rounds: int = 1000,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Release:
    """Write the bundle of a finished run (see :func:`recognizer.training.runs.load_run`).

    Args:
        network: in evaluation mode.
        config: of the run.
        labels: the network's outputs, in order.
        photos: all photos, with the validation split already held out.
        output: the bundle's folder, whose name NAME-vN gives it name and version; replaced as a
            whole when everything else has worked.
        averaged: of how many runs, each with a seed of its own, these weights are the mean.
        enroll: products of which the photos that the run left out are enrolled, and how.
        notes: what the card says beside the figures, in Markdown.
        rounds: bootstrap rounds behind the intervals.
        on_stage: called with what is being done.

    Raises:
        UsageError: the folder is not called NAME-vN.
        TrainingError: the run was trained for other labels than the photos have, or left too few
            photos out of a product that is to be enrolled.
        DatasetError: there are too few validation photos, or one cannot be read.
    """
    title = bundle_title(output)
    train = [p for p in photos if p.split == "train"]
    validation = [p for p in photos if p.split == "validation"]
    _check_photos(labels, photos)
    enroll = enroll or {}
    left_out = {name: _left_out(photos, name, how.min_photos) for name, how in enroll.items()}
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        served = ServedNetwork(network, config.loss, len(labels)).eval()
        proof = _export(served, config, train, validation, work, on_stage)
        seen: dict[str, Evaluation] = {}
        test: dict[str, Evaluation] = {}
        for precision in ("fp32", "int8"):
            on_stage(f"calibrating {precision} on {len(validation)} validation photos")
            folder = work / precision
            draft = draft_bundle(
                folder, title, precision, config, labels, photos, averaged=averaged, parity=proof
            )
            write_bundle(draft)
            log_odds = run_photos(Recognizer(draft), validation).log_odds
            write_bundle(calibrated(draft, log_odds, validation))
            for split, found in (("validation", seen), ("test", test)):
                on_stage(f"measuring {precision} on the {split} split")
                found[precision] = evaluate(Recognizer.load(folder), photos, split, rounds=rounds)
        lost_there = _loss(seen["fp32"], seen["int8"])
        precision = "int8" if max(lost_there.values(), default=0.0) <= MAX_LOSS else "fp32"
        lost = _loss(test["fp32"], test["int8"])
        on_stage("collecting negatives for enrolment")
        folder = work / precision
        attach_bank(folder, photos)
        for name, how in enroll.items():
            on_stage(f"enrolling {name} from {len(left_out[name])} photos")
            made = work / f"with-{name}"
            sentences = how.function(folder, [str(p.path) for p in left_out[name]], made)
            notes += "".join(f"\n- {name}: {sentence}" for sentence in sentences)
            folder = made
        if left_out:  # the validation photos were its negatives: they say nothing of it
            on_stage("measuring what was enrolled on the test split")
            test[precision] = evaluate(Recognizer.load(folder), photos, "test", rounds=rounds)
        measured = Measured(test=test[precision], seen=seen[precision], lost=lost)
        learned = [*train, *(p for found in left_out.values() for p in found)]
        describe(folder, measured, photos, learned, notes)
        install_bundle(folder, output)
    return Release(output, precision, measured)


def _check_photos(labels: Sequence[str], photos: Sequence[Photo]) -> None:
    train = [p for p in photos if p.split == "train"]
    if sorted({p.label for p in train}) != list(labels):
        raise TrainingError("the run was trained for other labels than these photos have")
    if not any(p.split == "validation" for p in photos):
        raise TrainingError("no validation photos: thresholds cannot be set")
    if not any(p.split == "test" and not p.is_product for p in photos):
        raise TrainingError(
            "no test photos without a product: a bundle is released with figures on sources that "
            "training never saw, so the data needs a manifest with a split called test; "
            "`recognizer dataset split` makes one"
        )


def _left_out(photos: Sequence[Photo], name: str, min_photos: int) -> list[Photo]:
    """Return the photos of a product that a run left out; each is scored by a head without it."""
    label = taxonomy_of(photos).labels.get(name)
    if label is None or label.kind is not Kind.PRODUCT:
        raise TrainingError(f"{name} cannot be enrolled: the taxonomy has no such product")
    found = [p for p in photos if p.split == "excluded" and p.label == name and p.is_evidence]
    if len(found) < min_photos:
        raise TrainingError(
            f"{name} cannot be enrolled: the run left {len(found)} photos of it out "
            f"(exclude_sources); at least {min_photos} are needed"
        )
    return found


def _export(
    served: ServedNetwork,
    config: TrainingConfig,
    train: Sequence[Photo],
    validation: Sequence[Photo],
    work: Path,
    on_stage: Callable[[str], None],
) -> Parity:
    """Write the model into ``fp32/`` and ``int8/``; return how far they agree with torch."""
    fp32, int8 = (work / precision / MODEL_FILE for precision in ("fp32", "int8"))
    for file in (fp32, int8):
        file.parent.mkdir()
    rng, size = np.random.default_rng(config.seed), config.input_size

    def sample(photos: Sequence[Photo], count: int) -> NDArray[np.uint8]:
        drawn = [photos[i] for i in rng.permutation(len(photos))[:count]]
        return np.stack([model_input(read_photo(p, size), size) for p in drawn])

    on_stage("exporting to ONNX")
    export_fp32(served, config.input_size, fp32)
    inputs = sample(train, HEAD_PHOTOS)
    on_stage("quantising to int8")
    quantize(fp32, int8, inputs[:CALIBRATION_PHOTOS])
    correct_head(fp32, int8, inputs)
    on_stage("comparing torch, fp32 and int8")
    return parity(served, fp32, int8, sample(validation, PARITY_PHOTOS))


def _loss(fp32: Evaluation, int8: Evaluation) -> dict[str, float]:
    """Return the average precision that int8 loses, for products with enough photos."""
    lost = {}
    for before, after in zip(all_figures(fp32), all_figures(int8), strict=True):
        if before.photos >= MIN_FOR_CHOICE and before.average_precision:
            assert after.average_precision is not None  # noqa: S101 - the same photos
            lost[before.name] = round(
                before.average_precision.value - after.average_precision.value, 4
            )
    return lost
