"""What a platform makes of a prediction: ``clear``, ``review`` or ``priority``, and why.

A policy names the false-positive rates at which an image becomes a lead; the bundle knows the
thresholds that belong to them. A decision says what to look at first; it is never a verdict.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

import msgspec

from recognizer.errors import PolicyError, UsageError
from recognizer.policy.listing_rules import AlwaysReview, KeywordHit, Keywords, Reports
from recognizer.prediction import MAX_DISTANCE, Natural, Score
from recognizer.taxonomy import (
    MAX_WORDS,
    Taxonomy,
    load_taxonomy,
    read_toml,
    require_keys,
    unknown_name,
)

FALSE_POSITIVE_RATES = (0.05, 0.01, 0.001)
"""The false-positive rates for which bundles hold thresholds."""

EXAMPLES = ("default", "small-platform", "strict")  # the names of the policies in this package


class Decision(StrEnum):
    """What a platform does with an image."""

    CLEAR = "clear"
    """Nothing is over a threshold."""
    REVIEW = "review"
    """A lead: somebody should look."""
    PRIORITY = "priority"
    """A strong lead: somebody should look first."""
    UNSCORED = "unscored"
    """No score, so nothing can be said: never to be read as *clear*."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The threshold of a bundle for a false-positive rate, one of :data:`FALSE_POSITIVE_RATES`."""

    value: float

    def __post_init__(self) -> None:
        if self.value not in FALSE_POSITIVE_RATES:
            rates = ", ".join(f"{rate:g}" for rate in FALSE_POSITIVE_RATES)
            raise PolicyError(f"Rate({self.value!r}): a false-positive rate is one of {rates}")


@dataclass(frozen=True, slots=True)
class Probability:
    """A threshold that is given as a calibrated probability, 0 to 1."""

    value: float

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise PolicyError(f"Probability({self.value!r}): a probability is a number from 0 to 1")
        object.__setattr__(self, "value", float(self.value))  # 1 and 1.0 are the same threshold


