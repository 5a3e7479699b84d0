"""Find photos whose label may be wrong, for a person to look at: most are right and only unusual.

Source: confident learning (Northcutt et al., 2021; the package cleanlab).
"""

import csv
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cleanlab.filter import find_label_issues
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import normalize

from recognizer.errors import DatasetError
from recognizer.lab.dataset.folds import stratified_folds
from recognizer.lab.dataset.manifest import Photo

_DIRECTIONS = 200  # of the features: the rest is noise, and takes most of the time
_STRENGTH = 0.3  # inverse of the penalty on the head's weights


@dataclass(frozen=True, slots=True)
class Suspect:
    """A photo, and the likeliest label by a head that had not seen it."""

    photo: Photo
    suggested: str
    given_probability: float
    suggested_probability: float


def find_suspects(photos: Sequence[Photo], embedding: NDArray[np.floating]) -> list[Suspect]:
    """Return the photos that do not look like their label, the most confident first.

    ``embedding``, (N, channels), has a bundle's features of N labelled photos of one split.
    """
    labels = [p.label for p in photos]
    names = sorted(set(labels))
    if len(names) < 2:
        raise DatasetError(f"{len(names)} labels among {len(photos)} photos; at least 2 are needed")
    directions = min(_DIRECTIONS, *embedding.shape)
    features = PCA(directions, random_state=0).fit_transform(
        normalize(np.asarray(embedding, np.float64))
    )
    with warnings.catch_warnings():  # a label that is not in all folds has the probability 0 there
        warnings.simplefilter("ignore", RuntimeWarning)
        probabilities = cross_val_predict(
            LogisticRegression(C=_STRENGTH, max_iter=300),
            features / (features.std() or 1.0),
            labels,
            cv=stratified_folds(labels, [p.source for p in photos]),
            method="predict_proba",
        )
    given = np.array([names.index(photo.label) for photo in photos])
    ranked = find_label_issues(
        given, probabilities, return_indices_ranked_by="normalized_margin", n_jobs=1
    )
    return [
        Suspect(
            photo=photos[row],
            suggested=names[int(probabilities[row].argmax())],
            given_probability=float(probabilities[row, given[row]]),
            suggested_probability=float(probabilities[row].max()),
        )
        for row in ranked
    ]


def write_suspects(suspects: Sequence[Suspect], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sha256", "label", "suggested", "p_label", "p_suggested", "file"])
        for s in suspects:
            given, best = f"{s.given_probability:.4f}", f"{s.suggested_probability:.4f}"
            row = [s.photo.sha256, s.photo.label, s.suggested, given, best, s.photo.path]
            writer.writerow(row)
