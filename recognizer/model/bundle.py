"""A bundle: a folder with a model and all that it needs, verified before it is loaded.

The form of ``bundle.json`` follows from the dataclasses of :mod:`recognizer.model.description`;
here are its one reader, which leaves out unknown keys, and its one writer.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from recognizer._files import replacing
from recognizer.errors import (
    BundleDigestError,
    BundleNotFoundError,
    BundleSchemaError,
    TaxonomyError,
)
from recognizer.imaging import PREPROCESSING_VERSION, VIEWING_VERSION
from recognizer.model.description import (
    OUTPUTS,
    BundleFamily,
    BundleLabel,
    CalibrationPhotos,
    Enrolled,
    EvaluationSummary,
    InputFormat,
    Lineage,
    ModelFile,
    ModelReference,
    NegativesFile,
    Parity,
    SecondLook,
    SelfTest,
    Training,
)
from recognizer.model.folders import (
    DEFAULT_BUNDLE,
    DESCRIPTION_FILE,
    MODEL_FILE,
    SECOND_FILE,
    carried_bundles,
    find_bundle,
    read_regular_file,
    read_verified,
)
from recognizer.model.numerics import sigmoid
from recognizer.policy.values import FALSE_POSITIVE_RATES, Candidate, CandidateKind
from recognizer.taxonomy import Kind, Taxonomy, load_taxonomy

SCHEMA = 4  # the schema of ``bundle.json`` that this version writes and reads

# A tensor outside the file has the key "location" in its external_data (onnx.proto3); this is how
# protobuf writes that text, with its length in one byte or in more than it needs, before it.
_EXTERNAL_KEY, _ITS_LENGTH = b"location", re.compile(rb"(?:\x08|\x88\x80*\0)\Z")
_ORT_FORMAT = b"ORTM"  # onnxruntime would open it, too


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle: the content of ``bundle.json``, and its folder.

    ``taxonomy`` has the names of the package, and those that the bundle adds; ``labels`` are the
    model's outputs, in order. ``any_product_thresholds`` is false-positive rate -> the probability
    that the *highest* family of this share of photos like the validation negatives exceeds: if a
    platform looks for everything at once, the false positives of the single products add up to no
    more. ``part_shift`` is taken from the calibrated log-odds of parts of an image: several views
    would make more false leads than one. Views whose highest family is above ``tta_threshold``, of
    an image that is no lead at 1 %, are rescored with test-time augmentation, for which higher
    thresholds are raised by ``tta_raise`` in log-odds. ``evaluation`` is None if these scores were
    not measured; ``lineage`` has the latest step last.
    """

    path: Path
    taxonomy: Taxonomy = field(default_factory=load_taxonomy)
    name: str
    version: int
    model: ModelFile
    input: InputFormat
    activation: Literal["softmax", "sigmoid"]
    labels: Annotated[tuple[BundleLabel, ...], msgspec.Meta(min_length=1)]
    families: tuple[BundleFamily, ...]
    any_product_thresholds: Mapping[float, float]
    not_recognized: tuple[str, ...]
    outputs: Mapping[str, str] = field(default_factory=lambda: OUTPUTS)
    license: str | None = None
    created: str | None = None
    training: Training | None = None
    part_shift: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    tta_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    tta_raise: float = 0.0
    second_look: SecondLook | None = None
    calibration: CalibrationPhotos | None = None
    parity: Parity | None = None
    self_test: SelfTest | None = None
    evaluation: EvaluationSummary | None = None
    negatives: NegativesFile | None = None
    lineage: tuple[Lineage, ...] = ()

    def __post_init__(self) -> None:
        names = set(self.label_names)
        if len(names) != len(self.labels):
            raise ValueError("a label is named twice")
        for family in self.families:
            if not set(family.members) <= names:
                raise ValueError(f"family {family.name} has members that are not labels")
        all_thresholds = {
            **{label.name: label.thresholds for label in self.labels if label.kind is Kind.PRODUCT},
            **{f"family {family.name}": family.thresholds for family in self.families},
            "any product": self.any_product_thresholds,
        }
        for name, thresholds in all_thresholds.items():
            if missing := set(FALSE_POSITIVE_RATES) - set(thresholds):
                raise ValueError(f"{name} has no threshold for {', '.join(map(str, missing))}")

    @property
    def title(self) -> str:
        """Name and version in one word, as the folder is called."""
        return f"{self.name}-v{self.version}"

    @property
    def reference(self) -> ModelReference:
        """The reference by which rows and other bundles name this bundle."""
        return ModelReference(name=self.name, version=self.version, digest=self.digest)

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        """The labels' names, in the order of the model's outputs."""
        return tuple(label.name for label in self.labels)

    @cached_property
    def products(self) -> tuple[str, ...]:
        """The names of the labels that are wildlife products."""
        return tuple(label.name for label in self.labels if label.kind is Kind.PRODUCT)

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """Candidates for leads: the products, then the families."""
        products = [label for label in self.labels if label.kind is Kind.PRODUCT]
        parts: list[tuple[CandidateKind, BundleLabel | BundleFamily, Sequence[str]]]
        parts = [(CandidateKind.LABEL, part, [part.name]) for part in products]
        parts += [(CandidateKind.FAMILY, part, part.members) for part in self.families]
        return tuple(
            Candidate(kind=kind, name=part.name, members=tuple(members), thresholds=part.thresholds)
            for kind, part, members in parts
        )

    @cached_property
    def animals(self) -> tuple[str, ...]:
        """The labels of living animals."""
        return tuple(label.name for label in self.labels if label.kind is Kind.ANIMAL)

    @cached_property
    def gate(self) -> float:
        """The score of a family above which a photo is decoded whole, and looked at again."""
        if self.second_look is not None:
            return self.second_look.gate
        lowest = min(self.any_product_thresholds.values(), default=0.0)
        return lowest / (2 - lowest)  # half the odds of a lead

    @property
    def preprocessing(self) -> int:
        """The version of all steps from bytes to the input, as rows have it."""
        return 100 * VIEWING_VERSION + self.input.preprocessing

    @cached_property
    def digest(self) -> str:
        """A sha256 of the network and of all numbers that scores and decisions rest on.

        Rows name it, so that the same network calibrated twice is two bundles.
        """
        # The keys are those of the first bundles, whose digests rows name.
        numbers: dict[str, Any] = {
            "model": self.model.sha256,
            "input": [self.input.size, self.input.preprocessing],
            "activation": self.activation,
            "labels": [
                [label.name, label.kind, asdict(label.calibration), label.thresholds]
                for label in self.labels
            ],
            "families": [[part.name, part.members, part.thresholds] for part in self.families],
            "photo_thresholds": self.any_product_thresholds,
        }
        if self.part_shift:
            numbers["parts_shift"] = self.part_shift
        if self.tta_threshold < 1:
            numbers["second_look"] = self.tta_threshold
        if self.second_look is not None:
            numbers["second_network"] = asdict(self.second_look)
        return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()

    def enrolled_photos(self, label: str | None = None) -> frozenset[str]:
        """Return the sha256 of all photos that were enrolled, or of those of one label."""
        steps = (step for step in self.lineage if isinstance(step, Enrolled))
        return frozenset(p for step in steps if label in {None, step.label} for p in step.photos)

    def read_model(self, second: SecondLook | None = None) -> bytes:
        """Read ``model.onnx``, or that of a second look, and verify it, or raise a BundleError."""
        path = self.path / (SECOND_FILE if second else MODEL_FILE)
        model = read_verified(path, (second or self.model).sha256)
        if model[4:8] == _ORT_FORMAT:
            raise BundleSchemaError(f"{path} is not an ONNX model")
        # To look for the key first is twenty times faster than for all at once.
        keys = re.finditer(_EXTERNAL_KEY, model)
        if any(_ITS_LENGTH.search(model, key.start() - 10, key.start()) for key in keys):
            raise BundleSchemaError(f"{path} keeps weights in other files, which are not verified")
        return model

    def verify(self) -> None:
        """Read all networks; a BundleError says what is wrong with one."""
        for second in (None, self.second_look):
            self.read_model(second)

    def calibrate(
        self, log_odds: NDArray[np.floating], shift: NDArray[np.floating] | float = 0.0
    ) -> NDArray[np.float64]:
        """Return the calibrated probabilities of log-odds, (..., labels): float64, 0 to 1.

        ``shift`` is taken from the calibrated log-odds.
        """
        values = np.asarray(log_odds, np.float64)
        slopes, intercepts = self._lines  # all at once: this runs for every image
        return sigmoid(slopes * values + intercepts - shift)

    def family_scores(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probability of any member, float64 (..., families), from (..., labels)."""
        misses = np.ones((*probabilities.shape[:-1], len(self.labels) + 1))
        misses[..., :-1] -= probabilities
        return np.asarray(1 - misses[..., self._members].prod(axis=-1), np.float64)

    @cached_property
    def _lines(self) -> NDArray[np.float64]:
        return np.array([astuple(label.calibration) for label in self.labels], np.float64).T

    @cached_property
    def _members(self) -> NDArray[np.intp]:
        """The columns of each family's members, filled up with the number of labels."""
        most = max((len(family.members) for family in self.families), default=0)
        columns = np.full((len(self.families), most), len(self.labels))
        for row, family in zip(columns, self.families, strict=True):
            row[: len(family.members)] = [self.label_names.index(m) for m in family.members]
        return columns


def load_bundle(bundle: str | os.PathLike[str] | None = None) -> Bundle:
    """Load the description of a bundle, or raise a BundleError.

    It is a folder, or the name of a bundle that the package carries; None for the default. The
    model itself is read and verified by its engine.
    """
    folder = find_bundle(bundle)
    path = folder / DESCRIPTION_FILE
    try:
        content = msgspec.json.decode(read_regular_file(path))  # refuses NaN
        _require_printable(content)
        schema = content["schema"]
        loaded = parse_bundle(folder, content) if schema == SCHEMA else None
    except (
        *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError),
        TaxonomyError,
    ) as error:
        raise BundleSchemaError(f"{path}: unreadable or malformed: {error!r}") from error
    if loaded is None:
        words = f"{path} is of schema {schema}, this version reads {SCHEMA}"
        raise BundleSchemaError(f"{words}: make it again with `recognizer export`")
    if loaded.input.preprocessing != PREPROCESSING_VERSION:
        words = f"{path} was made for preprocessing {loaded.input.preprocessing}, this version has"
        raise BundleSchemaError(f"{words} {PREPROCESSING_VERSION}: use the package that made it")
    if content.get("digest") != loaded.digest:
        advice = "fetch or export it again, and set other thresholds in a policy"
        raise BundleDigestError(f"{path} was changed since its digest was written: {advice}")
    return loaded


