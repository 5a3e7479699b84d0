"""All runs of a recipe: each fold of sources left out in turn, then none, with several seeds.

The folder of a recipe holds ``recipe.json``, the cache of photos, a folder for each run, what the
folds' networks say of the photos that they have not seen (``out-of-fold.parquet``), and the weights
(``network.safetensors``). Whatever is finished is not done again, so that a recipe that was stopped
goes on where it was.

The weights are the mean of all seeds': runs that begin at the same point end near each other, and
their mean does better than each away from the training data, at the cost of one (a "model soup":
Wortsman et al., 2022).
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from recognizer._atomic import replacing
from recognizer.dataset.folds import read_folds, stratified_folds
from recognizer.dataset.manifest import Photo, fingerprint
from recognizer.dataset.out_of_fold import OutOfFold, read_out_of_fold, write_out_of_fold
from recognizer.dataset.splits import corrected
from recognizer.errors import TrainingError
from recognizer.training.cache import PhotoCache
from recognizer.training.cascade import (
    Cascade,
    Gate,
    build_ensemble_network,
    ensemble_logits,
    fit_ensemble,
    pass_gate,
    set_gate,
)
from recognizer.training.config import TrainingConfig, config_from_dict
from recognizer.training.fit import Progress, fit, predict
from recognizer.training.model import ProductNetwork, build_network
from recognizer.training.onnx_export import log_odds_of

RECIPE_FILE = "recipe.json"
CACHE_FILE = "photos.sqlite"
OUT_OF_FOLD_FILE = "out-of-fold.parquet"
NETWORK_FILE = "network.safetensors"
GATE_FILE = "gate.json"


@dataclass(frozen=True, slots=True)
class Stage:
    """What is done, and how long all that is left will take; None until it is known."""

    words: str
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A recipe and its photos, as a folder holds it.

    Attributes:
        config: the keys.
        labels: the outputs, in order.
        photos: with corrected labels, ``source`` being the group of sources that stay together;
            those of ``test`` are never trained on.
        folds: (N,), the fold of each photo, -1 for those that belong to none.
        cache: of decoded photos.
    """

    config: TrainingConfig
    labels: list[str]
    photos: list[Photo]
    folds: NDArray[np.int64]
    cache: PhotoCache

    @property
    def train(self) -> list[Photo]:
        """The photos to learn from."""
        return self.without(None)

    def without(self, fold: int | None) -> list[Photo]:
        """The photos to learn from, but for those of a fold."""
        pairs = zip(self.photos, self.folds, strict=True)
        return [p for p, f in pairs if p.split == "train" and (fold is None or f != fold)]

    def of_fold(self, fold: int) -> list[Photo]:
        """The photos of a fold."""
        return [p for p, f in zip(self.photos, self.folds, strict=True) if f == fold]


def open_recipe(
    config: TrainingConfig, photos: Sequence[Photo], folder: Path, cache: Path | None = None
) -> Recipe:
    """Begin a recipe in a folder, or go on with it.

    Args:
        config: the recipe.
        photos: all photos with their splits.
        folder: made if it is missing.
        cache: a file of decoded photos; by default one in the folder.

    Raises:
        TrainingError: the folder holds another recipe or other photos, or there are fewer than two
            labels.
        DatasetError: a table of the recipe is wrong.
    """
    for table in config.corrections:
        photos = corrected(photos, table)
    photos, folds = _deal(list(photos), config)
    labels = sorted({p.label for p in photos if p.split == "train"})
    if len(labels) < 2:
        raise TrainingError(f"{len(labels)} labels to train on; at least 2 are needed")
    path = folder / RECIPE_FILE
    state = {
        "recipe": config.to_dict(),
        "labels": labels,
        "photos": fingerprint(p for p in photos if p.split == "train"),
    }
    if path.exists():
        its = json.loads(path.read_text("utf-8"))
        its["recipe"] = config_from_dict(its["recipe"], str(path)).to_dict()
        others = [key for key, value in state.items() if its.get(key) != value]
        if others:
            raise TrainingError(
                f"{folder} was trained with other {' and '.join(others)}: choose another folder, "
                "or delete it"
            )
    else:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_text(json.dumps(state, indent=2) + "\n", "utf-8")
    decoded = PhotoCache(cache or folder / CACHE_FILE, config.served_size)
    return Recipe(config=config, labels=labels, photos=photos, folds=folds, cache=decoded)


