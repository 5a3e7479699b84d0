"""Measure a finished student, by its files, with thresholds from sources it never saw.

    python benchmarks/v4/evaluate.py --runs runs/v4 --name final --held s2 --split test

``--held`` is a run of the same recipe that left out a fold, ``--oof`` the teacher's out-of-fold
answers: together they set the thresholds and the calibration. The split ``test`` is for the end:
each look is written to ``looks.txt``.
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

import cv2
import measure
import numpy as np
import pandas as pd
import quantise
import teacher
import train
from numpy.typing import NDArray
from photos import Photos
from scipy.optimize import minimize

from recognizer.taxonomy import load_taxonomy
from recognizer.evaluation.metrics import average_precision, recall_at_false_alarm_rate, share

Floats = NDArray[np.float64]


def log_odds(logits: NDArray[np.float32]) -> Floats:
    """Return log(p / (1 - p)) of softmax probabilities."""
    x = logits.astype(float)
    peak = x.max(1, keepdims=True)
    e = np.exp(x - peak)
    rest = e.sum(1, keepdims=True) - e
    return x - peak - np.log(np.maximum(rest, 1e-30))


def ivory_of(odds: Floats, labels: list[str]) -> Floats:
    """Return the probability of the family ivory."""
    p = 1 / (1 + np.exp(-odds))
    return np.asarray(p[:, [labels.index(n) for n in measure.IVORY]].sum(1).clip(0, 1))


def any_product(odds: Floats, labels: list[str], counts: dict[str, int]) -> Floats:
    """Return the highest log-odds of a product, as if all products were equally frequent.

    Heads are fitted with labels weighted by the root of their photos; for the question whether
    there is any product, that prior is taken back (``counts``: product -> training photos).
    """
    columns = [labels.index(n) for n in counts]
    shift = -0.5 * np.log(np.array(list(counts.values()), float))
    return np.asarray((odds[:, columns] + shift).max(1))


def weighted_quantile(values: Floats, weights: Floats, rate: float) -> float:
    """Return the smallest value that at most ``rate`` of the weight exceeds."""
    order = np.argsort(-values)
    above = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int((above <= rate).sum()), len(values) - 1)])


def platt(x: Floats, y: NDArray[np.bool_], w: Floats) -> tuple[float, float]:
    """Return slope and shift of a logistic calibration, weighted."""

    def loss(p: Floats) -> float:
        z = p[0] * x + p[1]
        return float((w * (np.logaddexp(0, z) - y * z)).sum() / w.sum())

    found = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(found[0]), float(found[1])


def expected_calibration_error(p: Floats, y: NDArray[np.bool_], bins: int = 10) -> float:
    """Return the error over bins of equally many photos."""
    order = np.argsort(p)
    parts = np.array_split(order, bins)
    return float(sum(abs(p[i].sum() - y[i].sum()) for i in parts) / len(p))


def told_apart(table: pd.DataFrame, odds: Floats, labels: list[str]) -> tuple[float, int]:
    """Return how often ivory and its look-alikes get their own name (see lookalikes.py)."""
    taxonomy = load_taxonomy()
    names = {x.name: x.name for x in taxonomy.lookalikes("ivory")}
    names |= {x.name: "ivory" for x in taxonomy.members("ivory")}
    group = [i for i, n in enumerate(labels) if n in names and names[n] != "ivory"]
    right = total = 0
    ivory = ivory_of(odds, labels)
    p = 1 / (1 + np.exp(-odds))
    for i, label in enumerate(table.label):
        if label not in names:
            continue
        best = max(group, key=lambda j: p[i, j])
        answer = "ivory" if ivory[i] > p[i, best] else labels[best]
        right += answer == names[label]
        total += 1
    return right / total, total


def report(
    table: pd.DataFrame,
    odds: Floats,
    labels: list[str],
    counts: dict[str, int],
    thresholds: dict[str, Any],
) -> dict[str, Any]:
    """Return the rows of the issue's table."""
    label = table.label.to_numpy(str)
    product = table["product"].to_numpy(bool)
    found: dict[str, Any] = {}
    for name in ("ivory", *measure.REPORTED[1:]):
        positive = np.isin(label, measure.IVORY) if name == "ivory" else label == name
        if not positive.any():
            continue
        score = ivory_of(odds, labels) if name == "ivory" else odds[:, labels.index(name)]
        keep = positive | ~product
        truth, s = positive[keep], score[keep]
        ranks = np.sort([(s[~truth] >= v).sum() + 1 for v in s[truth]])
        found[name] = {
            "photos": int(positive.sum()),
            "ap": round(average_precision(truth, s), 3),
            "recall_1": round(recall_at_false_alarm_rate(truth, s, 0.01), 3),
            "recall_01": round(recall_at_false_alarm_rate(truth, s, 0.001), 3),
        }
        if positive.sum() <= 12:
            found[name]["ranks"] = ranks.tolist()
    score = any_product(odds, labels, counts)
    for rate in ("0.01", "0.001"):
        over = score > thresholds["any product"][rate]
        negative = share(int(over[~product].sum()), int((~product).sum()))
        found[f"leads at {rate}"] = {
            "negatives": str(negative),
            "products found": str(share(int(over[product].sum()), int(product.sum()))),
        }
    animal = np.char.startswith(label, "animal_") & (label != "animal_print")
    over = score > thresholds["any product"]["0.01"]
    found["animals called a product"] = f"{int(over[animal].sum())} of {int(animal.sum())}"
    slope, shift = thresholds["ivory"]
    calibrated = 1 / (1 + np.exp(-(slope * _logit(ivory_of(odds, labels)) + shift)))
    found["calibration error of ivory"] = round(
        expected_calibration_error(calibrated, np.isin(label, measure.IVORY)), 4
    )
    found["ivory and look-alikes told apart"] = told_apart(table, odds, labels)
    return found


