"""What a platform makes of a prediction: ``clear``, ``review`` or ``priority``, and why.

A policy names the false-alarm rates at which a photo is looked at; the bundle knows the
thresholds that belong to them. A decision is about what to look at first. It is never a finding.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from recognizer.errors import PolicyError
from recognizer.imaging import HASH_BITS
from recognizer.known import MAX_DISTANCE, Finding, Match
from recognizer.model.bundle import FALSE_ALARM_RATES, Bundle
from recognizer.prediction import Prediction
from recognizer.status import Status
from recognizer.taxonomy import Kind, Taxonomy, load_taxonomy


class Decision(StrEnum):
    """What a platform does with a photo."""

    CLEAR = "clear"
    """Nothing over a threshold."""
    REVIEW = "review"
    """A lead: somebody should look."""
    PRIORITY = "priority"
    """A strong lead: somebody should look first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When a photo is looked at.

    Attributes:
        review: a named false-alarm rate (see :mod:`recognizer.model.bundle`), or
            a probability.
        priority: likewise. A photo under the review threshold is never a priority.
    """

    review: str | float = "0.01"
    priority: str | float = "0.001"

    def __post_init__(self) -> None:
        for key in ("review", "priority"):
            _check_level(key, getattr(self, key))
        review, priority = self.review, self.priority
        # A rate and a probability cannot be compared before a bundle says what the rate means.
        if isinstance(review, str) and isinstance(priority, str):
            upside_down = float(priority) > float(review)
        elif not isinstance(review, str) and not isinstance(priority, str):
            upside_down = priority < review
        else:
            upside_down = False
        if upside_down:
            raise PolicyError(
                f"priority = {priority!r} is easier to reach than review = {review!r}"
            )


def _check_level(key: str, value: object) -> None:
    named = isinstance(value, str) and value in FALSE_ALARM_RATES
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    if not named and not number:
        raise PolicyError(
            f"{key} = {value!r}: a false-alarm rate as a string "
            f"({', '.join(FALSE_ALARM_RATES)}) or a probability from 0 to 1 as a number"
        )


class Effect(StrEnum):
    """What a match with a known item does to a decision."""

    NOTHING = "nothing"
    REVIEW = "review"
    """The photo is at least to be reviewed."""
    PRIORITY = "priority"
    """The photo has priority."""
    CLEAR = "clear"
    """The photo is clear, whatever the model says."""


@dataclass(frozen=True, slots=True)
class KnownRule:
    """What it means that a photo is near a known item (see :mod:`recognizer.known`).

    Attributes:
        product: near an item that is a product: ``review``, ``priority`` or ``nothing``.
        cleared: near one that was cleared, and near none that is a product: ``nothing`` or
            ``clear``. A near picture is not the same one, so by default it silences nothing.
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
                raise PolicyError(f"{key} = {getattr(self, key)!r}: one of {', '.join(allowed)}")
            object.__setattr__(self, key, Effect(getattr(self, key)))
        distance = self.distance
        if type(distance) is not int or not 0 <= distance <= MAX_DISTANCE:
            raise PolicyError(f"distance = {distance!r}: bits, from 0 to {MAX_DISTANCE}")


