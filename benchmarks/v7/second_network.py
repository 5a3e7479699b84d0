"""What a soup and a second trained network are worth: rows of docs/experiments.md.

python -m benchmarks.v7.second_network RUN --data DATA

The photos that a fold of the run left out are looked at as they are and edited; the logits are kept
in RUN. Of posts, ivory's average precision at a prevalence of 2 % is printed, a source of n photos
counting as the root of n.
"""

import csv
import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sklearn.metrics import average_precision_score

from recognizer.lab.dataset.manifest import load_data
from recognizer.lab.evaluation import out_of_fold
from recognizer.lab.evaluation.out_of_fold import OutOfFold, compare_out_of_fold
from recognizer.lab.training.augment import Augmentation
from recognizer.lab.training.cascade import pass_gate, set_gate
from recognizer.lab.training.model import ProductNetwork, log_odds_of
from recognizer.lab.training.runs import Recipe, fold_network, open_recipe
from recognizer.policy import Decision

Pair = list[torch.Tensor]  # logits of the photos as they are, and edited

MEANS = (
    ("one run", ("one run", "head0", "head1"), 0.3),
    ("soup", ("soup", "head0", "head1"), 0.3),
    ("one run", ("one run", "lite2", "head0", "head1"), 0.25),
    ("soup", ("soup", "lite2", "head0", "head1"), 0.2),
    ("soup", ("soup", "lite2", "head0", "head1"), 0.25),
    ("soup", ("soup", "lite2", "head0", "head1"), 0.3),
    ("lite2", ("lite2", "lite2", "head0", "head1"), 0.15),
    ("lite2", ("lite2", "head1"), 0.15),
)
"""The network that looks first, those whose mean is the second stage, and its share."""


def look(recipe: Recipe, network: ProductNetwork, fold: int, name: str) -> Pair:
    """Return logits of a fold's photos, as they are and with the edits of the recipe's finish."""
    if (path := recipe.folder / f"looked-{fold}-{name}.safetensors").exists():
        kept = load_file(path)
        return [kept["as is"], kept["edited"]]
    shares = {**recipe.config.finish.augment.shares, "collage": 0.0}
    how = msgspec.structs.replace(recipe.config.finish.augment, canvas_prob=0.0, shares=shares)
    edit = Augmentation(how, recipe.config.input_size, recipe.train, recipe.cache)
    rows, own = {p.sha256: i for i, p in enumerate(recipe.train)}, recipe.of_fold(fold)
    parts = []
    for batch in (own[first : first + 8] for first in range(0, len(own), 8)):
        images = [edit(p, np.random.default_rng([1, rows[p.sha256]])) for p in batch]
        for some in (recipe.cache.squares(batch), np.stack(images)):
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                parts.append(network(torch.from_numpy(some)).logits.float())
    found = [torch.cat(parts[e::2]) for e in (0, 1)]
    save_file({"as is": found[0], "edited": found[1]}, path)
    return found


def collect(recipe: Recipe) -> dict[str, Pair]:
    cascade = msgspec.structs.replace(recipe.config.cascade, trained={})
    one = replace(recipe, config=msgspec.structs.replace(recipe.config, soup={}, cascade=cascade))
    found: dict[str, list[Pair]] = {}
    for fold in range(recipe.fold_count):
        whole, alone = fold_network(recipe, fold), fold_network(one, fold)
        networks = [alone.first, whole.first, *whole.second]
        for name, network in zip(
            ("one run", "soup", "lite2", "head0", "head1"), networks, strict=True
        ):
            found.setdefault(name, []).append(look(recipe, network, fold, name))
    return {
        name: [torch.cat(part) for part in zip(*pairs, strict=True)]
        for name, pairs in found.items()
    }


def leads(held: OutOfFold, edits: OutOfFold) -> NDArray[np.bool_]:
    """Return which photos are leads, as they are and edited, at thresholds of the former."""
    draft, found = out_of_fold._calibrated_folds(held, "")[0], []
    for fold in np.unique(held.folds):
        own = held.folds == fold
        others = list(itertools.compress(held.photos, ~own))
        bundle = out_of_fold.calibrated(draft, held.log_odds[~own], others)
        photos = list(itertools.compress(held.photos, own))
        for one in (held, edits):
            said = out_of_fold._predict(bundle, photos, one.log_odds[own])
            actions = out_of_fold.default_triages(bundle, said)
            found.append([t.decision is not Decision.CLEAR for t in actions])
    return np.array([list(itertools.chain(*found[e::2])) for e in (0, 1)])


