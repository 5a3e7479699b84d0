r"""What two cheap tricks would add to a run of ``unseen_sources.py``, on what it left out.

Views: several views of each photo (mirrored, a larger input, the centre), at as many times the cost
of serving. Tiles: four that overlap, of which the highest score counts. The test split is not
touched.

    python benchmarks/leads.py runs/unseen/short/a/seed0 --data DATA --rendered RENDERED
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import ablation
import cv2
import numpy as np
import torch

from recognizer.dataset.manifest import load_photos, prepare, read_photo
from recognizer.evaluation.unseen import held_out, measure_scores
from recognizer.imaging import model_input
from recognizer.training.model import ProductNetwork
from recognizer.training.runs import load_run

CENTRE = 0.7  # of each side
TILE = 0.6  # of each side, in each corner
LARGER = (1.2, 1.4)  # times the input

Tell = Callable[[str, torch.Tensor], None]


def main() -> None:
    """Measure what was asked for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rendered", type=Path, required=True)
    leads = ["views", "tiles"]
    parser.add_argument("--leads", nargs="+", choices=leads, default=leads)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    network, config, labels = load_run(asked.run)
    split = prepare([*load_photos(asked.data), *load_photos(asked.rendered)], config)
    photos = [read_photo(p, round(max(LARGER) * config.input_size)) for p in held_out(split)]

    def tell(title: str, scores: torch.Tensor) -> None:
        ablation.tell(title, measure_scores(scores.double().numpy(), labels, split))

    if "views" in asked.leads:
        views(network, photos, config.input_size, tell)
    if "tiles" in asked.leads:
        tiles(network, photos, config.input_size, tell)


def views(network: ProductNetwork, photos: list[np.ndarray], size: int, tell: Tell) -> None:
    """Tell what several views of each photo find."""
    plain = logits_of(network, [model_input(rgb, size) for rgb in photos])
    tell("as it is served", plain.softmax(1))
    for factor in LARGER:
        inputs = [model_input(rgb, round(factor * size)) for rgb in photos]
        tell(f"input {factor} times as large", logits_of(network, inputs).softmax(1))
    mirrored = logits_of(network, [model_input(rgb[:, ::-1].copy(), size) for rgb in photos])
    tell("two views: mirrored", ((plain + mirrored) / 2).softmax(1))
    centre = logits_of(network, [model_input(part(rgb, CENTRE), size) for rgb in photos])
    tell("three views: centre", ((plain + mirrored + centre) / 3).softmax(1))


def tiles(network: ProductNetwork, photos: list[np.ndarray], size: int, tell: Tell) -> None:
    """Tell what tiles find that the whole photo does not show: an object far away, or small."""
    plain = logits_of(network, [model_input(rgb, size) for rgb in photos])
    tell("as it is served", plain.softmax(1))
    corners = [
        logits_of(network, [model_input(part(rgb, TILE, *at), size) for rgb in photos]).softmax(1)
        for at in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
    ]
    highest = torch.stack(corners).amax(dim=0)
    tell("five views: the highest of the photo and four tiles", plain.softmax(1).maximum(highest))
    tell("five views: mean of the photo and the highest tile", (plain.softmax(1) + highest) / 2)


def part(rgb: np.ndarray, share: float, down: float = 0.5, right: float = 0.5) -> np.ndarray:
    """Return a part of a picture: of this share of each side, at the top left for 0 and 0."""
    height, width = rgb.shape[:2]
    top, left = round(height * (1 - share) * down), round(width * (1 - share) * right)
    return rgb[
        top : top + max(1, round(height * share)), left : left + max(1, round(width * share))
    ]


@torch.no_grad()
def logits_of(network: ProductNetwork, inputs: list[np.ndarray]) -> torch.Tensor:
    """Return (N, labels)."""
    return torch.cat([network(batch).logits for batch in _batches(inputs)])


def _batches(inputs: list[np.ndarray]) -> list[torch.Tensor]:
    return [torch.from_numpy(np.stack(inputs[i : i + 64])) for i in range(0, len(inputs), 64)]


if __name__ == "__main__":
    main()
