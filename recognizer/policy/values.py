"""The values of a policy and of its decisions: ``clear``, ``review`` or ``priority``, and why.

A policy names the false-positive rates at which an image becomes a lead; the bundle has the
thresholds that belong to them. A decision says where to look first; a verdict is a person's.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from enum import StrEnum
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

import msgspec

from recognizer._files import read_toml, require_keys, toml_words
from recognizer.errors import PolicyError, UsageError, unknown_name
from recognizer.policy.keywords import KeywordHit, Keywords
from recognizer.prediction import Natural, Score
from recognizer.taxonomy import Taxonomy, load_taxonomy

FALSE_POSITIVE_RATES = (0.05, 0.01, 0.001)
"""The false-positive rates for which bundles hold thresholds."""

EXAMPLE_POLICIES = ("default", "small-platform", "strict")  # in this package


class Decision(StrEnum):
    """Where an image goes."""

    CLEAR = "clear"
    """Nothing is over a threshold."""
    REVIEW = "review"
    """A lead: somebody should look."""
    PRIORITY = "priority"
    """A strong lead: somebody should look first."""
    UNSCORED = "unscored"
    """No score, so nothing can be said: never to be read as *clear*."""

    @property
    def is_lead(self) -> bool:
        """Whether somebody should look at the image."""
        return self in QUEUE_ORDER[:2]


QUEUE_ORDER = (Decision.PRIORITY, Decision.REVIEW, Decision.UNSCORED, Decision.CLEAR)
"""Decisions in the order of the queue: their places there, from 0, in the file of a scan."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The threshold of a bundle for a false-positive rate, one of :data:`FALSE_POSITIVE_RATES`."""

    value: float

    def __post_init__(self) -> None:
        if self.value not in FALSE_POSITIVE_RATES:
            rates = ", ".join(f"{rate:g}" for rate in FALSE_POSITIVE_RATES)
            raise PolicyError(f"{self.value!r}: a false-positive rate is one of {rates}")


@dataclass(frozen=True, slots=True)
class Probability:
    """A threshold that is given as a calibrated probability, 0 to 1."""

    value: float

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise PolicyError(f"Probability({self.value!r}): a probability is a number from 0 to 1")
        object.__setattr__(self, "value", float(self.value))  # 1 and 1.0 are the same threshold


