r"""How well products are found at sources that training never saw, by leaving sources out.

Trains a recipe on each fold, once for each seed, without some of the sources, so that nearly every
photo of antelope horn and of big cat skin, and the only source of real pangolin scales, is measured
by a network that saw none of its source. Negatives are the validation split and what the left-out
sources have of them. The test split is not touched. With several seeds their spread is printed,
and what the mean of their weights does (the "soup" that ``recognizer export RUN RUN...`` makes).

Beside each run lie two sheets for people to look at: the photos without ivory that score highest
for it, and those of ivory at these sources that score lowest. They show photos of the data: keep
them to yourself.

    python benchmarks/unseen_sources.py benchmarks/recipes/short.toml --data DATA \
        --rendered RENDERED --output runs/unseen/short --folds a b --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from ablation import tell

from recognizer.dataset.manifest import Photo, left_out_places, load_photos, prepare, read_photo
from recognizer.dataset.sheets import contact_sheet
from recognizer.evaluation.figures import Truth
from recognizer.evaluation.unseen import held_out, measure_scores, measure_unseen, probabilities
from recognizer.taxonomy import load_taxonomy
from recognizer.training.config import load_config
from recognizer.training.fit import fit
from recognizer.training.runs import load_run

FOLDS = {
    "a": [
        "tonykitto/collections",
        "lilyworth/EIA-international",
        "fathima-Sara-Shums/WDoS",
        "kidu90/wildlife",
        "MrIee/MrIee.github.io",
        "Nickelgunasekera/CB013126",
        "ginanjarpamungkas/diperdagangkan-sampai-punah",
    ],
    "b": [
        "brentstreamlinedigital-dotcom/wildclone-taxidermy-website",
        "thatsmellything/judkinstaxidermywebsite",
        "Praveen2703/Wildlife-Conservation-Website",
        "abooh03/Wdos-assignment1",
        "bwpt-savetheanimals/mcgarity-amrketing-page",
        "randilt/wildlife-srilanka",
    ],
}


SHOWN = 48  # photos on a sheet
TILE = 150


def main() -> None:
    """Train what was asked for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    for name in ("data", "rendered", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--folds", nargs="+", choices=sorted(FOLDS), default=sorted(FOLDS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    asked = parser.parse_args()
    photos = [*load_photos(asked.data), *load_photos(asked.rendered)]
    recipe = load_config(asked.recipe)
    for fold in asked.folds:
        sources = [*recipe.exclude_sources, *FOLDS[fold]]
        config = replace(recipe, exclude_sources=list(dict.fromkeys(sources)))
        split = prepare(photos, config)
        title = f"{recipe.name}, sources {fold} left out"
        labels = sorted({p.label for p in split if p.split == "train"})
        tables, runs = [], []
        for seed in asked.seeds:
            runs.append(asked.output / fold / f"seed{seed}")
            network = fit(replace(config, seed=seed), split, runs[-1])
            scores = probabilities(network, config, held_out(split))
            found = measure_scores(scores, labels, split, left_out_places(config))
            tables.append(tell(f"{title}, seed {seed}", found))
            draw_sheets(scores, labels, held_out(split), runs[-1])
        if len(runs) > 1:
            _spread(title, tables)
            mean, _, _ = load_run(*runs)
            found = measure_unseen(mean, config, labels, split)
            tell(f"{title}, mean weights of {len(runs)} seeds", found)


def draw_sheets(scores: np.ndarray, labels: list[str], held: list[Photo], folder: Path) -> None:
    """Draw what is wrongly taken for ivory and what is missed, and count the former by label."""
    members = [m.name for m in load_taxonomy().members("ivory")]
    ivory = scores[:, [labels.index(m) for m in members if m in labels]].sum(axis=1)
    truth = Truth.of(held)
    wrong = np.flatnonzero(truth.negative)
    wrong = wrong[np.argsort(-ivory[wrong])]
    left_out = np.array([p.split == "excluded" and p.is_evidence for p in held])
    missed = np.flatnonzero(np.isin(truth.labels, members) & left_out)
    missed = missed[np.argsort(ivory[missed])]
    for name, rows in (("false-alarms", wrong), ("missed", missed)):
        shown = [
            (
                f"{ivory[i]:.2f} {truth.labels[i]}\n{labels[scores[i].argmax()]}",
                read_photo(held[i], TILE),
            )
            for i in rows[:SHOWN]
        ]
        sheet = contact_sheet(shown, TILE, 8)
        cv2.imwrite(str(folder / f"{name}.png"), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    counts = Counter(truth.labels[wrong[:SHOWN]].tolist()).most_common()
    print(f"the {SHOWN} highest without ivory: " + ", ".join(f"{n} {c}" for n, c in counts))


def _spread(title: str, tables: list[dict[str, tuple[float, float]]]) -> None:
    """Print the mean and the spread (the seeds' standard deviation) of each figure."""
    print(f"\n## {title}: mean and standard deviation over {len(tables)} seeds")
    for name in tables[0]:
        columns = list(zip(*(table[name] for table in tables), strict=True))
        told = [f"{statistics.mean(c):.3f} +- {statistics.stdev(c):.3f}" for c in columns]
        print(f"{name:16} AP {told[0]}  recall {told[1]}", flush=True)


if __name__ == "__main__":
    main()
