"""What each part of a trained cascade is worth, out of fold: rows of docs/experiments.md.

python -m benchmarks.v7.cascade runs/wildlife --data DATA
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from safetensors.torch import load_file

from recognizer.lab.dataset.manifest import load_data
from recognizer.lab.evaluation.out_of_fold import OutOfFold, compare_out_of_fold
from recognizer.lab.evaluation.paired import PairedChange
from recognizer.lab.training.cascade import pass_gate, set_gate
from recognizer.lab.training.model import log_odds_of
from recognizer.lab.training.runs import Recipe, open_recipe

SHARES = (0.05, 0.1, 0.15, 0.2)
WEIGHTS = (0.5, 0.75)  # of the trained network in the mean; a third is as built
SHOWN = ("any product", "ivory", "big_cat", "antelope", "feather", "coral", "turtle")


def variants(recipe: Recipe) -> dict[str, torch.Tensor]:
    """Return logits out of fold, (N, labels), by the name of the variant; as built comes first."""
    kept = [
        load_file(recipe.folder / f"fold-{fold}-logits.safetensors")
        for fold in range(recipe.fold_count)
    ]
    first, mean = (torch.cat([one[name] for one in kept]) for name in ("first", "second"))
    heads = (3 * mean - first) / 2  # the mean of the two frozen networks'
    photos = [p for fold in range(recipe.fold_count) for p in recipe.of_fold(fold)]
    products = {p.label for p in recipe.photos if p.is_product}
    is_product = np.array([label in products for label in recipe.labels])
    negative = np.array([not p.is_product for p in photos])

    def gated(second: torch.Tensor, share: float) -> torch.Tensor:
        gate = set_gate(first[negative], second[negative], is_product, share)
        return pass_gate(gate, first, second)

    share = recipe.config.cascade.share
    found = {f"mean of three, {share:.0%} (as built)": gated(mean, share)}
    found |= {"trained network": first, "frozen networks": heads, "mean of three": mean}
    found |= {f"mean of three, {s:.0%}": gated(mean, s) for s in SHARES}
    for weight in WEIGHTS:
        found[f"trained {weight}, {share:.0%}"] = gated(
            weight * first + (1 - weight) * heads, share
        )
    return found


def main(
    run: Path,
    data: Annotated[list[Path], typer.Option(help="Labelled photos.")],
    rounds: int = 300,
) -> None:
    """Print a table, with differences from the cascade as built (95 %, by source)."""
    recipe = open_recipe(None, load_data(data), run)
    photos = [p for fold in range(recipe.fold_count) for p in recipe.of_fold(fold)]
    folds = np.concatenate(
        [np.full(len(recipe.of_fold(f)), f, np.int16) for f in range(recipe.fold_count)]
    )
    found = {
        name: OutOfFold(
            photos=photos, folds=folds, labels=recipe.labels, log_odds=log_odds_of(z).numpy()
        )
        for name, z in variants(recipe).items()
    }
    built = next(iter(found))
    print("| | product | AP | recall at 1 % |\n|---|---|---|---|")
    for name, one in found.items():
        paired = compare_out_of_fold(one, found[built], titles=(name, built), rounds=rounds)
        for figures in paired.families:
            if figures.name in SHOWN:
                values = (_cell(figures.average_precision), _cell(figures.recall))
                print(f"| {name} | {figures.name} | {values[0]} | {values[1]} |", flush=True)


def _cell(change: PairedChange) -> str:
    by = change.difference
    return f"{change.now:.3f} ({by.value:+.3f}, {by.low:+.3f} to {by.high:+.3f})"


if __name__ == "__main__":
    typer.run(main)
