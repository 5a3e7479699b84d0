"""``recognizer policy`` checks a policy and shows it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from recognizer.cli import options
from recognizer.cli.progress import print_table, say

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle
    from recognizer.policy.values import Policy

_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")  # scripts


def policy_command(
    policy: options.PolicyArgument,
    bundle: options.BundleOption = None,
    toml: Annotated[bool, Option("--toml", help="Print the file, to copy and change it.")] = False,
) -> None:
    """Check a policy, and show the thresholds of each product.

    The exit code is 2 if the policy breaks a rule.
    """
    from recognizer.model.bundle import load_bundle
    from recognizer.policy.values import Policy, policy_path

    model = load_bundle(bundle)
    rules = Policy.load(policy, model.taxonomy)
    for line in _warnings(rules, model):
        say(f"warning: {line}")
    if toml:
        typer.echo(policy_path(policy).read_text("utf-8"), nl=False)
        return
    typer.echo(f"Policy {rules.name!r} ({rules.digest})")
    print_table(
        f"Thresholds with {model.title}",
        ["product", "review over", "priority over", "rule"],
        _thresholds(rules, model),
        "--toml prints all other rules",
    )


def _thresholds(policy: Policy, bundle: Bundle) -> Iterator[list[str]]:
    """Yield the thresholds of each product and family, and whose rule they are."""
    from recognizer.policy.decide import thresholds_of
    from recognizer.policy.values import CandidateKind

    for entry in thresholds_of(bundle, policy):
        kind, name = entry.candidate.kind, entry.candidate.name
        family = getattr(bundle.taxonomy.labels.get(name), "family", None)
        is_family = kind is CandidateKind.FAMILY
        own = (kind, name) in policy.rules
        of_family = not is_family and (CandidateKind.FAMILY, family) in policy.rules
        yield [
            f"{name} (family)" if is_family else name,
            *(
                f"{threshold:.3f}" + ("" if rate is None else f" (FPR {rate:.1%})")
                for threshold, rate in (entry.review, entry.priority)
            ),
            "its own" if own else f"of {family}" if of_family else "any product",
        ]


def _warnings(policy: Policy, bundle: Bundle) -> Iterator[str]:
    # What is allowed, and yet may not be meant.
    for kind, name in policy.rules:
        if name not in {candidate.name for candidate in bundle.candidates}:
            yield f"rules.{kind}.{name}: {bundle.title} does not recognise it"
    if policy.always_review.animals is not None and not bundle.animals:
        yield f"always_review.animals: {bundle.title} knows no living animals"
    every = policy.keywords.words
    unspaced = (w for w in every if any(unicodedata.name(c, "").startswith(_UNSPACED) for c in w))
    if words := ", ".join(unspaced):
        yield f"keywords.words: languages without blanks between words need substrings: {words}"
