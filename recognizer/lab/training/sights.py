"""The errors of a run, out of fold, and how the networks of folds see them."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from recognizer.lab.dataset.manifest import Photo, load_data
from recognizer.lab.evaluation.evaluate import Measured
from recognizer.lab.evaluation.html_report import Sight, write_report
from recognizer.lab.training.head import features_of
from recognizer.lab.training.model import ProductNetwork
from recognizer.lab.training.runs import Recipe, fold_network, open_recipe
from recognizer.model.numerics import unit_norm

Progress: TypeAlias = Callable[[str, int, int], None]


def write_errors(
    output: Path, measured: Measured, run: Path, data: Sequence[Path], on_progress: Progress
) -> None:
    """Write the HTML report of a run that was measured out of fold, with its photos."""
    with (recipe := open_recipe(None, load_data(data), run)).cache:
        of_digest = {photo.sha256: photo for photo in recipe.photos}
        photos = [of_digest[photo.sha256] for photo in measured.photos]  # with their files
        sights = _sights_of_folds(recipe, on_progress)
        write_report(output, measured._replace(photos=photos), sights)


def _sights_of_folds(recipe: Recipe, on_progress: Progress) -> Callable[[Photo], Sight]:
    """Return a function from a training photo to how the network without its fold sees photos."""
    folds = {p.sha256: int(f) for p, f in zip(recipe.photos, recipe.folds, strict=True)}

    @cache
    def of_fold(fold: int) -> Sight:
        network = fold_network(recipe, fold)
        first = next(part for part in network.modules() if isinstance(part, ProductNetwork))

        @torch.no_grad()
        def explain(photo: Photo, label: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
            (rgb,) = square = recipe.cache.squares([photo])
            maps = network(torch.from_numpy(square)).maps.softmax(dim=1)
            return rgb, maps[0, recipe.labels.index(label)].numpy()

        def embed(photos: Sequence[Photo]) -> NDArray[np.float32]:
            report = partial(on_progress, f"computing features without fold {fold}")
            return unit_norm(features_of(first, photos, recipe.cache, on_progress=report))

        return Sight(explain, embed, recipe.without(fold))

    return lambda photo: of_fold(folds[photo.sha256])
