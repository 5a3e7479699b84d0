"""From a finished run to a bundle: export, calibrate, measure, describe.

The order matters. Calibration, thresholds and the choice between int8 and fp32 come from the
validation split. The test split then gives the figures of the model card; nothing is chosen by it.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recognizer import __version__
from recognizer.dataset.manifest import Photo, fingerprint, read_photo
from recognizer.dataset.outputs import run_photos
from recognizer.errors import TrainingError
from recognizer.evaluation.calibrate import calibrated
from recognizer.evaluation.card import (
    FAILURES_FILE,
    SOURCES_FILE,
    failures_sheet,
    render_card,
    write_sources,
)
from recognizer.evaluation.evaluate import (
    Evaluation,
    all_figures,
    evaluate,
    score_photos,
)
from recognizer.evaluation.figures import Figures
from recognizer.evaluation.left_out import Unseen
from recognizer.evaluation.living_animals import HeldOutPatches, measure_patches
from recognizer.imaging import PREPROCESSING_VERSION, model_input
from recognizer.model.bundle import Bundle, load_bundle, write_bundle
from recognizer.model.calibration import Calibration
from recognizer.model.description import (
    NEVER,
    BundleFamily,
    BundleLabel,
    Exported,
    InputFormat,
    ModelFile,
    Parity,
    Training,
)
from recognizer.model.evidence import EvaluationSummary
from recognizer.model.folders import CARD_FILE, MODEL_FILE, install_bundle
from recognizer.recognizer import Recognizer
from recognizer.taxonomy import Kind, load_taxonomy
from recognizer.training.config import TrainingConfig
from recognizer.training.enrolling import Enrolling, left_out_photos, measured_evidence
from recognizer.training.model import ProductNetwork
from recognizer.training.negative_bank import attach_bank
from recognizer.training.onnx_export import ServedNetwork, export_fp32, parity, quantize

CALIBRATION_PHOTOS = 256
"""Training photos from which the ranges of the int8 activations are read."""

PARITY_PHOTOS = 64
"""Validation photos on which torch, fp32 and int8 are compared, from file bytes."""

MAX_LOSS = 0.005
"""Average precision that int8 may lose on the validation split, for any family or product with
enough photos there."""

MIN_FOR_CHOICE = 20
"""Labels with fewer validation photos than this have no say in the choice of precision."""

_JPEG_QUALITY = 82


@dataclass(frozen=True, slots=True)
class Release:
    """What :func:`export_bundle` made.

    Attributes:
        path: the bundle's folder.
        precision: ``int8`` or ``fp32``.
        evaluation: the figures on the test split.
        seen: the figures on the validation split, mostly of sources that training saw.
        lost: family or product -> average precision that int8 loses against fp32 on the test split
            (negative: wins).
    """

    path: Path
    precision: str
    evaluation: Evaluation
    seen: Evaluation
    lost: Mapping[str, float]


def export_bundle(
    network: ProductNetwork,
    config: TrainingConfig,
    labels: Sequence[str],
    photos: Sequence[Photo],
    output: Path,
    *,
    version: int,
    averaged: int = 1,
    enroll: Mapping[str, Enrolling] | None = None,
    unseen: Sequence[Unseen] = (),
    pictures: Sequence[Photo] = (),
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
        output: the bundle's folder; replaced as a whole when everything else has worked.
        version: of the model.
        averaged: of how many runs, each with a seed of its own, these weights are the mean.
        enroll: products of which the photos that the run left out are enrolled, and what does it.
        unseen: what other runs of the recipe make of the sources that they left out.
        pictures: rendered pictures that the run was not trained on; the card shows which of them
            fail. Photos belong to others and cannot be shown.
        notes: what the card says beside the figures, in Markdown.
        rounds: bootstrap rounds behind the intervals.
        on_stage: called with what is being done.

    Raises:
        TrainingError: the run was trained for other labels than the photos have, on one of
            ``pictures``, or left too few photos out of a product that is to be enrolled.
        DatasetError: there are too few validation photos, or one cannot be read.
    """
    train = [p for p in photos if p.split == "train"]
    validation = [p for p in photos if p.split == "validation"]
    _check_photos(labels, photos, pictures)
    enrolling = enroll or {}
    left_out = {
        name: left_out_photos(photos, name, how.min_photos) for name, how in enrolling.items()
    }
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        served = ServedNetwork(network, config.loss, len(labels)).eval()
        proof = _export(served, config, train, validation, work, on_stage)
        seen: dict[str, Evaluation] = {}
        evaluations: dict[str, Evaluation] = {}
        for precision in ("fp32", "int8"):
            on_stage(f"calibrating {precision} on {len(validation)} validation photos")
            draft = _draft(work, precision, config, labels, train, validation, version, averaged)
            draft = replace(draft, parity=proof)
            write_bundle(draft)
            log_odds = run_photos(Recognizer(draft), validation).log_odds
            write_bundle(calibrated(draft, log_odds, validation))
            for split, found in (("validation", seen), ("test", evaluations)):
                on_stage(f"measuring {precision} on the {split} split")
                found[precision] = evaluate(
                    Recognizer.load(draft.path), photos, split, rounds=rounds
                )
        lost_there = _loss(seen["fp32"], seen["int8"])
        precision = "int8" if max(lost_there.values(), default=0.0) <= MAX_LOSS else "fp32"
        lost = _loss(evaluations["fp32"], evaluations["int8"])
        on_stage("collecting negatives for enrolment")
        attach_bank(work / precision, photos)
        folder = work / precision
        for name, how in enrolling.items():
            on_stage(f"enrolling {name} from {len(left_out[name])} photos")
            made = work / f"with-{name}"
            sentences = how.function(folder, [str(p.path) for p in left_out[name]], made)
            notes += "".join(f"\n- {name}: {sentence}" for sentence in sentences)
            folder = made
        chosen = Recognizer.load(folder)
        if left_out:  # the validation photos were its negatives: they say nothing of it
            on_stage("measuring what was enrolled on the test split")
            evaluations[precision] = evaluate(chosen, photos, "test", rounds=rounds)
        if pictures:
            on_stage(f"looking for failures among {len(pictures)} rendered pictures")
            _draw_failures(chosen, pictures, folder / FAILURES_FILE)
        evaluation, held_out = evaluations[precision], seen[precision]
        patches: tuple[HeldOutPatches, ...] = ()
        if config.patches:
            on_stage("laying held-out patches on ordinary photos")
            patches = measure_patches(chosen, validation, config.patches)
        learned = [*train, *(p for found in left_out.values() for p in found)]
        _record(folder, evaluation, held_out, photos, learned, lost, patches, unseen, notes)
        install_bundle(folder, output)
    return Release(output, precision, evaluation, held_out, lost)


