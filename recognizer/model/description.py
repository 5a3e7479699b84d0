"""What ``bundle.json`` says of a model: the typed parts of a :class:`recognizer.Bundle`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from recognizer.model.calibration import Calibration
from recognizer.model.evidence import EvaluationSummary, Evidence
from recognizer.policy import FALSE_POSITIVE_RATES
from recognizer.taxonomy import Kind

NEVER: Mapping[float, float] = dict.fromkeys(FALSE_POSITIVE_RATES, 1.0)
"""The thresholds of a draft: no probability is above them."""

OUTPUTS: Mapping[str, str] = {
    "scores": "float32 (N, labels): log-odds of each label, before calibration",
    "maps": "float32 (N, labels, h, w): class activation maps; their mean is the logit",
    "embedding": "float32 (N, channels): pooled features",
}
"""What the outputs of an exported model are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """What ``model.onnx`` is: its sha256, size, precision (``int8`` or ``fp32``) and network.

    ``weight_bits`` are those of int8 weights, where they are fewer than eight: sums of products of
    7 bits overflow on no CPU. (Depthwise convolutions, which are summed in 32 bits, have 8.)
    """

    sha256: str
    bytes: int | None = None
    precision: str | None = None
    backbone: str | None = None
    weight_bits: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFormat:
    """What the model takes: images (N, size, size, 3), by a version of the preprocessing."""

    size: int
    preprocessing: int
    name: Literal["images"] = "images"
    layout: Literal["NHWC"] = "NHWC"
    color_order: Literal["RGB"] = "RGB"
    dtype: Literal["uint8"] = "uint8"
    range: tuple[int, int] = (0, 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationFit:
    """How a label's calibration was found.

    Attributes:
        method: ``temperature``, ``platt``, ``isotonic`` (with ``_shared`` where the label had too
            few positives for a fit of its own) or ``enrolled``.
        positives: photos of the label behind it.
        log_loss: method -> mean log-loss on photos that the fit did not see; for labels that
            share a fit, the mean over all of these. Empty where no methods were compared.
    """

    method: str
    positives: int
    log_loss: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleLabel:
    """One output of the model.

    Attributes:
        calibration: the model's log-odds -> calibrated log-odds.
        thresholds: false-positive rate -> the calibrated probability that this share of photos
            like the validation negatives exceeds; products only.
        fit, evidence: None where they are not recorded.
    """

    name: str
    kind: Kind
    calibration: Calibration
    thresholds: Mapping[float, float]
    fit: CalibrationFit | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFamily:
    """Products that are reported together; thresholds are on the probability of any member."""

    name: str
    members: tuple[str, ...]
    thresholds: Mapping[float, float]
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What the network was trained on: photos, by their fingerprint, and other images.

    Attributes:
        recipe: the training configuration, as :mod:`recognizer.training.config` reads it.
        held_out: fingerprint of the photos that training held out; None where it is not recorded.
        averaged_runs: how many runs these weights are the mean of.
        versions: package -> its version.
    """

    fingerprint: str
    recipe: Mapping[str, Any]
    held_out: str | None = None
    photos: int = 0
    sources: int = 0
    patches: int = 0
    averaged_runs: int = 1
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationPhotos:
    """The held-out photos that calibration and thresholds were fitted on."""

    photos: int
    negatives: int
    sources: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A largest and a mean difference of probabilities."""

    largest: float
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """The proof of an export: each ONNX file against torch, on photos read from file bytes."""

    photos: int
    fp32: Difference
    int8: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What the model says of the images of :mod:`recognizer.model.self_test`.

    ``log_odds``, before calibration: for each image one number for each label, in order.
    """

    log_odds: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NegativesFile:
    """What ``negatives.npz`` is (see :mod:`recognizer.model.negatives`)."""

    sha256: str
    bytes: int
    photos: int
    held_out: int
    sources: int


# --- lineage --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleReference:
    """Which bundle."""

    name: str
    version: int
    digest: str


class Exported(Struct, frozen=True, kw_only=True, tag_field="step", tag="exported"):
    """The bundle was exported from training runs, on a date (ISO 8601) by a version of this."""

    date: str
    program: str


class Calibrated(Struct, frozen=True, kw_only=True, tag_field="step", tag="calibrated"):
    """The parent was calibrated on other photos; its evaluation does not hold any more."""

    parent: BundleReference
    photos: CalibrationPhotos
    date: str
    program: str
    parent_evaluation: EvaluationSummary | None = None


class Enrolled(Struct, frozen=True, kw_only=True, tag_field="step", tag="enrolled"):
    """A product was added to the parent, or strengthened in it, from photos with these sha256."""

    parent: BundleReference
    label: str
    photos: tuple[str, ...]
    penalty: float
    date: str
    program: str
    parent_evaluation: EvaluationSummary | None = None


Lineage: TypeAlias = Exported | Calibrated | Enrolled
"""One step on the way to a bundle; in JSON its key ``step`` says which."""
