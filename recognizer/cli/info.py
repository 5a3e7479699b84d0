"""``recognizer info``: what a bundle is, what it can name, and what stands behind it."""

from typing import Any

import typer

from recognizer.cli.options import BundleArgument
from recognizer.cli.progress import print_table, print_values
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.description import BundleLabel, Calibrated, Enrolled, Lineage
from recognizer.model.negatives import lacking_negatives, read_negatives
from recognizer.taxonomy import Kind

_RATE = 0.01  # the false-positive rate at which recall is shown


def info_command(bundle: BundleArgument = None) -> None:
    """Describe a bundle: how it was made, and its labels, with the evidence for each.

    Evidence is the number of photos and sources in training and in test, and recall on the test
    photos at a false-positive rate of 1 %, with its 95 % interval. The exit code is 4 if a file was
    changed.
    """
    found = load_bundle(bundle)
    found.read_model()  # verified
    print_values(_about(found))
    order = {name: place for place, name in enumerate(found.taxonomy.labels)}
    headings = ("label", "kind", "family", "trained on", "tested on", "recall at 1 % FPR")
    print_table(
        f"{len(found.labels)} labels",
        headings,
        (
            _cells(found, label)
            for label in sorted(found.labels, key=lambda one: order.get(one.name, len(order)))
        ),
        "photos (sources)",
        text_columns=range(len(headings)),
    )
    for kind in Kind:
        of_kind = [name for name, label in found.taxonomy.labels.items() if label.kind is kind]
        if others := [name for name in of_kind if name not in found.label_names]:
            typer.echo(f"Not yet recognised, {kind}: {', '.join(others)}")


def _about(bundle: Bundle) -> dict[str, Any]:
    training, evaluation = bundle.training, bundle.evaluation
    size, preprocessing = bundle.input.size, bundle.input.preprocessing
    cascade = (training.recipe.get("cascade") if training else None) or {}
    second = " and ".join(cascade.get("backbones", ()))
    lack = lacking_negatives(read_negatives(bundle), bundle.taxonomy)
    return {
        "bundle": bundle.title,
        "folder": str(bundle.path),
        "digest": bundle.digest,
        "created": bundle.created,
        "license": bundle.license or "not stated",
        "network": ", then ".join(filter(None, (bundle.model.backbone, second))) or None,
        "precision": bundle.model.precision,
        "bytes": bundle.model.bytes,
        "input": f"{size} x {size} pixels, preprocessing {preprocessing}",
        "families": [family.name for family in bundle.families],
        "any_product_thresholds": {f"{r:g}": t for r, t in bundle.any_product_thresholds.items()},
        "trained_on": training and {key: getattr(training, key) for key in ("photos", "sources")},
        "measured_on": {"split": evaluation.split, "photos_without_a_product": evaluation.negatives}
        if evaluation
        else "nothing yet, with these scores: use recognizer evaluate",
        "enrolment": f"needs --negatives: {lack}" if lack else "possible with its own negatives",
        "made": [_step(step) for step in bundle.lineage],
    }


def _step(step: Lineage) -> str:
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
            share = f"{recall.value:.0%} ({recall.low:.0%} to {recall.high:.0%})"
    if enrolled := len(bundle.enrolled_photos(label.name)):
        learned += f", {enrolled} enrolled"
    family = (known and known.family) or "-"
    return [label.name, label.kind, family, learned, tested, share]
