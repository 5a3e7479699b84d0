"""Measure a bundle on labelled photos, with the ONNX file that ships and as a scan runs it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import partial
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recognizer.engine import Recognizer
from recognizer.errors import DatasetError
from recognizer.intervals import share_by_source
from recognizer.lab.dataset.manifest import (
    ONE_JPEG_QUALITY,
    ONE_SIDE,
    Photo,
    at_one_quality,
    fingerprint,
    in_chunks,
)
from recognizer.lab.dataset.shortcuts import Shortcut, measure_shortcuts
from recognizer.lab.evaluation.figures import (
    Figures,
    OperatingPoint,
    Target,
    Truth,
    figures_of,
    operating_points,
)
from recognizer.lab.evaluation.learned import count_learned
from recognizer.lab.evaluation.slices import Slice, measure_slices
from recognizer.model.bundle import Bundle
from recognizer.model.description import Estimate, LabelEvidence, Leads, PhotoCounts
from recognizer.policy.decide import decide, thresholds_of
from recognizer.policy.values import CandidateKind, Decision, Policy, Triage
from recognizer.prediction import Prediction
from recognizer.taxonomy import Taxonomy

ANY_PRODUCT = "any product"  # the name of the target that stands for all products

ONE_QUALITY = f"a short side of at most {ONE_SIDE} pixels, JPEG quality {ONE_JPEG_QUALITY}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All figures of a bundle on one split.

    ``data`` is the photos' fingerprint, ``learned`` :func:`count_learned` of them. ``families`` are
    those with more than one product in the bundle, ``labels`` its products and those of the photos.
    ``accuracy`` is the share of photos whose label has the highest score. ``operating_points`` are
    by family, or :data:`ANY_PRODUCT`, the strictest last, with precision at ``prevalence``;
    ``slices`` are by kind and by what was asked for.
    ``quality`` says how the photos were brought to one size and JPEG quality, if they were,
    ``shortcuts`` what their files alone tell. Of labels and families in ``same_sources``, training
    saw other photos of the same sources.
    """

    bundle: str
    digest: str
    split: str
    data: str
    learned: int | None
    photos: int
    negatives: int
    negative_sources: int
    any_product: Figures
    families: tuple[Figures, ...]
    labels: tuple[Figures, ...]
    flagged_negatives: Estimate
    leads: Mapping[str, Leads]
    accuracy: Estimate
    prevalence: float
    operating_points: Mapping[str, tuple[OperatingPoint, ...]]
    slices: Mapping[str, tuple[Slice, ...]] = field(default_factory=dict)
    quality: str = "as stored"
    shortcuts: tuple[Shortcut, ...] = ()
    same_sources: tuple[str, ...] = ()


def photos_of_split(photos: Sequence[Photo], split: str) -> list[Photo]:
    """Return the photos of a split, or of ``all``; none is a DatasetError."""
    chosen = [p for p in photos if split in {p.split, "all"}]
    if not chosen:
        advice = "`recognizer dataset split` makes one; or give --split all"
        raise DatasetError(f"no photos in the split {split!r}: {advice}")
    return chosen


def score_photos(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Prediction]:
    """Score photos through the engine, in order, at one size and quality for all."""

    def score(chunk: Sequence[Photo]) -> list[Prediction]:
        said = recognizer.predict_many([at_one_quality(photo) for photo in chunk])
        return [replace(p, sha256=photo.sha256) for photo, p in zip(chunk, said, strict=True)]

    return [*in_chunks(score, photos, on_progress)]


class Measured(NamedTuple):
    """A split: figures, photos, and what the bundle and the default policy say of them."""

    evaluation: Evaluation
    bundle: Bundle
    photos: Sequence[Photo]
    predictions: Sequence[Prediction]
    triages: Sequence[Triage]


def evaluate(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    split: str,
    on_stage: Callable[..., None] = lambda words, done=None, of=None: None,
    **how: Any,
) -> Measured:
    """Score the photos of a split, and measure them; ``how`` is for :func:`measure`.

    ``on_stage`` is called with what is being done, and perhaps the photos done and their number.
    """
    photos = photos_of_split(photos, split)
    scoring = partial(on_stage, f"scoring: {split}")
    predictions = score_photos(recognizer, photos, scoring)
    on_stage("measuring")
    triages = default_triages(recognizer.bundle, predictions)
    evaluation = measure(recognizer.bundle, photos, predictions, triages, split, **how)
    shortcuts = measure_shortcuts(photos)
    evaluation = replace(evaluation, quality=ONE_QUALITY, shortcuts=shortcuts)
    return Measured(evaluation, recognizer.bundle, photos, predictions, triages)


