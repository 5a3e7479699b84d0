"""What a student sees, and heads on it that are fitted out of fold.

A student that learned no label (``--answers 0``) has seen no label of any fold, so that heads
which are cross-fitted on its features give honest answers for all folds without training it five
times.

    python benchmarks/v4/embed.py --runs runs/v4 --name f --some 4000
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import cv2
import heads
import measure
import numpy as np
import teacher
import torch
import train

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--some", type=int, default=0, help="so many photos; 0 for all")
    parser.add_argument("--c", type=float, nargs="+", default=[3e-3, 1e-2])
    asked = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    cv2.setNumThreads(1)
    folder = asked.runs / "students" / asked.name
    recipe = train.Recipe(**json.loads((folder / "recipe.json").read_text()))
    run = train.Run(asked.runs, asked.name, recipe)
    student, photos = run.finished(), run.sampler.photos
    places = np.flatnonzero(photos.table.split == "train")
    if asked.some:
        # All products but those of a museum that has too many, then others by chance.
        rng = np.random.default_rng(0)
        product = photos.table["product"].to_numpy()[places]
        large = (photos.table.group == "rjpost20").to_numpy()[places]
        few = rng.choice(places[product & large], 300, replace=False)
        kept = np.concatenate([places[product & ~large], few])
        others = rng.choice(places[~product], asked.some - len(kept), replace=False)
        places = np.sort(np.concatenate([kept, others]))
    found = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for first in range(0, len(places), 32):
            part = places[first : first + 32]
            batch = np.stack([photos.square(int(i), recipe.size) for i in part])
            found.append(student(torch.from_numpy(batch))[0].float().numpy())
    x = np.concatenate(found)
    table = photos.table.iloc[places].reset_index(drop=True)
    np.savez(folder / f"embedding{asked.some or ''}.npz", last=x, row=table.row.to_numpy())
    labels = sorted(table.label.unique())
    weight = heads.weights_of(table, 0.5, 0.25)
    plain = heads.load(asked.runs, [teacher.PLAIN[recipe.network]], table.row.to_numpy())
    every = heads.load(asked.runs, list(teacher.PLAIN.values()), table.row.to_numpy())
    for name, features in (("student", x), ("its beginning", plain), ("teacher", every)):
        for c, logits in heads.out_of_fold(features, table, labels, weight, asked.c).items():
            result = measure.table_of(table, heads.softmax(logits).astype(float), labels)
            print(name, f"C {c}", measure.line(result), flush=True)
            if name == "student" and not asked.some:
                np.savez(
                    asked.runs / "oof" / f"{asked.name}-{c:g}.npz",
                    logits=logits,
                    row=table.row.to_numpy(),
                    labels=np.array(labels),
                )
