"""All runs of a recipe: each fold of sources left out in turn, then none."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from recognizer._files import make_folder, replacing
from recognizer.errors import TrainingError
from recognizer.lab.dataset.folds import read_folds, stratified_folds
from recognizer.lab.dataset.manifest import Photo, fingerprint, load_data
from recognizer.lab.evaluation.learned import short_digests
from recognizer.lab.evaluation.out_of_fold import (
    RECIPE_FILE,
    OutOfFold,
    read_out_of_fold,
    read_run,
    write_out_of_fold,
)
from recognizer.lab.training.cache import PhotoCache
from recognizer.lab.training.config import TrainingConfig, config_from_dict, differences
from recognizer.lab.training.ensemble import (
    Gate,
    join_networks,
    logits_of,
    mean_of,
    set_gate,
)
from recognizer.lab.training.fit import CHECKPOINT, Reporter, Run, Stage
from recognizer.lab.training.model import ProductNetwork, build_network, log_odds_of
from recognizer.lab.training.weights import LEARNED, NETWORK_FILE, describe_network, read_parent
from recognizer.model.folders import DESCRIPTION_FILE

CACHE_FILE = "photos.sqlite"
OUT_OF_FOLD_FILE = "out-of-fold.parquet"  # what the folds' networks say of photos they left out
_LOGITS = "fold-{}-logits.safetensors"

_CHANGED = {"recipe": "another recipe", "labels": "other labels", "photos": "other photos"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A recipe and its photos, as a folder holds it.

    The ``source`` of a photo is the group of sources that stay together; the photos of ``test`` are
    never trained on. The fold of each, (N,), is -1 for those without one.
    """

    config: TrainingConfig
    folder: Path
    labels: list[str]
    photos: list[Photo]
    folds: NDArray[np.int64]
    cache: PhotoCache

    @property
    def train(self) -> list[Photo]:
        return [p for p in self.photos if p.split == "train"]

    @property
    def fold_count(self) -> int:
        return int(self.folds.max()) + 1

    def without(self, fold: int | None) -> list[Photo]:
        """The photos to learn from, but for those of a fold."""
        pairs = zip(self.photos, self.folds, strict=True)
        return [
            p for p, own in pairs if p.split == "train" and own != (-2 if fold is None else fold)
        ]

    @property
    def runs(self) -> dict[str, int]:
        """The photos that each run sees, by its name, in their order."""
        networks, folds = [*self.config.beside, self.config], [*range(self.fold_count), None]
        names = {self.run_name(fold, own): own.photos for fold in folds for own in networks}
        return {name: photos for name, photos in names.items() if photos}

    def run_name(self, fold: int | None, own: TrainingConfig) -> str:
        name = "all" if fold is None else f"fold-{fold}"
        return name if own is self.config else f"{name}-{own.backbone}"

    def of_fold(self, fold: int) -> list[Photo]:
        return [p for p, f in zip(self.photos, self.folds, strict=True) if f == fold]


def open_recipe(config: TrainingConfig | None, photos: Sequence[Photo], folder: Path) -> Recipe:
    """Begin a recipe in a folder, or resume it, with photos of all splits.

    None stands for the recipe that was trained there. A folder that holds another recipe, or one of
    other photos, is a TrainingError.
    """
    advice = "choose another folder, or delete it"
    if config is None:
        config, advice = read_recipe(folder), "give the data that it was trained with"
    photos, folds = _deal(list(photos), config)
    labels = sorted({p.label for p in photos if p.split == "train"})
    if len(labels) < 2:
        raise TrainingError(f"{len(labels)} labels to train on; at least 2 are needed")
    path = folder / RECIPE_FILE
    state: dict[str, Any] = {
        "recipe": msgspec.to_builtins(config),
        "labels": labels,
        "photos": fingerprint(p for p in photos if p.split == "train"),
    }
    if path.exists():
        its = read_run(folder)
        its["recipe"] = msgspec.to_builtins(config_from_dict(its["recipe"], str(path)))
        others = [key for key, value in state.items() if its.get(key) != value]
        if others:
            words = " and ".join(_CHANGED[key] for key in others)
            if theirs := differences(its["recipe"], state["recipe"]):
                words += f" (there {', '.join(theirs)})"
            raise TrainingError(f"{folder} belongs to {words}: {advice}")
    elif (folder / DESCRIPTION_FILE).exists():
        raise TrainingError(f"{folder} is a bundle: choose another folder for the recipe")
    else:
        for own in (config, *config.beside):  # what is wrong is said before a folder is made
            build_network(own, len(labels))
        make_folder(folder)
        with replacing(path) as partial:
            partial.write_text(json.dumps(state, indent=2) + "\n", "utf-8")
    decoded = PhotoCache(folder / CACHE_FILE, config.input_size)
    return Recipe(
        config=config, folder=folder, labels=labels, photos=photos, folds=folds, cache=decoded
    )


