"""Print the table by which a model for unseen sources is judged, for any bundle.

    python benchmarks/v4/report.py export/wildlife-v5 --data DATA --runs runs/v4

Everything is measured on the test split, with the ONNX file that ships, but for pangolin scales:
there is no test photo of them, and what is left out in turn is in ``bundle.json``. Each look at
the test split is noted in ``looks.txt``. :func:`notes` writes the same into a model card.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import calibrating
import measure
import numpy as np
import onnxruntime
import pandas as pd
from numpy.typing import NDArray
from photos import Photos

from recognizer.dataset.manifest import Photo, read_photo
from recognizer.engine import Recognizer
from recognizer.evaluation.evaluate import measure as evaluate
from recognizer.evaluation.evaluate import score_photos
from recognizer.evaluation.metrics import (
    RankedCounts,
    bootstrap,
    expected_calibration_error,
    recall_at_fpr,
    share,
)
from recognizer.evaluation.paired import compare
from recognizer.evaluation.thresholds import ranks_of
from recognizer.imaging import model_input
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.model.folders import MODEL_FILE
from recognizer.policy import Decision, Policy
from recognizer.prediction import Prediction
from recognizer.status import Status
from recognizer.training.quantization import run_file

Row = tuple[str, str]


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def look(runs: Path, name: str, rehearsal: bool = False) -> None:
    """Note that the test split is looked at."""
    if not rehearsal:
        with (runs / "looks.txt").open("a") as file:
            file.write(f"{datetime.datetime.now():%F %T} {name}\n")


def rows_of_the_test(table: pd.DataFrame, rehearsal: bool = False) -> NDArray[np.int64]:
    """Return the rows of the test photos; in a rehearsal some of training in their place."""
    if rehearsal:
        return np.flatnonzero((table.split == "train") & (table.fold == 4))[::5]
    return np.flatnonzero(table.split == "test")


def predictions_of(bundle: Bundle, log_odds: NDArray[np.floating]) -> list[Prediction]:
    """Return predictions as the engine would give them."""
    scores = bundle.calibrate(log_odds)
    families = bundle.family_scores(scores)
    names = [family.name for family in bundle.families]
    return [
        Prediction(
            status=Status.OK,
            scores=dict(zip(bundle.label_names, map(float, own), strict=True)),
            families=dict(zip(names, map(float, theirs), strict=True)),
            frame=0,
        )
        for own, theirs in zip(scores, families, strict=True)
    ]


def answers(bundle: Bundle, file: Path, photos: Sequence[Photo], kept: Path) -> list[Prediction]:
    """Return what a model file says of photos, decoded as they are when served.

    Its scores are kept, and taken from there.
    """
    if kept.exists():
        found = np.load(kept)["scores"]
    else:
        size = bundle.input_size
        inputs = np.stack([model_input(read_photo(p, size), size) for p in photos])
        found = run_file(file, inputs)
        np.savez(kept, scores=found)
    return predictions_of(bundle, found)


def rows(bundle: Bundle, test: Sequence[Photo], answers: Sequence[Prediction]) -> list[Row]:
    """Return the rows of the table, as words."""
    label = np.array([p.label for p in test])
    negative = np.array([not p.is_product for p in test])
    found: list[Row] = []
    families = {family.name for family in bundle.families}
    for name in (
        "ivory",
        "ivory_raw",
        "rhino_horn",
        "big_cat_skin",
        "antelope_horn",
        "reptile_leather",
        "feather",
        "coral",
        "bear_parts",
    ):
        positive = np.isin(label, measure.IVORY) if name == "ivory" else label == name
        if not positive.any() or name not in {*bundle.label_names, *families}:
            continue
        kind = "families" if name == "ivory" else "scores"
        score = np.array([getattr(p, kind)[name] for p in answers])
        keep = positive | negative
        truth, s = positive[keep], score[keep]
        estimate = bootstrap(RankedCounts.average_precision, truth, s, rounds=300)
        words = (
            f"{estimate.value:.2f} ({estimate.low:.2f}-{estimate.high:.2f}); "
            f"{recall_at_fpr(truth, s, 0.01):.2f} / {recall_at_fpr(truth, s, 0.001):.2f}"
        )
        if positive.sum() <= 12:
            ranks = " ".join(map(str, ranks_of(score[positive], score[negative])))
            words += f"; ranks {ranks}"
        found.append((f"{name} ({positive.sum()}): AP; recall at 1 % / 0.1 %", words))
    policy = Policy()
    recognized = [bundle_decision(bundle, p, policy) for p in answers]
    leads = np.array([d is not Decision.CLEAR for d in recognized])
    product = ~negative
    for words, side in (("without a product", negative), ("with a product", product)):
        of = share(int((leads & side).sum()), int(side.sum()))
        found.append((f"leads by the default policy, photos {words} ({side.sum()})", str(of)))
    whole = evaluate(bundle, list(test), list(answers), "test", rounds=2)
    if whole.lookalikes:
        found.append(
            (
                f"ivory and its look-alikes told apart ({whole.lookalikes.photos})",
                str(whole.lookalikes.accuracy),
            )
        )
    ivory = np.array([p.families["ivory"] for p in answers])
    error = expected_calibration_error(np.isin(label, measure.IVORY), ivory, rounds=200)
    found.append(("calibration error of ivory", str(error)))
    animals = sum(a.photos for a in whole.living)
    called = sum(round(a.called_product.value * a.photos) for a in whole.living)
    if animals:
        found.append((f"living animals called a product ({animals})", str(share(called, animals))))
    return found


def bundle_decision(bundle: Bundle, prediction: Prediction, policy: Policy) -> Decision:
    """Return what the policy decides."""
    from recognizer.decision import decide  # noqa: PLC0415

    return decide(prediction, bundle.candidates, bundle.any_product_thresholds, policy).decision


def left_in_turn(
    table: pd.DataFrame, said: Sequence[Prediction], name: str = "pangolin_scales"
) -> str:
    """Return how many photos of a product are found at 1 % by what had not seen their source."""
    negative = ~table["product"].to_numpy(bool)
    score = np.array([p.scores[name] for p in said])
    own = (table.label == name).to_numpy()
    level = calibrating.threshold(score[negative], table.fold.to_numpy()[negative], 0.01)
    parts = [
        f"{group}: {int((score[mine] > level).sum())} of {int(mine.sum())}"
        for group in sorted(set(table.group[own]))
        if (mine := own & (table.group == group).to_numpy()).any()
    ]
    return f"{int((score[own] > level).sum())} of {int(own.sum())} ({', '.join(parts)})"


def milliseconds(files: Sequence[Path], sizes: Sequence[int], rounds: int = 60) -> list[float]:
    """Return the processor time of one pass of one photo, one thread, taken in turns: medians."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    sessions = [onnxruntime.InferenceSession(str(f), options) for f in files]
    rng = np.random.default_rng(0)
    inputs = [rng.integers(0, 256, (1, s, s, 3), np.uint8) for s in sizes]
    times: list[list[float]] = [[] for _ in files]
    for _ in range(rounds):
        for own, session, x in zip(times, sessions, inputs, strict=True):
            started = time.thread_time()
            session.run(["scores"], {"images": x})
            own.append(time.thread_time() - started)
    return [1000 * float(np.median(own[5:])) for own in times]


