"""``recognizer labels``: what a bundle can name, and what stands behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from recognizer.cli.options import (
    BundleArgument,
    JsonLinesOption,
    print_json,
)
from recognizer.cli.progress import new_table, wide_console

if TYPE_CHECKING:
    from recognizer.model.bundle import Bundle
    from recognizer.model.description import LabelEvidence
    from recognizer.taxonomy import Label

_RATE = 0.01  # the false-positive rate at which recall is shown


def command(bundle: BundleArgument = None, json_lines: JsonLinesOption = False) -> None:
    """List the labels of a bundle, with the evidence for each, and those it does not recognise yet.

    Evidence is the number of photos and sources in training and in test, and recall on the test
    photos at a false-positive rate of 1 %, with its 95 % interval. Policies and banks take these
    names, and those of families.
    """
    from recognizer.model.bundle import load_bundle
    from recognizer.taxonomy import Kind

    found = load_bundle(bundle)
    rows = [*_rows(found)]
    if json_lines:
        for row in rows:
            print_json(row, on_one_line=True)
        return
    headings = ("label", "kind", "family", "trained on", "tested on", "recall at 1 % FPR")
    table = new_table(f"{found.title}: {len(found.labels)} labels", headings)
    for column in table.columns:
        column.justify = "left"
    for row in rows:
        if row["recognized"]:
            table.add_row(row["label"], row["kind"], row["family"] or "-", *_cells(row))
    wide_console().print(table)
    typer.echo("photos (sources); p: patches of photos, which are no evidence")
    for kind in Kind:
        others = [r["label"] for r in rows if r["kind"] == kind and not r["recognized"]]
        if others:
            typer.echo(f"Not yet recognised, {kind}: {', '.join(others)}")


def _rows(bundle: Bundle) -> Iterator[dict[str, Any]]:
    """Yield a row for each label of the taxonomy, in its order, then for those it does not have."""
    of_bundle = {label.name: label for label in bundle.labels}
    for label in bundle.taxonomy.labels.values():
        known = of_bundle.pop(label.name, None)
        evidence = known.evidence if known else None
        yield _row(label, bundle, is_known=known is not None, evidence=evidence)
    for name, other in of_bundle.items():
        yield {
            **dict.fromkeys(("family", "cites", "train", "test", "recall", "enrolled")),
            "label": name,
            "name": name,
            "kind": other.kind.value,
            "recognized": True,
        }


def _row(
    label: Label, bundle: Bundle, *, is_known: bool, evidence: LabelEvidence | None
) -> dict[str, Any]:
    recall = evidence.recall.get(_RATE) if evidence else None
    train, test = (evidence.train, evidence.test) if evidence else (None, None)
    enrolled = len(bundle.enrolled_photos(label.name))
    return {
        "label": label.name,
        "name": label.display_name,
        "kind": label.kind.value,
        "family": label.family,
        "cites": label.cites,
        "recognized": is_known,
        "train": train
        and {
            "photos": train.photos,
            "sources": train.sources,
            "patches": train.patches,
        },
        "test": test and {"photos": test.photos, "sources": test.sources},
        "recall": recall and {"value": recall.value, "low": recall.low, "high": recall.high},
        "enrolled": enrolled or None,
    }


def _cells(row: dict[str, Any]) -> tuple[str, str, str]:
    train, test, recall = row["train"], row["test"], row["recall"]
    learned = "not recorded"
    if train:
        learned = f"{train['photos']:,} ({train['sources']})"
        if train["patches"]:
            learned += f" + {train['patches']} p"
    if row["enrolled"]:
        learned += f", {row['enrolled']} enrolled"
    tested = f"{test['photos']} ({test['sources']})" if test and test["photos"] else "-"
    share = (
        f"{recall['value']:.0%} ({recall['low']:.0%} to {recall['high']:.0%})" if recall else "-"
    )
    return learned, tested, share
