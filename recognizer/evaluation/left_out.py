"""Measure labels at sources that were left out of training.

:func:`leave_out_sources` takes minutes: a regularised linear head is trained on a bundle's
embeddings without each source in turn. The *head* never saw the source, but the *backbone* has,
unless the bundle was trained without it (``docs/evaluation.md`` names two ways around that).
:func:`measure_scores` measures a whole run of a recipe that left sources out: its figures are
evidence for the recipe, not for the weights of the released model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from recognizer.dataset.folds import source_folds
from recognizer.dataset.manifest import Photo, training_images
from recognizer.errors import DatasetError, UsageError
from recognizer.evaluation.figures import (
    SOURCE_RATE,
    Figures,
    Lookalikes,
    SourceCount,
    Truth,
    count_by_source,
    figures_of,
    measure_lookalikes,
)
from recognizer.evaluation.thresholds import threshold_at_fpr
from recognizer.model.evidence import TrainingImages
from recognizer.taxonomy import Kind, load_taxonomy

REGULARIZATION = 0.01
"""Inverse strength of the L2 penalty on the head's weights, for standardised features."""

OPTIMISTIC = (
    "The head never saw the source it is measured on. The backbone did, if the bundle was trained "
    "on it: then these figures are optimistic."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Figures of a label whose sources were left out in turn.

    Each negative was scored by a head that saw none of its source. ``by_source`` is recall at
    :data:`SOURCE_RATE`.
    """

    bundle: str
    negatives: int
    negative_sources: int
    figures: Figures
    by_source: tuple[SourceCount, ...]


def photos_for(photos: Sequence[Photo], label: str) -> tuple[list[Photo], NDArray[np.bool_]]:
    """Return the photos to measure a product or family with, and which are positives, (N,).

    They are those of the label and those without a product, but for the test split and renderings.

    Raises:
        TaxonomyError, UsageError: the label is unknown, or not a product.
        DatasetError: its photos are from fewer than two sources.
    """
    taxonomy = load_taxonomy()
    if label in taxonomy.families:
        members = {member.name for member in taxonomy.members(label)}
    elif taxonomy.label(label).kind is Kind.PRODUCT:
        members = {label}
    else:
        raise UsageError(f"{label} is not a product; only a product or a family can be measured")
    used = [
        p
        for p in photos
        if p.split != "test" and p.is_evidence and (p.label in members or not p.is_product)
    ]
    positive = np.array([p.label in members for p in used], bool)
    sources = {p.source for p in used if p.label in members}
    if len(sources) < 2 or positive.all():
        raise DatasetError(
            f"{label}: {len(sources)} source(s) outside the test split; at least two are needed, "
            "and photos without a product"
        )
    return used, positive


def leave_out_sources(
    title: str,
    label: str,
    photos: Sequence[Photo],
    positive: NDArray[np.bool_],
    features: NDArray[np.floating],
    *,
    rounds: int = 1000,
    group_by_source: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> LeftOut:
    """Measure a label with each of its sources left out in turn.

    ``photos`` and ``positive`` come from :func:`photos_for`; ``features``, (N, channels), are the
    bundle's, called ``title``. ``on_progress`` is called with the heads trained and their number.
    """
    truth = Truth.of(photos)
    sources = truth.sources
    fold = source_folds(sources, positive)
    scores = np.empty(len(photos))
    count = int(fold.max()) + 1
    for number in range(count):
        out = fold == number
        head = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=REGULARIZATION, class_weight="balanced", max_iter=1000),
        )
        head.fit(features[~out], positive[~out])
        scores[out] = head.decision_function(features[out])
        on_progress(number + 1, count)
    over = scores > threshold_at_fpr(scores[~positive], SOURCE_RATE)
    figures = figures_of(
        label, positive, scores, truth, rounds=rounds, group_by_source=group_by_source
    )
    return LeftOut(
        bundle=title,
        negatives=int((~positive).sum()),
        negative_sources=len(set(sources[~positive])),
        figures=figures,
        by_source=count_by_source(sources[positive], over[positive]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """The figures of one run on the sources that it left out.

    The negatives are of the validation split and of these sources. ``taught_by`` has the images
    that the run learned each name of ``figures`` from; ``animals`` the photos of living animals
    among the negatives, and ``called_product`` those of them with a product on top.
    """

    sources: tuple[str, ...]
    negatives: int
    figures: tuple[Figures, ...]
    taught_by: Mapping[str, TrainingImages]
    lookalikes: Lookalikes | None
    animals: Mapping[str, int]
    called_product: Mapping[str, int]


def held_out(photos: Iterable[Photo]) -> list[Photo]:
    """Return the photos that a run did not learn from, without the test split."""
    return [p for p in photos if p.split in {"validation", "excluded"}]


def measure_scores(
    scores: NDArray[np.float64],
    labels: Sequence[str],
    photos: Sequence[Photo],
    sources: Sequence[str],
    *,
    rounds: int = 1000,
) -> Unseen:
    """Measure a run by its scores of the photos that it did not learn from.

    ``scores``, float64, (N, labels), are of the N photos that :func:`held_out` returns. Of all
    ``photos``, with the run's splits, those of the split ``excluded`` are the positives.
    """
    held = held_out(photos)
    train = [p for p in photos if p.split == "train"]
    truth = Truth.of(held)
    left_out = np.array([p.split == "excluded" and p.is_evidence for p in held])
    taxonomy = load_taxonomy()
    families = {name: [m.name for m in taxonomy.members(name)] for name in taxonomy.families}
    names = {name: members for name, members in families.items() if len(members) > 1}
    names |= {product.name: [product.name] for product in taxonomy.products}
    columns = {name: scores[:, i] for i, name in enumerate(labels)}
    figures, taught_by = [], {}
    for name, members in names.items():
        known = [labels.index(m) for m in members if m in labels]
        if known and name not in columns:
            columns[name] = 1 - np.prod(1 - scores[:, known], axis=1)
        positive = np.isin(truth.labels, members) & left_out
        if positive.any():
            figures.append(figures_of(name, positive, columns.get(name), truth, rounds=rounds))
            taught_by[name] = training_images(train, members)
    rows = [
        {name: float(column[i]) for name, column in columns.items()}
        for i in np.flatnonzero(left_out)
    ]
    animals, called = Counter[str](), Counter[str]()
    for photo, column in zip(held, scores.argmax(axis=1), strict=True):
        if photo.kind is Kind.ANIMAL:
            animals[photo.label] += 1
            called[photo.label] += taxonomy.labels[labels[column]].kind is Kind.PRODUCT
    return Unseen(
        sources=tuple(sources),
        negatives=int(truth.negative.sum()),
        figures=tuple(figures),
        taught_by=taught_by,
        lookalikes=measure_lookalikes(truth.labels[left_out], rows),
        animals=dict(animals),
        called_product=dict(called),
    )