def measure(
    bundle: Bundle,
    photos: Sequence[Photo],
    predictions: Sequence[Prediction],
    triages: Sequence[Triage],
    split: str,
    *,
    rounds: int = 1000,
    prevalence: float = 0.0003,
    by: Sequence[str] = (),
) -> Evaluation:
    """Measure the bundle that made the predictions of the photos of a split.

    ``triages`` are those of the default policy, ``rounds`` are of the bootstrap; precision is
    restated for the share of products ``prevalence``; ``by`` is for :func:`measure_slices`.
    """
    truth = Truth.of(photos)
    negatives = int(truth.negative.sum())
    if not negatives:
        raise DatasetError(f"no negatives in the split {split!r}")
    figures = partial(figures_of, truth=truth, rounds=rounds)
    shown = {*bundle.label_names, *truth.labels.tolist()}
    products = [label.name for label in truth.taxonomy.products if label.name in shown]
    score = {n: np.array([p.scores[n] for p in predictions]) for n in bundle.label_names}
    flagged = np.array([triage.decision is not Decision.CLEAR for triage in triages])
    best = np.array([highest(p) for p in predictions])
    wanted = targets(bundle, truth, predictions)
    return Evaluation(
        bundle=bundle.title,
        digest=bundle.digest,
        split=split,
        data=fingerprint(photos),
        learned=count_learned(bundle, photos),
        photos=len(photos),
        negatives=negatives,
        negative_sources=len(set(truth.sources[truth.negative])),
        any_product=figures(wanted[0].name, wanted[0].positive, wanted[0].scores),
        families=tuple(
            figures(target.name, target.positive, target.scores)
            for target, family in zip(wanted[1:], bundle.families, strict=True)
            if len(family.members) > 1
        ),
        labels=tuple(figures(name, truth.labels == name, score.get(name)) for name in products),
        flagged_negatives=share_by_source(flagged[truth.negative], truth.sources[truth.negative]),
        leads=_leads(truth, products, triages, flagged),
        accuracy=share_by_source(best == truth.labels, truth.sources),
        prevalence=prevalence,
        operating_points={t.name: operating_points(t, truth, prevalence) for t in wanted},
        slices={
            key: measure_slices(photos, truth, wanted[0].scores, flagged, key)
            for key in dict.fromkeys(["kind", *by])
        },
    )


def highest(prediction: Prediction) -> str:
    """Return the label with the highest score."""
    return max(prediction.scores, key=prediction.scores.__getitem__)


def default_triages(bundle: Bundle, predictions: Sequence[Prediction]) -> list[Triage]:
    """Return what the default policy decides, with the thresholds of a bundle."""
    policy, thresholds = Policy(), thresholds_of(bundle, Policy())
    return [decide(p, bundle, policy, thresholds=thresholds) for p in predictions]


def targets(bundle: Bundle, truth: Truth, predictions: Sequence[Prediction]) -> tuple[Target, ...]:
    """Return the targets of a bundle: any product, then each family."""
    highest = np.array([max(p.families.values(), default=0.0) for p in predictions])
    wanted = [Target(ANY_PRODUCT, ~truth.negative, highest, bundle.any_product_thresholds)]
    for family in bundle.families:
        scores = np.array([p.families[family.name] for p in predictions])
        wanted.append(Target(family.name, truth.of_family(family.name), scores, family.thresholds))
    return tuple(wanted)


def _leads(
    truth: Truth, products: Sequence[str], triages: Sequence[Triage], flagged: NDArray[np.bool_]
) -> dict[str, Leads]:
    by_product = {}
    shown = {ANY_PRODUCT: ~truth.negative} | {name: truth.labels == name for name in products}
    for name, own in shown.items():
        if not own.any():
            continue
        sources = np.unique(truth.sources[own])
        shares = [flagged[own & (truth.sources == source)].mean() for source in sources]
        by_product[name] = Leads(
            photos=int(own.sum()),
            leads=int((own & flagged).sum()),
            named=sum(
                _is_named(label, triage, truth.taxonomy)
                for label, triage in zip(truth.labels[own], compress(triages, own), strict=True)
            ),
            sources=len(sources),
            share=_rounded(share_by_source(flagged[own], truth.sources[own])),
            by_source=round(float(np.mean(shares)), 4),
        )
    return by_product


def _is_named(label: str, triage: Triage, taxonomy: Taxonomy) -> bool:
    meant = {(CandidateKind.LABEL, label), (CandidateKind.FAMILY, taxonomy.labels[label].family)}
    return any((lead.kind, lead.name) in meant for lead in triage.leads)


def evidence(figures: Figures, train: Sequence[Photo], members: Sequence[str]) -> LabelEvidence:
    """Return the evidence for ``bundle.json`` of labels that were measured on the test split."""
    learned = [p.source for p in train if p.label in members]
    return LabelEvidence(
        train=PhotoCounts(photos=len(learned), sources=len(set(learned))),
        test=PhotoCounts(photos=figures.photos, sources=figures.sources),
        average_precision=figures.average_precision and _rounded(figures.average_precision),
        recall={rate: _rounded(estimate) for rate, estimate in figures.recall.items()},
    )


def _rounded(estimate: Estimate) -> Estimate:
    return Estimate(*(round(v, 4) for v in astuple(estimate)))
