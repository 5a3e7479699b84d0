r"""What rendered pictures and patches of living animals teach, alone and together.

Trains the same recipe with and without each of them, and measures the scarce products on real
photos that no run has learned from: the validation split, and the photos of the sources that the
recipe excludes. The test split is not touched.

    python benchmarks/ablation.py benchmarks/recipes/ablation.toml --data DATA --rendered RENDERED \
        --patches datasets/patches.csv --output runs/ablation
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from recognizer.taxonomy import Kind, load_taxonomy
from recognizer.training.config import load_config
from recognizer.training.data import Photo, load_photos, prepare
from recognizer.training.fit import fit
from recognizer.training.metrics import average_precision, recall_at_false_alarm_rate
from recognizer.training.unseen import probabilities

LABELS = ("ivory_raw", "ivory_worked", "pangolin_scales", "rhino_horn", "big_cat_skin",
          "antelope_horn", "turtle_shell", "seahorse", "reptile_leather", "bear_parts", "coral",
          "feather")  # fmt: skip
ANIMALS = ("animal_pangolin", "animal_rhino", "animal_elephant")
RATE = 0.01


def main() -> None:
    """Run the variants that were asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rendered", type=Path, required=True)
    parser.add_argument("--patches", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--variants", nargs="+", default=["none", "rendered", "patches", "both"],
        choices=["none", "rendered", "patches", "both"],
    )  # fmt: skip
    asked = parser.parse_args()
    photos, rendered = load_photos(asked.data), load_photos(asked.rendered)
    for variant in asked.variants:
        config = load_config(asked.config)
        if variant in {"patches", "both"}:
            config = replace(config, patches=str(asked.patches))
        data = photos + (rendered if variant in {"rendered", "both"} else [])
        split = prepare(data, config)
        network = fit(config, split, asked.output / variant)
        labels = sorted({p.label for p in split if p.split == "train"})
        held = [p for p in split if p.split in {"validation", "excluded"}]
        scores = probabilities(network, config, held)
        print_table(variant, held, scores, labels)


def print_table(
    title: str,
    photos: list[Photo],
    scores: np.ndarray,
    labels: list[str],
    positives: Collection[str] = ("validation", "excluded"),
) -> dict[str, tuple[float, float]]:
    """Print how well products are found, and how often an animal is taken for one.

    Args:
        title: printed above.
        photos: what was scored.
        scores: float, (photos, labels).
        labels: in the order of the scores.
        positives: the splits whose photos of products count; negatives are those of all.

    Returns:
        Family or product -> average precision and recall at 1 % of false alarms.
    """
    kinds = load_taxonomy().labels
    truth = np.array([p.label for p in photos])
    counts = np.array([p.split in positives for p in photos])
    negative = np.array([kinds[t].kind is not Kind.PRODUCT for t in truth])
    print(f"\n## {title}: {negative.sum()} negatives", flush=True)
    names = [n for n in labels if kinds[n].kind is Kind.PRODUCT]
    columns = [labels.index(n) for n in names]
    figures = {}
    for name in ("ivory", *LABELS):
        members = ["ivory_raw", "ivory_worked"] if name == "ivory" else [name]
        positive = np.isin(truth, members) & counts
        if set(members) <= set(labels) and positive.any():
            score_of = scores[:, [labels.index(m) for m in members]].sum(1)
            figures[name] = _line(name, positive, negative, score_of)
    best = scores[:, columns].max(axis=1)
    limit = np.sort(best[negative])[::-1][int(RATE * negative.sum())]
    animal = np.isin(truth, ANIMALS)
    called = np.isin(np.array(labels)[scores.argmax(1)], names)
    print(
        f"living elephants, rhinos, pangolins: {animal.sum()}; over the photo threshold at 1 %: "
        f"{(best[animal] > limit).mean():.3f}; called a product: {called[animal].mean():.3f}"
    )
    right = (np.array(labels)[scores.argmax(1)] == truth).mean()
    print(f"label with the highest score is right: {right:.3f}")
    print(f"ivory and its look-alikes told apart: {_told_apart(truth, counts, scores, labels)}",
          flush=True)  # fmt: skip
    return figures


def _told_apart(
    truth: np.ndarray, counts: np.ndarray, scores: np.ndarray, labels: list[str]
) -> str:
    """Return the share of photos of ivory and its look-alikes that are given the right name."""
    taxonomy = load_taxonomy()
    names = [n.name for n in taxonomy.lookalikes("ivory") if n.name in labels]
    ivory = [n.name for n in taxonomy.members("ivory") if n.name in labels]
    asked = np.isin(truth, [*names, *ivory]) & counts
    group = [scores[asked][:, [labels.index(n) for n in ivory]].sum(1)]
    group += [scores[asked][:, labels.index(n)] for n in names]
    answer = np.array(["ivory", *names])[np.argmax(group, axis=0)]
    right = answer == np.where(np.isin(truth[asked], ivory), "ivory", truth[asked])
    return f"{right.mean():.3f} of {asked.sum()}"


def _line(
    name: str, positive: np.ndarray, negative: np.ndarray, score: np.ndarray
) -> tuple[float, float]:
    used = positive | negative
    ranks = [int((score[negative] >= s).sum()) + 1 for s in np.sort(score[positive])[::-1]]
    shown = f"  ranks {ranks}" if positive.sum() <= 12 else ""
    precision = average_precision(positive[used], score[used])
    recall = recall_at_false_alarm_rate(positive[used], score[used], RATE)
    count = positive.sum()
    print(f"{name:16} {count:4} photos  AP {precision:.3f}  recall {recall:.2f}{shown}")
    return precision, recall


if __name__ == "__main__":
    main()
