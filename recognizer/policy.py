"""What a platform makes of a prediction: ``clear``, ``review`` or ``priority``, and why.

A policy names the false-positive rates at which an image becomes a lead; the bundle knows the
thresholds that belong to them. A decision says what to look at first; it is never a verdict.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeAlias

from recognizer.errors import PolicyError
from recognizer.listing_rules import AlwaysReview, KeywordHit, Keywords, Reports
from recognizer.prediction import MAX_DISTANCE, Natural, Score
from recognizer.taxonomy import Taxonomy, unknown_name

FALSE_POSITIVE_RATES = (0.05, 0.01, 0.001)
"""The false-positive rates for which bundles hold thresholds."""


class Decision(StrEnum):
    """What a platform does with an image."""

    CLEAR = "clear"
    """Nothing is over a threshold."""
    REVIEW = "review"
    """A lead: somebody should look."""
    PRIORITY = "priority"
    """A strong lead: somebody should look first."""
    UNSCORED = "unscored"
    """There is no score, so nothing can be said: never to be read as *clear*."""


# --- what a policy is made of ---------------------------------------------------------------------


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


Level: TypeAlias = Rate | Probability
"""What a rule sets a threshold by."""


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


class Effect(StrEnum):
    """What a match with a known item does to a decision."""

    NOTHING = "nothing"
    REVIEW = "review"
    """The image is at least to be reviewed."""
    PRIORITY = "priority"
    """The image has priority."""
    CLEAR = "clear"
    """The image is clear, whatever the model says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRule:
    """What a match with a known item means (see :mod:`recognizer.known`).

    Attributes:
        product: near an item that is a product: ``review``, ``priority`` or ``nothing``.
        cleared: near one that was cleared, and near none that is a product: ``nothing`` or
            ``clear``. A similar image is not the same one, so by default it silences nothing.
        distance: bits of 256 in which the hashes differ at most, 0 to 31.
    """

    product: Effect = Effect.REVIEW
    cleared: Effect = Effect.NOTHING
    distance: int = MAX_DISTANCE

    def __post_init__(self) -> None:
        for key, allowed in (
            ("product", (Effect.REVIEW, Effect.PRIORITY, Effect.NOTHING)),
            ("cleared", (Effect.NOTHING, Effect.CLEAR)),
        ):
            if getattr(self, key) not in allowed:
                raise PolicyError(f"{key} = {getattr(self, key)}: one of {', '.join(allowed)}")
        if not 0 <= self.distance <= MAX_DISTANCE:
            raise PolicyError(f"distance = {self.distance!r}: bits, from 0 to {MAX_DISTANCE}")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A platform's profile.

    :meth:`check` also checks the names in it, as :func:`load_policy` and
    :meth:`recognizer.Recognizer.decide` do.

    Attributes:
        default: the rule for every product and family without its own rule. Its rates are
            those of an *image*: the share of images without any product that become leads.
        rules: (kind, name) of a label or family -> its own rule, with the rates of this label or
            family alone. That of a family holds for the family and for those of its products
            that have no rule themselves.
        ignore: products that are never a lead on this platform.
        actions: what the platform does at a decision, in its own words.
        time_limits: hours after which a listing with a decision is late; in the queue it then comes
            first in its level.
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
    time_limits: Mapping[Decision, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for (kind, name), rule in self.rules.items():
            if not isinstance(rule, Rule):
                raise PolicyError(f"rules.{kind}.{name} = {rule!r}: it must be a Rule")
        waiting = [one for one in Decision if one is not Decision.CLEAR]
        for field_name, known in (("actions", [*Decision]), ("time_limits", waiting)):
            for key in getattr(self, field_name):
                if key not in known:
                    unknown = unknown_name("decision", str(key), known)
                    raise PolicyError(f"{field_name}: {unknown}")
        for key, text in self.actions.items():
            if not text.strip():
                raise PolicyError(f"actions.{key} = {text!r}: say in words what is done")
        for key, hours in self.time_limits.items():
            if not 0 < hours < math.inf:
                raise PolicyError(f"time_limits.{key} = {hours!r}: a number of hours over 0")
        # Read-only, for the digest is computed once.
        for field_name in _MAPPINGS:
            value = MappingProxyType(dict(getattr(self, field_name)))
            object.__setattr__(self, field_name, value)
        object.__setattr__(self, "ignore", frozenset(self.ignore))

    def __getstate__(self) -> dict[str, Any]:
        # A mapping proxy cannot be pickled, and a policy has to reach worker processes.
        return {**self.__dict__, **{key: dict(getattr(self, key)) for key in _MAPPINGS}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        proxies = {key: MappingProxyType(state[key]) for key in _MAPPINGS}
        self.__dict__.update(state | proxies)

    @cached_property
    def digest(self) -> str:
        """A sha256 over all that decides (no name, action or time limit), hexadecimal."""
        content: dict[str, Any] = {
            "default": _content(self.default),
            "rules": {
                f"{kind}.{name}": _content(rule) for (kind, name), rule in self.rules.items()
            },
            "ignore": sorted(self.ignore),
            "known": [self.known.product, self.known.cleared, self.known.distance],
        }
        # Left out where they rule nothing: the digests of policies without them stay as they were.
        for key, rules in (("reports", self.reports), ("always_review", self.always_review)):
            if rules != type(rules)():
                content[key] = asdict(rules)
        if self.keywords:
            content["keywords"] = {
                key: sorted(words) for key, words in asdict(self.keywords).items()
            }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def check(self, taxonomy: Taxonomy) -> None:
        """Raise a PolicyError, with the closest names, for a name that is not in the taxonomy."""
        names = {
            CandidateKind.LABEL: [*taxonomy.labels],
            CandidateKind.FAMILY: [*taxonomy.families],
        }
        for kind, name in self.rules:
            if name not in names[kind]:
                raise PolicyError(f"rules.{kind}.{name}: {unknown_name(kind, name, names[kind])}")
        products = [label.name for label in taxonomy.products]
        for name in sorted(self.ignore - set(products)):
            raise PolicyError(f"ignore: {unknown_name('product', name, products)}")


_MAPPINGS = ("rules", "actions", "time_limits")


def _content(rule: Rule) -> list[tuple[str, float]]:
    return [(type(level).__name__, level.value) for level in (rule.review, rule.priority)]


# --- what it decides on, and what comes of it -----------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What may become a lead: a product of a bundle, or a family of products.

    Attributes:
        members: a family's labels; of a label, itself. A family of one product never becomes a
            lead, since its label is one already; but a rule for it holds for this label.
        thresholds: false-positive rate of this candidate alone -> calibrated probability.
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
    leads: tuple[Lead, ...]
    why: tuple[str, ...]
    image_decision: Decision
    keywords: tuple[KeywordHit, ...] = ()
