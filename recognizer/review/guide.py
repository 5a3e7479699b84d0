"""What a reviewer should know of a label: what to look at, what it is mistaken for, what is known.

Hints and CITES notes come from the taxonomy; how much evidence stands behind a label comes from
the bundle, and is told in the same breath.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recognizer.model.bundle import Bundle
from recognizer.taxonomy import Kind

FEW_PHOTOS = 20
"""Measured on fewer test photos than this, a share is uncertain by more than 20 points."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What stands behind a label.

    Attributes:
        text: in words.
        mark: a warning in two words; None where there is nothing to warn of.
    """

    text: str
    mark: str | None


@dataclass(frozen=True, slots=True)
class Guide:
    """One label.

    Attributes:
        name: the label.
        title: its name for people.
        hint: what to look at; None where the taxonomy has none.
        cites: general information on the CITES listing; likewise.
        confused_with: what it is mistaken for, as label and title.
        evidence: of a product, else None.
    """

    name: str
    title: str
    hint: str | None
    cites: str | None
    confused_with: tuple[tuple[str, str], ...]
    evidence: Evidence | None


def make_guides(bundle: Bundle) -> dict[str, Guide]:
    """Return a guide for each label of the bundle's taxonomy, by name.

    A product that the bundle does not know has one too: a reviewer may still see it.
    """
    taxonomy = bundle.taxonomy
    known = {label.name: describe_evidence(label.evidence) for label in bundle.labels}
    unknown = Evidence("none: this model does not recognise it", "not recognised")
    return {
        label.name: Guide(
            label.name,
            label.display_name,
            label.hint,
            label.cites,
            tuple((name, taxonomy.display_name(name)) for name in label.confused_with),
            known.get(label.name, unknown) if label.kind is Kind.PRODUCT else None,
        )
        for label in taxonomy.labels.values()
    }


def describe_evidence(evidence: Mapping[str, Any]) -> Evidence:
    """Put the evidence of a bundle's label into words."""
    train, test = evidence.get("train"), evidence.get("test")
    if not train or not test:
        return Evidence("not recorded in the bundle", "not measured")
    text = f"{_count(train, 'training photo')}"
    if enrolled := evidence.get("enrolled"):
        text = f"{text}: {enrolled['words']}" if train["photos"] else enrolled["words"]
    if rendered := train.get("rendered"):
        text += f" and {rendered} rendered picture{'s' * (rendered != 1)}"
    if not test["photos"]:
        return Evidence(f"{text}; not measured: there are no test photos", "not measured")
    text += f"; measured on {_count(test, 'test photo')}"
    if precision := evidence.get("average_precision"):
        text += ": average precision {:.2f} ({:.2f} to {:.2f})".format(*precision)
    return Evidence(text, "thin evidence" if test["photos"] < FEW_PHOTOS else None)


def _count(part: Mapping[str, Any], noun: str) -> str:
    photos, sources = part["photos"], part.get("sources")
    text = f"{photos} {noun}{'s' * (photos != 1)}"
    return text + (f" from {sources} source{'s' * (sources != 1)}" if photos and sources else "")