def posts(held: OutOfFold) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Return what is ivory, its scores, and weights, for ivory in posts and photos without any."""
    with Path("datasets/slices.csv").open() as file:
        slices = {row["source"]: row["slice"] for row in csv.DictReader(file)}
    with Path("datasets/folds.csv").open() as file:
        slices |= {row["group"]: slices.get(row["source"], "") for row in csv.DictReader(file)}
    ivory = np.array([p.label.startswith("ivory") for p in held.photos])
    is_post = np.array([slices.get(p.source) == "posts" for p in held.photos])
    negative = np.array([not p.is_product for p in held.photos])
    sizes = Counter((p.source, p.is_product) for p in held.photos)
    weights = np.array([sizes[p.source, p.is_product] ** -0.5 for p in held.photos])
    odds = held.log_odds[:, [label.startswith("ivory") for label in held.labels]]
    keep = ivory & is_post | negative
    weights = np.where(keep, weights, 0)
    return ivory, np.logaddexp.reduce(odds.astype(np.float64), axis=1), weights


def posts_ap(held: OutOfFold, before: OutOfFold, rounds: int) -> str:
    (ivory, score, weights), (_, earlier, _) = posts(held), posts(before)
    names, owner = np.unique([p.source for p in held.photos], return_inverse=True)
    drawn, found = np.random.default_rng(0), []
    for n in range(rounds + 1):
        draw = drawn.integers(len(names), size=len(names)) if n else np.arange(len(names))
        own = weights * np.bincount(draw, minlength=len(names))[owner]
        own[ivory] *= 0.02 / 0.98 * own[~ivory].sum() / max(own[ivory].sum(), 1e-9)
        found.append(
            [average_precision_score(ivory, s, sample_weight=own) for s in (score, earlier)]
        )
    now, by = found[0][0], np.quantile(np.diff(found[1:])[:, 0] * -1, (0.025, 0.975))
    return f"posts {now:.3f} ({by[0]:+.3f} to {by[1]:+.3f})"


def main(
    run: Path,
    data: Annotated[list[Path], typer.Option(help="Labelled photos.")],
    rounds: int = 300,
) -> None:
    """Print leads of products and of others, and average precision, photos as they are > edited."""
    torch.set_num_threads(1)
    recipe = open_recipe(None, load_data(data), run)
    count, labels = recipe.fold_count, recipe.labels
    photos = [p for fold in range(count) for p in recipe.of_fold(fold)]
    folds = np.repeat(
        np.arange(count, dtype=np.int16), [len(recipe.of_fold(fold)) for fold in range(count)]
    )
    negative = np.array([not p.is_product for p in photos])
    is_product = np.array([name in {p.label for p in photos if p.is_product} for name in labels])
    logits, base = collect(recipe), list[OutOfFold]()
    for first, names, share in MEANS:
        second = [torch.stack([logits[n][e] for n in names]).mean(0) for e in (0, 1)]
        gate = set_gate(logits[first][0][negative], second[0][negative], is_product, share)
        both = [
            OutOfFold(photos=photos, folds=folds, labels=labels, log_odds=log_odds_of(z).numpy())
            for z in (pass_gate(gate, logits[first][e], second[e]) for e in (0, 1))
        ]
        base, cells = base or both, []
        for e, is_lead in enumerate(leads(*both)):
            shares = f"{is_lead[~negative].sum()} at {is_lead[negative].mean():.2%}"
            pair = compare_out_of_fold(both[e], base[e], titles=("now", "before"), rounds=rounds)
            for change in (one.average_precision for one in pair.families[:2]):
                by = change.difference
                shares += f", {change.now:.3f} ({by.low:+.3f} to {by.high:+.3f})"
            cells.append(f"{shares}, {posts_ap(both[e], base[e], rounds)}")
        print(f"{first} > {' + '.join(names)}, {share:.0%}: {' > '.join(cells)}", flush=True)


if __name__ == "__main__":
    typer.run(main)