Threshold: TypeAlias = Rate | Probability


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The thresholds over which an image is to be reviewed, and over which it has priority.

    If ``priority`` is lower than ``review`` in a bundle, ``review`` counts for both. Of a label or
    family, a level that a rule does not name stays that of the policy.
    """

    review: Threshold | None = None
    priority: Threshold | None = None

    def __post_init__(self) -> None:
        review, priority = self.review, self.priority
        for key, level in (("review", review), ("priority", priority)):
            if not isinstance(level, Rate | Probability | None):
                raise PolicyError(f"{key} = {level!r}: give a Rate(...) or a Probability(...)")
        # A rate and a probability can only be compared once a bundle says what the rate means.
        if review is None or priority is None or type(review) is not type(priority):
            return
        sign = -1 if isinstance(review, Rate) else 1  # the lower a rate, the higher its threshold
        if sign * priority.value < sign * review.value:
            raise PolicyError(f"priority = {priority} is easier to reach than review = {review}")


class CandidateKind(StrEnum):
    """What raised a lead: a label and a family may have the same name."""

    LABEL = "label"
    FAMILY = "family"
    KNOWN = "known"
    """A confirmed image is near; no rule of a policy is of this kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlwaysReview:
    """Images that are reviewed whatever the scores of products are.

    ``failed`` images are there, but were not scored, or in part (an image that could not be read
    stays unscored, since the next scan may read it); ``animals`` are those over this probability of
    a living animal.
    """

    failed: bool = False
    animals: float | None = None

    def __post_init__(self) -> None:
        if self.animals is not None and not 0 <= self.animals <= 1:
            raise PolicyError(f"animals = {self.animals!r}: a probability, a number from 0 to 1")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A platform's profile; :meth:`check` also checks the names in it.

    The rates of ``default`` are those of an *image*: the share of images without any product that
    become leads (without them, 1 and 0.1 %). ``rules`` by (kind, name) have the rates of this label
    or family alone; that of a family also holds for its products without a rule. Products to
    ``ignore`` are never a lead. ``actions`` say what the platform does at a decision.
    """

    name: str = "default"
    default: Rule = field(default_factory=Rule)
    rules: Mapping[tuple[CandidateKind, str], Rule] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()
    keywords: Keywords = field(default_factory=Keywords)
    always_review: AlwaysReview = field(default_factory=AlwaysReview)
    actions: Mapping[Decision, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, text in self.actions.items():
            if key not in [*Decision]:
                raise PolicyError(f"actions: {unknown_name('decision', str(key), [*Decision])}")
            if not text.strip():
                raise PolicyError(f"actions.{key} = {text!r}: describe the action in words")
        review, priority = self.default.review or Rate(0.01), self.default.priority or Rate(0.001)
        object.__setattr__(self, "default", Rule(review=review, priority=priority))
        for field_name in ("rules", "actions"):  # the digest is computed once
            object.__setattr__(self, field_name, dict(getattr(self, field_name)))
        object.__setattr__(self, "ignore", frozenset(self.ignore))

    @cached_property
    def digest(self) -> str:
        """A sha256 over all that decides (no name or action), hexadecimal.

        Default values but those of thresholds are not part of it, so that a new key changes none.
        """
        form = {"version": 1, **dict(policy_tables(self))}
        return hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()

    @classmethod
    def load(cls, policy: str | os.PathLike[str], taxonomy: Taxonomy | None = None) -> Policy:
        """Read a policy from TOML; docs/policy.md shows its keys.

        It is the path of a file, or a name (:data:`EXAMPLE_POLICIES`); the taxonomy is by default
        the package's. A file that cannot be read or breaks a rule is a PolicyError.
        """
        if not isinstance(policy, str | os.PathLike):
            advice = f"give a Policy, the path of a file, or a name: {', '.join(EXAMPLE_POLICIES)}"
            raise UsageError(f"policy = {policy!r}: {advice}")
        path = policy_path(policy)
        values = read_toml(path, PolicyError)
        try:
            return parse_policy(values, path.stem, taxonomy or load_taxonomy())
        except (PolicyError, OverflowError, RecursionError) as error:
            raise PolicyError(f"{policy}: {toml_words(error)}") from error

    def check(self, taxonomy: Taxonomy) -> None:
        """Raise a PolicyError, with the closest names, for a name that is not in the taxonomy."""
        for kind, name in self.rules:
            names = [*(taxonomy.labels if kind == CandidateKind.LABEL else taxonomy.families)]
            if name not in names:
                raise PolicyError(f"rules.{kind}.{name}: {unknown_name(kind, name, names)}")
        products = [label.name for label in taxonomy.products]
        for name in sorted(self.ignore - set(products)):
            raise PolicyError(f"ignore: {unknown_name('product', name, products)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A product of a bundle, or a family of products, its ``members``, that may become a lead.

    A family of one product never becomes a lead, since its label does; but a rule for it holds for
    this label. ``thresholds`` are by the false-positive rate of this candidate alone.
    """

    kind: CandidateKind
    name: str
    members: tuple[str, ...]
    thresholds: Mapping[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A product or family that an image may show.

    ``score`` is its calibrated probability, 0 to 1, ``threshold`` the probability that it is over,
    and ``false_positive_rate`` that of the threshold; None if the policy gives a probability. Near
    a confirmed image, ``name`` is the label of that, and ``score`` the share of equal bits.
    """

    kind: CandidateKind
    name: str
    score: Score
    threshold: Score
    false_positive_rate: Score | None
    level: Decision

    @property
    def title(self) -> str:
        """The name, with its kind unless it is a label."""
        return self.name if self.kind is CandidateKind.LABEL else f"{self.name} ({self.kind})"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMatch:
    """A confirmed image that an image is near.

    ``distance`` is the number of bits, of 256, in which their hashes differ, ``outcome`` the id of
    the outcome that confirmed it, with its ``label`` and ``note``.
    """

    distance: Natural
    outcome: str
    label: str | None
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """A decision, the leads with the highest score first, and a sentence for each reason.

    ``keywords`` are those of the policy that the listing has.
    """

    decision: Decision
    leads: tuple[Lead, ...] = ()
    why: tuple[str, ...] = ()
    keywords: tuple[KeywordHit, ...] = ()


def policy_tables(policy: Policy) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yield all that decides by the headings of a file; only thresholds may be defaults."""
    yield "", _levels(policy.default) | ({"ignore": sorted(policy.ignore)} if policy.ignore else {})
    for (kind, name), rule in sorted(policy.rules.items()):
        yield f"rules.{kind}.{toml_value(name)}", _levels(rule)
    for heading in ("keywords", "always_review"):
        part = getattr(policy, heading)
        default = asdict(type(part)())
        if values := {key: value for key, value in asdict(part).items() if value != default[key]}:
            yield heading, values


def _levels(rule: Rule) -> dict[str, Any]:
    return {
        f"{key}_{'rate' if isinstance(level, Rate) else 'probability'}": level.value
        for key, level in (("review", rule.review), ("priority", rule.priority))
        if level is not None
    }


def toml_value(value: object) -> str:
    """Return a value as TOML: JSON is TOML, but for a control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


_THRESHOLDS: Mapping[str, tuple[str, type[Rate | Probability]]] = {
    f"{level}_{kind.__name__.lower()}": (level, kind)
    for level in ("review", "priority")
    for kind in (Rate, Probability)
}
_KEYS = get_type_hints(Policy) | {"rules": dict[str, dict[str, Any]], "actions": dict[str, str]}
del _KEYS["default"]  # its levels stand at the top of a file


def policy_path(policy: str | os.PathLike[str]) -> Path:
    """Return the path of a policy: of this package by its name, else a file."""
    name = os.fspath(policy)
    if name in EXAMPLE_POLICIES:
        return Path(str(resources.files("recognizer")), "policy", "examples", f"{name}.toml")
    if os.path.exists(policy):
        return Path(policy)
    names = ", ".join(EXAMPLE_POLICIES)
    raise PolicyError(f"{policy}: no such file, nor a policy of this package: {names}")


def parse_policy(values: Mapping[str, Any], name: str, taxonomy: Taxonomy) -> Policy:
    """Return the policy of a file's content, checked; ``name`` is the default for its name."""
    require_keys(values, [*_THRESHOLDS, *_KEYS], PolicyError)
    parts = {key: _part(key, values[key]) for key in _KEYS if key in values}
    default = _rule(values)
    rules: dict[tuple[CandidateKind, str], Rule] = {}
    for kind, tables in parts.get("rules", {}).items():
        if kind not in (CandidateKind.LABEL, CandidateKind.FAMILY):
            raise PolicyError(f"rules.{kind}: write [rules.label.{kind}] or [rules.family.{kind}]")
        for own_name, table in tables.items():
            try:
                levels = msgspec.convert(table, dict[str, Any])
                require_keys(levels, [*_THRESHOLDS], PolicyError)
                rules[CandidateKind(kind), own_name] = _rule(levels)
            except (PolicyError, msgspec.ValidationError) as error:
                raise PolicyError(f"rules.{kind}.{own_name}: {error}") from error
    policy = Policy(**{"name": name, **parts, "default": default, "rules": rules})
    policy.check(taxonomy)
    return policy


def _part(key: str, value: Any) -> Any:
    kind = _KEYS[key]
    try:
        if is_dataclass(kind) and isinstance(value, dict):
            require_keys(value, [part.name for part in fields(kind)], PolicyError)
        return msgspec.convert(value, kind)
    except (PolicyError, msgspec.ValidationError) as error:
        raise PolicyError(f"{key}: {error}") from error


def _rule(values: Mapping[str, Any]) -> Rule:
    levels: dict[str, Threshold] = {}
    for key, (level, kind) in _THRESHOLDS.items():
        if key not in values:
            continue
        if level in levels:
            raise PolicyError(f"give {level}_rate or {level}_probability, not both")
        try:
            levels[level] = kind(msgspec.convert(values[key], float))
        except (PolicyError, msgspec.ValidationError) as error:
            raise PolicyError(f"{key}: {error}") from error
    return Rule(**levels)


def policy_toml(policy: Policy, comments: Sequence[str] = ()) -> str:
    """Return a policy as the text of a file that :meth:`Policy.load` reads, after comments."""
    lines = [*(f"# {text}" for text in comments), f"name = {toml_value(policy.name)}"]
    actions = [("actions", policy.actions)] if policy.actions else []
    for heading, values in [*policy_tables(policy), *actions]:
        lines += ["", f"[{heading}]"] if heading else []
        lines += [f"{key} = {toml_value(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"
