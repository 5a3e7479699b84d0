"""What ``bundle.json`` and the model card say of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from recognizer import __version__
from recognizer.dataset.manifest import Photo, fingerprint, taxonomy_of
from recognizer.evaluation.calibrate import uncalibrated
from recognizer.evaluation.card import SOURCES_FILE, render_card, write_sources
from recognizer.evaluation.evaluate import Evaluation, all_figures, evidence
from recognizer.evaluation.figures import Figures
from recognizer.imaging import PREPROCESSING_VERSION
from recognizer.model.bundle import Bundle, load_bundle, write_bundle
from recognizer.model.description import (
    EvaluationSummary,
    Exported,
    InputFormat,
    LabelEvidence,
    ModelFile,
    Parity,
    Training,
)
from recognizer.model.folders import CARD_FILE, MODEL_FILE
from recognizer.model.self_test import with_self_test
from recognizer.training.config import TrainingConfig
from recognizer.training.weight_rounding import WEIGHT_BITS


def draft_bundle(
    folder: Path,
    title: tuple[str, int],
    precision: str,
    config: TrainingConfig,
    labels: Sequence[str],
    photos: Sequence[Photo],
    *,
    averaged: int,
    parity: Parity,
) -> Bundle:
    """Return the bundle of the model in a folder, before its calibration.

    ``title`` is its name and version; ``averaged`` is the number of runs behind its weights.
    """
    train = [p for p in photos if p.split == "train"]
    content = (folder / MODEL_FILE).read_bytes()
    today = datetime.now(UTC).date().isoformat()
    return uncalibrated(
        labels,
        taxonomy_of(photos),
        path=folder,
        name=title[0],
        version=title[1],
        license="Apache-2.0",
        created=today,
        model=ModelFile(
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            precision=precision,
            backbone=config.backbone,
            weight_bits=WEIGHT_BITS if precision == "int8" else None,
        ),
        input=InputFormat(size=config.input_size, preprocessing=PREPROCESSING_VERSION),
        activation="softmax" if config.loss == "softmax" else "sigmoid",
        training=Training(
            fingerprint=fingerprint(train),
            held_out=fingerprint(p for p in photos if p.split == "validation"),
            photos=sum(p.is_evidence for p in train),
            sources=len({p.source for p in train if p.is_evidence}),
            patches=sum(p.is_patch for p in train),
            averaged_runs=averaged,
            recipe=config.to_dict(),
            versions={n: metadata.version(n) for n in ("torch", "timm", "onnxruntime")},
        ),
        parity=parity,
        lineage=(Exported(date=today, program=__version__),),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured of a bundle.

    Attributes:
        test: its figures on the test split.
        seen: its figures on the validation split, mostly of sources that training saw.
        lost: family or product -> average precision that int8 loses against fp32 on the test split
            (negative: gains).
    """

    test: Evaluation
    seen: Evaluation
    lost: Mapping[str, float]


def describe(
    folder: Path,
    measured: Measured,
    photos: Sequence[Photo],
    learned: Sequence[Photo],
    notes: str,
) -> None:
    """Write the evidence into ``bundle.json``, and the card and its table of sources beside it.

    Args:
        folder: of a calibrated bundle.
        measured: see the class.
        photos: all photos, with the splits of the run.
        learned: those that the bundle learned from, the enrolled ones among them.
        notes: Markdown for the card.
    """
    bundle = load_bundle(folder)
    figures = {f.name: f for f in measured.test.labels}
    families = {f.name: f for f in measured.test.families}
    used = [p for p in photos if p.split in {"validation", "test"}]
    used += [p for p in learned if p.is_evidence]
    write_sources(used, folder / SOURCES_FILE)
    labels = (
        replace(
            label,
            evidence=_evidence(
                figures.get(label.name, Figures(name=label.name)),
                learned,
                [label.name],
                label.evidence,
            ),
        )
        for label in bundle.labels
    )
    bundle = replace(
        bundle,
        labels=tuple(labels),
        families=tuple(
            replace(
                family,
                evidence=_evidence(
                    # A family of one product is that product.
                    families.get(family.name) or figures[family.members[0]],
                    learned,
                    family.members,
                    family.evidence,
                ),
            )
            for family in bundle.families
        ),
        evaluation=_summary(measured),
    )
    write_bundle(with_self_test(bundle))
    card = render_card(
        bundle,
        measured.test,
        measured.seen,
        used,
        notes=notes,
    )
    (folder / CARD_FILE).write_text(card, encoding="utf-8")


def _evidence(
    figures: Figures, learned: Sequence[Photo], members: Sequence[str], before: LabelEvidence | None
) -> LabelEvidence:
    """Return the evidence of a label or family; ``before`` is what its enrolment recorded."""
    found = evidence(figures, learned, members)
    if before is None or before.enrolment is None:
        return found
    # Enrolment knows folders; the sources of the data are in `learned`.
    sources = {p.source for p in learned if p.split == "excluded" and p.label in members}
    return replace(found, enrolment=replace(before.enrolment, sources=len(sources)))


def _summary(measured: Measured) -> EvaluationSummary:
    test = measured.test
    lookalikes = test.lookalikes
    return EvaluationSummary(
        split=test.split,
        fingerprint=test.data,
        negatives=test.negatives,
        negative_sources=test.negative_sources,
        flagged_negatives=round(test.flagged_negatives.value, 4),
        leads=test.leads,
        accuracy=round(test.accuracy.value, 4),
        lookalike_accuracy=None if lookalikes is None else round(lookalikes.accuracy.value, 4),
        calibration_error={
            f.name: round(f.calibration_error.value, 4)
            for f in all_figures(test)
            if f.calibration_error is not None
        },
        int8_ap_drop=dict(measured.lost),
    )
