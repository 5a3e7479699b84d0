"""The bundle of an enrolment: model, thresholds, evidence, lineage and card."""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognizer import __version__
from recognizer.enrolment.examples import Examples
from recognizer.enrolment.expectation import Expectation
from recognizer.enrolment.head import Learned, Settings
from recognizer.enrolment.linear import fit_logistic
from recognizer.errors import BundleSchemaError
from recognizer.evaluation.thresholds import (
    fit_thresholds,
    raised,
    threshold_at_false_alarm_rate,
)
from recognizer.imaging import model_input
from recognizer.model.bundle import (
    FALSE_ALARM_RATES,
    SCHEMA,
    Bundle,
    load_bundle,
    sigmoid,
    write_description,
)
from recognizer.model.folders import CARD_FILE, MODEL_FILE
from recognizer.model.negatives import NegativeBank, write_negatives
from recognizer.model.onnx_head import add_head
from recognizer.recognizer import Recognizer
from recognizer.taxonomy import Kind, Taxonomy, load_taxonomy

PHOTO_LEVEL = "0.01"
"""At a photo's threshold for this rate of false alarms the new label alone causes at most its even
share of them: it is one of several products, and what it takes all the others lose."""

_TOLERANCE = 2e-3  # of log-odds: the head is float32, and features are summed in another order


def write_bundle(
    recognizer: Recognizer,
    taxonomy: Taxonomy,
    name: str,
    photos: Examples,
    learned: Learned,
    banks: tuple[NegativeBank, NegativeBank | None],
    expectation: Expectation,
    notes: Sequence[str],
    settings: Settings,
    output: Path,
    title: tuple[str, int],
) -> None:
    """Write the new bundle, check it by running it, and put it in place in one step.

    Args:
        recognizer: the bundle that it is made of.
        taxonomy: with the label in it.
        name: the label.
        photos: those that were enrolled.
        learned: the head, and what others like it said.
        banks: all negatives, and those of the bundle alone.
        expectation: what to expect of the label.
        notes: on what the expectation rests on, in words.
        settings: of the fit.
        output: its folder; the one around it is there.
        title: its name and version.

    Raises:
        BundleSchemaError: the bundle's model cannot be given a head.
    """
    bundle = recognizer.bundle
    bank, own_bank = banks
    column = bundle.label_names.index(name) if name in bundle.label_names else None
    model = bundle.read_model()
    try:
        model = add_head(
            model,
            learned.head,
            labels=len(bundle.labels),
            softmax=bundle.activation == "softmax",
            replaced=column,
        )
    except ValueError as error:
        raise BundleSchemaError(f"{bundle.path}: the model cannot be added to: {error}") from error
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".enrolling-") as scratch:
        draft = Path(scratch) / "bundle"
        draft.mkdir()
        (draft / MODEL_FILE).write_bytes(model)
        description = copy.deepcopy(dict(bundle.description))
        _describe_model(description, model, title)
        _describe_label(description, taxonomy, name, photos, learned, expectation, bundle)
        _describe_taxonomy(description, taxonomy, name)
        _describe_lineage(description, bundle, name, photos, settings)
        if own_bank is not None:
            remembered = _remembered(own_bank, photos, learned, name, column)
            description["negatives"] = write_negatives(draft, remembered)
        write_description(draft, description)
        _set_thresholds(draft, description, bundle, bank, learned, name)
        write_description(draft, description)
        told = [*expectation.lines(), *notes]
        (draft / CARD_FILE).write_text(_card(bundle, description, told), encoding="utf-8")
        _check(draft, recognizer, photos, learned, column)
        if output.is_dir():
            output.rmdir()
        os.replace(draft, output)


def _describe_model(description: dict[str, Any], model: bytes, title: tuple[str, int]) -> None:
    description["name"], description["version"] = title
    description["schema"] = SCHEMA
    description["model"] |= {"sha256": hashlib.sha256(model).hexdigest(), "bytes": len(model)}
    description["activation"] = "sigmoid"
    outputs = description.setdefault("outputs", {})
    outputs["maps"] = "float32 (N, labels, h, w): log-odds of each label at each place"