def _deal(photos: list[Photo], config: TrainingConfig) -> tuple[list[Photo], NDArray[np.int64]]:
    folds = np.full(len(photos), -1)
    train = [i for i, p in enumerate(photos) if p.split == "train"]
    if isinstance(config.folds, str):
        if not Path(config.folds).is_file():
            raise TrainingError(
                f"folds = {config.folds!r}: no such table; give a number from 2, or a CSV file"
            )
        table = read_folds(Path(config.folds))
        for i in train:
            if photos[i].source not in table:
                advice = f"deal the sources again, or add it to {config.folds}"
                raise TrainingError(f"the source {photos[i].source!r} is in no fold: {advice}")
            folds[i] = table[photos[i].source][1]
        groups = {source: group for source, (group, _) in table.items()}
        return [replace(p, source=groups.get(p.source, p.source)) for p in photos], folds
    truth, sources = [photos[i].label for i in train], [photos[i].source for i in train]
    for fold, (_, rows) in enumerate(stratified_folds(truth, sources, config.folds)):
        folds[np.array(train)[rows]] = fold
    return photos, folds


def train_recipe(recipe: Recipe, on_stage: Callable[[Stage], None] = lambda _: None) -> None:
    """Do all runs of a recipe that are left, and write what they found.

    ``on_stage`` is called while photos are decoded and features computed, and about once a minute
    while a network is trained.
    """
    reporter = Reporter(recipe.runs, on_stage)
    path, held = recipe.folder / NETWORK_FILE, recipe.folder / OUT_OF_FOLD_FILE
    if done := len([*recipe.folder.glob(_LOGITS.format("*"))]):
        words = f"resuming: {done} of {recipe.fold_count} folds are done"
        is_all = path.exists() and held.exists()
        reporter.on_stage(Stage("nothing is left to do" if is_all else words))
    recipe.cache.fill(recipe.train, partial(reporter.on_photos, "decoding"))
    if not held.exists():
        write_out_of_fold(_leave_out(recipe, reporter), held)
    if not path.exists():
        network = fold_network(recipe, None, reporter)
        with replacing(path) as partial_file:
            # Not save_file, whose file nobody else may read.
            tensors = {n: v.contiguous() for n, v in network.state_dict().items()}
            tensors[LEARNED] = torch.from_numpy(learned_digests(recipe).view(np.int64))
            about = describe_network(recipe.config, recipe.labels)
            partial_file.write_bytes(save(tensors, about))


def learned_digests(recipe: Recipe) -> NDArray[np.uint64]:
    """Return the short digests of the training photos, and of those of the recipe's weights."""
    own, parent = short_digests(p.sha256 for p in recipe.train), read_parent(recipe.config)
    if parent is not None and LEARNED in parent.tensors:
        own = np.concatenate([own, parent.tensors[LEARNED].numpy().view(np.uint64)])
    return np.unique(own)


def _leave_out(recipe: Recipe, reporter: Reporter) -> OutOfFold:
    count = recipe.fold_count
    held = [recipe.of_fold(fold) for fold in range(count)]
    of_folds = [_fold_logits(recipe, fold, own, reporter) for fold, own in enumerate(held)]
    first, logits = torch.cat(of_folds, 1)
    if (gate := _gate(recipe)) is not None:
        logits = gate(first[..., None, None], logits[..., None, None]).flatten(1)
    return OutOfFold(
        photos=list(itertools.chain(*held)),
        folds=np.repeat(np.arange(count, dtype=np.int16), [len(own) for own in held]),
        labels=recipe.labels,
        log_odds=log_odds_of(logits).numpy(),
    )


def _fold_logits(
    recipe: Recipe, fold: int, own: Sequence[Photo], reporter: Reporter
) -> torch.Tensor:
    """Return the logits of a fold's photos, (2, N, labels): the first network's, and the mean.

    They are kept in the recipe's folder, so that nothing is looked at twice.
    """
    if (path := recipe.folder / _LOGITS.format(fold)).exists():
        return load_file(path)["logits"]
    trained, others = _networks(recipe, fold, reporter)
    report = partial(reporter.on_photos, f"looking at the photos of fold {fold}")
    parts = logits_of([trained, *others], own, recipe.cache, report)
    logits = torch.stack([parts[0], mean_of([*parts])])
    with replacing(path) as unfinished:
        unfinished.write_bytes(save({"logits": logits}))
    return logits


