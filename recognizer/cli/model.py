"""``recognizer info`` and ``policy`` describe a model and a policy, ``doctor`` checks all of it."""

from __future__ import annotations

import importlib
import os
import platform
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from recognizer import __version__
from recognizer.cli import options
from recognizer.cli.options import missing_modules
from recognizer.cli.progress import print_table, print_values, say, show_progress
from recognizer.errors import BundleError, RecognizerError, pip_line

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle
    from recognizer.model.description import BundleLabel, Lineage
    from recognizer.policy.values import Policy

_RATE = 0.01  # the false-positive rate at which recall is shown
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")  # scripts


def info_command(bundle: options.BundleArgument = None) -> None:
    """Describe a bundle: how it was made, and its labels, with the evidence for each.

    Evidence is the number of photos and sources in training and in test, and recall on the test
    photos at a false-positive rate of 1 % of each label, with its 95 % interval; the default policy
    has one threshold for all products. The exit code is 4 if a file was changed.
    """
    from recognizer.model.bundle import load_bundle
    from recognizer.taxonomy import Kind

    model = load_bundle(bundle)
    model.verify()
    print_values(_about(model))
    order = {name: place for place, name in enumerate(model.taxonomy.labels)}
    headings = ("label", "kind", "family", "trained on", "tested on", "recall at 1 % FPR")
    labels = sorted(model.labels, key=lambda label: order.get(label.name, len(order)))
    print_table(
        f"{len(model.labels)} labels",
        headings,
        (_cells(model, label) for label in labels),
        "photos (sources)",
        text_columns=range(len(headings)),
    )
    for kind in Kind:
        of_kind = [name for name, label in model.taxonomy.labels.items() if label.kind is kind]
        if others := [name for name in of_kind if name not in model.label_names]:
            typer.echo(f"Not yet recognised, {kind}: {', '.join(others)}")


def _about(bundle: Bundle) -> dict[str, Any]:
    training, evaluation = bundle.training, bundle.evaluation
    size, preprocessing = bundle.input.size, bundle.input.preprocessing
    more = (training.recipe.get("ensemble") if training else None) or {}
    return {
        "bundle": bundle.title,
        "folder": str(bundle.path),
        "digest": bundle.digest,
        "created": bundle.created,
        "license": bundle.license or "not stated",
        "network": " and ".join(filter(None, (bundle.model.backbone, *more.get("backbones", ()))))
        or None,
        "precision": bundle.model.precision,
        "bytes": bundle.model.bytes,
        "input": f"{size} x {size} pixels, preprocessing {preprocessing}",
        "families": [family.name for family in bundle.families],
        "any_product_thresholds": {f"{r:g}": t for r, t in bundle.any_product_thresholds.items()},
        "trained_on": training and {key: getattr(training, key) for key in ("photos", "sources")},
        "measured_on": {"split": evaluation.split, "photos_without_a_product": evaluation.negatives}
        if evaluation
        else "nothing yet, with these scores: use recognizer evaluate",
        "enrolment": f"against {bundle.negatives.photos:,} photos of its own"
        if bundle.negatives
        else "not possible: it carries no negatives",
        "made": [_step(step) for step in bundle.lineage],
    }


def _step(step: Lineage) -> str:
    from recognizer.model.description import Calibrated, Enrolled

    done = "exported"
    if isinstance(step, Enrolled):
        done = f"enrolled {step.label} from {len(step.photos)} photos"
    elif isinstance(step, Calibrated):
        done = f"calibrated on {step.photos.photos} photos"
    return f"{done} on {step.date} by version {step.program}"


def _cells(bundle: Bundle, label: BundleLabel) -> list[str]:
    known, evidence = bundle.taxonomy.labels.get(label.name), label.evidence
    learned, tested, share = "not recorded", "-", "-"
    if evidence:
        learned = f"{evidence.train.photos:,} ({evidence.train.sources})"
        if evidence.test.photos:
            tested = f"{evidence.test.photos} ({evidence.test.sources})"
        if recall := evidence.recall.get(_RATE):
            share = str(recall)
    if enrolled := len(bundle.enrolled_photos(label.name)):
        learned += f", {enrolled} enrolled"
    return [label.name, label.kind, (known and known.family) or "-", learned, tested, share]


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


_BROKEN = "broken: "
_MODULES = {name: name for name in ("onnxruntime", "numpy", "simplejpeg")}
_MODULES |= {"opencv-python-headless": "cv2", "pillow": "PIL"}


def doctor_command(
    bundle: options.BundleArgument = None, provider: options.ProviderOption = "cpu"
) -> None:
    """Check the installation: versions, extras, machine, and the scores of the model.

    The model scores two images that are made in code. The bundle records the scores that it gave
    them at export: the exit code is 4 if they differ here, or the model is missing or was changed.
    """
    with show_progress():
        found = versions()
    print_values(found)
    for extra, (words, modules) in options.EXTRAS.items():
        missing = f"not installed ({words}; {pip_line(extra)})"
        print_values({f"extra {extra}": missing if missing_modules(modules) else "installed"})
    if problems := [f"{n}: {error}" for n, error in found.items() if error.startswith(_BROKEN)]:
        raise RecognizerError(f"cannot be imported: {'; '.join(problems)}; install it again")
    # With a broken library none of this can be imported.
    from recognizer.engine import Recognizer
    from recognizer.imaging.sources import MEBIBYTE
    from recognizer.model import machine
    from recognizer.model.self_test import TOLERANCE, self_test
    from recognizer.scan import worker_count

    memory = machine.available_memory()
    about = {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "cpu": machine.cpu_name(),
        "cpus": f"{machine.available_cpus()} of {os.cpu_count()}",
        "available memory, MiB": memory and memory // MEBIBYTE,
        "workers of a scan": worker_count(),
    }
    print_values(about, unknown="unknown")
    with show_progress(f"Scoring with {provider}"):
        recognizer = Recognizer.load(bundle, provider=provider, threads=1)
        difference = self_test(recognizer.bundle, provider)
    title, is_same = recognizer.bundle.title, difference is None or difference <= TOLERANCE
    print_values(
        {
            "bundle": title,
            "digest": recognizer.bundle.digest,
            "provider": recognizer.provider,
            "self-test difference": None if difference is None else round(difference, 6),
            "self-test": "passed" if is_same else "failed",
        }
    )
    if not is_same:
        advice = "do not use it here; try another version of onnxruntime, or --provider cpu"
        raise BundleError(f"{title}: scores differ by {difference:.3f} from the export's: {advice}")


def versions() -> dict[str, str]:
    """Return the version of each package, or why it cannot be imported."""
    versions = {"recognizer": __version__, "python": platform.python_version()}
    for name, module in _MODULES.items():
        try:
            versions[name] = importlib.import_module(module).__version__
        except Exception as error:
            versions[name] = f"{_BROKEN}{error}"
    with suppress(ImportError):  # reported above
        from PIL import features

        versions |= {c: features.version(c) or "missing" for c in ("libjpeg_turbo", "webp", "avif")}
    return versions
