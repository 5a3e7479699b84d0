"""A bundle: a model with all that it needs, verified before it is loaded.

A folder with ``model.onnx``, ``bundle.json`` and ``MODEL_CARD.md``. Labels, calibration,
thresholds, preprocessing, licence and evidence travel with the weights; no other file of the
program repeats them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizer.errors import (
    BundleDigestError,
    BundleNotFoundError,
    BundleSchemaError,
    TaxonomyError,
)
from recognizer.imaging import PREPROCESSING_VERSION
from recognizer.model.calibration import Calibration
from recognizer.model.folders import DESCRIPTION_FILE, MODEL_FILE, find_bundle
from recognizer.model.onnx_safety import has_external_data
from recognizer.policy import FALSE_POSITIVE_RATES, Candidate, CandidateKind
from recognizer.taxonomy import Kind, Taxonomy, extend_taxonomy, load_taxonomy

SCHEMA = 2
"""The schema of ``bundle.json`` that this version writes; it reads 1 as well.

Schema 2 knows calibration curves of several knots, and gives a bundle a digest of its own, so that
the same network calibrated twice is two bundles.
"""

FALSE_ALARM_RATES = ("0.05", "0.01", "0.001")
"""The named false-alarm rates for which bundles hold thresholds."""


@dataclass(frozen=True, slots=True)
class BundleLabel:
    """One output of the model.

    Attributes:
        name: a label of the taxonomy.
        kind: product, look-alike, animal or other.
        calibration: the model's log-odds -> calibrated log-odds.
        thresholds: false-alarm rate (see :data:`FALSE_ALARM_RATES`) -> the calibrated probability
            that this share of photos like the validation negatives exceeds; products only.
        evidence: what stands behind the label: photos, sources, and measured figures.
    """

    name: str
    kind: Kind
    calibration: Calibration
    thresholds: Mapping[str, float]
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BundleFamily:
    """Products that are reported together.

    Attributes:
        name: a family of the taxonomy.
        members: its labels in this bundle.
        thresholds: as for labels, on the probability that any member is shown.
        evidence: as for labels.
    """

    name: str
    members: tuple[str, ...]
    thresholds: Mapping[str, float]
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        path: its folder.
        name: name of the model.
        version: its version, from 1.
        digest: sha256 of all that its predictions and decisions rest on (the network, calibrations,
            thresholds), hexadecimal; rows and journals name it. Of schema 1: that of the network.
        model_digest: sha256 of ``model.onnx``, hexadecimal.
        input_size: side of the square input in pixels.
        activation: ``softmax`` or ``sigmoid``: how the maps are to be read.
        labels: the outputs, in order.
        families: the families with at least one label.
        photo_thresholds: false-alarm rate -> the probability that the *highest* family of this
            share of photos like the validation negatives exceeds: where a platform looks for
            everything at once, the false alarms of the single products do not add up beyond it.
        not_recognized: products of the taxonomy that the model does not know.
        description: the whole of ``bundle.json``.
        taxonomy: the names of the package, and those that the bundle brings with it.
        negatives: sha256 of ``negatives.npz``, hexadecimal; None for a bundle without that bank
            (see :mod:`recognizer.model.negatives`).
    """

    path: Path
    name: str
    version: int
    digest: str
    model_digest: str
    input_size: int
    activation: str
    labels: tuple[BundleLabel, ...]
    families: tuple[BundleFamily, ...]
    photo_thresholds: Mapping[str, float]
    not_recognized: tuple[str, ...]
    description: Mapping[str, Any]
    taxonomy: Taxonomy = field(default_factory=load_taxonomy)
    negatives: str | None = None

    @property
    def title(self) -> str:
        """Name and version in one word, as the folder is called."""
        return f"{self.name}-v{self.version}"

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels' names, in the order of the model's outputs."""
        return tuple(label.name for label in self.labels)

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """What may become a lead: the products, then the families."""
        products = (label for label in self.labels if label.kind is Kind.PRODUCT)
        return (
            *(
                Candidate(
                    kind=CandidateKind.LABEL,
                    name=label.name,
                    members=(label.name,),
                    thresholds=_by_rate(label.thresholds),
                )
                for label in products
            ),
            *(
                Candidate(
                    kind=CandidateKind.FAMILY,
                    name=family.name,
                    members=family.members,
                    thresholds=_by_rate(family.thresholds),
                )
                for family in self.families
            ),
        )

    @cached_property
    def any_product_thresholds(self) -> Mapping[float, float]:
        """False-positive rate -> the threshold for candidates without a rule of their own."""
        return _by_rate(self.photo_thresholds)

    def read_model(self) -> bytes:
        """Read ``model.onnx`` and verify it.

        Raises:
            BundleNotFoundError: the file is missing.
            BundleDigestError: it is not the file that ``bundle.json`` describes.
            BundleSchemaError: it keeps weights outside the file, or is no ONNX model.
        """
        path = self.path / MODEL_FILE
        try:
            model = path.read_bytes()
        except OSError as error:
            raise BundleNotFoundError(f"{path}: {error.strerror}") from error
        check_digest(path, model, self.model_digest)
        try:
            external = has_external_data(model)
        except ValueError as error:
            raise BundleSchemaError(f"{path} is no ONNX model: {error}") from error
        if external:
            raise BundleSchemaError(f"{path} keeps weights in other files, which are not verified")
        return model

    def calibrate(self, log_odds: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return calibrated probabilities.

        Args:
            log_odds: the model's ``scores`` output, (..., labels).

        Returns:
            float64 of the same shape, 0 to 1.
        """
        values = np.asarray(log_odds, np.float64)
        curves = [label.calibration for label in self.labels]
        slope = np.array([curve.slope for curve in curves])
        x, y = np.array([curve.knots[0] for curve in curves]).T
        calibrated = y + slope * (values - x)  # all lines at once: this runs for every photo
        for column, curve in enumerate(curves):
            if len(curve.knots) > 1:
                calibrated[..., column] = curve(values[..., column])
        return sigmoid(calibrated)

    def family_scores(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probability of each family: that not all of its members are absent.

        Args:
            probabilities: calibrated, (..., labels).

        Returns:
            float64, (..., families).
        """
        names = self.label_names
        if not self.families:
            return np.zeros((*probabilities.shape[:-1], 0))
        columns = [
            1 - np.prod(1 - probabilities[..., [names.index(m) for m in family.members]], axis=-1)
            for family in self.families
        ]
        return np.stack(columns, axis=-1)


def _by_rate(thresholds: Mapping[str, float]) -> Mapping[float, float]:
    return {rate: thresholds[str(rate)] for rate in FALSE_POSITIVE_RATES}


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-values)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)), np.float64)


def check_digest(path: Path, data: bytes, sha256: str) -> None:
    """Check that a bundle's file is the one that its description names.

    Raises:
        BundleDigestError: it is not.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise BundleDigestError(
            f"{path} has the sha256 {found[:12]}..., {DESCRIPTION_FILE} says {sha256[:12]}...: "
            "it was changed or is incomplete; fetch it again"
        )


def load_bundle(bundle: str | os.PathLike[str] | None = None) -> Bundle:
    """Read a bundle's description. The model itself is read and verified by its engine.

    Args:
        bundle: see :func:`recognizer.model.folders.find_bundle`.

    Raises:
        BundleNotFoundError: there is no such bundle.
        BundleDigestError: its calibrations or thresholds were changed since it was made.
        BundleSchemaError: its description is unreadable, incomplete, of an unknown schema, or
            made for another preprocessing than this version's.
    """
    folder = find_bundle(bundle)
    path = folder / DESCRIPTION_FILE
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        schema = description["schema"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleSchemaError(f"{path}: unreadable: {error!r}") from error
    if schema not in range(1, SCHEMA + 1):
        raise BundleSchemaError(
            f"{path} is of schema {schema}, this version reads up to {SCHEMA}: update the package"
        )
    try:
        parsed = parse_description(folder, description)
        wanted = description["input"]["preprocessing"]
    except (
        *(AttributeError, KeyError, TypeError, ValueError, OverflowError),
        TaxonomyError,
    ) as error:
        raise BundleSchemaError(f"{path}: incomplete or malformed: {error!r}") from error
    if wanted != PREPROCESSING_VERSION:
        raise BundleSchemaError(
            f"{path} was made for preprocessing {wanted}, this version has {PREPROCESSING_VERSION}"
        )
    if description.get("digest", parsed.digest) != parsed.digest:
        raise BundleDigestError(
            f"{path}: calibrations or thresholds are not those that its digest names: it was "
            "changed since it was made; fetch it again, make another with `recognizer calibrate`, "
            "or give a policy with other thresholds"
        )
    return parsed


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write ``bundle.json`` into a folder, with the digest that it is checked by."""
    if description["schema"] > 1:
        description = {**description, "digest": parse_description(folder, description).digest}
    text = json.dumps(description, indent=1, ensure_ascii=False) + "\n"
    (folder / DESCRIPTION_FILE).write_text(text, encoding="utf-8")


def parse_description(folder: Path, description: Mapping[str, Any]) -> Bundle:
    """Read the content of a ``bundle.json`` that is of a known schema.

    Raises:
        AttributeError, KeyError, TypeError, ValueError, OverflowError: it is incomplete or
            malformed.
    """
    labels = tuple(
        BundleLabel(
            entry["name"],
            Kind(entry["kind"]),
            Calibration.from_json(entry["calibration"]),
            _thresholds(entry["thresholds"], needed=entry["kind"] == Kind.PRODUCT),
            entry["evidence"],
        )
        for entry in description["labels"]
    )
    names = [label.name for label in labels]
    if len(set(names)) != len(names) or not names:
        raise ValueError("labels are missing or named twice")
    families = tuple(
        BundleFamily(
            entry["name"],
            tuple(entry["members"]),
            _thresholds(entry["thresholds"]),
            entry["evidence"],
        )
        for entry in description["families"]
    )
    for family in families:
        if not family.members or not set(family.members) <= set(names):
            raise ValueError(f"family {family.name} has members that are no labels")
    if int(description["input"]["size"]) < 1:
        raise ValueError("the input size must be above 0")
    negatives = description.get("negatives")
    activation = description["activation"]
    if activation not in {"softmax", "sigmoid"}:
        raise ValueError(f"activation {activation!r}")
    photo_thresholds = _thresholds(description["photo_thresholds"])
    model_digest = digest = str(description["model"]["sha256"])
    if description["schema"] > 1:
        digest = _digest(description, labels, families, photo_thresholds)
    return Bundle(
        folder,
        str(description["name"]),
        int(description["version"]),
        digest,
        model_digest,
        int(description["input"]["size"]),
        activation,
        labels,
        families,
        photo_thresholds,
        tuple(description["not_recognized"]),
        description,
        extend_taxonomy(load_taxonomy(), description.get("taxonomy", {}), DESCRIPTION_FILE),
        None if negatives is None else str(negatives["sha256"]),
    )


def _digest(
    description: Mapping[str, Any],
    labels: tuple[BundleLabel, ...],
    families: tuple[BundleFamily, ...],
    photo_thresholds: Mapping[str, float],
) -> str:
    """Return a sha256 over the network's own and all numbers that scores and decisions rest on."""
    parts = {
        "model": description["model"]["sha256"],
        "input": [description["input"]["size"], description["input"]["preprocessing"]],
        "activation": description["activation"],
        "labels": [
            [label.name, label.kind, label.calibration.to_json(), label.thresholds]
            for label in labels
        ],
        "families": [[family.name, family.members, family.thresholds] for family in families],
        "photo_thresholds": photo_thresholds,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _thresholds(entry: dict[str, Any], *, needed: bool = True) -> dict[str, float]:
    thresholds = {str(rate): _finite(value) for rate, value in entry.items()}
    missing = set(FALSE_ALARM_RATES) - set(thresholds)
    if needed and missing:
        raise ValueError(f"no threshold for {', '.join(sorted(missing))}")
    return thresholds


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):  # JSON as Python reads it knows NaN, over which nothing ever is
        raise ValueError(f"{number} is no number to compare with")
    return number
