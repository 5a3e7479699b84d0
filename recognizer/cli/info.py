"""``recognizer info``: what a bundle is, what it can name, and what stands behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from recognizer.cli.options import BundleArgument, JsonOption, print_json
from recognizer.cli.progress import print_table, print_values
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.description import Calibrated, Enrolled, Lineage
from recognizer.taxonomy import Kind

_RATE = 0.01  # the false-positive rate at which recall is shown


def command(bundle: BundleArgument = None, *, as_json: JsonOption = False) -> None:
    """Describe a bundle: how it was made, and its labels, with the evidence for each.

    Evidence is the number of photos and sources in training and in test, and recall on the test
    photos at a false-positive rate of 1 %, with its 95 % interval. The exit code is 4 if a file was
    changed.
    """
    found = load_bundle(bundle)
    found.read_model()  # verified
    about, labels = _about(found), [*_labels(found)]
    if as_json:
        print_json({**about, "labels": labels})
        return
    print_values({**about, "license": found.license or "not stated"})
    _print_labels(labels)


def _about(bundle: Bundle) -> dict[str, Any]:
    training, evaluation = bundle.training, bundle.evaluation
    size, preprocessing = bundle.input.size, bundle.input.preprocessing
    cascade = (training.recipe.get("cascade") if training else None) or {}
    second = " and ".join(cascade.get("backbones", ()))
    return {
        "bundle": bundle.title,
        "folder": str(bundle.path),
        "digest": bundle.digest,
        "created": bundle.created,
        "license": bundle.license,
        "network": ", then ".join(filter(None, (bundle.model.backbone, second))) or None,
        "precision": bundle.model.precision,
        "bytes": bundle.model.bytes,
        "input": f"{size} x {size} pixels, preprocessing {preprocessing}",
        "families": [family.name for family in bundle.families],
        "any_product_thresholds": {f"{r:g}": t for r, t in bundle.any_product_thresholds.items()},
        "trained_on": training and {key: getattr(training, key) for key in ("photos", "sources")},
        "measured_on": evaluation
        and {"split": evaluation.split, "photos_without_a_product": evaluation.negatives},
        "enrolment": "possible: the bundle has negatives"
        if bundle.negatives
        else "needs --negatives: the bundle has none",
        "made": [_step(step) for step in bundle.lineage],
    }


def _step(step: Lineage) -> str:
    done = "exported"
    if isinstance(step, Enrolled):
        done = f"enrolled {step.label} from {len(step.photos)} photos"
    elif isinstance(step, Calibrated):
        done = f"calibrated on {step.photos.photos} photos"
    return f"{done} on {step.date} by version {step.program}"


def _labels(bundle: Bundle) -> Iterator[dict[str, Any]]:
    """Yield a row for each label of the taxonomy, in its order, then for those it does not have."""
    of_bundle = {label.name: label for label in bundle.labels}
    named = bundle.taxonomy.labels
    for name in dict.fromkeys([*named, *of_bundle]):
        label, known = named.get(name), of_bundle.get(name)
        evidence = known and known.evidence
        yield {
            "label": name,
            "name": bundle.taxonomy.display_name(name),
            "kind": (label or of_bundle[name]).kind.value,
            "family": label and label.family,
            "cites": label and label.cites,
            "recognized": known is not None,
            "train": evidence and evidence.train,
            "test": evidence and evidence.test,
            "recall": evidence and evidence.recall.get(_RATE),
            "enrolled": (known and len(bundle.enrolled_photos(name))) or None,
        }


def _print_labels(rows: list[dict[str, Any]]) -> None:
    headings = ("label", "kind", "family", "trained on", "tested on", "recall at 1 % FPR")
    known = [row for row in rows if row["recognized"]]
    print_table(
        f"{len(known)} labels",
        headings,
        ([row["label"], row["kind"], row["family"] or "-", *_cells(row)] for row in known),
        "photos (sources)",
        text_columns=range(len(headings)),
    )
    for kind in Kind:
        others = [r["label"] for r in rows if r["kind"] == kind and not r["recognized"]]
        if others:
            typer.echo(f"Not yet recognised, {kind}: {', '.join(others)}")


def _cells(row: dict[str, Any]) -> tuple[str, str, str]:
    train, test, recall = row["train"], row["test"], row["recall"]
    learned = "not recorded"
    if train:
        learned = f"{train.photos:,} ({train.sources})"
    if row["enrolled"]:
        learned += f", {row['enrolled']} enrolled"
    tested = f"{test.photos} ({test.sources})" if test and test.photos else "-"
    share = f"{recall.value:.0%} ({recall.low:.0%} to {recall.high:.0%})" if recall else "-"
    return learned, tested, share