def fit_thresholds(
    runs: Path, photos: Photos, oof: str, held: str, labels: list[str], counts: dict[str, int]
) -> dict[str, Any]:
    """Return thresholds and calibration for a student.

    They are set on the teacher's out-of-fold answers on all folds, and carried over to the student
    by the fold that a student and the teacher have both not seen: thresholds by the share of the
    fold's negatives that exceeds them, the calibration by a line from log-odds to log-odds.
    """
    table = photos.table[photos.table.split == "train"].reset_index(drop=True)
    theirs = log_odds(teacher.load(runs, oof, table)[0])
    with np.load(runs / "students" / held / "held.npz") as found:
        ours, place = log_odds(found["logits"]), pd.Series(table.index, table.row)[found["row"]]
    own = place.to_numpy()
    negative = ~table["product"].to_numpy(bool)
    weight = measure.group_weights(table.group.to_numpy(str), 0.75)
    score, mine = any_product(theirs, labels, counts), any_product(ours, labels, counts)
    here = negative[own]
    result: dict[str, Any] = {"any product": {}}
    for rate in (0.01, 0.001):
        level = weighted_quantile(score[negative], weight[negative], rate)
        share_here = float((score[own][here] > level).mean())
        matched = float(np.quantile(mine[here], 1 - share_here))
        result["any product"][str(rate)] = matched
        result[f"teacher at {rate}"] = {"threshold": level, "of the fold": share_here}
    ivory = np.isin(table.label, measure.IVORY)
    counted = measure.counted(table.label.to_numpy(str), table.group.to_numpy(str))
    x, y = (_logit(ivory_of(o, labels)) for o in (theirs, ours))
    use = counted | negative
    # Ivory makes 2 % of what is calibrated on, as it does about in the photos of a marketplace.
    w = np.where(ivory, 0.02 / (ivory & use).sum(), 0.98 / (use & ~ivory).sum())
    slope, shift = platt(x[use], ivory[use], w[use])
    line = np.polyfit(y, x[own], 1)
    result["ivory"] = (slope * float(line[0]), slope * float(line[1]) + shift)
    result["student to teacher"] = line.tolist()
    return result


def _logit(p: Floats) -> Floats:
    p = p.clip(1e-7, 1 - 1e-7)
    return np.asarray(np.log(p / (1 - p)))


def main() -> None:
    """Score a split with each file and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--held", required=True)
    parser.add_argument("--oof", default="plain012--1")
    parser.add_argument("--split", default="test", choices=["test", "train"])
    parser.add_argument("--files", nargs="+", default=["plain-fp32", "tuned-int8"])
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    folder = asked.runs / "students" / asked.name
    recipe = train.Recipe(**json.loads((folder / "recipe.json").read_text()))
    photos = Photos(asked.runs / "cache")
    labels = sorted(photos.table.label[photos.table.split == "train"].unique())
    train_part = photos.table[(photos.table.split == "train") & photos.table["product"]]
    counts = train_part.label.value_counts().to_dict()
    thresholds = fit_thresholds(asked.runs, photos, asked.oof, asked.held, labels, counts)
    print(json.dumps(thresholds, indent=1))
    places = np.flatnonzero(photos.table.split == asked.split)
    table = photos.table.iloc[places].reset_index(drop=True)
    if asked.split == "test":
        with (asked.runs / "looks.txt").open("a") as file:
            file.write(f"{datetime.datetime.now():%F %T} {asked.name} {' '.join(asked.files)}\n")
    inputs = np.stack([photos.square(int(i), recipe.size) for i in places])
    for name in asked.files:
        odds = quantise.scores(folder / "onnx" / f"{name}.onnx", inputs).astype(float)
        np.savez(folder / f"{asked.split}-{name}.npz", odds=odds, row=table.row.to_numpy())
        print(name)
        for key, value in report(table, odds, labels, counts, thresholds).items():
            print("   ", key, value)


if __name__ == "__main__":
    main()