def bundles_behind(given: Sequence[str] | None) -> list[Bundle]:
    """Return the bundles among which rows find theirs: those given, then the package's.

    Of these it has those that this version reads, the default first.
    """
    bundles, carried = [*map(load_bundle, given or ())], carried_bundles()
    for title in sorted(carried, key=lambda title: (title != DEFAULT_BUNDLE, title)):
        with suppress(BundleSchemaError):  # an old bundle does not get in the way
            bundles.append(load_bundle(carried[title]))
    return bundles


def bundle_behind(model: ModelReference, bundles: Sequence[Bundle]) -> Bundle:
    """Return the bundle that made some rows, or raise a BundleNotFoundError."""
    for bundle in bundles:
        if bundle.digest == model.digest:
            return bundle
    offered = ", ".join(f"{bundle.title} ({bundle.digest[:12]})" for bundle in bundles)
    made = f"the rows were made by {model.title} ({model.digest[:12]}), and not by {offered}"
    raise BundleNotFoundError(f"{made}: give its folder with --model")


def write_bundle(bundle: Bundle) -> None:
    """Write ``bundle.json`` into the bundle's folder, with the digest by which it is checked."""
    own = {"path", "taxonomy"}
    values = {one.name: getattr(bundle, one.name) for one in fields(bundle) if one.name not in own}
    content = {
        "schema": SCHEMA,
        **msgspec.to_builtins(values, str_keys=True, enc_hook=float),  # of numpy
        "taxonomy": bundle.taxonomy.own_names(),
        "digest": bundle.digest,
    }
    with replacing(bundle.path / DESCRIPTION_FILE) as partial:
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def parse_bundle(folder: Path, content: Mapping[str, Any]) -> Bundle:
    """Return the described bundle, unchecked; wrong content raises whatever the conversion does."""
    taxonomy = load_taxonomy().extended(content.get("taxonomy", {}), DESCRIPTION_FILE)
    return msgspec.convert({**content, "path": folder, "taxonomy": taxonomy}, Bundle, str_keys=True)


def _require_printable(value: Any) -> None:
    """Refuse control characters: what a bundle says of itself is shown on terminals."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for one in value:
            _require_printable(one)
    elif isinstance(value, str) and re.search(r"[\0-\x09\x0b-\x1f\x7f-\x9f]", value):
        raise ValueError(f"control characters in {value[:80]!a}")