def _describe_label(
    description: dict[str, Any],
    taxonomy: Taxonomy,
    name: str,
    photos: Examples,
    learned: Learned,
    expectation: Expectation,
    bundle: Bundle,
) -> None:
    """Write the label's entry, and its family's, with thresholds that are set later."""
    entries: list[dict[str, Any]] = description["labels"]
    entry = next((e for e in entries if e["name"] == name), None)
    if entry is None:
        entry = {"name": name, "kind": str(Kind.PRODUCT), "evidence": {}}
        entries.append(entry)
    slope, intercept = calibrate(learned, bundle, name)
    nothing = dict.fromkeys(FALSE_ALARM_RATES, 1.0)
    entry |= {
        "calibration": {
            "slope": slope,
            "intercept": intercept,
            "method": "enrolled",
            "positives": len(photos),
        },
        "thresholds": nothing,
        "evidence": _evidence(entry["evidence"], expectation),
    }
    family_name = taxonomy.labels[name].family
    families: list[dict[str, Any]] = description["families"]
    family = next((f for f in families if f["name"] == family_name), None)
    if family is None:
        family = {"name": family_name, "members": [], "thresholds": nothing, "evidence": {}}
        families.append(family)
    if name not in family["members"]:
        family["members"] = [*family["members"], name]
    family["evidence"] = _evidence(family["evidence"], expectation)
    description["not_recognized"] = [n for n in description["not_recognized"] if n != name]


def _evidence(before: Mapping[str, Any], expectation: Expectation) -> dict[str, Any]:
    """Add an enrolment to evidence. What was measured, was measured on another score."""
    train = before.get("train", {"photos": 0, "sources": 0, "rendered": 0})
    evidence: dict[str, Any] = {
        "train": {
            **train,
            "photos": train["photos"] + expectation.photos,
            "sources": train["sources"] + expectation.sources,
        },
        "test": {"photos": 0, "sources": 0},
        "average_precision": None,
        "area_under_roc": None,
        "recall_at_false_alarm_rate": {},
        "enrolled": expectation.to_dict(),
    }
    return evidence | ({"before_enrolment": dict(before)} if before else {})


def calibrate(learned: Learned, bundle: Bundle, name: str) -> tuple[float, float]:
    """Return slope and intercept that make the head's log-odds comparable with other labels'.

    The slope is Platt's (1999), with his smoothed targets, on scores of heads that had not seen
    what they scored. How common the product is, three photos cannot say; so the intercept is set
    by its false alarms: at the probability that is a photo's threshold, this label alone causes
    its even share of them.
    """
    products = {label.name for label in bundle.labels if label.kind is Kind.PRODUCT} | {name}
    positives, negatives = len(learned.left_out), len(learned.negatives)
    targets = np.repeat(
        [(positives + 1) / (positives + 2), 1 / (negatives + 2)], [positives, negatives]
    )
    weights = np.repeat([0.5 / positives, 0.5 / negatives], [positives, negatives])
    scores = np.concatenate([learned.left_out, learned.negatives])
    spread = float(scores.std()) or 1.0
    coefficients, _ = fit_logistic(scores[:, None] / spread, targets, weights, 1e-4)
    # A slope of zero or below would turn the order of the scores around.
    slope = max(round(float(coefficients[0]) / spread, 6), 1e-3)
    aim = min(max(bundle.photo_thresholds[PHOTO_LEVEL], 0.05), 0.95)
    place = threshold_at_false_alarm_rate(learned.negatives, float(PHOTO_LEVEL) / len(products))
    return slope, round(float(np.log(aim / (1 - aim))) - slope * place, 6)


def _describe_taxonomy(description: dict[str, Any], taxonomy: Taxonomy, name: str) -> None:
    """Carry what the package's own taxonomy does not say."""
    packaged = load_taxonomy()
    if name in packaged.labels:
        return
    label = taxonomy.labels[name]
    family = taxonomy.families[label.family or ""]
    own = description.setdefault("taxonomy", {})
    own.setdefault("label", {})[name] = {
        "kind": str(label.kind),
        "display_name": label.display_name,
        "family": label.family,
        "cites": label.cites,
        "hint": label.hint,
    }
    if family.name not in packaged.families:
        own.setdefault("family", {})[family.name] = {
            "display_name": family.display_name,
            "note": family.note,
        }


def _describe_lineage(
    description: dict[str, Any], bundle: Bundle, name: str, photos: Examples, settings: Settings
) -> None:
    """Say what the bundle is made of. The parent's evaluation goes there: it is not this one's."""
    today = datetime.now(UTC).date().isoformat()
    step = {
        "parent": {"name": bundle.name, "version": bundle.version, "sha256": bundle.digest},
        "enrolled": name,
        "photos": list(photos.sha256),
        "date": today,
        "settings": asdict(settings),
        "program": __version__,
    }
    for measured in ("unseen_sources", "patches_of_held_out_animals"):
        description.pop(measured, None)  # of the parent, whose card follows in this one's
    if "evaluation" in description:
        step["parent_evaluation"] = description.pop("evaluation")
    description["lineage"] = [*description.get("lineage", []), step]
    description["created"] = today