def _gate(recipe: Recipe) -> Gate | None:
    """Return the gate by what the folds' networks say of photos that they have not seen."""
    if (share := recipe.config.ensemble.gate) == 1 or not recipe.config.ensemble.backbones:
        return None
    found = list[torch.Tensor]()
    for fold in range(recipe.fold_count):
        negative = torch.tensor([not photo.is_product for photo in recipe.of_fold(fold)])
        found.append(load_file(recipe.folder / _LOGITS.format(fold))["logits"][:, negative])
    first, mean = torch.cat(found, 1)
    products = {photo.label for photo in recipe.train if photo.is_product}
    return set_gate(first, mean, np.array([n in products for n in recipe.labels]), share)


def fold_network(recipe: Recipe, fold: int | None, reporter: Reporter | None = None) -> nn.Module:
    """Return the network that has seen nothing of a fold.

    With a reporter it is trained if it was not yet; without one that is a TrainingError.
    """
    for own in (recipe.config, *recipe.config.beside):
        file = recipe.folder / recipe.run_name(fold, own) / CHECKPOINT
        if reporter is None and own.photos and not file.exists():
            raise TrainingError(
                f"{file} is gone: put it back, or delete {OUT_OF_FOLD_FILE} and train again"
            )
    reporter = reporter or Reporter(recipe.runs)
    return join_networks(*_networks(recipe, fold, reporter), _gate(recipe))


def _networks(
    recipe: Recipe, fold: int | None, reporter: Reporter
) -> tuple[ProductNetwork, list[ProductNetwork]]:
    """Return the trained network and those beside it, in evaluation mode, each with its head."""
    config, photos = recipe.config, [*recipe.without(fold), *_rendered(recipe)]
    others = [_train(recipe, fold, photos, own, None, reporter) for own in config.beside]
    soft = logits_of(others, photos, recipe.cache).mean(0).softmax(1) if config.distill else None
    return _train(recipe, fold, photos, config, soft, reporter), others


def _rendered(recipe: Recipe) -> list[Photo]:
    """Return the rendered pictures of labels that photos have, in the cache."""
    if not (folder := recipe.config.ensemble.rendered):
        return []
    pictures = [p for p in load_data([folder]) if p.label in recipe.labels]
    recipe.cache.fill(pictures)
    return pictures


def _train(
    recipe: Recipe,
    fold: int | None,
    photos: Sequence[Photo],
    config: TrainingConfig,
    soft: torch.Tensor | None,
    reporter: Reporter,
) -> ProductNetwork:
    """Return a network, without a fold or with all photos.

    Its weights are part of the way from the first to the averaged ones.
    """
    name = recipe.run_name(fold, config)
    words = "all photos" if fold is None else f"without fold {fold}"
    run = Run(
        config,
        recipe.labels,
        photos,
        recipe.cache,
        recipe.folder / name,
        soft=soft,
        on_features=partial(reporter.on_photos, f"computing features of {config.backbone}"),
    )
    state = run.train(partial(reporter.on_run, name, f"{words}, {config.backbone}"))
    network: ProductNetwork = run.network.to("cpu").eval()
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if config.photos:  # otherwise they are what they were to the last bit, as the cache knows them
        part = config.average_weight
        state |= {n: value.cpu().lerp(state[n], part) for n, value in run.start.items()}
    network.load_state_dict(state)
    return network


def finished_network(recipe: Recipe) -> nn.Module:
    """Return the network of a recipe that was trained, in evaluation mode."""
    empty, labels = msgspec.structs.replace(recipe.config, weights="none"), len(recipe.labels)
    others = [build_network(own, labels).eval() for own in empty.beside]
    gate = None if recipe.config.ensemble.gate == 1 else Gate(labels)
    network = join_networks(build_network(empty, labels).eval(), others, gate)
    try:
        tensors = load_file(recipe.folder / NETWORK_FILE)
        network.load_state_dict({n: value for n, value in tensors.items() if n != LEARNED})
    except (OSError, SafetensorError) as error:
        raise _unfinished(recipe, NETWORK_FILE) from error
    return network


def _unfinished(recipe: Recipe, file: str) -> TrainingError:
    advice = "give the same training command again, which resumes where it stopped"
    return TrainingError(f"{recipe.folder}: no {file}; {advice}")


def read_recipe(folder: Path) -> TrainingConfig:
    return config_from_dict(read_run(folder)["recipe"], str(folder / RECIPE_FILE))


def answers(recipe: Recipe) -> OutOfFold:
    """Return what the folds' networks say of the photos that they have not seen."""
    path = recipe.folder / OUT_OF_FOLD_FILE
    if not path.exists():
        raise _unfinished(recipe, OUT_OF_FOLD_FILE)
    return read_out_of_fold(path)
