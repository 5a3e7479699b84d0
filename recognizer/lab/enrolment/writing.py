"""The bundle of an enrolment: model, thresholds, evidence, lineage and card."""

import hashlib
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from recognizer import __version__
from recognizer._files import new_folder
from recognizer.errors import BundleSchemaError, counted
from recognizer.intervals import share_by_source
from recognizer.lab.enrolment.head import Learned
from recognizer.lab.enrolment.negatives import NegativeBank, write_negatives
from recognizer.lab.enrolment.onnx_head import add_head
from recognizer.lab.evaluation.calibrate import fit_platt, raised_above
from recognizer.lab.evaluation.learned import DIGESTS_FILE, short_digests
from recognizer.lab.evaluation.thresholds import (
    expected_log_odds,
    fit_thresholds,
    raised,
    threshold_at_fpr,
)
from recognizer.lab.templates import render
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
from recognizer.model.folders import CARD_FILE, MODEL_FILE, SECOND_FILE, bundle_title
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
    calibration: Calibration
    evidence: EnrolmentEvidence
    any_product_threshold: float
    notes: tuple[str, ...]
    unreadable: dict[str, str]
    path: Path | None = None

    def lines(self) -> list[str]:
        """Return what to expect of the product, as lines of text."""
        return render("enrolment/expectation.txt.j2", found=self, counted=counted).splitlines()


def calibrate(learned: Learned, parent: Bundle) -> Calibration:
    """Return the line that makes a new head's log-odds comparable with other labels'.

    The slope is Platt's (1999), with his smoothed targets. How common the product is, three photos
    cannot say; so the intercept is set by its false positives: at the any-product threshold this
    label alone causes its even share.
    """
    left_out, wrong = learned.left_out, learned.negatives
    scores = np.concatenate([left_out, wrong])
    spread = float(scores.std()) or 1.0
    photos, others = counts = [len(left_out), len(wrong)]
    targets = np.repeat([(photos + 1) / (photos + 2), 1 / (others + 2)], counts)
    weights = np.repeat([0.5 / photos, 0.5 / others], counts)
    scaled_slope, _ = fit_platt(scores / spread, targets, weights, c=1e4)
    slope = max(round(scaled_slope / spread, 6), 1e-3)
    aim = min(max(parent.any_product_thresholds[DEFAULT_RATE], 0.05), 0.95)
    limit = threshold_at_fpr(wrong, DEFAULT_RATE / (len(parent.products) + 1))
    return Calibration(slope, round(float(logit(aim)) - slope * limit, 6))