Level: TypeAlias = Rate | Probability  # what a rule sets a threshold by


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The thresholds over which an image is to be reviewed, and over which it has priority.

    If ``priority`` is lower than ``review`` in a bundle, ``review`` counts for both.
    """

    review: Level = Rate(0.01)
    priority: Level = Rate(0.001)

    def __post_init__(self) -> None:
        review, priority = self.review, self.priority
        for key, level in (("review", review), ("priority", priority)):
            if not isinstance(level, Rate | Probability):
                raise PolicyError(f"{key} = {level!r}: give a Rate(...) or a Probability(...)")
        # A rate and a probability can only be compared once a bundle says what the rate means.
        sign = -1 if isinstance(review, Rate) else 1  # the lower a rate, the higher its threshold
        if type(review) is type(priority) and sign * priority.value < sign * review.value:
            raise PolicyError(f"priority = {priority} is easier to reach than review = {review}")


class CandidateKind(StrEnum):
    """Whether a name is a label's or a family's: a label and a family may have the same one."""

    LABEL = "label"
    FAMILY = "family"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRule:
    """What a match with a known item means (see :mod:`recognizer.known`).

    Near a ``product``, an image is at least ``review`` or ``priority``, or ``nothing`` changes.
    Near a ``cleared`` item alone, ``nothing`` changes, since a similar image is not the same one,
    or it is ``clear``, whatever the model says. Near is a ``distance`` of 0 to 31 bits of 256.
    """

    product: str = "review"
    cleared: str = "nothing"
    distance: int = MAX_DISTANCE

    def __post_init__(self) -> None:
        if self.product not in {"review", "priority", "nothing"}:
            raise PolicyError(f"product = {self.product}: one of review, priority, nothing")
        if self.cleared not in {"nothing", "clear"}:
            raise PolicyError(f"cleared = {self.cleared}: one of nothing, clear")
        if not 0 <= self.distance <= MAX_DISTANCE:
            raise PolicyError(f"distance = {self.distance!r}: bits, from 0 to {MAX_DISTANCE}")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A platform's profile; :meth:`check` also checks the names in it.

    The rates of ``default`` are those of an *image*: the share of images without any product that
    become leads. ``rules`` by (kind, name) have the rates of this label or family alone; that of a
    family also holds for its products without a rule. Products to ``ignore`` are never a lead.
    ``actions`` say what the platform does at a decision, in its own words.
    """

    name: str = "default"
    default: Rule = field(default_factory=Rule)
    rules: Mapping[tuple[CandidateKind, str], Rule] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()
    known: KnownRule = field(default_factory=KnownRule)
    keywords: Keywords = field(default_factory=Keywords)
    reports: Reports = field(default_factory=Reports)
    always_review: AlwaysReview = field(default_factory=AlwaysReview)
    actions: Mapping[Decision, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, text in self.actions.items():
            if key not in [*Decision]:
                raise PolicyError(f"actions: {unknown_name('decision', str(key), [*Decision])}")
            if not text.strip():
                raise PolicyError(f"actions.{key} = {text!r}: say in words what is done")
        for field_name in ("rules", "actions"):  # the digest is computed once
            object.__setattr__(self, field_name, dict(getattr(self, field_name)))
        object.__setattr__(self, "ignore", frozenset(self.ignore))

    @cached_property
    def digest(self) -> str:
        """A sha256 over all that decides (no name or action), hexadecimal.

        It is that of form 1, the lines that 0.3 wrote, which never change, whatever
        :func:`policy_toml` writes. What has its default value is not in them.
        """
        lines = ['name = ""']
        for heading, values in _tables(self):
            lines += ["", f"[{heading}]"] if heading else []
            lines += [f"{key} = {_value(value)}" for key, value in values.items()]
        return hashlib.sha256(("\n".join(lines) + "\n").encode()).hexdigest()

    @classmethod
    def load(cls, policy: str | os.PathLike[str], taxonomy: Taxonomy | None = None) -> Policy:
        """Read a policy from TOML; docs/policy.md shows its keys.

        It is the path of a file, or the name of a policy of this package (:data:`EXAMPLES`).
        The taxonomy is that of the package unless one is given. A file that cannot be read or
        breaks a rule is a PolicyError.
        """
        if not isinstance(policy, str | os.PathLike):
            raise UsageError(
                f"policy = {policy!r}: give a Policy, the path of its file, or a name: "
                f"{', '.join(EXAMPLES)}"
            )
        path = policy_path(policy)
        values = read_toml(path, PolicyError)
        try:
            return parse_policy(values, path.stem, taxonomy or load_taxonomy())
        except (PolicyError, OverflowError, RecursionError) as error:
            raise PolicyError(f"{policy}: {str(error)[:MAX_WORDS]}") from error

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
    """What may become a lead: a product of a bundle, or a family of products, its ``members``.

    A family of one product never becomes a lead, since its label is one already; but a rule for it
    holds for this label. ``thresholds`` are by the false-positive rate of this candidate alone.
    """

    kind: CandidateKind
    name: str
    members: tuple[str, ...]
    thresholds: Mapping[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A product or family that an image may show.

    ``score`` is its calibrated probability, 0 to 1, ``threshold`` the probability that it is over,
    and ``false_positive_rate`` that of the threshold; None if the policy gives a probability.
    """

    kind: CandidateKind
    name: str
    score: Score
    threshold: Score
    false_positive_rate: Score | None
    level: Decision

    @property
    def title(self) -> str:
        """The name, marked as a family's if it is one."""
        return f"{self.name} (family)" if self.kind is CandidateKind.FAMILY else self.name


class Finding(StrEnum):
    """What somebody found out about a known item."""

    PRODUCT = "product"
    """It shows a wildlife product."""
    CLEARED = "cleared"
    """Somebody looked, and there was nothing to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMatch:
    """A known item that an image is near.

    ``distance`` is the number of bits, of 256, in which the hashes differ; ``transform`` says how
    the image has to be turned or mirrored to be near the item.
    """

    id: str
    finding: Finding
    label: str | None
    note: str | None
    origin: str | None
    distance: Natural
    transform: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision, the leads with the highest score first, and a sentence for each reason.

    ``image_decision`` is the decision on the image alone, without the text and the reports of its
    listing; ``keywords`` are those of the policy that the listing has.
    """

    decision: Decision
    leads: tuple[Lead, ...] = ()
    why: tuple[str, ...] = ()
    image_decision: Decision
    keywords: tuple[KeywordHit, ...] = ()


_LEVELS: Mapping[str, tuple[str, type[Rate | Probability]]] = {
    "review_rate": ("review", Rate),
    "review_probability": ("review", Probability),
    "priority_rate": ("priority", Rate),
    "priority_probability": ("priority", Probability),
}
_PARTS = get_type_hints(Policy) | {"rules": dict[str, dict[str, Any]], "actions": dict[str, str]}
del _PARTS["default"]  # its levels stand at the top of a file


def policy_path(policy: str | os.PathLike[str]) -> Path:
    """Return where a policy is: a file, or one of this package by its name."""
    if os.path.exists(policy):
        return Path(policy)
    if os.fspath(policy) in EXAMPLES:
        return Path(str(resources.files("recognizer")), "policy", "examples", f"{policy}.toml")
    raise PolicyError(
        f"{policy}: no such file, nor a policy of this package: {', '.join(EXAMPLES)}"
    )


def parse_policy(values: Mapping[str, Any], name: str, taxonomy: Taxonomy) -> Policy:
    """Return the policy of a file's content, checked; ``name`` is its name unless it has one."""
    require_keys(values, [*_LEVELS, *_PARTS], PolicyError)
    parts = {key: _part(key, values[key]) for key in _PARTS if key in values}
    default = _rule(values, Rule())
    rules: dict[tuple[CandidateKind, str], Rule] = {}
    for kind, tables in parts.get("rules", {}).items():
        if kind not in [*CandidateKind]:
            raise PolicyError(f"rules.{kind}: write [rules.label.{kind}] or [rules.family.{kind}]")
        for own, table in tables.items():
            try:
                levels = msgspec.convert(table, dict[str, Any])
                require_keys(levels, [*_LEVELS], PolicyError)
                rules[CandidateKind(kind), own] = _rule(levels, default)
            except (PolicyError, msgspec.ValidationError) as error:
                raise PolicyError(f"rules.{kind}.{own}: {error}") from error
    policy = Policy(**{"name": name, **parts, "default": default, "rules": rules})
    policy.check(taxonomy)
    return policy


def _part(key: str, value: Any) -> Any:
    kind = _PARTS[key]
    try:
        if is_dataclass(kind) and isinstance(value, dict):
            require_keys(value, [part.name for part in fields(kind)], PolicyError)
        return msgspec.convert(value, kind)
    except (PolicyError, msgspec.ValidationError) as error:
        raise PolicyError(f"{key}: {error}") from error


def _rule(values: Mapping[str, Any], default: Rule) -> Rule:
    levels: dict[str, Level] = {}
    for key, (level, kind) in _LEVELS.items():
        if key not in values:
            continue
        if level in levels:
            raise PolicyError(f"give {level}_rate or {level}_probability, not both")
        try:
            levels[level] = kind(msgspec.convert(values[key], float))
        except (PolicyError, msgspec.ValidationError) as error:
            raise PolicyError(f"{key}: {error}") from error
    return replace(default, **levels)


def policy_toml(policy: Policy, comments: Sequence[str] = ()) -> str:
    """Return a policy as the text of a file that :meth:`Policy.load` reads, after comments."""
    lines = [*(f"# {text}" for text in comments), f"name = {_value(policy.name)}"]
    actions = [("actions", policy.actions)] if policy.actions else []
    for heading, values in [*_tables(policy), *actions]:
        lines += ["", f"[{heading}]"] if heading else []
        lines += [f"{key} = {_value(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _tables(policy: Policy) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yield what decides, by the headings of a file; all but the levels without its defaults."""
    ignore = {"ignore": sorted(policy.ignore)} if policy.ignore else {}
    yield "", _levels(policy.default) | ignore
    for (kind, name), rule in sorted(policy.rules.items()):
        yield f"rules.{kind}.{_value(name)}", _levels(rule)
    for heading in ("known", "keywords", "reports", "always_review"):
        part = getattr(policy, heading)
        default = asdict(type(part)())
        values = {key: value for key, value in asdict(part).items() if value != default[key]}
        if values:
            yield heading, values


def _levels(rule: Rule) -> dict[str, Any]:
    return {
        f"{key}_{'rate' if isinstance(level, Rate) else 'probability'}": level.value
        for key, level in (("review", rule.review), ("priority", rule.priority))
    }


def _value(value: object) -> str:
    """Return a value as TOML: JSON is, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
