"""Reading a policy from TOML, and writing one."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from importlib import resources
from pathlib import Path
from typing import Any

from recognizer.errors import PolicyError
from recognizer.listing_rules import AlwaysReview, Keywords, Reports
from recognizer.policy import CandidateKind, KnownRule, Level, Policy, Probability, Rate, Rule
from recognizer.taxonomy import Taxonomy, load_taxonomy, unknown_name

EXAMPLES = ("small-platform", "strict")
"""The policies that this package brings along."""

_MAX_WORDS = 500  # of a message

_LEVELS: Mapping[str, type[Level]] = {"rate": Rate, "probability": Probability}
_TABLES: Mapping[str, type[Any]] = {
    "known": KnownRule,
    "keywords": Keywords,
    "reports": Reports,
    "always_review": AlwaysReview,
}
_OTHER_KEYS = ("name", "ignore", "rules", "actions", "time_limits")
_RULE_KEYS = tuple(f"{key}_{kind}" for key in ("review", "priority") for kind in _LEVELS)


def load_policy(path: str | os.PathLike[str], taxonomy: Taxonomy | None = None) -> Policy:
    """Read a policy from TOML; docs/policy.md shows its keys.

    ``[rules.NAME]`` is enough for a name that is only a label's or only a family's.

    Args:
        path: of the file, or the name of an example of this package (:data:`EXAMPLES`).
        taxonomy: see :meth:`Policy.check`; None for the names of the package.

    Raises:
        PolicyError: the file cannot be read or breaks a rule.
    """
    where = os.fspath(path)
    taxonomy = taxonomy or load_taxonomy()
    try:
        values = tomllib.loads(read_policy_text(path))
    except OSError as error:
        raise PolicyError(f"{where} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"{where} is not text in UTF-8") from error
    except (ValueError, RecursionError) as error:  # also numbers without end, and nesting
        raise PolicyError(f"{where} is not TOML: {_shortened(str(error))}") from error
    try:
        policy = _policy(values, Path(path).stem, taxonomy)
        policy.check(taxonomy)
    except (PolicyError, OverflowError, RecursionError) as error:
        raise PolicyError(f"{where}: {_shortened(str(error))}") from error
    return policy


def _shortened(words: str) -> str:
    """Return a message that may quote a value of the file, at a length that can be read."""
    return words if len(words) <= _MAX_WORDS else f"{words[:_MAX_WORDS]} ..."


def read_policy_text(path: str | os.PathLike[str]) -> str:
    """Return the TOML of a policy; see :func:`load_policy`."""
    name = os.fspath(path)
    if name in EXAMPLES and not os.path.exists(name):
        return (resources.files("recognizer") / "policies" / f"{name}.toml").read_text("utf-8")
    return Path(path).read_text(encoding="utf-8")


def _policy(values: Mapping[str, Any], name: str, taxonomy: Taxonomy) -> Policy:
    default = _rule(values, Rule(), *_OTHER_KEYS, *_TABLES)
    rules: dict[tuple[CandidateKind, str], Rule] = {}
    for key, where, table in _rule_tables(_table(values.get("rules", {}), "rules"), taxonomy):
        if key in rules:
            raise PolicyError(f"rules.{where}: there is another rule for {' '.join(key)}")
        rules[key] = _at(f"rules.{where}", _rule, table, default)
    tables = {
        key: _at(key, _read_table, _table(values.get(key, {}), key), made)
        for key, made in _TABLES.items()
    }
    return Policy(
        name=values.get("name", name),
        default=default,
        rules=rules,
        ignore=values.get("ignore", frozenset()),
        actions=values.get("actions", {}),
        time_limits=values.get("time_limits", {}),
        **tables,
    )


def _rule_tables(
    rules: Mapping[str, Any], taxonomy: Taxonomy
) -> Iterator[tuple[tuple[CandidateKind, str], str, Mapping[str, Any]]]:
    """Yield the key of each rule, where it stands below ``rules``, and its table."""
    for name, value in rules.items():
        table = _table(value, f"rules.{name}")
        is_label, is_family = name in taxonomy.labels, name in taxonomy.families
        if name in [*CandidateKind]:
            for own, entry in table.items():
                where = f"{name}.{own}"
                yield (CandidateKind(name), own), where, _table(entry, f"rules.{where}")
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


def _at(where: str, read: Any, *values: Any) -> Any:
    try:
        return read(*values)
    except PolicyError as error:
        raise PolicyError(f"{where}: {error}") from error


def _rule(values: Mapping[str, Any], default: Rule, *others: str) -> Rule:
    for key in ("review", "priority"):
        if key in values:
            kind = "rate" if isinstance(values[key], str) else "probability"
            raise PolicyError(
                f"{key} = {values[key]!r} is not a key: write {key}_{kind} = {values[key]}"
            )
    _require_keys(values, *_RULE_KEYS, *others)
    return Rule(
        review=_level(values, "review") or default.review,
        priority=_level(values, "priority") or default.priority,
    )


def _level(values: Mapping[str, Any], key: str) -> Level | None:
    given = {kind: values[f"{key}_{kind}"] for kind in _LEVELS if f"{key}_{kind}" in values}
    if len(given) > 1:
        raise PolicyError(f"give {key}_rate or {key}_probability, not both")
    return next((_at(f"{key}_{kind}", _LEVELS[kind], value) for kind, value in given.items()), None)


def _read_table(values: Mapping[str, Any], made: type[Any]) -> Any:
    _require_keys(values, *(key.name for key in fields(made)))
    return made(**values)


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PolicyError(f"{where}: a table, not {value!r}")
    return value


def _require_keys(values: Mapping[str, Any], *known: str) -> None:
    for key in sorted(set(values) - set(known)):
        raise PolicyError(f"{unknown_name('key', key, known)}; known: {', '.join(sorted(known))}")


def policy_toml(policy: Policy, comments: Sequence[str] = ()) -> str:
    """Return a policy as the text of a file that :func:`load_policy` reads, after comments."""
    lines = [*(f"# {text}" for text in comments), f"name = {_value(policy.name)}"]
    lines += _rule_lines(policy.default)
    if policy.ignore:
        lines.append(f"ignore = {_value(sorted(policy.ignore))}")
    for (kind, name), rule in policy.rules.items():
        lines += ["", f"[rules.{kind}.{_key(name)}]", *_rule_lines(rule)]
    tables: list[tuple[str, Mapping[str, Any]]] = []
    for key, made in _TABLES.items():
        found, default = asdict(getattr(policy, key)), asdict(made())
        tables.append((key, {k: v for k, v in found.items() if v != default[k]}))
    tables += [(key, dict(getattr(policy, key))) for key in ("actions", "time_limits")]
    for key, values in tables:
        if values:
            lines += ["", f"[{key}]", *(f"{k} = {_value(v)}" for k, v in values.items())]
    return "\n".join(lines) + "\n"


def _rule_lines(rule: Rule) -> Iterator[str]:
    for key, level in (("review", rule.review), ("priority", rule.priority)):
        yield f"{key}_{'rate' if isinstance(level, Rate) else 'probability'} = {level.value!r}"


def _key(name: str) -> str:
    is_bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if is_bare else _value(name)


def _value(value: object) -> str:
    """Return a value as TOML: JSON is, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
