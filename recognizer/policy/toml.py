"""Policies as TOML: read and checked, and written."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from recognizer.errors import PolicyError, UsageError
from recognizer.policy.values import (
    EXAMPLES,
    CandidateKind,
    Policy,
    Probability,
    Rate,
    Rule,
    Threshold,
    policy_tables,
    toml_value,
)
from recognizer.taxonomy import Taxonomy, load_taxonomy, read_toml, require_keys, toml_words

_THRESHOLDS: Mapping[str, tuple[str, type[Rate | Probability]]] = {
    "review_rate": ("review", Rate),
    "review_probability": ("review", Probability),
    "priority_rate": ("priority", Rate),
    "priority_probability": ("priority", Probability),
}
_PARTS = get_type_hints(Policy) | {"rules": dict[str, dict[str, Any]], "actions": dict[str, str]}
del _PARTS["default"]  # its levels stand at the top of a file


def load_policy(policy: str | os.PathLike[str], taxonomy: Taxonomy | None) -> Policy:
    """Read and check a policy, as :meth:`Policy.load` says."""
    if not isinstance(policy, str | os.PathLike):
        raise UsageError(
            f"policy = {policy!r}: give a Policy, the path of its file, or a name: "
            f"{', '.join(EXAMPLES)}"
        )
    path = policy_path(policy)
    try:
        return parse_policy(read_toml(path, PolicyError), path.stem, taxonomy or load_taxonomy())
    except (PolicyError, OverflowError, RecursionError) as error:
        raise PolicyError(f"{policy}: {toml_words(error)}") from error


def policy_path(policy: str | os.PathLike[str]) -> Path:
    """Return the path of a policy: a file, or one of this package by its name."""
    name = os.fspath(policy)
    if name not in EXAMPLES:
        if os.path.exists(policy):
            return Path(policy)
        raise PolicyError(
            f"{policy}: no such file, nor a policy of this package: {', '.join(EXAMPLES)}"
        )
    if os.path.isfile(policy):
        raise PolicyError(
            f"{name!r} is a file here and a policy of this package: write "
            f"{os.path.join(os.curdir, name)} for the file, or rename it"
        )
    return Path(str(resources.files("recognizer")), "policy", "examples", f"{name}.toml")


def parse_policy(values: Mapping[str, Any], name: str, taxonomy: Taxonomy) -> Policy:
    """Return the policy of a file's content, checked; ``name`` is its name unless it has one."""
    require_keys(values, [*_THRESHOLDS, *_PARTS], PolicyError)
    parts = {key: _part(key, values[key]) for key in _PARTS if key in values}
    default = _rule(values, Rule())
    rules: dict[tuple[CandidateKind, str], Rule] = {}
    for kind, tables in parts.get("rules", {}).items():
        if kind not in (CandidateKind.LABEL, CandidateKind.FAMILY):
            raise PolicyError(f"rules.{kind}: write [rules.label.{kind}] or [rules.family.{kind}]")
        for own_name, table in tables.items():
            try:
                levels = msgspec.convert(table, dict[str, Any])
                require_keys(levels, [*_THRESHOLDS], PolicyError)
                rules[CandidateKind(kind), own_name] = _rule(levels, default)
            except (PolicyError, msgspec.ValidationError) as error:
                raise PolicyError(f"rules.{kind}.{own_name}: {error}") from error
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
        words = str(error)
        if wrong := re.fullmatch(r"Invalid enum value '(.*)' - at `\$\.(\w+)`", words):
            choices = get_args(get_type_hints(kind)[wrong[2]])
            words = f"{wrong[2]} = {wrong[1]}: one of {', '.join(choices)}"
        raise PolicyError(f"{key}: {words}") from error


def _rule(values: Mapping[str, Any], default: Rule) -> Rule:
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
    return replace(default, **levels)


def policy_toml(policy: Policy, comments: Sequence[str] = ()) -> str:
    """Return a policy as the text of a file that :meth:`Policy.load` reads, after comments."""
    lines = [*(f"# {text}" for text in comments), f"name = {toml_value(policy.name)}"]
    actions = [("actions", policy.actions)] if policy.actions else []
    for heading, values in [*policy_tables(policy), *actions]:
        lines += ["", f"[{heading}]"] if heading else []
        lines += [f"{key} = {toml_value(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"