def _deal(photos: list[Photo], config: TrainingConfig) -> tuple[list[Photo], NDArray[np.int64]]:
    """Return the photos under their groups of sources, and the fold of each, -1 for none."""
    folds = np.full(len(photos), -1)
    train = [i for i, p in enumerate(photos) if p.split == "train"]
    if isinstance(config.folds, str):
        table = read_folds(Path(config.folds))
        for i in train:
            folds[i] = table.of(photos[i])
        groups = table.group_of
        return [replace(p, source=groups.get(p.source, p.source)) for p in photos], folds
    if config.folds:
        truth, sources = [photos[i].label for i in train], [photos[i].source for i in train]
        splits = stratified_folds(truth, sources, config.folds)
        for fold, (_, rows) in enumerate(splits):
            folds[np.array(train)[rows]] = fold
    return photos, folds


def train_recipe(
    recipe: Recipe, folder: Path, on_stage: Callable[[Stage], None] = lambda _: None
) -> None:
    """Do all runs of a recipe that are left, and write what they found.

    Args:
        recipe: of :func:`open_recipe`.
        folder: the same.
        on_stage: called every few seconds.

    Raises:
        DatasetError: a photo cannot be decoded, or its bytes are not those of the manifest.
        TrainingError: training fails.
    """
    recipe.cache.fill(
        recipe.train,
        lambda done, of: on_stage(Stage(f"decoded {done} of {of} photos")),
    )
    clock = _Clock(recipe, on_stage)
    if not (folder / OUT_OF_FOLD_FILE).exists() and (recipe.folds >= 0).any():
        write_out_of_fold(_leave_out(recipe, folder, clock), folder / OUT_OF_FOLD_FILE)
    if not (folder / NETWORK_FILE).exists():
        network = _with_ensemble(recipe, folder, first_network(recipe, folder, None, clock), None)
        with replacing(folder / NETWORK_FILE) as partial:
            save_file({n: v.contiguous() for n, v in network.state_dict().items()}, partial)


def _leave_out(recipe: Recipe, folder: Path, clock: _Clock) -> OutOfFold:
    """Train without each fold, and return what is said of the photos that were left out."""
    config, count = recipe.config, int(recipe.folds.max()) + 1
    held = [recipe.of_fold(fold) for fold in range(count)]
    first, second = [], []
    for fold, own in enumerate(held):
        network = first_network(recipe, folder, fold, clock)
        first.append(torch.from_numpy(predict(network, own, recipe.cache, config.input_size)))
        if config.cascade.backbones:
            ensemble = _ensemble(recipe, fold, clock.on_words)
            second.append(ensemble_logits(ensemble, own, recipe.cache))
    photos, logits = list(itertools.chain(*held)), torch.cat(first)
    if second:
        strong, is_negative = torch.cat(second), np.array([not p.is_product for p in photos])
        gate = set_gate(
            logits[is_negative], strong[is_negative], _is_product(recipe), config.cascade.share
        )
        with replacing(folder / GATE_FILE) as partial:
            partial.write_text(json.dumps({"bar": gate.bar, "shift": gate.shift}) + "\n", "utf-8")
        logits = pass_gate(gate, logits, strong)
    return OutOfFold(
        photos=photos,
        folds=np.repeat(np.arange(count, dtype=np.int16), [len(own) for own in held]),
        labels=recipe.labels,
        log_odds=log_odds_of(logits).numpy(),
        activation="softmax",
        input_size=config.served_size,
        recipe=config.to_dict(),
    )


def fold_network(recipe: Recipe, folder: Path, fold: int) -> ProductNetwork | Cascade:
    """Return the network that has seen nothing of a fold; it is trained if it was not yet."""
    first = first_network(recipe, folder, fold)
    return _with_ensemble(recipe, folder, first, fold)


def _with_ensemble(
    recipe: Recipe, folder: Path, first: ProductNetwork, fold: int | None
) -> ProductNetwork | Cascade:
    if not recipe.config.cascade.backbones:
        return first
    ensemble = _ensemble(recipe, fold, lambda _: None)
    return Cascade(first, recipe.config.input_size, ensemble, _gate(recipe, folder)).eval()


def _ensemble(
    recipe: Recipe, fold: int | None, on_words: Callable[[str], None]
) -> list[ProductNetwork]:
    return fit_ensemble(recipe.config, recipe.labels, recipe.without(fold), recipe.cache, on_words)


