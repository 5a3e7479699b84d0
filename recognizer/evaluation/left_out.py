"""Measure a label with each of its sources left out in turn.

Fine-tuning a network for every source takes hours. This takes minutes: a regularised linear head
is trained on a bundle's embeddings, once for each source of the label, without that source. The
*head* never saw the source, but the *backbone* has, unless the bundle was trained without it: then
the figures are optimistic. ``docs/evaluation.md`` names two ways around that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from recognizer.dataset.folds import source_folds
from recognizer.dataset.manifest import Photo
from recognizer.errors import DatasetError, UsageError
from recognizer.evaluation.figures import (
    SOURCE_RATE,
    Figures,
    SourceCount,
    Truth,
    count_by_source,
    figures_of,
)
from recognizer.evaluation.thresholds import threshold_at_fpr
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

    Attributes:
        bundle: title of the bundle that gave the embeddings.
        negatives: photos without a product, each scored by a head that saw none of its source.
        negative_sources: their sources.
        figures: over all sources, from the scores when each was left out.
        by_source: recall at :data:`SOURCE_RATE` by source.
    """

    bundle: str
    negatives: int
    negative_sources: int
    figures: Figures
    by_source: tuple[SourceCount, ...]


def to_json(results: Sequence[LeftOut]) -> str:
    """Return all figures as JSON, by label."""
    found = {result.figures.name: asdict(result) for result in results}
    return json.dumps(found, indent=2) + "\n"


def photos_for(photos: Sequence[Photo], label: str) -> tuple[list[Photo], NDArray[np.bool_]]:
    """Return the photos to measure a label with, and which of them are positives.

    They are those of the label and those without a product, but for the test split and renderings.

    Args:
        photos: all photos, as the data folders have them.
        label: a product, or a family for all of its products.

    Raises:
        TaxonomyError: there is no such label.
        UsageError: it is no product.
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

    Args:
        title: of the bundle that gave the features.
        label: product or family.
        photos: N photos, from :func:`photos_for`.
        positive: (N,), from :func:`photos_for`.
        features: (N, channels).
        rounds: bootstrap rounds behind the intervals.
        group_by_source: let the bootstrap draw whole sources.
        on_progress: called with the heads trained and their number.
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
