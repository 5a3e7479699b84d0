"""Enrol a product from a few photos into a new bundle, or estimate how well that would do.

It needs scikit-learn and onnx of the extra ``lab``, and no torch: a linear head on the features
of the bundle's own network is fitted against a bank of negatives, and written into the model file.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from recognizer.engine import Recognizer
from recognizer.errors import TaxonomyError, UsageError, counted, unknown_name
from recognizer.lab.enrolment.head import distinct, learn, read_examples
from recognizer.lab.enrolment.negatives import read_negatives
from recognizer.lab.enrolment.writing import (
    DEFAULT_RATE,
    Enrolment,
    calibrate,
    measure,
    write_enrolled,
)
from recognizer.lab.evaluation.learned import short_digests
from recognizer.model.folders import check_output
from recognizer.taxonomy import Kind, Taxonomy

MIN_NEGATIVES = 50
"""With fewer held-out negatives no threshold means anything: 1 of 50 is a rate of 2 %."""

MIN_PHOTOS = 3
"""With fewer photos that differ, nothing could be left out to see what the others are worth."""


def _resolve(known: Taxonomy, name: str, family: str | None, hint: str | None) -> Taxonomy:
    """Return a taxonomy with the product in it, or raise a UsageError."""
    if name in known.labels:
        if known.labels[name].kind is not Kind.PRODUCT:
            kind = known.labels[name].kind
            raise UsageError(f"{name} is a label of the kind {kind}: only products are enrolled")
        return known
    if hint is None:
        raise UsageError(
            f"{unknown_name('label', name, [*known.labels])}. For a new product give --hint, what "
            f"a reviewer should look at, and perhaps --family, one of: {', '.join(known.families)}"
        )
    label = {"kind": "product", "family": family or name, "hint": hint}
    try:
        return known.extended({"label": {name: label}}, "the new product")
    except TaxonomyError as error:
        raise UsageError(str(error)) from error


def enroll(
    recognizer: Recognizer,
    name: str,
    photos: Sequence[str],
    output: Path | None = None,
    *,
    family: str | None = None,
    hint: str | None = None,
    on_progress: Callable[[str, int, int], None] = lambda stage, done, of: None,
) -> Enrolment:
    """Write a bundle that knows a product more than the recognizer's.

    ``name`` is a product of the taxonomy that the bundle lacks, or a new one in snake_case with a
    ``hint``, what a reviewer should look at; its ``family`` is one of the taxonomy, by default its
    own. ``photos`` are paths, of at least three that differ; ``output`` is the folder NAME-vN of
    the new bundle, which must not exist or be empty. Without one, nothing is written, and the
    result says what to expect. ``on_progress`` is called with what is being done, the photos done
    and their number.

    A mistake in these is a UsageError; a bank that is not the one that the bundle describes, or a
    model that cannot be added to, a BundleError.
    """
    if output is not None:
        check_output(output)  # before any work is done
    bundle = recognizer.bundle
    taxonomy = _resolve(bundle.taxonomy, name, family, hint)
    if name in bundle.label_names:
        advice = "enroll it in a bundle without it, from all photos, or train with them"
        raise UsageError(f"{bundle.title} knows {name}: {advice}")
    bank = read_negatives(bundle)
    count = 0 if bank is None else int(bank.counted(taxonomy).sum())
    if bank is None or count < MIN_NEGATIVES:
        raise UsageError(
            f"{bundle.title} carries {counted(count, 'held-out negative')}, at least "
            f"{MIN_NEGATIVES} are needed: enroll in a bundle that `recognizer export` made"
        )
    read, unreadable = read_examples(recognizer, photos, partial(on_progress, "reading photos"))
    examples, copies = distinct(read)
    notes = [f"{path} is a near-copy of {twin}: it counts once" for path, twin in copies.items()]
    if len(examples) < MIN_PHOTOS:
        usable = f"{counted(len(examples), 'usable photo')} of {len(photos)}"
        notes += [f"{path} cannot be read: {why}" for path, why in unreadable.items()]
        needed = f"{usable}: at least {MIN_PHOTOS} that differ are needed"
        raise UsageError("\n".join([needed, *notes]))
    same = np.isin(bank.sha256, short_digests(photo.sha256 for photo in examples))
    if same.any():
        notes.append(
            f"photos in the bundle's bank (as {', '.join(sorted({*bank.labels[same]}))}): "
            f"{same.sum()}; they count as {name} here; the model may have been trained on them, "
            "and promise too much"
        )
    learned = learn(
        *(examples, bank[~same], name, taxonomy),
        partial(on_progress, "leaving out photos in turn"),
    )
    calibration = calibrate(learned, bundle)
    threshold = bundle.any_product_thresholds[DEFAULT_RATE]
    enrolment = Enrolment(
        name,
        calibration,
        measure(learned, calibration, threshold),
        threshold,
        tuple(notes),
        unreadable,
        output,
    )
    if output is not None:
        write_enrolled(bundle, taxonomy, learned, enrolment, output)
    return enrolment
