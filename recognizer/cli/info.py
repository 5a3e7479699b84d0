"""``recognizer info``: what a bundle is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from recognizer.cli.options import BundleArgument, JsonOption, print_json

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle
    from recognizer.model.description import Lineage


def command(
    bundle: BundleArgument = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Describe a bundle: version, network, training, figures, thresholds, and how it was made.

    The files are checked against their digests first: the exit code is 4 if one was changed.
    """
    from recognizer.model.bundle import load_bundle

    found = load_bundle(bundle)
    found.read_model()  # verified
    about = _about(found)
    if as_json:
        print_json(about)
        return
    for key, value in about.items():
        _print(key.replace("_", " "), value)
    typer.echo("See also `recognizer labels`, and MODEL_CARD.md in the folder.")


def _print(key: str, value: Any) -> None:
    if isinstance(value, Mapping):
        value = ", ".join(f"{name.replace('_', ' ')} {one}" for name, one in value.items())
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    typer.echo(f"{key + ':':<24}{'not recorded' if value is None else value}")


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
        "labels": len(bundle.labels),
        "products": sum(label.kind.value == "product" for label in bundle.labels),
        "families": [family.name for family in bundle.families],
        "not_yet_recognised": [*bundle.not_recognized],
        "any_product_thresholds": {
            f"{rate:g}": threshold for rate, threshold in bundle.any_product_thresholds.items()
        },
        "trained_on": training
        and {
            "photos": training.photos,
            "sources": training.sources,
            "patches": training.patches,
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
        else "needs `recognizer negatives` first",
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
