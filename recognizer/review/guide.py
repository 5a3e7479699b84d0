"""What a reviewer should know of a label.

Hints and CITES notes come from the taxonomy, the evidence behind a label from the bundle.
"""

from __future__ import annotations

from dataclasses import dataclass

from recognizer.model.bundle import Bundle
from recognizer.model.description import LabelEvidence, counted
from recognizer.taxonomy import Kind, Label

MIN_TEST_PHOTOS = 20
"""Measured on fewer test photos than this, a share is uncertain by more than 20 points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """How well a label is known, in words; ``mark`` is a warning in two words, if there is one."""

    text: str
    mark: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """One label for reviewers; the evidence is that of a product, else None."""

    label: Label
    evidence: Evidence | None


def make_guides(bundle: Bundle) -> dict[str, Guide]:
    """Return a guide for each label of the taxonomy, also for those that the bundle lacks."""
    taxonomy = bundle.taxonomy
    known = {label.name: describe_evidence(label.evidence) for label in bundle.labels}
    unknown = Evidence(text="none: this model does not recognise it", mark="not recognised")
    return {
        label.name: Guide(
            label=label,
            evidence=known.get(label.name, unknown) if label.kind is Kind.PRODUCT else None,
        )
        for label in taxonomy.labels.values()
    }


def describe_evidence(evidence: LabelEvidence | None) -> Evidence:
    """Put the evidence of a bundle's label into words."""
    if evidence is None:
        return Evidence(text="not recorded in the bundle", mark="not measured")
    train, test = evidence.train, evidence.test
    text = _count(train.photos, train.sources, "training photo")
    if enrolment := evidence.enrolment:
        text = f"{text}: {enrolment.words}" if train.photos else enrolment.words
    if not test.photos:
        return Evidence(text=f"{text}; not measured: there are no test photos", mark="not measured")
    text += f"; measured on {_count(test.photos, test.sources, 'test photo')}"
    if found := evidence.average_precision:
        text += f": average precision {found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
    return Evidence(text=text, mark="thin evidence" if test.photos < MIN_TEST_PHOTOS else None)


def _count(photos: int, sources: int, noun: str) -> str:
    text = counted(photos, noun)
    return f"{text} from {counted(sources, 'source')}" if photos and sources else text
