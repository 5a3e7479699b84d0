"""What look-alikes with labels of their own are worth, out of fold: a row of docs/experiments.md.

python -m benchmarks.v7.lookalike_labels RUN TABLE --data DATA

RUN is a trained wildlife-quick, whose features are used; TABLE, a CSV file, has ``sha256`` and
``label``, the new one. Heads are fitted with each new label alone and with all; ``dealt`` has as
many photos of the same labels drawn at random, which shows what another weighting alone does.
Measured is what the products score: a new label's log-odds count as its photos' old label's.
"""

import csv
import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from recognizer.lab.dataset.manifest import load_data
from recognizer.lab.evaluation import out_of_fold
from recognizer.lab.evaluation.figures import Truth
from recognizer.lab.evaluation.metrics import RankedCounts, bootstrap, rank
from recognizer.lab.evaluation.out_of_fold import OutOfFold, compare_out_of_fold
from recognizer.lab.evaluation.paired import PairedChange
from recognizer.lab.training.cascade import build_ensemble_network, pass_gate, set_gate
from recognizer.lab.training.head import features_of, fit_head
from recognizer.lab.training.model import log_odds_of
from recognizer.lab.training.runs import Recipe, open_recipe
from recognizer.policy import Decision

SHOWN = ("any product", "ivory")


class Trial:
    """The photos of a run and their features, on which heads are fitted with other labels."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.photos = recipe, recipe.train
        self.folds = recipe.folds[recipe.folds >= 0]
        self.features = []
        for backbone in (recipe.config.backbone, *recipe.config.cascade.backbones):
            network = build_ensemble_network(recipe.config, backbone, len(recipe.labels))
            self.features.append(features_of(network, self.photos, recipe.cache))
        self.truth = Truth.of(self.photos)
        similar = {label.name for label in self.truth.taxonomy.lookalikes("ivory")}
        self.similar = np.isin(self.truth.labels, list(similar))
        self.ivory = self.truth.of_family("ivory")

    def score(self, new: Mapping[str, str]) -> OutOfFold:
        """Return predictions out of fold by heads that learned new labels: sha256 -> label."""
        recipe, config = self.recipe, self.recipe.config
        photos = [replace(p, label=new.get(p.sha256, p.label)) for p in self.photos]
        pairs = Counter((n.label, o.label) for n, o in zip(photos, self.photos, strict=True))
        added = sorted({p.label for p in photos} - {*recipe.labels})
        old = {one: max((n, o) for (new, o), n in pairs.items() if new == one)[1] for one in added}
        labels = [*recipe.labels, *added]
        logits = torch.zeros(len(self.features), len(photos), len(recipe.labels))
        for number, features in enumerate(self.features):
            power = (config.label_power, config.cascade.label_power)[number > 0]
            for fold in range(recipe.fold_count):
                own = self.folds == fold
                some = list(itertools.compress(photos, ~own))
                weight, bias = fit_head(features[~own], some, labels, power, config.head_c)
                said = torch.nn.functional.linear(torch.from_numpy(features[own]), weight, bias)
                said, extra = said[:, : len(recipe.labels)], said[:, len(recipe.labels) :]
                for column, name in enumerate(added):
                    place = recipe.labels.index(old[name])
                    said[:, place] = torch.logaddexp(said[:, place], extra[:, column])
                logits[number, torch.from_numpy(own)] = said
        first, mean = logits[0], logits.mean(0)
        products = {p.label for p in self.photos if p.is_product}
        is_product = np.array([name in products for name in recipe.labels])
        negative = self.truth.negative
        gate = set_gate(first[negative], mean[negative], is_product, config.cascade.share)
        # Photos keep their labels: products are compared, and they have theirs.
        return OutOfFold(
            photos=self.photos,
            folds=self.folds.astype(np.int16),
            labels=recipe.labels,
            log_odds=log_odds_of(pass_gate(gate, first, mean)).numpy(),
        )

    def ivory_scores(self, held: OutOfFold) -> NDArray[np.float64]:
        columns = [label.startswith("ivory") for label in held.labels]
        odds = held.log_odds[:, columns].astype(np.float64)
        return np.asarray(np.logaddexp.reduce(odds, axis=1), np.float64)

    def leads(self, held: OutOfFold) -> str:
        _, photos, _, triages = out_of_fold._calibrated_folds(held, "")
        led = np.array([t.decision is not Decision.CLEAR for t in triages])
        product = np.array([p.is_product for p in photos])
        return f"{led[product].sum()} at {led[~product].mean():.2%}"

    def compare(self, name: str, now: OutOfFold, before: OutOfFold, rounds: int) -> str:
        """Return a row of figures, with the differences from heads with the old labels."""
        cells, pair = (
            [self.leads(now)],
            compare_out_of_fold(now, before, titles=("now", "before"), rounds=rounds),
        )
        for figures in pair.families:
            if figures.name in SHOWN:
                cells += [_cell(figures.average_precision), _cell(figures.recall)]
        scores = [self.ivory_scores(held) for held in (now, before)]
        used = self.ivory | self.similar
        positive, told = self.ivory[used], scores[0][used]
        against = bootstrap(
            RankedCounts.average_precision,
            positive,
            told,
            self.truth.sources[used],
            against=scores[1][used],
            rounds=rounds,
        )
        ap = float(rank(positive, told).average_precision())
        cells.append(f"{ap:.3f} ({against.value:+.3f}, {against.low:+.3f} to {against.high:+.3f})")
        by_fold = []
        for fold in range(self.recipe.fold_count):
            own = (self.folds == fold) & (self.ivory | self.truth.negative)
            values = [float(rank(self.ivory[own], one[own]).average_precision()) for one in scores]
            by_fold.append(f"{values[0] - values[1]:+.3f}")
        return " | ".join([name, *cells, " ".join(by_fold)])


def _cell(change: PairedChange) -> str:
    by = change.difference
    return f"{change.now:.3f} ({by.value:+.3f}, {by.low:+.3f} to {by.high:+.3f})"


def main(
    run: Path,
    table: Path,
    data: Annotated[list[Path], typer.Option(help="Labelled photos.")],
    rounds: int = 300,
) -> None:
    """Print leads, and average precision and recall at 1 %, for each new label and for all."""
    torch.set_num_threads(1)
    trial = Trial(open_recipe(None, load_data(data), run))
    with table.open() as file:
        new = {row["sha256"]: row["label"] for row in csv.DictReader(file)}
    known = {p.sha256: p.label for p in trial.photos}
    new = {sha256: label for sha256, label in new.items() if sha256 in known}
    before = trial.score({})
    print(trial.compare("as it is", before, before, 10), flush=True)
    counts = Counter(new.values())
    for name, count in counts.items():
        some = {sha256: label for sha256, label in new.items() if label == name}
        print(trial.compare(f"{name} ({count})", trial.score(some), before, rounds), flush=True)
    print(trial.compare("all", trial.score(new), before, rounds), flush=True)
    for seed in range(3):
        rng, dealt = np.random.default_rng(seed), dict[str, str]()
        for label, old in Counter((label, known[sha256]) for sha256, label in new.items()):
            number = sum(n == label and known[s] == old for s, n in new.items())
            rest = [s for s, o in known.items() if o == old and s not in dealt]
            dealt |= dict.fromkeys(rng.choice(rest, number, replace=False).tolist(), label)
        print(trial.compare(f"dealt {seed}", trial.score(dealt), before, rounds), flush=True)


if __name__ == "__main__":
    typer.run(main)