def measure(learned: Learned, calibration: Calibration, threshold: float) -> EnrolmentEvidence:
    """Measure the scores of the photos, by heads that had not seen them.

    A negative is a false positive at the threshold that negatives of other sources set; photos are
    leads over the any-product ``threshold``.
    """
    left_out, wrong, own = learned.left_out, learned.negatives, learned.sources
    others = learned.bank.sources[learned.counted].astype(np.str_)
    limits = {rate: expected_log_odds(wrong, rate) for rate in FALSE_POSITIVE_RATES}
    return EnrolmentEvidence(
        photos=len(left_out),
        sources=len(set(own)),
        by_source=learned.by_source,
        negatives=learned.fitted,
        recall={rate: _share(left_out > limit, own) for rate, limit in limits.items()},
        false_positives={rate: _share(_over(wrong, others, rate), others) for rate in limits},
        leads=_share(sigmoid(calibration(left_out)) > threshold, own),
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


def write_enrolled(
    parent: Bundle, taxonomy: Taxonomy, learned: Learned, enrolment: Enrolment, output: Path
) -> None:
    """Write the new bundle, and put it in place in one step; the taxonomy has the new label."""
    softmax = parent.activation == "softmax"
    try:
        model = add_head(
            parent.read_model(), learned.head, labels=len(parent.labels), softmax=softmax
        )
    except ValueError as error:
        raise BundleSchemaError(f"{parent.path}: the model cannot be added to: {error}") from error
    with new_folder(output) as draft:
        (draft / MODEL_FILE).write_bytes(model)
        if parent.second_look is not None:
            (draft / SECOND_FILE).write_bytes(parent.read_model(parent.second_look))
        name, version = bundle_title(output)
        described = _describe(replace(parent, taxonomy=taxonomy), learned, enrolment)
        bundle = replace(
            described,
            name=name,
            version=version,
            path=draft,
            model=replace(parent.model, sha256=hashlib.sha256(model).hexdigest(), bytes=len(model)),
        )
        bank = _remembered(learned, enrolment.name)
        bundle = replace(bundle, negatives=write_negatives(draft, bank))
        write_bundle(with_self_test(bundle))
        if (learned_from := parent.path / DIGESTS_FILE).is_file():
            shutil.copyfile(learned_from, draft / DIGESTS_FILE)
        card = parent.path / CARD_FILE
        before = card.read_text(encoding="utf-8") if card.is_file() else ""
        about = {"new": bundle, "old": parent, "found": enrolment, "card": before}
        text = render("enrolment/enrolled.md.j2", **about)
        (draft / CARD_FILE).write_text(text, encoding="utf-8")


def _describe(parent: Bundle, learned: Learned, enrolment: Enrolment) -> Bundle:
    name, evidence = enrolment.name, enrolment.evidence
    own = sigmoid(enrolment.calibration(learned.negatives))
    # The bank has no photos to look at again: thresholds rise as they did at the export.
    rise = partial(raised_above, above=parent.tta_threshold, by=parent.tta_raise)
    label = BundleLabel(
        name=name,
        kind=Kind.PRODUCT,
        calibration=enrolment.calibration,
        thresholds=rise(fit_thresholds(own)),
        fit=CalibrationFit(method="enrolled", positives=len(learned.photos)),
        evidence=_evidence(None, evidence),
    )
    today = datetime.now(UTC).date().isoformat()
    step = Enrolled(
        parent=parent.reference,
        label=name,
        photos=tuple(photo.sha256 for photo in learned.photos),
        date=today,
        program=__version__,
    )
    new = replace(
        parent,
        created=today,
        activation="sigmoid",
        outputs={**parent.outputs, "maps": _MAPS},
        labels=(*parent.labels, label),
        families=_families(parent, name, evidence),
        not_recognized=tuple(n for n in parent.not_recognized if n != name),
        evaluation=None,  # they are of the parent, whose card follows in this one's
        lineage=(*parent.lineage, step),
    )
    others = parent.calibrate(learned.bank.log_odds[learned.counted])
    families = new.family_scores(np.column_stack([others, own]))
    earlier = {family.name: family.thresholds for family in parent.families}
    of_any = rise(fit_thresholds(families.max(axis=1)))
    return replace(
        new,
        families=tuple(
            replace(family, thresholds=raised(earlier.get(family.name, {}), rise(now)))
            if name in family.members
            else family
            for family, now in zip(new.families, map(fit_thresholds, families.T), strict=True)
        ),
        any_product_thresholds=raised(parent.any_product_thresholds, of_any),
    )


def _families(parent: Bundle, name: str, new: EnrolmentEvidence) -> tuple[BundleFamily, ...]:
    family = parent.taxonomy.labels[name].family or ""
    known = {one.name: one for one in parent.families}
    old = known.get(family, BundleFamily(name=family, members=(), thresholds=NEVER))
    changed = replace(old, members=(*old.members, name), evidence=_evidence(old.evidence, new))
    return tuple((known | {family: changed}).values())


def _evidence(before: LabelEvidence | None, new: EnrolmentEvidence) -> LabelEvidence:
    # What was measured before, was measured on another score.
    train = before.train if before else PhotoCounts()
    photos, sources = train.photos + new.photos, train.sources + new.sources
    return LabelEvidence(train=replace(train, photos=photos, sources=sources), enrolment=new)


def _remembered(learned: Learned, name: str) -> NegativeBank:
    bank, head = learned.bank, learned.head
    scores = bank.embeddings @ head.weight + head.bias
    scores[learned.counted] = learned.negatives
    photos, count = learned.photos, len(learned.photos)
    own = NegativeBank(
        np.stack([photo.embeddings[0] for photo in photos]),
        np.stack([photo.log_odds[0] for photo in photos]),
        np.array([name] * count),
        np.zeros(count, np.int32),  # of one source
        np.zeros(count, bool),
        short_digests([photo.sha256 for photo in photos]),
    )
    whole = bank.joined(own)
    column = np.concatenate([scores, learned.left_out])
    log_odds = np.column_stack([whole.log_odds, column]).astype(np.float32)
    return replace(whole, log_odds=log_odds)
