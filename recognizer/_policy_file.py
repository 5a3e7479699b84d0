"""Reading a policy from TOML, and writing one."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from recognizer.errors import PolicyError
from recognizer.listing_rules import AlwaysReview, Keywords, Reports
from recognizer.policy import (
    CandidateKind,
    KnownRule,
    Level,
    Policy,
    Probability,
    Rate,
    Rule,
)
from recognizer.taxonomy import Taxonomy, load_taxonomy, unknown_name

EXAMPLES = ("small-platform", "strict")
"""The policies that this package brings along."""

_MAX_BYTES = 1 << 20
_MAX_WORDS = 500  # of a message
# tomllib's memory grows with the square of the parts of a key; those of a policy have four at most.
_LONG_KEY = re.compile(
    r"""(?:^|[\[{,])[ \t]*(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){16}""", re.MULTILINE
)
_TABLES: Mapping[str, type[Any]] = {
    "known": KnownRule,
    "keywords": Keywords,
    "reports": Reports,
    "always_review": AlwaysReview,
}


class _RuleTable(msgspec.Struct):
    """The thresholds of the file, or of one of its rules."""

    review_rate: float | None = None
    review_probability: float | None = None
    priority_rate: float | None = None
    priority_probability: float | None = None


class _PolicyTable(_RuleTable):
    name: str | None = None
    ignore: list[str] = []
    rules: dict[str, dict[str, Any]] = {}
    known: dict[str, Any] = {}
    keywords: dict[str, Any] = {}
    reports: dict[str, Any] = {}
    always_review: dict[str, Any] = {}
    actions: dict[Any, str] = {}  # a decision, which Policy checks
    time_limits: dict[Any, float] = {}


def load_policy(path: str | os.PathLike[str], taxonomy: Taxonomy | None = None) -> Policy:
    """Read a policy from TOML; docs/policy.md shows its keys.

    ``[rules.NAME]`` is enough for a name that is only a label's or only a family's. ``path`` may
    be the name of an example of this package (:data:`EXAMPLES`), and the taxonomy is that of the
    package unless one is given. A file that cannot be read or breaks a rule is a PolicyError.
    """
    where = os.fspath(path)
    taxonomy = taxonomy or load_taxonomy()
    try:
        text = read_policy_text(path)
        if long := _LONG_KEY.search(text):
            line = text.count("\n", 0, long.start()) + 1
            raise PolicyError(f"{where}: line {line}: a key of more than 16 parts")
        values = tomllib.loads(text)
    except FileNotFoundError as error:
        raise PolicyError(
            f"{where}: no such file, nor a policy of this package: {', '.join(EXAMPLES)}"
        ) from error
    except OSError as error:
        raise PolicyError(f"{where} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"{where} is not text in UTF-8") from error
    except (ValueError, RecursionError) as error:  # also numbers without end, and nesting
        raise PolicyError(f"{where} is not TOML: {str(error)[:_MAX_WORDS]}") from error
    try:
        return parse_policy(values, Path(path).stem, taxonomy)
    except (PolicyError, OverflowError, RecursionError) as error:
        raise PolicyError(f"{where}: {str(error)[:_MAX_WORDS]}") from error


def read_policy_text(path: str | os.PathLike[str]) -> str:
    """Return the TOML of a policy; see :func:`load_policy`."""
    name = os.fspath(path)
    if name in EXAMPLES and not os.path.exists(name):
        return (resources.files("recognizer") / "policies" / f"{name}.toml").read_text("utf-8")
    place = Path(path)
    if place.exists() and not place.is_file():
        raise PolicyError(f"{name} is not a regular file")
    with place.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise PolicyError(f"{name}: more than {_MAX_BYTES:,} bytes are no policy")
    return data.decode("utf-8")


def parse_policy(values: Mapping[str, Any], name: str, taxonomy: Taxonomy) -> Policy:
    """Return the policy of a file's content, checked; ``name`` is its name unless it has one."""
    table = _convert(values, _PolicyTable)
    default = _rule(table, Rule())
    rules: dict[tuple[CandidateKind, str], Rule] = {}
    for key, where, own in _rule_tables(table.rules, taxonomy):
        if key in rules:
            raise PolicyError(f"rules.{where}: there is another rule for {' '.join(key)}")
        try:
            rules[key] = _rule(_convert(own, _RuleTable), default)
        except PolicyError as error:
            raise PolicyError(f"rules.{where}: {error}") from error
    policy = Policy(
        name=name if table.name is None else table.name,
        default=default,
        rules=rules,
        ignore=frozenset(table.ignore),
        actions=table.actions,
        time_limits=table.time_limits,
        **{key: _read_table(key, getattr(table, key)) for key in _TABLES},
    )
    policy.check(taxonomy)
    return policy


def _convert(values: Mapping[str, Any], table: type[Any]) -> Any:
    for key in ("review", "priority"):
        if key in values:
            kind = "rate" if isinstance(values[key], str) else "probability"
            raise PolicyError(
                f"{key} = {values[key]!r} is not a key: write {key}_{kind} = {values[key]}"
            )
    _require_keys(values, table.__struct_fields__)
    try:
        return msgspec.convert(values, table)
    except msgspec.ValidationError as error:
        raise PolicyError(str(error)) from error


def _rule(table: _RuleTable, default: Rule) -> Rule:
    return Rule(
        review=_level(table, "review") or default.review,
        priority=_level(table, "priority") or default.priority,
    )


def _level(table: _RuleTable, key: str) -> Level | None:
    rate, probability = getattr(table, f"{key}_rate"), getattr(table, f"{key}_probability")
    if rate is not None and probability is not None:
        raise PolicyError(f"give {key}_rate or {key}_probability, not both")
    try:
        if rate is not None:
            return Rate(rate)
        return None if probability is None else Probability(probability)
    except PolicyError as error:
        raise PolicyError(f"{key}_{'probability' if rate is None else 'rate'}: {error}") from error


def _rule_tables(
    rules: Mapping[str, Mapping[str, Any]], taxonomy: Taxonomy
) -> Iterator[tuple[tuple[CandidateKind, str], str, Mapping[str, Any]]]:
    """Yield the key of each rule, where it stands below ``rules``, and its table."""
    for name, table in rules.items():
        is_label, is_family = name in taxonomy.labels, name in taxonomy.families
        if name in [*CandidateKind]:
            for own, entry in table.items():
                if not isinstance(entry, dict):
                    raise PolicyError(f"rules.{name}.{own}: a table, not {entry!r}")
                yield (CandidateKind(name), own), f"{name}.{own}", entry
        elif is_label and is_family:
            raise PolicyError(
                f"rules.{name}: {name} is a label and a family: write [rules.label.{name}] or "
                f"[rules.family.{name}]"
            )
        elif is_label or is_family:
            yield (CandidateKind.LABEL if is_label else CandidateKind.FAMILY, name), name, table
        else:
            names = [*taxonomy.labels, *taxonomy.families]
            raise PolicyError(f"rules.{name}: {unknown_name('label or family', name, names)}")


def _read_table(key: str, values: Mapping[str, Any]) -> Any:
    try:
        _require_keys(values, [part.name for part in fields(_TABLES[key])])
        return msgspec.convert(values, _TABLES[key])
    except (PolicyError, msgspec.ValidationError) as error:
        raise PolicyError(f"{key}: {error}") from error


def _require_keys(values: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in sorted(set(values) - set(known)):
        raise PolicyError(f"{unknown_name('key', key, known)}; known: {', '.join(sorted(known))}")


def policy_toml(policy: Policy, comments: Sequence[str] = ()) -> str:
    """Return a policy as the text of a file that :func:`load_policy` reads, after comments."""
    lines = [*(f"# {text}" for text in comments), f"name = {_value(policy.name)}"]
    lines += _rule_lines(policy.default)
    if policy.ignore:
        lines.append(f"ignore = {_value(sorted(policy.ignore))}")
    for (kind, name), rule in policy.rules.items():
        lines += ["", f"[rules.{kind}.{_value(name)}]", *_rule_lines(rule)]
    tables: list[tuple[str, Mapping[str, Any]]] = []
    for key, made in _TABLES.items():
        found, default = asdict(getattr(policy, key)), asdict(made())
        tables.append((key, {k: v for k, v in found.items() if v != default[k]}))
    tables += [(key, getattr(policy, key)) for key in ("actions", "time_limits")]
    for key, values in tables:
        if values:
            lines += ["", f"[{key}]", *(f"{k} = {_value(v)}" for k, v in values.items())]
    return "\n".join(lines) + "\n"


def _rule_lines(rule: Rule) -> Iterator[str]:
    for key, level in (("review", rule.review), ("priority", rule.priority)):
        yield f"{key}_{'rate' if isinstance(level, Rate) else 'probability'} = {level.value!r}"


def _value(value: object) -> str:
    """Return a value as TOML: JSON is, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
