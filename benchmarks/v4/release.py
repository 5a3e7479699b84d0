"""Make the bundle of a student: calibration, thresholds, figures, card.

    python benchmarks/v4/release.py --data DATA --runs runs/v4 --name final --held s02 s13 \
        --notes NOTES --output export/wildlife-v5

``--held`` are runs of the same recipe, each without some of the folds, which together leave out
every fold once. What they say of the folds that they have not seen sets calibration and
thresholds. The test split is scored last, when nothing is left to choose.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

import calibrating
import numpy as np
import pandas as pd
import report
import sampler
import train
from numpy.typing import NDArray
from photos import Photos

from recognizer.dataset.manifest import Photo
from recognizer.evaluation.evaluate import measure
from recognizer.model.bundle import load_bundle, write_bundle
from recognizer.model.description import Difference, Parity
from recognizer.model.folders import MODEL_FILE, bundle_title
from recognizer.training.config import TrainingConfig
from recognizer.training.describe import Measured, describe, draft_bundle
from recognizer.training.export import _loss
from recognizer.training.negative_bank import attach_bank

HELD_OUT_OF_THE_BANK = 10
"""One group of sources in so many counts the false positives of what is enrolled later."""


def photos_of(table: pd.DataFrame, data: Path) -> list[Photo]:
    """Return the photos of rows as the package knows them, with corrected labels."""
    return [
        Photo(data / r.file, r.sha256, r.label, r.source, r.split, r.subtype, license=r.license)
        for r in table.itertuples()
    ]


def out_of_fold(runs: Path, held: list[str], table: pd.DataFrame) -> NDArray[np.float32]:
    """Return what the runs say of the photos that they left out; NaN where none did.

    Raises:
        SystemExit: a photo was left out by two runs.
    """
    logits = np.full((len(table), table.label.nunique()), np.nan, np.float32)
    place = pd.Series(np.arange(len(table)), table.row)
    for name in held:
        with np.load(runs / "students" / name / "held.npz") as found:
            at = place[found["row"]].to_numpy()
            if not np.isnan(logits[at]).all():
                raise SystemExit(f"{name} leaves out what another run has left out")
            logits[at] = found["logits"]
    return logits


def parity_of(onnx: Path) -> Parity:
    """Return what ``quantise.py`` found of both files against torch."""
    found = json.loads((onnx / "parity.json").read_text())
    return Parity(
        photos=found["photos"],
        fp32=Difference(**found["fp32"]),
        int8=Difference(**found["int8"]),
    )


def config_of(recipe: train.Recipe) -> TrainingConfig:
    """Return what ``bundle.json`` keeps of the recipe: as much as ``recognizer train`` knows of."""
    return TrainingConfig(
        backbone=f"tf_efficientnet_lite{recipe.network}",
        input_size=recipe.size,
        batch_size=recipe.batch,
        photos_per_epoch=recipe.samples,
        epochs=1,
        learning_rate=recipe.head_rate,
        backbone_rate=recipe.rate / recipe.head_rate,
        freeze_stages=recipe.freeze,
        freeze_batch_norm=True,
        label_smoothing=train.SMOOTHING,
        label_weights=dict(sampler.LABEL_WEIGHTS),
        seed=recipe.seed,
    )


def main() -> None:
    """Write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--held", nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--against", type=Path, help="an older bundle, for the comparison")
    parser.add_argument("--notes", type=Path, required=True)
    parser.add_argument(
        "--rehearse",
        action="store_true",
        help="leave the test split alone: take training photos in its place",
    )
    parser.add_argument("--measure", action="store_true", help="measure a bundle that is there")
    asked = parser.parse_args()
    folder = asked.runs / "students" / asked.name
    recipe = train.recipe_of(folder)
    averaged = recipe.begin.split(",")
    if not recipe.samples:  # the mean of other runs: the last is the recipe
        recipe = train.recipe_of(asked.runs / "students" / averaged[-1])
    table = Photos(asked.runs / "cache").table
    known, logits = answers_out_of_fold(asked.runs, asked.held, table)
    learned = photos_of(known, asked.data)
    test = [
        replace(p, split="test")
        for p in photos_of(table.iloc[report.rows_of_the_test(table, asked.rehearse)], asked.data)
    ]
    left_out = ~np.isnan(logits[:, 0])
    scored = known[left_out].reset_index(drop=True)
    judged = [p for p, own in zip(learned, left_out, strict=True) if own]
    if not asked.measure:
        make(asked, folder, recipe, len(averaged), known, logits, learned)
    bundle = load_bundle(asked.output)
    said = report.predictions_of(bundle, calibrating.log_odds(logits[left_out]))
    unseen = measure(bundle, judged, said, "source folds", rounds=100)
    print("measured on the folds", flush=True)
    report.look(asked.runs, asked.name, asked.rehearse)
    answers = report.answers(bundle, asked.output / MODEL_FILE, test, folder / "test.npz")
    exact = report.answers(
        bundle, folder / "onnx" / "plain-fp32.onnx", test, folder / "test-fp32.npz"
    )
    theirs = None
    if asked.against:
        older = load_bundle(asked.against)
        file = asked.against / MODEL_FILE
        theirs = older, report.answers(older, file, test, folder / "test-before.npz")
    found = measure(bundle, test, answers, "test", rounds=300)
    lost = _loss(measure(bundle, test, exact, "test", rounds=2), found)
    notes = report.notes(bundle, scored, said, test, answers, theirs, asked.notes.read_text())
    measured = Measured(test=found, seen=unseen, lost=lost)
    describe(asked.output, measured, [*learned, *test], learned, notes)
    print(bundle.any_product_thresholds, flush=True)


