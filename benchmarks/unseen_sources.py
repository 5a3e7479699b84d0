r"""How well a recipe finds products at sources that training never saw, by leaving sources out.

Trains the recipe for each fold and seed without some of the sources, so that nearly every photo of
antelope horn and of big cat skin, and the only source of real pangolin scales, is measured by a
network that saw none of its source. Negatives are the validation split and the photos without a
product at these sources. The test split is not used. With several seeds their spread is printed,
and the figures of their mean weights (as ``recognizer export RUN RUN...`` averages them).

    python -m benchmarks.unseen_sources export/wildlife-v5/train.toml --data DATA \
        --rendered RENDERED --output runs/unseen --folds a
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

from recognizer.dataset.manifest import load_photos
from recognizer.dataset.splits import prepare
from recognizer.evaluation.left_out import Unseen
from recognizer.training.config import load_config
from recognizer.training.fit import fit
from recognizer.training.runs import load_run, measure_unseen

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


def main() -> None:
    """Train each run and print its figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe", type=Path)
    for name in ("data", "rendered", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--folds", nargs="+", choices=sorted(FOLDS), default=sorted(FOLDS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    photos = [*load_photos(options.data), *load_photos(options.rendered)]
    recipe = load_config(options.recipe)
    for fold in options.folds:
        sources = [*recipe.exclude_sources, *FOLDS[fold]]
        config = replace(recipe, exclude_sources=list(dict.fromkeys(sources)))
        split = prepare(photos, config)
        title = f"{recipe.name}, fold {fold} left out"
        labels = sorted({p.label for p in split if p.split == "train"})
        tables, runs = [], []
        for seed in options.seeds:
            runs.append(options.output / fold / f"seed{seed}")
            network = fit(replace(config, seed=seed), split, runs[-1])
            found = measure_unseen(network, config, labels, split)
            tables.append(print_figures(f"{title}, seed {seed}", found))
        if len(runs) > 1:
            _print_spread(title, tables)
            mean, _, _ = load_run(*runs)
            found = measure_unseen(mean, config, labels, split)
            print_figures(f"{title}, mean weights of {len(runs)} seeds", found)


def print_figures(title: str, found: Unseen) -> dict[str, tuple[float, float]]:
    """Print the figures of one run.

    Returns:
        Family or product -> average precision, and recall at a false-positive rate of 1 %.
    """
    print(f"\n## {title}: {found.negatives} negatives")
    figures = {}
    for its in found.figures:
        if its.average_precision is None:
            print(f"{its.name:16} {its.photos:4} photos  no such label")
            continue
        precision, recall = its.average_precision, its.recall[0.01]
        figures[its.name] = precision.value, recall.value
        ranks = f"  ranks {' '.join(map(str, its.ranks))}" if its.ranks else ""
        print(f"{its.name:16} {its.photos:4} photos  AP {precision}  recall {recall}{ranks}")
    for name, photos in found.animals.items():
        print(f"{name}: {found.called_product[name]} of {photos} called a product")
    if found.lookalikes:
        accuracy, photos = found.lookalikes.accuracy, found.lookalikes.photos
        print(f"ivory and its look-alikes distinguished: {accuracy} of {photos}", flush=True)
    return figures


def _print_spread(title: str, tables: list[dict[str, tuple[float, float]]]) -> None:
    print(f"\n## {title}: mean and standard deviation over {len(tables)} seeds")
    for name in tables[0]:
        columns = list(zip(*(table[name] for table in tables), strict=True))
        shown = [f"{statistics.mean(c):.3f} +- {statistics.stdev(c):.3f}" for c in columns]
        print(f"{name:16} AP {shown[0]}  recall {shown[1]}", flush=True)


if __name__ == "__main__":
    main()
