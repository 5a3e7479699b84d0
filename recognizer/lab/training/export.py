"""From a trained recipe to a bundle: ONNX, int8, calibration, thresholds, figures, card.

Photos that the folds' networks have not seen decide; the test split only gives the figures.
"""

import csv
import hashlib
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from torch import nn

from recognizer import __version__
from recognizer._files import new_folder
from recognizer.engine import Recognizer
from recognizer.errors import TrainingError
from recognizer.imaging import PREPROCESSING_VERSION, model_input
from recognizer.imaging.regions import find_parts
from recognizer.lab.dataset.manifest import Photo, fingerprint, taxonomy_of
from recognizer.lab.enrolment.negatives import write_negatives
from recognizer.lab.evaluation.calibrate import allowing_for_tta, calibrated, uncalibrated
from recognizer.lab.evaluation.evaluate import Evaluation, evaluate, evidence, photos_of_split
from recognizer.lab.evaluation.figures import Figures
from recognizer.lab.evaluation.learned import short_digests, write_digests
from recognizer.lab.evaluation.looks import record_look
from recognizer.lab.evaluation.metrics import rank
from recognizer.lab.evaluation.out_of_fold import OutOfFold, measure_out_of_fold
from recognizer.lab.templates import render
from recognizer.lab.training.model import torch_log_odds
from recognizer.lab.training.negative_bank import build_bank
from recognizer.lab.training.onnx_export import export_fp32, parity, put_behind_gate
from recognizer.lab.training.quantization import WEIGHT_BITS, quantize, run_file
from recognizer.lab.training.runs import (
    Recipe,
    answers,
    finished_network,
    fold_network,
    learned_digests,
)
from recognizer.lab.training.weights import LEARNED, read_parent
from recognizer.model.bundle import Bundle, write_bundle
from recognizer.model.description import (
    EvaluationSummary,
    Exported,
    InputFormat,
    ModelFile,
    Parity,
    Training,
)
from recognizer.model.folders import CARD_FILE, MODEL_FILE, check_output
from recognizer.model.self_test import with_self_test

SOURCES_FILE = "sources.csv"
UNSTATED = "unstated"  # stands for the licence of photos for which none is stated

_CALIBRATION_PHOTOS = 48  # for int8's ranges
_PARITY_PHOTOS = 64  # on which torch, fp32 and int8 are compared
_MAX_LOSS = 0.005  # average precision that int8 may lose, in the mean of products
_RATE, _MAX_ADDED = 0.01, 0.3  # at this rate, false leads of parts for each of whole photos
_MAX_SHIFT = 10.0  # of log-odds: no part is a lead any more
_MIN_PHOTOS = 20  # of a product in the fold, with which it has a say in the choice of precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A bundle that was exported, and what was measured: on the test split, and out of fold."""

    path: Path
    precision: str  # int8 or fp32
    test: Evaluation
    unseen: Evaluation
    looks: int | None  # at the test split, this one included
    lost: Mapping[str, float]  # average precision by product that int8 loses on a fold left out


def export_bundle(
    recipe: Recipe,
    output: Path,
    *,
    notes: str = "",
    spdx_license: str | None = None,
    precision: str | None = None,
    looks: Path | None = None,
    rounds: int = 1000,
    on_stage: Callable[..., None] = lambda words, done=None, of=None: None,
) -> Release:
    """Write the bundle of a recipe that was trained, at the end; an earlier one is an error.

    The name of its folder, NAME-vN, gives it name and version. ``notes``, Markdown, go into its
    card; ``spdx_license`` names its licence; ``rounds`` are those of the bootstrap. ``precision``,
    ``int8`` or ``fp32``, is by default int8 if it was measured to lose little; ``looks`` is the
    file that counts looks at the test split, by default nowhere.
    """
    title, held = check_output(output, is_export=True), answers(recipe)
    if not any(p.split == "test" and not p.is_product for p in recipe.photos):
        raise TrainingError(
            "no test photos without a product: a bundle is released with figures on sources that "
            "training never saw, so the data needs a manifest with a split called test; "
            "`recognizer dataset split` makes one"
        )
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        lost = _int8_loss(recipe, work, on_stage)
        on_stage("exporting to ONNX")
        network = finished_network(recipe)
        files = _export(recipe, network, work / "all")
        compared = recipe.cache.squares(_drawn(recipe)[-_PARITY_PHOTOS:])
        proof = parity(torch_log_odds(network, compared), files["fp32"], files["int8"], compared)
        loses_little = bool(lost) and np.mean([*lost.values()]) <= _MAX_LOSS
        precision = precision or ("int8" if loses_little else "fp32")
        made = files[precision].parent
        on_stage(f"calibrating on {len(held.photos)} photos that were left out")
        draft = replace(_draft(made, title, precision, recipe, proof), license=spdx_license)
        draft = calibrated(draft, held.log_odds, held.photos)
        on_stage("looking at the pictures within photos that were left out")
        draft = replace(draft, part_shift=_shift_of_parts(draft, recipe, held))
        on_stage("looking twice at what is nearly a lead")
        draft = allowing_for_tta(draft, recipe.train, recipe.cache.rgb)
        on_stage("collecting negatives for enrolment")
        bank = build_bank(Recognizer(draft, threads=1), recipe.train, recipe.cache)
        draft = replace(draft, negatives=write_negatives(made, bank))
        write_digests(learned_digests(recipe), made)
        on_stage("measuring on the folds that were left out")
        unseen = measure_out_of_fold(held, recipe.config.name, rounds=rounds).evaluation
        on_stage("measuring on the test split")
        tested, count = photos_of_split(recipe.photos, "test"), None
        if looks is not None:
            count = record_look(looks, tested, f"{title[0]}-v{title[1]}", "export")
        recognizer = Recognizer(draft, threads=1)
        test = evaluate(recognizer, recipe.photos, "test", rounds=rounds).evaluation
        release = Release(
            path=output, precision=precision, test=test, unseen=unseen, lost=lost, looks=count
        )
        bundle = with_self_test(_described(draft, release, recipe))
        write_bundle(bundle)
        write_card(bundle, recipe, release, notes)
        with new_folder(output) as folder:
            shutil.copytree(made, folder, dirs_exist_ok=True)
    return release