def _check_photos(
    labels: Sequence[str], photos: Sequence[Photo], pictures: Sequence[Photo]
) -> None:
    """Check that there is what an export needs.

    Raises:
        TrainingError: see :func:`export_bundle`.
    """
    train = [p for p in photos if p.split == "train"]
    if sorted({p.label for p in train}) != list(labels):
        raise TrainingError("the run was trained for other labels than these photos have")
    if {p.sha256 for p in pictures} & {p.sha256 for p in train}:
        raise TrainingError("failures are shown on pictures that the run was not trained on")
    if not any(p.split == "validation" for p in photos):
        raise TrainingError("no validation photos: thresholds cannot be set")
    if not any(p.split == "test" and not p.is_product for p in photos):
        raise TrainingError(
            "no test photos without a product: a bundle is released with figures on sources that "
            "training never saw, so the data needs a manifest with a split called test"
        )


def _export(
    served: ServedNetwork,
    config: TrainingConfig,
    train: Sequence[Photo],
    validation: Sequence[Photo],
    work: Path,
    on_stage: Callable[[str], None],
) -> Parity:
    """Write ``fp32.onnx`` and ``int8.onnx``; return how far they agree with torch."""
    on_stage("exporting to ONNX")
    export_fp32(served, config.input_size, work / "fp32.onnx")
    on_stage("quantising to int8")
    rng = np.random.default_rng(config.seed)
    sample = rng.permutation(len(train))[:CALIBRATION_PHOTOS]
    quantize(
        work / "fp32.onnx",
        work / "int8.onnx",
        _inputs([train[i] for i in sample], config.input_size),
    )
    on_stage("comparing torch, fp32 and int8")
    sample = rng.permutation(len(validation))[:PARITY_PHOTOS]
    return parity(
        served,
        work / "fp32.onnx",
        work / "int8.onnx",
        _inputs([validation[i] for i in sample], config.input_size),
    )


def _inputs(photos: Sequence[Photo], size: int) -> NDArray[np.uint8]:
    return np.stack([model_input(read_photo(p, size), size) for p in photos])


