"""Leave one source out in turn: how a label holds on a source of which no head saw a photo.

Fine-tuning a network for every source takes hours. This takes minutes: a regularised linear head
is trained on the embeddings of a bundle, once for each source of the label, without any photo of
that source. The *head* never saw the source, but the bundle's *backbone* has, unless the bundle
was trained without it: figures of a fine-tuned bundle are therefore optimistic. The honest
baseline is a bundle whose backbone has only seen ImageNet, and the honest figure of a recipe is a
run with ``exclude_sources`` (see ``docs/evaluation.md``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
    count_by_source,
    figures_of,
)
from recognizer.evaluation.thresholds import threshold_at_false_alarm_rate
from recognizer.recognizer import Recognizer
from recognizer.taxonomy import Kind, load_taxonomy

REGULARIZATION = 0.01
"""Inverse strength of the L2 penalty on the head's weights, for standardised features."""

OPTIMISTIC = (
    "The head never saw the source it is measured on. The backbone did, if the bundle was trained "
    "on it: then these figures are optimistic."
)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Figures of a label whose sources were left out in turn.

    Attributes:
        bundle: title of the bundle that gave the embeddings.
        negatives: photos without a product, each scored by a head that saw none of its source.
        negative_sources: their sources.
        figures: over all sources, from the scores that each got when it was left out.
        by_source: what of each source is found at :data:`SOURCE_RATE`.
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
    """Return the photos that a label is measured with, and which of them are positives.

    They are those of the label and those that are no product, without the test split and without
    what was rendered.

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
        raise UsageError(f"{label} is no product, and has no false alarms")
    used = [
        p
        for p in photos
        if p.split != "test"
        and p.is_evidence
        and (p.label in members or taxonomy.labels[p.label].kind is not Kind.PRODUCT)
    ]
    positive = np.array([p.label in members for p in used], bool)
    sources = {p.source for p, is_positive in zip(used, positive, strict=True) if is_positive}
    if len(sources) < 2 or positive.all():
        raise DatasetError(
            f"{label}: {len(sources)} source(s) outside the test split; at least two are needed, "
            "and photos without a product"
        )
    return used, positive


def embed_photos(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
    threads: int = 2,
) -> NDArray[np.float32]:
    """Return the features of photos, (N, channels).

    Raises:
        DatasetError: a photo cannot be decoded.
    """
    features = []
    with ThreadPoolExecutor(threads) as pool:
        for photo, found in zip(
            photos, pool.map(recognizer.embed, [p.path for p in photos]), strict=True
        ):
            if found.vector is None:
                raise DatasetError(f"{photo.path} cannot be decoded: {found.detail}")
            features.append(found.vector)
            on_progress(len(features), len(photos))
    return np.stack(features)


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
        label: what is measured.
        photos: as :func:`photos_for` gives them.
        positive: likewise, (N,).
        features: of these photos, (N, channels).
        rounds: bootstrap rounds behind the intervals.
        group_by_source: let the bootstrap draw whole sources.
        on_progress: called with the heads trained and their number.
    """
    sources = np.array([p.source for p in photos])
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
    over = scores > threshold_at_false_alarm_rate(scores[~positive], SOURCE_RATE)
    return LeftOut(
        title,
        int((~positive).sum()),
        len(set(sources[~positive])),
        figures_of(label, positive, ~positive, scores, sources, rounds, group_by_source),
        count_by_source(sources[positive], over[positive]),
    )