def _shift_of_parts(bundle: Bundle, recipe: Recipe, held: OutOfFold) -> float:
    """Return the shift with which parts add few false leads to those of whole photos.

    Each fold's network looks at the parts of the photos without a product that it has not seen.
    """
    negative, size = np.array([not p.is_product for p in held.photos]), recipe.config.input_size
    owners, log_odds = list[int](), [np.zeros((0, len(recipe.labels)), np.float32)]
    network_of = lru_cache(1)(partial(fold_network, recipe))  # few photos have parts
    for row in np.flatnonzero(negative).tolist():  # fold by fold
        rgb = recipe.cache.rgb(held.photos[row].sha256)
        if boxes := find_parts(rgb).boxes:
            crops = [model_input(rgb[y1:y2, x1:x2], size) for x1, y1, x2, y2 in boxes]
            network = network_of(int(held.folds[row]))
            log_odds.append(torch_log_odds(network, np.stack(crops)))
            owners += [row] * len(boxes)

    def leads(of: NDArray[np.float32], shift: float = 0.0) -> NDArray[np.bool_]:
        scores = bundle.family_scores(bundle.calibrate(of, shift)).max(axis=1, initial=0)
        return np.asarray(scores > bundle.any_product_thresholds[_RATE], np.bool_)

    whole, of_parts = negative & leads(held.log_odds), np.concatenate(log_odds)
    for shift in np.arange(0, _MAX_SHIFT, 0.1).round(1).tolist():
        added = {*np.array(owners, int)[leads(of_parts, shift)]} - {*np.flatnonzero(whole)}
        if len(added) <= _MAX_ADDED * whole.sum():
            return float(shift)
    return _MAX_SHIFT


def _drawn(recipe: Recipe) -> list[Photo]:
    rows = np.random.default_rng(recipe.config.seed).permutation(len(recipe.train))
    return [recipe.train[i] for i in rows[: _CALIBRATION_PHOTOS + _PARITY_PHOTOS]]


def _export(recipe: Recipe, network: nn.Module, work: Path) -> dict[str, Path]:
    """Write a network in both precisions."""
    files = {name: work / name / MODEL_FILE for name in ("fp32", "int8")}
    for file in files.values():
        file.parent.mkdir(parents=True)
    export_fp32(network, recipe.config.input_size, files["fp32"])
    shown = recipe.cache.squares(_drawn(recipe)[:_CALIBRATION_PHOTOS])
    quantize(files["fp32"], files["int8"], shown)
    for file in files.values():
        put_behind_gate(file)
    return files


def _int8_loss(recipe: Recipe, work: Path, on_stage: Callable[..., None]) -> dict[str, float]:
    held = recipe.of_fold(0)
    photos = Counter(photo.label for photo in held if photo.is_product)
    products = [name for name in recipe.labels if photos[name] >= _MIN_PHOTOS]
    if not products:
        return {}
    on_stage("exporting without a fold, to see what int8 loses")
    files = _export(recipe, fold_network(recipe, 0), work / "fold-0")
    inputs, truth = recipe.cache.squares(held), np.array([p.label for p in held])
    exact, rounded = (run_file(files[name], inputs) for name in ("fp32", "int8"))
    negative = np.array([not p.is_product for p in held])
    lost = {}
    for name in products:
        column, positive = recipe.labels.index(name), (truth == name) & ~negative
        some = positive | negative
        before, after = (
            float(rank(positive[some], odds[some, column]).average_precision())
            for odds in (exact, rounded)
        )
        lost[name] = round(before - after, 4)
    return lost


