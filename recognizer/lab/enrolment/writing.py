"""The bundle of an enrolment: model, thresholds, evidence, lineage and card."""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from recognizer import __version__
from recognizer._files import new_folder
from recognizer.errors import BundleSchemaError, counted
from recognizer.intervals import share_by_source
from recognizer.lab.enrolment.head import Learned, Learner, as_negatives
from recognizer.lab.enrolment.onnx_head import add_head
from recognizer.lab.evaluation.calibrate import fit_platt, raised_above
from recognizer.lab.evaluation.templates import render
from recognizer.lab.evaluation.thresholds import (
    expected_log_odds,
    fit_thresholds,
    raised,
    threshold_at_fpr,
)
from recognizer.model.bundle import Bundle, write_bundle
from recognizer.model.description import (
    NEVER,
    BundleFamily,
    BundleLabel,
    Calibration,
    CalibrationFit,
    Enrolled,
    EnrolmentEvidence,
    LabelEvidence,
    PhotoCounts,
    Share,
)
from recognizer.model.folders import CARD_FILE, MODEL_FILE
from recognizer.model.negatives import NegativeBank, write_negatives
from recognizer.model.numerics import logit, sigmoid
from recognizer.model.self_test import with_self_test
from recognizer.policy.values import FALSE_POSITIVE_RATES
from recognizer.taxonomy import Kind, Taxonomy

# At the any-product threshold for this rate, the new label alone causes at most its even share of
# the false positives: it is one of several products, and what it takes all the others lose.
DEFAULT_RATE = 0.01
_FOLDS = 5  # of sources of negatives: each is judged by a threshold that the others set
_MAPS = "float32 (N, labels, h, w): log-odds of each label at each place"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The result of an enrolment, done or checked.

    ``any_product_threshold`` is the default policy's review threshold, a probability; ``notes`` say
    what was left out or found odd; ``unreadable`` is path -> why a photo or negative could not be
    read; ``path`` is None if no bundle was written.
    """

    name: str
    evidence: EnrolmentEvidence
    any_product_threshold: float
    notes: tuple[str, ...]
    unreadable: dict[str, str]
    path: Path | None = None

    def lines(self) -> list[str]:
        """Return what to expect of the product, as lines of text."""
        return render("expectation.txt.j2", found=self, counted=counted).splitlines()


@dataclass(frozen=True)
class Plan:
    """The content that an enrolment is about to write."""

    name: str
    parent: Bundle
    taxonomy: Taxonomy  # with the label in it
    learner: Learner
    learned: Learned
    column: int | None  # of the label in the parent, None for a new one

    @cached_property
    def calibration(self) -> Calibration:
        """The line that makes the head's log-odds comparable with other labels'.

        The slope is Platt's (1999), with his smoothed targets. How common the product is, three
        photos cannot say; so the intercept is set by its false positives: at the any-product
        threshold this label alone causes its even share.
        """
        products = {*self.parent.products, self.name}
        left_out, wrong = self.learned.left_out, self.learned.negatives
        scores = np.concatenate([left_out, wrong])
        spread = float(scores.std()) or 1.0
        photos, others = counts = [len(left_out), len(wrong)]
        targets = np.repeat([(photos + 1) / (photos + 2), 1 / (others + 2)], counts)
        weights = np.repeat([0.5 / photos, 0.5 / others], counts)
        scaled_slope, _ = fit_platt(scores / spread, targets, weights, c=1e4)
        slope = max(round(scaled_slope / spread, 6), 1e-3)
        aim = min(max(self.parent.any_product_thresholds[DEFAULT_RATE], 0.05), 0.95)
        place = threshold_at_fpr(wrong, DEFAULT_RATE / len(products))
        return Calibration(slope, round(float(logit(aim)) - slope * place, 6))

    @cached_property
    def evidence(self) -> EnrolmentEvidence:
        """The scores of the photos, by heads that had not seen them.

        A negative is a false positive at the threshold that negatives of other sources set.
        """
        learner, left_out, wrong = self.learner, self.learned.left_out, self.learned.negatives
        # Photos of one source are independent of each other at best.
        own = learner.sources if learner.by_source else np.arange(len(left_out)).astype(np.str_)
        others = learner.bank.sources[learner.counted].astype(np.str_)
        limits = {rate: expected_log_odds(wrong, rate) for rate in FALSE_POSITIVE_RATES}
        threshold = self.parent.any_product_thresholds[DEFAULT_RATE]
        return EnrolmentEvidence(
            photos=len(left_out),
            sources=len(set(learner.sources)),
            by_source=learner.by_source,
            known=len(learner.known),
            negatives=learner.negatives,
            recall={rate: _share(left_out > limit, own) for rate, limit in limits.items()},
            false_positives={rate: _share(_over(wrong, others, rate), others) for rate in limits},
            leads=_share(sigmoid(self.calibration(left_out)) > threshold, own),
            own_weight=None if self.column is None else self.learned.head.own_weight,
        )


def _over(
    negatives: NDArray[np.float64], sources: NDArray[np.str_], rate: float
) -> NDArray[np.bool_]:
    """Return which log-odds, (N,), are over the threshold that other sources' set for a rate."""
    over = np.empty(len(negatives), bool)
    many = len(np.unique(sources))
    groups = sources if many > 1 else np.arange(len(negatives))
    for rest, own in GroupKFold(min(_FOLDS, max(many, 2))).split(negatives, groups=groups):
        over[own] = negatives[own] > expected_log_odds(negatives[rest], rate)
    return over


def _share(is_above: NDArray[np.bool_], sources: NDArray[np.str_]) -> Share:
    count, ends = int(is_above.sum()), share_by_source(is_above, sources)
    return Share(count=count, of=len(is_above), low=round(ends.low, 4), high=round(ends.high, 4))


