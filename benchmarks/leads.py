r"""What two cheap tricks would add to a run of ``unseen_sources.py``, on what it left out.

Views: several views of each photo (mirrored, a larger input, the centre), at as many times the cost
of serving. Tiles: four that overlap, of which the highest score counts. Interpolation: a backbone
part of the way between ImageNet's weights and the run's ("WiSE-FT", Wortsman et al., 2021), under
a head that is fitted anew on pictures as the run's training draws them. The test split is not
touched.

    python benchmarks/leads.py runs/unseen/short/a/seed0 --data DATA --rendered RENDERED
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ablation
import cv2
import numpy as np
import torch
from torch.nn import functional

from recognizer.imaging import model_input
from recognizer.training.config import TrainingConfig
from recognizer.training.data import Photo, load_photos, prepare, read_photo
from recognizer.training.loader import TrainingPhotos, batches, find_masks
from recognizer.training.model import ProductNetwork, build_network
from recognizer.training.runs import load_run
from recognizer.training.unseen import held_out, measure_scores

CENTRE = 0.7  # of each side
TILE = 0.6  # of each side, in each corner
LARGER = (1.2, 1.4)  # times the input
SHARES = (0.0, 0.5, 1.0)  # of the run's weights
PICTURES = 4096  # to fit a head on
DECAY = 1.0  # of the head's weights
STEPS = 600

Tell = Callable[[str, torch.Tensor], None]


def main() -> None:
    """Measure what was asked for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rendered", type=Path, required=True)
    leads = ["views", "tiles", "interpolation"]
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
    if "interpolation" in asked.leads:
        interpolation(network, config, labels, split, photos, tell)


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


def interpolation(
    network: ProductNetwork,
    config: TrainingConfig,
    labels: list[str],
    split: list[Photo],
    photos: list[np.ndarray],
    tell: Tell,
) -> None:
    """Tell what backbones between ImageNet's weights and the run's find."""
    size = config.input_size
    train = [p for p in split if p.split == "train"]
    drawn = TrainingPhotos(
        train, labels, replace(config, photos_per_epoch=PICTURES), config.epochs,
        find_masks(train, size),
    )  # fmt: skip
    parts = list(batches(drawn, 64, 2))
    pictures = [picture.numpy() for images, _ in parts for picture in images]
    targets = torch.cat([labels_of for _, labels_of in parts])
    inputs = [model_input(rgb, size) for rgb in photos]
    start = build_network(config, len(labels)).eval()
    plain = logits_of(network, inputs).softmax(1)
    for share in SHARES:
        between = interpolate(start, network, share)
        known, asked_of = embed(between, pictures), embed(between, inputs)
        scores = head(known, targets, asked_of, len(labels))
        tell(f"{share:.0%} of the run's weights under a new head", scores)
        tell(f"... and the run itself, {share:.0%}: the mean of both", (scores + plain) / 2)


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


@torch.no_grad()
def embed(network: ProductNetwork, inputs: list[np.ndarray]) -> torch.Tensor:
    """Return (N, channels)."""
    return torch.cat([network(batch).embedding for batch in _batches(inputs)])


def _batches(inputs: list[np.ndarray]) -> list[torch.Tensor]:
    return [torch.from_numpy(np.stack(inputs[i : i + 64])) for i in range(0, len(inputs), 64)]


def interpolate(start: ProductNetwork, end: ProductNetwork, share: float) -> ProductNetwork:
    """Return a network whose weights lie between those of two."""
    first, last = start.state_dict(), end.state_dict()
    between = copy.deepcopy(start)
    between.load_state_dict(
        {
            name: value.lerp(last[name], share) if value.dtype.is_floating_point else value
            for name, value in first.items()
        }
    )
    return between.eval()


def head(
    known: torch.Tensor, targets: torch.Tensor, asked_of: torch.Tensor, labels: int
) -> torch.Tensor:
    """Fit a softmax regression on features and return the probabilities of others."""
    mean, spread = known.mean(0), known.std(0) + 1e-3
    known, asked_of = (known - mean) / spread, (asked_of - mean) / spread
    weight = torch.zeros(known.shape[1], labels, requires_grad=True)
    bias = torch.zeros(labels, requires_grad=True)
    optimizer = torch.optim.AdamW(
        [{"params": [weight], "weight_decay": DECAY}, {"params": [bias], "weight_decay": 0}],
        lr=3e-3,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        some = torch.randint(len(known), (512,), generator=generator)
        loss = functional.cross_entropy(
            known[some] @ weight + bias, targets[some], label_smoothing=0.05
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return (asked_of @ weight + bias).detach().softmax(1)


if __name__ == "__main__":
    main()