def _draft(
    folder: Path, title: tuple[str, int], precision: str, recipe: Recipe, parity: Parity
) -> Bundle:
    content, config = (folder / MODEL_FILE).read_bytes(), recipe.config
    today = datetime.now(UTC).date().isoformat()
    return uncalibrated(
        recipe.labels,
        taxonomy_of(recipe.photos),
        path=folder,
        name=title[0],
        version=title[1],
        created=today,
        model=ModelFile(
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            precision=precision,
            backbone=config.backbone,
            weight_bits=WEIGHT_BITS if precision == "int8" else None,
        ),
        input=InputFormat(size=config.input_size, preprocessing=PREPROCESSING_VERSION),
        activation="softmax",
        training=Training(
            fingerprint=fingerprint(recipe.train),
            photos=len(recipe.train),
            sources=len({p.source for p in recipe.train}),
            recipe=msgspec.to_builtins(config),
            versions={n: metadata.version(n) for n in ("torch", "timm", "onnxruntime")},
        ),
        parity=parity,
        lineage=(Exported(date=today, program=__version__),),
    )


def _described(bundle: Bundle, release: Release, recipe: Recipe) -> Bundle:
    test = release.test
    figures = {label.name: Figures(name=label.name) for label in bundle.labels}
    figures |= {f.name: f for f in test.labels}
    families = {f.name: f for f in test.families}

    def measured(one: Any, own: Figures, members: Sequence[str]) -> Any:
        return replace(one, evidence=evidence(own, recipe.train, members))

    return replace(
        bundle,
        labels=tuple(measured(own, figures[own.name], [own.name]) for own in bundle.labels),
        families=tuple(  # of which one of one product is that product
            measured(own, families.get(own.name) or figures[own.members[0]], own.members)
            for own in bundle.families
        ),
        evaluation=EvaluationSummary(
            split=test.split,
            fingerprint=test.data,
            negatives=test.negatives,
            flagged_negatives=round(test.flagged_negatives.value, 4),
            leads=test.leads,
            int8_ap_drop=dict(release.lost),
        ),
    )


def write_card(bundle: Bundle, recipe: Recipe, release: Release, notes: str) -> None:
    """Write the card of a bundle into its folder, and the table of sources that the card names."""
    used = {split: [p for p in recipe.photos if p.split == split] for split in ("train", "test")}
    every = [p for p in recipe.photos if p.split in used]
    write_sources(every, bundle.path / SOURCES_FILE)
    card = render(
        "training/model_card.md.j2",
        bundle=bundle,
        known={split: _known_before(recipe, own) for split, own in used.items()},
        evaluation=release.test,
        seen=release.unseen,
        looks=release.looks,
        licenses=count_licenses(every),
        sources=SOURCES_FILE,
        notes=notes.strip(),
    )
    (bundle.path / CARD_FILE).write_text(card, encoding="utf-8")


def _known_before(recipe: Recipe, photos: Sequence[Photo]) -> int | None:
    """Return how many photos the recipe's weights had learned from; None if nothing says so."""
    parent = read_parent(recipe.config)
    if parent is None or LEARNED not in parent.tensors:
        return None
    learned = parent.tensors[LEARNED].numpy().view(np.uint64)
    return int(np.isin(short_digests(p.sha256 for p in photos), learned).sum())


def count_licenses(photos: Sequence[Photo]) -> dict[str, tuple[int, int]]:
    """Return licence -> its photos and its sources, the most common first."""
    counts = Counter(photo.license or UNSTATED for photo in photos)
    sources = Counter(name for name, _ in {(p.license or UNSTATED, p.source) for p in photos})
    return {name: (count, sources[name]) for name, count in counts.most_common()}


def write_sources(photos: Sequence[Photo], path: Path) -> None:
    """Write a table of the sources: licences, splits, labels, and how many photos."""
    by_source: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_source[photo.source].append(photo)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["source", "photos", "splits", "labels", "licenses"])
        for source, own in sorted(by_source.items()):
            columns = zip(*((p.split, p.label, p.license or UNSTATED) for p in own), strict=True)
            writer.writerow([source, len(own), *("; ".join(sorted({*c})) for c in columns)])