def write_enrolled(plan: Plan, enrolment: Enrolment, output: Path, title: tuple[str, int]) -> None:
    """Write the new bundle, and put it in place in one step."""
    parent = plan.parent
    try:
        model = add_head(
            parent.read_model(),
            plan.learned.head,
            labels=len(parent.labels),
            softmax=parent.activation == "softmax",
            replaced=plan.column,
        )
    except ValueError as error:
        raise BundleSchemaError(f"{parent.path}: the model cannot be added to: {error}") from error
    with new_folder(output) as draft:
        (draft / MODEL_FILE).write_bytes(model)
        bundle = replace(_describe(plan, model, title), path=draft)
        if parent.negatives is not None:
            bundle = replace(bundle, negatives=write_negatives(draft, _remembered(plan)))
        write_bundle(with_self_test(bundle))
        card = parent.path / CARD_FILE
        before = card.read_text(encoding="utf-8") if card.is_file() else ""
        text = render("enrolled.md.j2", new=bundle, old=parent, found=enrolment, card=before)
        (draft / CARD_FILE).write_text(text, encoding="utf-8")


def _describe(plan: Plan, model: bytes, title: tuple[str, int]) -> Bundle:
    # Of the caller's negatives it is only known that they are not this label. What the parent takes
    # for a lead among them may be one, so it does not count where all products are counted.
    parent, learned, column = plan.parent, plan.learned, plan.column
    own = sigmoid(plan.calibration(learned.negatives))
    # The bank has no photos to look at again: thresholds rise as they did at the export.
    rise = partial(raised_above, above=parent.second_look, by=parent.second_look_raise)
    before = None if column is None else parent.labels[column].evidence
    label = BundleLabel(
        name=plan.name,
        kind=Kind.PRODUCT,
        calibration=plan.calibration,
        thresholds=rise(fit_thresholds(own)),
        fit=CalibrationFit(method="enrolled", positives=len(plan.learner.photos)),
        evidence=_evidence(before, plan.evidence),
    )
    labels = {old.name: old for old in parent.labels} | {plan.name: label}
    today = datetime.now(UTC).date().isoformat()
    step = Enrolled(
        parent=parent.reference,
        label=plan.name,
        photos=tuple(photo.sha256 for photo in plan.learner.photos),
        date=today,
        program=__version__,
    )
    new = replace(
        parent,
        taxonomy=plan.taxonomy,
        name=title[0],
        version=title[1],
        created=today,
        model=replace(parent.model, sha256=hashlib.sha256(model).hexdigest(), bytes=len(model)),
        activation="sigmoid",
        outputs={**parent.outputs, "maps": _MAPS},
        labels=tuple(labels.values()),
        families=_families(plan),
        not_recognized=tuple(n for n in parent.not_recognized if n != plan.name),
        evaluation=None,  # they are of the parent, whose card follows in this one's
        lineage=(*parent.lineage, step),
    )
    others = parent.calibrate(plan.learner.bank.log_odds[plan.learner.counted])
    highest = parent.family_scores(others).max(axis=1, initial=0)
    led = highest > parent.any_product_thresholds[DEFAULT_RATE]
    certain = ~(led & (plan.learner.bank.labels[plan.learner.counted] == ""))
    families = new.family_scores(_with_column(others, own, column))[certain]
    earlier = {family.name: family.thresholds for family in parent.families}
    of_any = rise(fit_thresholds(families.max(axis=1)))
    return replace(
        new,
        families=tuple(
            replace(family, thresholds=raised(earlier.get(family.name, {}), rise(now)))
            if plan.name in family.members
            else family
            for family, now in zip(new.families, map(fit_thresholds, families.T), strict=True)
        ),
        any_product_thresholds=raised(parent.any_product_thresholds, of_any),
    )


def _families(plan: Plan) -> tuple[BundleFamily, ...]:
    name = plan.taxonomy.labels[plan.name].family or ""
    known = {family.name: family for family in plan.parent.families}
    old = known.get(name, BundleFamily(name=name, members=(), thresholds=NEVER))
    members = old.members if plan.name in old.members else (*old.members, plan.name)
    evidence = _evidence(old.evidence, plan.evidence)
    return tuple((known | {name: replace(old, members=members, evidence=evidence)}).values())


def _evidence(before: LabelEvidence | None, new: EnrolmentEvidence) -> LabelEvidence:
    # What was measured before, was measured on another score.
    train = before.train if before else PhotoCounts()
    photos, sources = train.photos + new.photos, train.sources + new.sources
    return LabelEvidence(train=replace(train, photos=photos, sources=sources), enrolment=new)


def _remembered(plan: Plan) -> NegativeBank:
    bank, learned, head = plan.learner.bank, plan.learned, plan.learned.head
    before = head.own_weight * bank.log_odds[:, plan.column or 0]
    scores = bank.embeddings @ head.weight + head.bias + before
    scores[plan.learner.counted] = learned.negatives
    own = bank.labels != ""  # the caller's negatives are not remembered
    whole = bank[own].joined(as_negatives(plan.learner.photos, plan.name))
    values = np.concatenate([scores[own], learned.left_out])
    log_odds = _with_column(whole.log_odds, values, plan.column)
    return replace(whole, log_odds=log_odds.astype(np.float32))


def _with_column(
    table: NDArray[np.floating], values: NDArray[np.floating], column: int | None
) -> NDArray[np.float64]:
    wide = np.array(table, np.float64)
    if column is None:
        return np.column_stack([wide, values])
    wide[:, column] = values
    return wide
