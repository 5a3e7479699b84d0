"""Figures of out-of-fold predictions: for sources that the predictor of a photo has not seen.

A group of sources (``folds.csv``) counts by the square root of its photos, so that one museum does
not decide for all; average precision is that at a prevalence of 2 %, whatever the data has. A group
that has more than half of a label's photos, and leaves others, does not count among its positives:
without it there is hardly anything to learn from, which the released model will not lack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PREVALENCE = 0.02
IVORY = ("ivory_raw", "ivory_worked")
REPORTED = (
    "ivory",
    "ivory_raw",
    "ivory_worked",
    "rhino_horn",
    "pangolin_scales",
    "big_cat_skin",
    "antelope_horn",
    "reptile_leather",
    "turtle_shell",
    "coral",
    "feather",
    "bear_parts",
)


def group_weights(groups: NDArray[np.str_], power: float = 0.5) -> Floats:
    """Return a weight for each photo: a group of n photos counts n ** power in all."""
    _, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(counts.astype(float)[place] ** (power - 1))


def counted(label: NDArray[np.str_], group: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Return which photos do not belong to a group that has most of their label's photos."""
    found = np.ones(len(label), bool)
    for name in np.unique(label):
        own = label == name
        groups, counts = np.unique(group[own], return_counts=True)
        if len(groups) > 2 and counts.max() > own.sum() / 2:
            found &= ~(own & (group == groups[counts.argmax()]))
    return found


@dataclass(frozen=True, slots=True)
class Figures:
    """Average precision, and recall at 1 % and at 0.1 % false positives."""

    ap: float
    recall: float
    strict: float

    def __str__(self) -> str:
        return f"{self.ap:.2f}; {self.recall:.2f} / {self.strict:.2f}"


def figures(
    positive: Floats, negative: Floats, of_positive: Floats, of_negative: Floats
) -> Figures:
    """Return the figures of weighted scores.

    Args:
        positive: scores of the photos that show it.
        negative: scores of the photos that show no product.
        of_positive: weights of the former.
        of_negative: weights of the latter.
    """
    order = np.argsort(-negative, kind="stable")
    above = np.concatenate([[0.0], np.cumsum(of_negative[order])]) / of_negative.sum()
    scores = -negative[order]
    # The share of negatives at or above each positive.
    rate = above[np.searchsorted(scores, -positive, side="right")]
    found = np.argsort(-positive, kind="stable")
    share = np.cumsum(of_positive[found]) / of_positive.sum()
    hits = PREVALENCE * share
    precision = hits / (hits + (1 - PREVALENCE) * rate[found])
    ap = float((np.diff(share, prepend=0) * precision).sum())
    weight = of_positive / of_positive.sum()
    return Figures(ap, float(weight[rate <= 0.01].sum()), float(weight[rate <= 0.001].sum()))


def scores_of(probabilities: Floats, labels: list[str], name: str) -> Floats:
    """Return the score of a label or of the family ivory."""
    if name == "ivory":
        return probabilities[:, [labels.index(x) for x in IVORY]].sum(1)
    return probabilities[:, labels.index(name)]


def table_of(
    photos: pd.DataFrame, probabilities: Floats, labels: list[str], power: float = 0.5
) -> dict[str, Figures]:
    """Return the figures of each reported label and of any product.

    Args:
        photos: ``label``, ``group``, ``product`` of each photo.
        probabilities: (N, labels), out of fold.
        labels: their names.
        power: see :func:`group_weights`; 1 counts photos.
    """
    label, group = photos.label.to_numpy(str), photos.group.to_numpy(str)
    product = photos["product"].to_numpy(bool)
    negative = ~product
    counts = counted(label, group)
    of_negative = group_weights(group[negative], power)
    found = {}
    for name in REPORTED:
        positive = np.isin(label, IVORY) if name == "ivory" else label == name
        positive &= counts
        if not positive.any():
            continue
        score = scores_of(probabilities, labels, name)
        weights = group_weights(group[positive], power)
        found[name] = figures(score[positive], score[negative], weights, of_negative)
    known = [labels.index(n) for n in sorted(set(label[product])) if n in labels]
    score = probabilities[:, known].max(1)
    product = product & counts
    weights = group_weights(np.char.add(group, label)[product], power)
    found["any product"] = figures(score[product], score[negative], weights, of_negative)
    return found


CHIEF = ("ivory", "ivory_raw", "big_cat_skin", "antelope_horn", "reptile_leather", "any product")


def objective(found: dict[str, Figures]) -> float:
    """Return one number to choose by: means of AP and recall, ivory and any product twice."""
    parts = [(found[n].ap + found[n].recall) / 2 for n in CHIEF if n in found]
    double = [
        (found[n].recall + found[n].strict) / 2 for n in ("ivory", "any product") if n in found
    ]
    return float(np.mean(parts + double))


def line(found: dict[str, Figures]) -> str:
    """Return one line for a notebook."""
    short = " | ".join(
        f"{n} {found[n]}" for n in (*CHIEF, "pangolin_scales", "rhino_horn") if n in found
    )
    return f"{objective(found):.4f} | {short}"
