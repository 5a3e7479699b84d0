"""Would a first pass at a smaller size clear ordinary photos? Measured out of fold.

    python benchmarks/v4/train.py --runs runs/v4 --name without02 --at 144
    python benchmarks/v4/train.py --runs runs/v4 --name without13 --at 144
    python benchmarks/v4/cascade.py --runs runs/v4 --names without02 without13 --size 144

Each photo is scored at both sizes by a network that saw none of its source's fold. The limit of the
first pass is set on half of the sources, so that it loses a share of the products that the full
pass finds, and applied to the other half; the means of many halves are printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from calibrating import Floats, log_odds, threshold, with_lines
from photos import Photos

from recognizer.model.bundle import Bundle, load_bundle
from recognizer.policy import FALSE_POSITIVE_RATES

LOSSES = (0.0, 0.005, 0.02)
HALVES = 50
FEWEST = 20  # found products of a half, without which no limit is set


def top_scores(bundle: Bundle, logits: Floats, table: pd.DataFrame, count: pd.Series) -> Floats:
    """Return the highest family's probability, calibrated on these answers.

    ``count`` has the training photos of each label.
    """
    values = log_odds(logits)
    known = {name: int(count.get(name, 1)) for name in bundle.label_names}
    own = with_lines(bundle, values, table, known)
    return np.asarray(own.family_scores(own.calibrate(values)).max(axis=1))


def main() -> None:
    """Print a line for each false-positive rate and each loss that is aimed at."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--names", nargs="+", required=True)
    parser.add_argument("--size", type=int, default=144)
    asked = parser.parse_args()
    bundle = load_bundle()
    known = Photos(asked.runs / "cache").table.set_index("row")
    answers: dict[str, list[Floats]] = {"held": [], f"held-{asked.size}": []}
    rows = []
    for name in asked.names:
        for file, parts in answers.items():
            held = np.load(asked.runs / "students" / name / f"{file}.npz")
            labels = held["labels"].tolist()
            parts.append(held["logits"][:, [labels.index(label) for label in bundle.label_names]])
        rows.append(held["row"])
    table = known.loc[np.concatenate(rows)].reset_index()
    table["product"] = table["product"].astype(bool)
    count = known[known.split != "test"].label.value_counts()
    full, small = (top_scores(bundle, np.concatenate(a), table, count) for a in answers.values())
    product, fold = table["product"].to_numpy(), table.fold.to_numpy()
    group = table["group"].to_numpy()
    groups = np.unique(group)
    print("| rate | found | aimed loss | loss, other sources | worst half | cleared |")
    print("|---|---|---|---|---|---|")
    for rate in FALSE_POSITIVE_RATES:
        found = product & (full > threshold(full[~product], fold[~product], rate))
        for aim in LOSSES:
            lost, cleared = [], []
            for seed in range(HALVES):
                half = np.random.default_rng(seed).permutation(groups)[: len(groups) // 2]
                mine = np.isin(group, half)
                scores = np.sort(small[found & mine])
                rest = found & ~mine
                if min(len(scores), rest.sum()) < FEWEST:
                    continue
                limit = scores[int(aim * len(scores))]
                lost.append((small[rest] < limit).mean())
                cleared.append((small[~product & ~mine] < limit).mean())
            print(
                f"| {rate:.1%} | {found.sum()} of {product.sum()} | {aim:.1%} "
                + (
                    f"| {np.mean(lost):.1%} | {np.max(lost):.1%} | {np.mean(cleared):.0%} |"
                    if lost
                    else "| too few | | |"
                )
            )


if __name__ == "__main__":
    main()
