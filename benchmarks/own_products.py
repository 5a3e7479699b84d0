r"""What the trained features are worth for other products: 30 photos each of five labels.

    python -m benchmarks.own_products --data DATA --recipe runs/wildlife --cache photos.sqlite

For each fold of a recipe that was trained, the five labels of most sources play somebody's own
products. A linear head learns them from 30 photos each and 300 others, from half of the fold's
sources, on ImageNet's features and on those of the network that has not seen the fold, and is
measured on the other half. Printed: the mean average precision over draws of the sources.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import torch

from recognizer.dataset.manifest import Photo, load_data
from recognizer.evaluation.metrics import rank
from recognizer.training.head import features_of, fit_head
from recognizer.training.model import ProductNetwork, build_network
from recognizer.training.runs import Recipe, first_network, open_recipe, read_recipe

LABELS, PHOTOS, OTHERS, DRAWS = 5, 30, 300, 6
FEWEST_PHOTOS, FEWEST_SOURCES = 50, 4


def own_labels(held: list[Photo]) -> list[str]:
    """Return the labels of most sources, but for those that stand for anything else."""
    photos = Counter(p.label for p in held)
    sources = Counter(label for label, _ in {(p.label, p.source) for p in held})
    return [
        label
        for label, count in sources.most_common()
        if photos[label] >= FEWEST_PHOTOS and count >= FEWEST_SOURCES and "other" not in label
    ][:LABELS]


def measure(network: ProductNetwork, recipe: Recipe, fold: int, seed: int) -> float:
    """Return the mean average precision of the own labels in one draw of the sources."""
    held, rng, size = recipe.of_fold(fold), np.random.default_rng(seed), recipe.config.input_size
    own = own_labels(held)
    sources = sorted({p.source for p in held})
    rng.shuffle(sources)
    half = set(sources[: len(sources) // 2])
    train = []
    for label, most in [(name, PHOTOS) for name in own] + [("", OTHERS)]:
        some = [p for p in held if p.source in half and (p.label == label or not label)]
        some = [p for p in some if label or p.label not in own]
        train += [some[i] for i in rng.permutation(len(some))[:most]]
    called = [p if p.label in own else replace(p, label="other") for p in train]
    labels = sorted({p.label for p in called})
    weight, bias = fit_head(
        features_of(network, train, recipe.cache, size), called, labels, 0.5, recipe.config.head_c
    )
    test = [p for p in held if p.source not in half]
    x = torch.from_numpy(features_of(network, test, recipe.cache, size))
    scores = (x @ weight.T + bias).softmax(1).numpy()
    found = [
        rank(
            np.array([p.label == label for p in test]), scores[:, labels.index(label)]
        ).average_precision()
        for label in own
        if label in labels and any(p.label == label for p in test)
    ]
    return float(np.mean(found))


def main() -> None:
    """Measure every fold and print the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    asked = parser.parse_args()
    config = read_recipe(asked.recipe)
    recipe = open_recipe(config, load_data([asked.data]), asked.recipe, asked.cache)
    plain = msgspec.structs.replace(config, weights="imagenet")
    imagenet = build_network(plain, len(recipe.labels)).eval()
    for fold in range(int(recipe.folds.max()) + 1):
        trained = first_network(recipe, asked.recipe, fold)
        both = np.array(
            [
                [measure(network, recipe, fold, seed) for network in (imagenet, trained)]
                for seed in range(DRAWS)
            ]
        )
        before, after = both.mean(axis=0)
        print(
            f"fold {fold}: {', '.join(own_labels(recipe.of_fold(fold)))}: ImageNet {before:.3f}, "
            f"trained {after:.3f}, better in {(both[:, 1] > both[:, 0]).sum()} of {DRAWS} draws"
        )


if __name__ == "__main__":
    main()
