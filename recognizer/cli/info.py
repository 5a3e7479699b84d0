"""``recognizer info``: what a bundle is, what it can name, and what stands behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from recognizer.cli.options import BundleArgument, JsonOption, print_json
from recognizer.cli.progress import print_table, print_values

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle
    from recognizer.model.description import BundleLabel, Lineage

_RATE = 0.01  # the false-positive rate at which recall is shown


def command(bundle: BundleArgument = None, *, as_json: JsonOption = False) -> None:
    """Describe a bundle: how it was made, and its labels, with the evidence for each.

    Evidence is the number of photos and sources in training and in test, and recall on the test
    photos at a false-positive rate of 1 %, with its 95 % interval. Policies and banks take these
    names, and those of families. The files are checked against their digests first: the exit code
    is 4 if one was changed.
    """
    from recognizer.model.bundle import load_bundle

    found = load_bundle(bundle)
    found.read_model()  # verified
    about, labels = _about(found), [*_labels(found)]
    if as_json:
        print_json({**about, "labels": labels})
        return
    print_values({**about, "license": found.license or "not stated"})
    _print_labels(labels)
    typer.echo("See also MODEL_CARD.md in the folder.")


def _about(bundle: Bundle) -> dict[str, Any]:
    training, evaluation = bundle.training, bundle.evaluation
    return {
        "bundle": bundle.title,
        "folder": str(bundle.path),
        "digest": bundle.digest,
        "created": bundle.created,
        "license": bundle.license,
        "network": bundle.model.backbone,
        "precision": bundle.model.precision,
        "bytes": bundle.model.bytes,
        "input": f"{bundle.input.size} x {bundle.input.size} pixels, preprocessing "
        f"{bundle.input.preprocessing}",
        "families": [family.name for family in bundle.families],
        "any_product_thresholds": {
            f"{rate:g}": threshold for rate, threshold in bundle.any_product_thresholds.items()
        },
        "trained_on": training
        and {
            "photos": training.photos,
            "sources": training.sources,
            "fingerprint": training.fingerprint[:12],
        },
        "measured_on": evaluation
        and {
            "split": evaluation.split,
            "photos_without_a_product": evaluation.negatives,
            "of_these_sent_to_review": evaluation.flagged_negatives,
        },
        "enrolment": "possible: the bundle has negatives"
        if bundle.negatives
        else "needs --negatives: the bundle has none",
        "made": [_step(step) for step in bundle.lineage],
    }


def _step(step: Lineage) -> str:
    from recognizer.model.description import Calibrated, Enrolled

    match step:
        case Enrolled():
            done = f"enrolled {step.label} from {len(step.photos)} photos"
        case Calibrated():
            done = f"calibrated on {step.photos.photos} photos"
        case _:
            done = "exported"
    return f"{done} on {step.date} by version {step.program}"


def _labels(bundle: Bundle) -> Iterator[dict[str, Any]]:
    """Yield a row for each label of the taxonomy, in its order, then for those it does not have."""
    of_bundle = {label.name: label for label in bundle.labels}
    for name, label in bundle.taxonomy.labels.items():
        yield {
            "label": name,
            "name": label.display_name,
            "kind": label.kind.value,
            "family": label.family,
            "cites": label.cites,
            **_evidence(of_bundle.pop(name, None), bundle),
        }
    for name, known in of_bundle.items():
        about = {"label": name, "name": name, "kind": known.kind.value}
        yield about | dict.fromkeys(("family", "cites")) | _evidence(known, bundle)


def _evidence(known: BundleLabel | None, bundle: Bundle) -> dict[str, Any]:
    evidence = known.evidence if known else None
    enrolled = len(bundle.enrolled_photos(known.name)) if known else 0
    return {
        "recognized": known is not None,
        "train": evidence and evidence.train,
        "test": evidence and evidence.test,
        "recall": evidence and evidence.recall.get(_RATE),
        "enrolled": enrolled or None,
    }


def _print_labels(rows: list[dict[str, Any]]) -> None:
    from recognizer.taxonomy import Kind

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