def _remembered(
    bank: NegativeBank, photos: Examples, learned: Learned, name: str, column: int | None
) -> NegativeBank:
    """Return the bundle's bank as the new bundle carries it: with the label and its photos."""
    rows = photos.as_negatives(name, held_out=False, together=True)
    scores = bank.embeddings @ learned.head.weight + learned.head.bias
    if column is not None:
        scores = scores + learned.head.own_weight * bank.log_odds[:, column]
    # The caller's negatives come behind the bundle's, and are not remembered.
    mine = learned.rows < len(bank)
    scores[learned.rows[mine]] = learned.negatives[mine]
    return _with_scores(bank, scores, column).joined(_with_scores(rows, learned.left_out, column))


def _with_scores(
    bank: NegativeBank, scores: NDArray[np.floating], column: int | None
) -> NegativeBank:
    return replace(bank, log_odds=_put(bank.log_odds, scores, column).astype(np.float32))


def _put(
    table: NDArray[np.floating], values: NDArray[np.floating], column: int | None
) -> NDArray[np.float64]:
    """Return a table with one column replaced; None for a new one, at the end."""
    wide = np.asarray(table, np.float64)
    if column is None:
        return np.column_stack([wide, values])
    wide = wide.copy()
    wide[:, column] = values
    return wide


def _set_thresholds(
    draft: Path,
    description: dict[str, Any],
    parent: Bundle,
    bank: NegativeBank,
    learned: Learned,
    name: str,
) -> None:
    """Set the label's thresholds; raise its family's and the photo's to what they now must be.

    Of the caller's negatives it is only known that they are not this label. What the parent takes
    for a lead among them may be one, so it does not count where all products are counted.
    """
    bundle = load_bundle(draft)
    column = bundle.label_names.index(name)
    label = bundle.labels[column]
    own = sigmoid(label.calibration(learned.negatives))
    description["labels"][column]["thresholds"] = fit_thresholds(own)
    others = parent.calibrate(bank.log_odds[learned.rows])
    known = column if len(bundle.labels) == len(parent.labels) else None
    led = parent.family_scores(others).max(axis=1, initial=0) > parent.photo_thresholds[PHOTO_LEVEL]
    certain = ~(led & (bank.labels[learned.rows] == ""))
    families = bundle.family_scores(_put(others, own, known))[certain]
    for place, entry in enumerate(description["families"]):
        if name in entry["members"]:
            before = parent.families[place].thresholds if place < len(parent.families) else {}
            entry["thresholds"] = raised(before, fit_thresholds(families[:, place]))
    description["photo_thresholds"] = raised(
        parent.photo_thresholds, fit_thresholds(families.max(axis=1))
    )


def _check(
    draft: Path,
    parent: Recognizer,
    photos: Examples,
    learned: Learned,
    column: int | None,
) -> None:
    """Run the new bundle beside what it should say.

    Raises:
        BundleSchemaError: the parent's model is not of the form that it seems to be.
    """
    made = Recognizer(load_bundle(draft), provider=parent.provider)
    head = learned.head
    expected = photos.embeddings[:, 0] @ head.weight + head.bias
    if column is not None:
        expected = expected + head.own_weight * photos.log_odds[:, 0, column]
    wanted = _put(photos.log_odds[:, 0], expected, column)
    found = np.stack([made.features(_first_view(made, path))[0][0] for path in photos.paths])
    if not np.allclose(found, wanted, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise BundleSchemaError(
            f"{parent.bundle.path}: the model's embedding is not the mean of a map of features; "
            "nothing can be enrolled in it"
        )


def _first_view(recognizer: Recognizer, path: str) -> NDArray[np.uint8]:
    frame = recognizer.load_image(Path(path)).frames[0]
    return model_input(frame.rgb, recognizer.bundle.input_size)[None]


def _card(bundle: Bundle, description: Mapping[str, Any], told: Sequence[str]) -> str:
    step = description["lineage"][-1]
    lines = "\n".join(f"- {line}" for line in told)
    before = bundle.path / CARD_FILE
    parent = before.read_text(encoding="utf-8") if before.is_file() else ""
    return (
        f"# {description['name']}-v{description['version']}\n\n"
        f"Made of {bundle.title} (sha256 `{bundle.digest[:16]}…`) on {step['date']}: "
        f"**{step['enrolled']} was enrolled from {len(step['photos'])} photos**. Network and other "
        f"labels are those of that bundle. What to expect of the label:\n\n{lines}\n\n---\n\n"
        f"**What follows is the card of {bundle.title}**, as it was: file, labels and figures are "
        "that bundle's, and the files that it names lie beside it.\n\n"
        f"{parent}"
    )