@dataclass(frozen=True, slots=True)
class Policy:
    """A platform's profile.

    Attributes:
        name: for people and rows.
        default: the rule for every product and family without one of its own. Its rates are
            those of a *photo*: the share of photos without any product that become leads.
        rules: label or family name -> its own rule, with the rates of this label or family alone.
            That of a family holds for the family and for those of its products that have none of
            their own.
        ignore: products that are never a lead on this platform.
        known: what a match with a known item means.
    """

    name: str = "default"
    default: Rule = field(default_factory=Rule)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()
    known: KnownRule = field(default_factory=KnownRule)

    @property
    def digest(self) -> str:
        """A sha256 over everything but the name, hexadecimal."""
        content = {
            "default": _content(self.default),
            "rules": {name: _content(rule) for name, rule in self.rules.items()},
            "ignore": sorted(self.ignore),
            "known": [self.known.product, self.known.cleared, self.known.distance],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _content(rule: Rule) -> list[str | float]:
    # 1 and 1.0 are the same level.
    return [v if isinstance(v, str) else float(v) for v in (rule.review, rule.priority)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision and its grounds.

    Attributes:
        decision: the band; None for a photo that could not be scored: that is never ``clear``.
        labels: the products over their review threshold, highest score first.
        why: a sentence for each threshold that was passed, and for what known items did.
        families: the families over their review threshold, highest score first.
    """

    decision: Decision | None
    labels: tuple[str, ...]
    why: tuple[str, ...]
    families: tuple[str, ...] = ()


def load_policy(path: str | os.PathLike[str], taxonomy: Taxonomy | None = None) -> Policy:
    """Read a profile from TOML.

    The keys are ``name``, ``review``, ``priority``, ``ignore`` (a list of labels), a table
    ``[rules.LABEL_OR_FAMILY]`` with ``review`` and ``priority``, and a table ``[known]`` with
    ``product``, ``cleared`` and ``distance`` (see :class:`KnownRule`).

    Args:
        path: of the file.
        taxonomy: the names that it may use: a bundle's, or those of the package.

    Raises:
        PolicyError: the file cannot be read or breaks a rule.
    """
    where = os.fspath(path)
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(f"{where} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"{where} is no text in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{where} is no TOML: {error}") from error
    _known_keys(values, {"name", "review", "priority", "ignore", "rules", "known"}, where)
    default = _rule(values, Rule(), where)
    taxonomy = taxonomy or load_taxonomy()
    rules: dict[str, Rule] = {}
    for name, entry in _table(values.get("rules", {}), f"{where}: rules").items():
        place = f"{where}: rules.{name}"
        if name not in taxonomy.labels and name not in taxonomy.families:
            raise PolicyError(f"{place}: no such label or family")
        _known_keys(_table(entry, place), {"review", "priority"}, place)
        rules[name] = _rule(entry, default, place)
    ignore = values.get("ignore", [])
    if not isinstance(ignore, list) or not all(isinstance(name, str) for name in ignore):
        raise PolicyError(f"{where}: ignore: a list of products, not {ignore!r}")
    unknown = sorted(set(ignore) - {label.name for label in taxonomy.products})
    if unknown:
        raise PolicyError(f"{where}: ignore: no such product: {', '.join(unknown)}")
    known = _known_rule(values.get("known", {}), f"{where}: known")
    name = str(values.get("name", Path(path).stem))
    return Policy(name, default, rules, frozenset(ignore), known)


def _known_rule(value: object, where: str) -> KnownRule:
    table = _table(value, where)
    _known_keys(table, {"product", "cleared", "distance"}, where)
    try:
        return KnownRule(**table)
    except PolicyError as error:
        raise PolicyError(f"{where}: {error}") from error


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PolicyError(f"{where}: a table, not {value!r}")
    return value


def _known_keys(values: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(values) - known)
    if unknown:
        raise PolicyError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")


def _rule(values: Mapping[str, Any], default: Rule, where: str) -> Rule:
    try:
        return Rule(values.get("review", default.review), values.get("priority", default.priority))
    except PolicyError as error:
        raise PolicyError(f"{where}: {error}") from error


def decide(
    prediction: Prediction, bundle: Bundle, policy: Policy, known: Sequence[Match] = ()
) -> Verdict:
    """Hold a prediction against a policy.

    A photo is a lead where a product, or a family of several products, is over its threshold, or
    where it is near a known item that is one.

    Args:
        prediction: what the model says of the photo.
        bundle: the model.
        policy: the platform's profile.
        known: the known items that the photo is near.
    """
    if prediction.status is Status.FAILED:
        return Verdict(None, (), ())
    return _with_known(_by_scores(prediction, bundle, policy), policy, known)


def _with_known(verdict: Verdict, policy: Policy, known: Sequence[Match]) -> Verdict:
    """Let known items say their part."""
    near = [match for match in known if match.distance <= policy.known.distance]
    products = [
        match
        for match in near
        if match.item.finding is Finding.PRODUCT and match.item.label not in policy.ignore
    ]
    if products and policy.known.product is not Effect.NOTHING:
        effect = Decision(policy.known.product.value)
        strongest = max(verdict.decision or effect, effect, key=list(Decision).index)
        why = (*verdict.why, _match_sentence(effect, products))
        return replace(verdict, decision=strongest, why=why)
    cleared = [match for match in near if match.item.finding is Finding.CLEARED]
    if cleared and not products and policy.known.cleared is Effect.CLEAR:
        silenced = "; it would have been " + "; ".join(verdict.why) if verdict.why else ""
        return Verdict(Decision.CLEAR, (), (_match_sentence(Decision.CLEAR, cleared) + silenced,))
    return verdict


def _match_sentence(effect: Decision, matches: Sequence[Match]) -> str:
    nearest = min(matches, key=lambda match: (match.distance, match.item.id))
    label = f" ({nearest.item.label})" if nearest.item.label else ""
    others = f", and {len(matches) - 1} more" if len(matches) > 1 else ""
    return (
        f"{effect}: near the known item {nearest.item.id}{label}, "
        f"{nearest.distance} of {HASH_BITS} bits apart{others}"
    )


def _by_scores(prediction: Prediction, bundle: Bundle, policy: Policy) -> Verdict:
    strongest = Decision.CLEAR
    labels: list[str] = []
    families: list[str] = []
    why: list[str] = []
    for name, score, thresholds, rule in sorted(
        _candidates(prediction, bundle, policy), key=lambda candidate: -candidate[1]
    ):
        review = _threshold(rule.review, thresholds)
        priority = max(review, _threshold(rule.priority, thresholds))
        for decision, level, threshold in (
            (Decision.PRIORITY, rule.priority, priority),
            (Decision.REVIEW, rule.review, review),
        ):
            if score > threshold:
                strongest = max(strongest, decision, key=list(Decision).index)
                why.append(_sentence(name, score, threshold, level, decision, prediction))
                (labels if name in prediction.scores else families).append(name)
                break
    return Verdict(strongest, tuple(labels), tuple(why), tuple(families))


def _candidates(
    prediction: Prediction, bundle: Bundle, policy: Policy
) -> Iterator[tuple[str, float, Mapping[str, float], Rule]]:
    """Yield what may be a lead: its name, score, thresholds and rule."""
    family_of = {member: family.name for family in bundle.families for member in family.members}
    for label in bundle.labels:
        if label.kind is Kind.PRODUCT and label.name not in policy.ignore:
            own = policy.rules.get(label.name) or policy.rules.get(family_of.get(label.name, ""))
            thresholds = label.thresholds if own else bundle.photo_thresholds
            yield label.name, prediction.scores[label.name], thresholds, own or policy.default
    for family in bundle.families:
        left = [member for member in family.members if member not in policy.ignore]
        if len(left) < 2:  # the one label speaks for itself
            continue
        score = prediction.families[family.name]
        if len(left) < len(family.members):
            score = 1 - math.prod(1 - prediction.scores[member] for member in left)
        own = policy.rules.get(family.name)
        thresholds = family.thresholds if own else bundle.photo_thresholds
        yield family.name, score, thresholds, own or policy.default


def _threshold(level: str | float, thresholds: Mapping[str, float]) -> float:
    return thresholds[level] if isinstance(level, str) else float(level)


def _sentence(
    name: str,
    score: float,
    threshold: float,
    level: str | float,
    decision: Decision,
    prediction: Prediction,
) -> str:
    basis = f" ({float(level):.1%} false alarms)" if isinstance(level, str) else ""
    frame = f" in frame {prediction.frame}" if (prediction.frames or 1) > 1 else ""
    return f"{decision}: {name} {score:.3f} > {threshold:.3f}{basis}{frame}"
