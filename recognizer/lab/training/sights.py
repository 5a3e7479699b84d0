"""How the networks of folds see the photos that they left out, for the page of a run."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from recognizer.imaging.thumbnail import draw_heatmap
from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.evaluation.html_report import Sight
from recognizer.lab.training.cascade import Cascade
from recognizer.lab.training.head import features_of
from recognizer.lab.training.runs import Recipe, fold_network
from recognizer.model.numerics import unit_norm


def sights_of_folds(recipe: Recipe) -> Callable[[Photo], Sight]:
    """Return a function from a training photo to how the network without its fold sees photos.

    Of a cascade that is the first network. The photos are in the recipe's cache.
    """
    folds = {p.sha256: int(f) for p, f in zip(recipe.photos, recipe.folds, strict=True)}

    @cache
    def of_fold(fold: int) -> Sight:
        whole = fold_network(recipe, fold)
        network = whole.first if isinstance(whole, Cascade) else whole

        def draw(photo: Photo, label: str) -> NDArray[np.uint8]:
            (rgb,) = square = recipe.cache.squares([photo])
            with torch.no_grad():
                maps = network.eval()(torch.from_numpy(square)).maps.softmax(dim=1)[0]
            return np.hstack([rgb, draw_heatmap(rgb, maps[recipe.labels.index(label)].numpy())])

        return Sight(
            draw,
            lambda photos: unit_norm(features_of(network, photos, recipe.cache)),
            recipe.without(fold),
        )

    return lambda photo: of_fold(folds[photo.sha256])