def by_subtype(photos: Sequence[Photo], chosen: NDArray[np.bool_], most: int = 14) -> str:
    """Return the subtypes of the chosen photos, of all of that subtype: the most frequent first."""
    of = Counter(f"{p.label} {p.subtype}".strip() for p in photos)
    found = Counter(
        f"{p.label} {p.subtype}".strip() for p, c in zip(photos, chosen, strict=True) if c
    )
    return "; ".join(f"{name} {n} of {of[name]}" for name, n in found.most_common(most))


def notes(
    bundle: Bundle,
    table: pd.DataFrame,
    said: Sequence[Prediction],
    test: Sequence[Photo],
    answers: Sequence[Prediction],
    against: tuple[Bundle, list[Prediction]] | None,
    words: str,
) -> str:
    """Return the part of the card that this recipe adds."""
    parts = [
        words.strip(),
        "",
        "### By fold of sources",
        "",
        "Each fold's photos are scored by a run that had none of its sources (AP at a "
        "prevalence of 2 %; recall at 1 % / 0.1 % of the photos without a product; a source "
        "of n photos counts as the root of n). The last columns are the default policy at "
        "a threshold that the other folds alone give: photos without a product, with one.",
        "",
        "| fold | ivory | big cat skin | antelope horn | any product | leads without a "
        "product | leads with one |",
        "|---|---|---|---|---|---|---|",
    ]
    scores = np.array([[p.scores[n] for n in bundle.label_names] for p in said])
    top = np.array([max(p.families.values()) for p in said])
    rates = calibrating.left_out_rates(top, table)
    labels = list(bundle.label_names)
    for fold in (*sorted(rates), None):
        mine = np.ones(len(table), bool) if fold is None else (table.fold == fold).to_numpy()
        got = measure.table_of(table[mine].reset_index(drop=True), scores[mine], labels)
        cells = [
            str(got.get(n, "-")) for n in ("ivory", "big_cat_skin", "antelope_horn", "any product")
        ]
        ends = rates[fold] if fold is not None else ("", "")
        parts.append(
            f"| {'all' if fold is None else fold} | {' | '.join(cells)} | {ends[0]} | {ends[1]} |"
        )
    parts += [
        "",
        f"Pangolin scales, each of the two sources left out in turn, found at 1 %: "
        f"{left_in_turn(table, said)}.",
        "",
    ]
    parts += ["### Targets, on the test split", "", "| | |", "|---|---|"]
    parts += [f"| {name} | {value} |" for name, value in rows(bundle, test, answers)]
    policy = Policy()
    lead = np.array([bundle_decision(bundle, p, policy) is not Decision.CLEAR for p in answers])
    product = np.array([p.is_product for p in test])
    parts += [
        "",
        "**Wrongly found** by the default policy (of all test photos of that kind): "
        f"{by_subtype(test, lead & ~product)}.",
        "",
        f"**Missed**: {by_subtype(test, ~lead & product)}.",
        "",
    ]
    if against:
        parts += compared(bundle, *against, test, answers)
    return "\n".join(parts)