def make(
    asked: argparse.Namespace,
    folder: Path,
    recipe: train.Recipe,
    averaged: int,
    known: pd.DataFrame,
    logits: NDArray[np.float32],
    learned: list[Photo],
) -> None:
    """Write the bundle without its figures."""
    left_out = ~np.isnan(logits[:, 0])
    asked.output.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "onnx" / "tuned-int8.onnx", asked.output / MODEL_FILE)
    proof = parity_of(folder / "onnx")
    bundle = draft_bundle(
        asked.output,
        bundle_title(asked.output),
        "int8",
        config_of(recipe),
        sorted(known.label.unique()),
        learned,
        averaged=averaged,
        parity=proof,
    )
    bundle = calibrating.calibrated(
        bundle,
        logits[left_out],
        known[left_out].reset_index(drop=True),
        [p for p, own in zip(learned, left_out, strict=True) if own],
        known.label.value_counts(),
    )
    write_bundle(bundle)
    bank(asked.output, known, learned, every=10 if asked.rehearse else 3)


def answers_out_of_fold(
    runs: Path, held: list[str], table: pd.DataFrame
) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """Return the training photos of labels that are named, and what is said of them."""
    known = table[table.split == "train"].reset_index(drop=True)
    logits = out_of_fold(runs, held, known)
    columns = [name not in train.TOO_FEW for name in sorted(known.label.unique())]
    named = ~known.label.isin(train.TOO_FEW).to_numpy()
    return known[named].reset_index(drop=True), logits[named][:, columns]


def bank(folder: Path, known: pd.DataFrame, learned: list[Photo], every: int) -> None:
    """Attach the bank of negatives; one group of sources in ten is held out for enrolment."""
    number = {group: i for i, group in enumerate(sorted(known.group.unique()))}
    apart = known.group.map(number).to_numpy() % HELD_OUT_OF_THE_BANK == 0
    photos = [
        replace(p, split="validation") if out else p for p, out in zip(learned, apart, strict=True)
    ]
    attach_bank(folder, photos[::every])


if __name__ == "__main__":
    main()
