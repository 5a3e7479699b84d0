"""From a finished run to a bundle: export, calibrate, measure, describe.

The order matters. Calibration, thresholds and the choice between int8 and fp32 come from the
validation split. The test split then gives the figures of the model card; nothing is chosen by it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recognizer.dataset.licenses import count_licenses, write_sources
from recognizer.dataset.manifest import Photo, fingerprint, read_photo
from recognizer.dataset.outputs import run_photos
from recognizer.errors import TrainingError
from recognizer.evaluation.calibrate import calibrated_description
from recognizer.evaluation.card import FAILURES_FILE, SOURCES_FILE, render_card
from recognizer.evaluation.evaluate import (
    Evaluation,
    all_figures,
    evaluate,
    evidence,
    score_photos,
)
from recognizer.evaluation.failures import failures_sheet
from recognizer.evaluation.figures import Figures
from recognizer.evaluation.living_animals import BothSides, measure_both_sides
from recognizer.evaluation.unseen import Unseen
from recognizer.imaging import PREPROCESSING_VERSION, model_input
from recognizer.model.bundle import FALSE_ALARM_RATES, SCHEMA, write_description
from recognizer.model.calibration import Calibration
from recognizer.model.folders import CARD_FILE, DESCRIPTION_FILE, MODEL_FILE, install_bundle
from recognizer.recognizer import Recognizer
from recognizer.taxonomy import Kind, load_taxonomy
from recognizer.training.config import TrainingConfig
from recognizer.training.enrolling import Enrolling, enrolled_evidence, left_out_photos
from recognizer.training.model import ProductNetwork
from recognizer.training.negatives import attach_bank
from recognizer.training.onnx_export import ServedNetwork, export_fp32, parity, quantize

CALIBRATION_PHOTOS = 256
"""Training photos from which the ranges of the int8 activations are read."""

PARITY_PHOTOS = 64
"""Validation photos on which torch, fp32 and int8 are compared, from file bytes."""

LARGEST_LOSS = 0.005
"""Average precision that int8 may lose on the validation split, for any family or product with
enough photos there."""

FEWEST_FOR_CHOICE = 20
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
    left_out = {name: left_out_photos(photos, name, how.fewest) for name, how in enrolling.items()}
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        served = ServedNetwork(network, config.loss, len(labels)).eval()
        proof = _export(served, config, train, validation, work, on_stage)
        seen: dict[str, Evaluation] = {}
        evaluations: dict[str, Evaluation] = {}
        for precision in ("fp32", "int8"):
            on_stage(f"calibrating {precision} on {len(validation)} validation photos")
            draft = work / precision
            description = _describe(config, labels, train, version, precision, proof)
            description["training"]["averaged_runs"] = averaged
            _calibrate_draft(draft, work / f"{precision}.onnx", description, validation)
            for split, found in (("validation", seen), ("test", evaluations)):
                on_stage(f"measuring {precision} on the {split} split")
                found[precision] = evaluate(Recognizer.load(draft), photos, split, rounds=rounds)
        lost_there = _loss(seen["fp32"], seen["int8"])
        precision = "int8" if max(lost_there.values(), default=0.0) <= LARGEST_LOSS else "fp32"
        lost = _loss(evaluations["fp32"], evaluations["int8"])
        on_stage("collecting negatives for enrolment")
        attach_bank(work / precision, photos)
        draft = work / precision
        for name, how in enrolling.items():
            on_stage(f"enrolling {name} from {len(left_out[name])} photos")
            made = work / f"with-{name}"
            told = how.function(draft, [str(p.path) for p in left_out[name]], made)
            notes += "".join(f"\n- {name}: {sentence}" for sentence in told)
            draft = made
        chosen = Recognizer.load(draft)
        if left_out:  # the validation photos were its negatives: they say nothing of it
            on_stage("measuring what was enrolled on the test split")
            evaluations[precision] = evaluate(chosen, photos, "test", rounds=rounds)
        if pictures:
            on_stage(f"looking for failures among {len(pictures)} rendered pictures")
            _draw_failures(chosen, pictures, draft / FAILURES_FILE)
        evaluation, held_out = evaluations[precision], seen[precision]
        both: tuple[BothSides, ...] = ()
        if config.patches:
            on_stage("laying held-out patches on ordinary photos")
            both = measure_both_sides(chosen, validation, config.patches)
        learned = [*train, *(p for found in left_out.values() for p in found)]
        _record(draft, evaluation, held_out, photos, learned, lost, both, unseen, notes)
        install_bundle(draft, output)
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
    kinds = load_taxonomy().labels
    if not any(p.split == "test" and kinds[p.label].kind is not Kind.PRODUCT for p in photos):
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
) -> dict[str, Any]:
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
        [work / "fp32.onnx", work / "int8.onnx"],
        _inputs([validation[i] for i in sample], config.input_size),
    )


def _inputs(photos: Sequence[Photo], size: int) -> NDArray[np.uint8]:
    return np.stack([model_input(read_photo(p, size), size) for p in photos])


def _describe(
    config: TrainingConfig,
    labels: Sequence[str],
    train: Sequence[Photo],
    version: int,
    precision: str,
    proof: dict[str, Any],
) -> dict[str, Any]:
    taxonomy = load_taxonomy()
    families = {
        name: [label.name for label in taxonomy.members(name) if label.name in labels]
        for name in taxonomy.families
    }
    return {
        "schema": SCHEMA,
        "name": config.name,
        "version": version,
        "license": "Apache-2.0",
        "model": {"file": MODEL_FILE, "precision": precision, "backbone": config.backbone},
        "input": {
            "name": "images",
            "size": config.input_size,
            "layout": "NHWC",
            "color_order": "RGB",
            "dtype": "uint8",
            "range": [0, 255],
            "preprocessing": PREPROCESSING_VERSION,
        },
        "outputs": {
            "scores": "float32 (N, labels): log-odds of each label, before calibration",
            "maps": "float32 (N, labels, h, w): class activation maps; their mean is the logit",
            "embedding": "float32 (N, channels): pooled features",
        },
        "activation": config.loss,
        "labels": [{"name": n, "kind": str(taxonomy.labels[n].kind)} for n in labels],
        "families": [{"name": n, "members": m} for n, m in families.items() if m],
        "not_recognized": [p.name for p in taxonomy.products if p.name not in labels],
        "training": {
            "fingerprint": fingerprint(train),
            "photos": sum(p.is_evidence for p in train),
            "sources": len({p.source for p in train if p.is_evidence}),
            "rendered": sum(p.is_synthetic for p in train),
            "patches": sum(p.is_patch for p in train),
            "config": config.to_dict(),
            "versions": {n: metadata.version(n) for n in ("torch", "timm", "onnxruntime")},
        },
        "parity": proof,
    }


def _calibrate_draft(
    folder: Path, model: Path, description: dict[str, Any], validation: Sequence[Photo]
) -> None:
    """Write a bundle that is not calibrated, run the validation photos, and calibrate it."""
    folder.mkdir()
    shutil.copy(model, folder / MODEL_FILE)
    content = model.read_bytes()
    description["model"] |= {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }
    nothing = dict.fromkeys(FALSE_ALARM_RATES, 1.0)
    for entry in description["labels"]:
        thresholds = nothing if entry["kind"] == Kind.PRODUCT else {}
        calibration = Calibration.line(1.0, 0.0).to_json()
        entry |= {"calibration": calibration, "thresholds": thresholds, "evidence": {}}
    for entry in description["families"]:
        entry |= {"thresholds": nothing, "evidence": {}}
    description["photo_thresholds"] = nothing
    write_description(folder, description)
    log_odds = run_photos(Recognizer.load(folder), validation).log_odds
    write_description(folder, calibrated_description(description, log_odds, validation))


def _loss(fp32: Evaluation, int8: Evaluation) -> dict[str, float]:
    """Return the average precision that int8 loses, where there are photos enough to tell."""
    lost = {}
    for before, after in zip(all_figures(fp32), all_figures(int8), strict=True):
        if before.photos >= FEWEST_FOR_CHOICE and before.average_precision:
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
    both: Sequence[BothSides],
    unseen: Sequence[Unseen],
    notes: str,
) -> None:
    """Write the evidence into ``bundle.json``, and the model card and its table beside it."""
    path = folder / DESCRIPTION_FILE
    description = json.loads(path.read_text(encoding="utf-8"))
    figures = {f.name: f for f in evaluation.labels}
    families = {f.name: f for f in evaluation.families}
    for entry in description["labels"]:
        name = entry["name"]
        found = figures.get(name, Figures(name, 0, 0, None, None, {}))
        entry["evidence"] = enrolled_evidence(entry, learned) | evidence(found, learned, [name])
    for entry in description["families"]:
        # A family of one product is that product.
        found = families.get(entry["name"]) or figures[entry["members"][0]]
        entry["evidence"] = enrolled_evidence(entry, learned) | evidence(
            found, learned, entry["members"]
        )
    description["evaluation"] = {
        "split": evaluation.split,
        "fingerprint": evaluation.data,
        "negatives": evaluation.negatives,
        "negative_sources": evaluation.negative_sources,
        "flagged_negatives": round(evaluation.flagged_negatives.value, 4),
        "leads": {name: asdict(of) for name, of in evaluation.leads.items()},
        "accuracy": round(evaluation.accuracy.value, 4),
        "lookalike_accuracy": _lookalike_accuracy(evaluation),
        "calibration_error": {
            f.name: round(f.calibration_error.value, 4)
            for f in all_figures(evaluation)
            if f.calibration_error is not None
        },
        "int8_loses_average_precision": dict(lost),
    }
    description["unseen_sources"] = [u.to_json() for u in unseen]
    description["patches_of_held_out_animals"] = [asdict(one) for one in both]
    used = [p for p in photos if p.split in {"validation", "test"}]
    used += [p for p in learned if p.is_evidence]
    write_sources(used, folder / SOURCES_FILE)
    description["created"] = datetime.now(UTC).date().isoformat()
    write_description(folder, description)
    card = render_card(
        description,
        evaluation,
        seen,
        count_licenses(used),
        failures=(folder / FAILURES_FILE).exists(),
        notes=notes,
    )
    (folder / CARD_FILE).write_text(card, encoding="utf-8")


def _draw_failures(recognizer: Recognizer, pictures: Sequence[Photo], path: Path) -> None:
    sheet = failures_sheet(recognizer, pictures, score_photos(recognizer, pictures))
    Image.fromarray(sheet).save(path, quality=_JPEG_QUALITY)


def _lookalike_accuracy(evaluation: Evaluation) -> float | None:
    found = evaluation.lookalikes
    return None if found is None else round(found.accuracy.value, 4)
