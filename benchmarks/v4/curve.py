"""What more sources would be worth: a linear head that learns from a share of them.

    python benchmarks/v4/curve.py --runs runs/v4

The folds are left out in turn. Of the other sources a share is drawn, several times, and a logistic
regression on the frozen features of Lite1 learns from their photos alone. What it finds in the
fold that was left out, over the share, says where more sources would lead.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import heads
import measure
import numpy as np
import torch
from networks import root
from photos import Photos

SHARES = (0.125, 0.25, 0.5, 1.0)
NAMES = ("ivory", "big_cat_skin", "antelope_horn", "any product")


def main() -> None:
    """Print a line for each share: figures of all folds together, mean and spread of the draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(2)
    table = Photos(asked.runs / "cache").table
    table = table[table.split == "train"].reset_index(drop=True)
    labels = sorted(table.label.unique())
    y = np.array([labels.index(name) for name in table.label])
    x = root(heads.load(asked.runs, ["lite1-plain240"], table.row.to_numpy()))
    group, fold = table.group.to_numpy(str), table.fold.to_numpy()
    for share in SHARES:
        found = []
        for draw in range(1 if share == 1 else asked.draws):
            drawn = np.random.default_rng(draw)
            logits = np.full((len(x), len(labels)), -20.0, np.float32)
            for left_out in np.unique(fold):
                others = np.unique(group[fold != left_out])
                some = drawn.permutation(others)[: max(1, round(share * len(others)))]
                kept = (fold != left_out) & np.isin(group, some)
                mean, std = x[kept].mean(0), x[kept].std(0) + 1e-6
                weight = heads.weights_of(table[kept].reset_index(drop=True), 0.5, 0.25)
                w = heads.fit((x[kept] - mean) / std, y[kept], weight, len(labels), 1e-2).numpy()
                # A label that the drawn sources do not have cannot be found.
                known = np.isin(np.arange(len(labels)), y[kept])
                own = fold == left_out
                logits[np.ix_(own, known)] = (((x[own] - mean) / std) @ w[:-1] + w[-1])[:, known]
            scores = heads.softmax(logits).astype(float)
            found.append(measure.table_of(table, scores, labels))
        words = []
        for name in NAMES:
            ap = [one[name].ap for one in found]
            words.append(f"{name} {np.mean(ap):.3f} ({min(ap):.3f} to {max(ap):.3f})")
        print(f"{share:.1%} of the other sources: AP of {'; '.join(words)}", flush=True)


if __name__ == "__main__":
    main()