def _gate(recipe: Recipe, folder: Path) -> Gate:
    try:
        return Gate(_is_product(recipe), **json.loads((folder / GATE_FILE).read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{folder}: no {GATE_FILE}: a cascade needs folds that are left out"
        ) from error


def _is_product(recipe: Recipe) -> NDArray[np.bool_]:
    products = {p.label for p in recipe.photos if p.is_product}
    return np.array([label in products for label in recipe.labels])


def first_network(
    recipe: Recipe, folder: Path, fold: int | None, clock: _Clock | None = None
) -> ProductNetwork:
    """Return the mean of the weights of all seeds, without a fold or with all photos."""
    clock = clock or _Clock(recipe)
    photos = recipe.without(fold)
    found: list[Mapping[str, torch.Tensor]] = []
    for seed in range(recipe.config.seed, recipe.config.seed + recipe.config.seeds):
        name = f"all-{seed}" if fold is None else f"fold-{fold}-{seed}"
        words = "all photos" if fold is None else f"without fold {fold}"
        report = clock.begin(f"{words}, seed {seed}")
        found.append(
            fit(
                recipe.config,
                recipe.labels,
                photos,
                recipe.cache,
                folder / name,
                seed=seed,
                on_progress=report,
            )
        )
    mean = {
        name: torch.stack([state[name] for state in found]).mean(0)
        if value.dtype.is_floating_point
        else value
        for name, value in found[0].items()
    }
    network = _skeleton(recipe)
    network.load_state_dict(mean)
    return network


def _skeleton(recipe: Recipe) -> ProductNetwork:
    return build_network(replace(recipe.config, weights="none"), len(recipe.labels)).eval()


class _Clock:
    """Says what is done and how long the rest will take."""

    def __init__(self, recipe: Recipe, on_stage: Callable[[Stage], None] = lambda _: None) -> None:
        config = recipe.config
        self._runs = config.seeds * (int(recipe.folds.max(initial=-1)) + 2)
        self._photos, self._on_stage = config.photos, on_stage
        self._begun = 0
        self._trained, self._seconds = 0, 0.0  # of this process alone

    def on_words(self, words: str) -> None:
        self._on_stage(Stage(words))

    def begin(self, words: str) -> Callable[[Progress], None]:
        self._begun += 1
        last: list[float] = [time.monotonic(), 0.0]

        def report(progress: Progress) -> None:
            now, (before, photos) = time.monotonic(), last
            if photos:  # the first report also counts what a run needs to begin
                self._trained += int(progress.photos - photos)
                self._seconds += now - before
            last[:] = [now, float(progress.photos)]
            left = None
            if self._trained:
                rest = (self._runs - self._begun) * self._photos + progress.of - progress.photos
                left = rest * self._seconds / self._trained
            of = f"{progress.photos} of {progress.of} photos, loss {progress.loss:.3f}"
            run = f"run {self._begun} of {self._runs} ({words})"
            self._on_stage(Stage(f"{run}: {of}", left))

        return report


def finished_network(recipe: Recipe, folder: Path) -> ProductNetwork | Cascade:
    """Return the network of a recipe, in evaluation mode.

    Raises:
        TrainingError: training has not ended.
    """
    config = recipe.config
    network: ProductNetwork | Cascade = _skeleton(recipe)
    if backbones := config.cascade.backbones:
        ensemble = [build_ensemble_network(config, b, len(recipe.labels)) for b in backbones]
        network = Cascade(
            _skeleton(recipe), config.input_size, ensemble, _gate(recipe, folder)
        ).eval()
    try:
        network.load_state_dict(load_file(folder / NETWORK_FILE))
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"{folder}: no {NETWORK_FILE}; give the same training command again, which goes on "
            "where it stopped"
        ) from error
    return network


def read_recipe(folder: Path) -> TrainingConfig:
    """Return the recipe that a folder was trained with.

    Raises:
        TrainingError: there is none.
    """
    path = folder / RECIPE_FILE
    try:
        return config_from_dict(json.loads(path.read_text("utf-8"))["recipe"], str(path))
    except (OSError, KeyError, ValueError) as error:
        raise TrainingError(f"{folder}: no {RECIPE_FILE}; train first") from error


def answers(folder: Path) -> OutOfFold | None:
    """Return what the folds' networks say of the photos that they have not seen, if any were."""
    path = folder / OUT_OF_FOLD_FILE
    return read_out_of_fold(path) if path.exists() else None
