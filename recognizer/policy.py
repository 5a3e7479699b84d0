"""What a platform makes of a prediction: ``clear``, ``review`` or ``priority``, and why.

A policy names the false-alarm rates at which a photo is looked at; the bundle knows the
thresholds that belong to them. A decision is about what to look at first. It is never a finding.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from recognizer.bundle import FALSE_ALARM_RATES, Bundle
from recognizer.errors import PolicyError
from recognizer.prediction import Prediction
from recognizer.status import Status
from recognizer.taxonomy import Kind, load_taxonomy


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
    """When a label or family is looked at: a named false-alarm rate or a probability for each.

    Attributes:
        review: one of :data:`recognizer.bundle.FALSE_ALARM_RATES`, or a probability.
        priority: likewise.
    """

    review: str | float = "0.01"
    priority: str | float = "0.001"


@dataclass(frozen=True, slots=True)
class Policy:
    """A platform's profile.

    Attributes:
        name: for people and rows.
        default: the rule for every product and family without one of its own.
        rules: label or family name -> its own rule.
        ignore: products that are never a lead on this platform.
    """

    name: str = "default"
    default: Rule = field(default_factory=Rule)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()

    @property
    def digest(self) -> str:
        """A sha256 over everything but the name, hexadecimal."""
        content = {
            "default": [self.default.review, self.default.priority],
            "rules": {name: [r.review, r.priority] for name, r in sorted(self.rules.items())},
            "ignore": sorted(self.ignore),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision and its grounds.

    Attributes:
        decision: the band; None for a photo that could not be scored: that is never ``clear``.
        labels: the products over their review threshold, highest score first.
        why: a sentence for each threshold that was passed.
    """

    decision: Decision | None
    labels: tuple[str, ...]
    why: tuple[str, ...]


def load_policy(path: str | os.PathLike[str]) -> Policy:
    """Read a profile from TOML.

    The keys are ``name``, ``review``, ``priority``, ``ignore`` (a list of labels) and a table
    ``[rules.LABEL_OR_FAMILY]`` with ``review`` and ``priority``.

    Raises:
        PolicyError: the file cannot be read or breaks a rule.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyError(f"{os.fspath(path)}: {error}") from error
    where = os.fspath(path)
    _known_keys(values, {"name", "review", "priority", "ignore", "rules"}, where)
    default = _rule(values, Rule(), where)
    taxonomy = load_taxonomy()
    rules: dict[str, Rule] = {}
    for name, entry in values.get("rules", {}).items():
        if name not in taxonomy.labels and name not in taxonomy.families:
            raise PolicyError(f"{where}: rules.{name}: no such label or family")
        _known_keys(entry, {"review", "priority"}, f"{where}: rules.{name}")
        rules[name] = _rule(entry, default, f"{where}: rules.{name}")
    ignore = frozenset(values.get("ignore", ()))
    unknown = sorted(ignore - {label.name for label in taxonomy.products})
    if unknown:
        raise PolicyError(f"{where}: ignore: no such product: {', '.join(unknown)}")
    return Policy(str(values.get("name", Path(path).stem)), default, rules, ignore)


def _known_keys(values: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(values) - known)
    if unknown:
        raise PolicyError(
            f"{where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}"
        )


def _rule(values: Mapping[str, Any], default: Rule, where: str) -> Rule:
    for key in ("review", "priority"):
        value = values.get(key)
        named = isinstance(value, str) and value in FALSE_ALARM_RATES
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
        if value is not None and not named and not number:
            raise PolicyError(
                f"{where}: {key} = {value!r}: a false-alarm rate as a string "
                f"({', '.join(FALSE_ALARM_RATES)}) or a probability from 0 to 1 as a number"
            )
    return Rule(values.get("review", default.review), values.get("priority", default.priority))


def decide(prediction: Prediction, bundle: Bundle, policy: Policy) -> Verdict:
    """Hold a prediction against a policy.

    A photo is a lead where a product, or a family of several products, is over its threshold.
    """
    if prediction.status is Status.FAILED:
        return Verdict(None, (), ())
    found: dict[str, tuple[float, Decision]] = {}
    why: list[str] = []
    candidates: list[tuple[str, float, Mapping[str, float]]] = [
        (label.name, prediction.scores[label.name], label.thresholds)
        for label in bundle.labels
        if label.kind is Kind.PRODUCT and label.name not in policy.ignore
    ]
    candidates += [
        (family.name, prediction.families[family.name], family.thresholds)
        for family in bundle.families
        if len(family.members) > 1 and not set(family.members) <= policy.ignore
    ]
    for name, score, thresholds in sorted(candidates, key=lambda c: -c[1]):
        rule = policy.rules.get(name, policy.default)
        for decision, level in (
            (Decision.PRIORITY, rule.priority),
            (Decision.REVIEW, rule.review),
        ):
            threshold = thresholds[level] if isinstance(level, str) else float(level)
            if score > threshold:
                found[name] = (score, decision)
                why.append(_sentence(name, score, threshold, level, decision, prediction))
                break
    if not found:
        return Verdict(Decision.CLEAR, (), ())
    strongest = max(
        (decision for _, decision in found.values()), key=list(Decision).index
    )
    labels = tuple(name for name in found if name in prediction.scores)
    return Verdict(strongest, labels, tuple(why))


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