def compared(
    bundle: Bundle,
    older: Bundle,
    theirs: Sequence[Prediction],
    test: Sequence[Photo],
    answers: Sequence[Prediction],
) -> list[str]:
    """Return the paired comparison with an older bundle, in Markdown."""
    both = compare(bundle, older, "test", test, answers, theirs, rounds=300)
    now = dict(rows(bundle, test, answers))
    parts = [
        f"### Against {older.title} on the same photos",
        "",
        "Paired bootstrap intervals over photos.",
        "",
        "| | before | now | difference (95 %) |",
        "|---|---|---|---|",
    ]
    for one in both.families:
        for word, change in (
            ("average precision", one.average_precision),
            ("recall at 1 %", one.recall),
        ):
            d = change.difference
            parts.append(
                f"| {one.name} ({one.photos}), {word} | {change.before:.2f} | "
                f"{change.now:.2f} | {d.value:+.2f} ({d.low:+.2f} to {d.high:+.2f}) |"
            )
    for name, value in rows(older, test, theirs):
        if name.startswith(("leads", "ivory and", "calibration", "living")):
            parts.append(f"| {name} | {value} | {now[name]} | |")
    files = [older.path / MODEL_FILE, bundle.path / MODEL_FILE]
    times = milliseconds(files, [older.input_size, bundle.input_size])
    parts.append(f"| one pass of one photo, one thread, ms | {times[0]:.1f} | {times[1]:.1f} | |")
    return [*parts, ""]


def main() -> None:
    """Print the table of each bundle."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    asked = parser.parse_args()
    table = Photos(asked.runs / "cache").table
    test = [
        Photo(asked.data / r.file, r.sha256, r.label, r.source, "test", r.subtype)
        for r in table[table.split == "test"].itertuples()
    ]
    found = [load_bundle(path) for path in asked.bundles]
    for bundle in found:
        look(asked.runs, bundle.title)
        print(bundle.title)
        for name, value in rows(bundle, test, score_photos(Recognizer.load(bundle.path), test)):
            print(f"    {name}: {value}")
    times = milliseconds([b.path / MODEL_FILE for b in found], [b.input_size for b in found])
    for bundle, each in zip(found, times, strict=True):
        print(f"{bundle.title}: {each:.1f} ms for one photo, one thread")


if __name__ == "__main__":
    main()