def _draft(
    work: Path,
    precision: str,
    config: TrainingConfig,
    labels: Sequence[str],
    train: Sequence[Photo],
    validation: Sequence[Photo],
    version: int,
    averaged: int,
) -> Bundle:
    """Return a bundle that is not calibrated, in a folder with its model."""
    folder = work / precision
    folder.mkdir()
    shutil.copy(work / f"{precision}.onnx", folder / MODEL_FILE)
    content = (folder / MODEL_FILE).read_bytes()
    taxonomy = load_taxonomy()
    members = {
        name: tuple(label.name for label in taxonomy.members(name) if label.name in labels)
        for name in taxonomy.families
    }
    today = datetime.now(UTC).date().isoformat()
    kinds = {name: taxonomy.labels[name].kind for name in labels}
    return Bundle(
        path=folder,
        name=config.name,
        version=version,
        license="Apache-2.0",
        created=today,
        model=ModelFile(
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            precision=precision,
            backbone=config.backbone,
        ),
        input=InputFormat(size=config.input_size, preprocessing=PREPROCESSING_VERSION),
        activation="softmax" if config.loss == "softmax" else "sigmoid",
        labels=tuple(
            BundleLabel(
                name=name,
                kind=kind,
                calibration=Calibration.line(1.0, 0.0),
                thresholds=NEVER if kind is Kind.PRODUCT else {},
            )
            for name, kind in kinds.items()
        ),
        families=tuple(
            BundleFamily(name=name, members=found, thresholds=NEVER)
            for name, found in members.items()
            if found
        ),
        any_product_thresholds=NEVER,
        not_recognized=tuple(p.name for p in taxonomy.products if p.name not in labels),
        training=Training(
            fingerprint=fingerprint(train),
            held_out=fingerprint(validation),
            photos=sum(p.is_evidence for p in train),
            sources=len({p.source for p in train if p.is_evidence}),
            rendered=sum(p.is_synthetic for p in train),
            patches=sum(p.is_patch for p in train),
            averaged_runs=averaged,
            recipe=config.to_dict(),
            versions={n: metadata.version(n) for n in ("torch", "timm", "onnxruntime")},
        ),
        lineage=(Exported(date=today, program=__version__),),
    )


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


def _record(
    folder: Path,
    evaluation: Evaluation,
    seen: Evaluation,
    photos: Sequence[Photo],
    learned: Sequence[Photo],
    lost: Mapping[str, float],
    patches: Sequence[HeldOutPatches],
    unseen: Sequence[Unseen],
    notes: str,
) -> None:
    """Write the evidence into ``bundle.json``, and the model card and its table beside it."""
    bundle = load_bundle(folder)
    figures = {f.name: f for f in evaluation.labels}
    families = {f.name: f for f in evaluation.families}
    used = [p for p in photos if p.split in {"validation", "test"}]
    used += [p for p in learned if p.is_evidence]
    write_sources(used, folder / SOURCES_FILE)
    bundle = replace(
        bundle,
        labels=tuple(
            replace(
                label,
                evidence=measured_evidence(
                    figures.get(label.name, Figures(name=label.name)),
                    learned,
                    [label.name],
                    label.evidence,
                ),
            )
            for label in bundle.labels
        ),
        families=tuple(
            replace(
                family,
                evidence=measured_evidence(
                    # A family of one product is that product.
                    families.get(family.name) or figures[family.members[0]],
                    learned,
                    family.members,
                    family.evidence,
                ),
            )
            for family in bundle.families
        ),
        evaluation=_summary(evaluation, lost),
        appendix={
            "unseen_sources": [asdict(u) for u in unseen],
            "patches_of_held_out_animals": [asdict(one) for one in patches],
        },
    )
    write_bundle(bundle)
    card = render_card(
        bundle,
        evaluation,
        seen,
        used,
        unseen=unseen,
        patches=patches,
        failures=(folder / FAILURES_FILE).exists(),
        notes=notes,
    )
    (folder / CARD_FILE).write_text(card, encoding="utf-8")


def _summary(evaluation: Evaluation, lost: Mapping[str, float]) -> EvaluationSummary:
    lookalikes = evaluation.lookalikes
    return EvaluationSummary(
        split=evaluation.split,
        fingerprint=evaluation.data,
        negatives=evaluation.negatives,
        negative_sources=evaluation.negative_sources,
        flagged_negatives=round(evaluation.flagged_negatives.value, 4),
        leads=evaluation.leads,
        accuracy=round(evaluation.accuracy.value, 4),
        lookalike_accuracy=None if lookalikes is None else round(lookalikes.accuracy.value, 4),
        calibration_error={
            f.name: round(f.calibration_error.value, 4)
            for f in all_figures(evaluation)
            if f.calibration_error is not None
        },
        int8_loses_average_precision=dict(lost),
    )


def _draw_failures(recognizer: Recognizer, pictures: Sequence[Photo], path: Path) -> None:
    sheet = failures_sheet(recognizer, pictures, score_photos(recognizer, pictures))
    Image.fromarray(sheet).save(path, quality=_JPEG_QUALITY)
