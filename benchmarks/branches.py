r"""What each branch of a run with a linear probe finds that the run did not learn from, and both.

Of the sources that the run left out, and of the validation split: the branch that was fine-tuned
(weight 0), the probe on ImageNet's features (1), and their mean at several weights
(``probe_weight``); also where the objects of the validation split are put on other photos.
Then the products of the left-out sources are enrolled, all photos but one at a time. The test split
is not touched.

    python benchmarks/branches.py runs/unseen/two/a/seed0 --data DATA --rendered RENDERED
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import ablation
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset

from recognizer.dataset.manifest import Photo, load_photos, prepare
from recognizer.evaluation.measured_alterations import ALTERATIONS, Backdrops, Subject
from recognizer.evaluation.metrics import share
from recognizer.evaluation.thresholds import threshold_at_false_alarm_rate
from recognizer.evaluation.unseen import held_out, measure_scores
from recognizer.imaging import model_input
from recognizer.taxonomy import Kind, load_taxonomy
from recognizer.training.cutout import find_object
from recognizer.training.loader import PlainPhotos, batches
from recognizer.training.model import ProductNetwork, probe_shares
from recognizer.training.runs import AVERAGED, PROBE, load_run, read_checkpoint

BACKGROUNDS = [a for a in ALTERATIONS if a.strength in {"listing photos", "textures"}]
LOOKED_FOR = ("any product", "ivory")
RATE = 0.01
UNKNOWN = -1e4  # the logit of what a branch does not know


def main() -> None:
    """Run every held-out photo once and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rendered", type=Path, required=True)
    parser.add_argument(
        "--weights", nargs="+", type=float, default=[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0]
    )
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    network, config, labels = load_run(asked.run)
    state = read_checkpoint(asked.run)
    if state is None or not config.probe:
        raise SystemExit(f"{asked.run}: a run without a linear probe (probe = true)")
    split = prepare([*load_photos(asked.data), *load_photos(asked.rendered)], config)
    held = held_out(split)
    branches = Branches(network, state)
    plain = branches.run(PlainPhotos(held, config.input_size))
    products = [p for p in held if p.split == "validation" and is_product(p)]
    moved = [Moved(products, split, config.input_size, place) for place in range(len(BACKGROUNDS))]
    altered = [branches.run(photos) for photos in moved]
    for weight in asked.weights:
        scores = branches.mix(plain, weight)
        for found_in in ("excluded", "validation"):
            found = measure_scores(scores, labels, split, found_in={found_in})
            ablation.tell(f"probe at {weight:g}, {found_in}", found)
        for alteration, photos, logits in zip(BACKGROUNDS, moved, altered, strict=True):
            changed = branches.mix(logits, weight)
            for name in LOOKED_FOR:
                tell_moved(name, alteration.strength, held, scores, photos.photos, changed, labels)
    ablation.enrol(network, config, labels, split)


def is_product(photo: Photo) -> bool:
    """Whether a photo is of a product."""
    return load_taxonomy().labels[photo.label].kind is Kind.PRODUCT


class Moved(Dataset[torch.Tensor]):
    """Photos with their objects before another background, as the model sees them.

    Args:
        photos: those whose objects cannot be cut out are left out.
        others: photos to take backgrounds from: those of the validation split.
        size: side of the model's input in pixels.
        place: in :data:`BACKGROUNDS`.
    """

    def __init__(self, photos: list[Photo], others: list[Photo], size: int, place: int) -> None:
        self._backdrops = Backdrops([p for p in others if p.split == "validation"], size)
        self._size, self._place = size, place
        found = ((p, find_object(self._backdrops.read(p))) for p in photos)
        self._cut = [(photo, mask) for photo, mask in found if mask is not None]
        self.photos = [photo for photo, _ in self._cut]

    def __len__(self) -> int:
        return len(self._cut)

    def __getitem__(self, place: int) -> torch.Tensor:
        photo, mask = self._cut[place]
        subject = Subject(self._backdrops.read(photo), mask, self._backdrops)
        rng = np.random.default_rng([self._place, int(photo.sha256[:15], 16)])
        rgb = BACKGROUNDS[self._place].change(subject, rng)
        return torch.from_numpy(model_input(rgb, self._size))


class Branches:
    """A run of two branches, whose logits are kept apart.

    Args:
        network: of the run; it is copied.
        state: the run's checkpoint.
    """

    def __init__(self, network: ProductNetwork, state: dict[str, Any]) -> None:
        self._network = copy.deepcopy(network)
        self._probe = state[PROBE]["head.weight"]
        _split_head(self._network, state[AVERAGED], state[PROBE])

    @torch.no_grad()
    def run(self, photos: Dataset[torch.Tensor]) -> torch.Tensor:
        """Return the logits of the fine-tuned branch, then those of the probe, float64."""
        found = [self._network(images).logits for images in batches(photos, 32, 1)]
        return torch.cat(found).double()

    def mix(self, logits: torch.Tensor, weight: float) -> NDArray[np.float64]:
        """Return the probabilities at a weight of the probe, (photos, labels)."""
        tuned, probe = logits.tensor_split(2, dim=1)
        known = probe_shares(self._probe, 1.0)
        if weight == 1:  # the probe alone: of some labels there is no photo
            tuned = torch.full_like(tuned, UNKNOWN)
        return np.asarray(torch.lerp(tuned, probe, (weight * known).double()).softmax(1).numpy())


@torch.no_grad()
def _split_head(
    network: ProductNetwork, tuned: dict[str, torch.Tensor], probe: dict[str, torch.Tensor]
) -> None:
    """Give a network of two branches the heads of both, one below the other."""
    weight, nothing = tuned["head.weight"], torch.zeros_like(tuned["head.weight"])
    head = nn.Conv2d(2 * weight.shape[1], 2 * len(weight), kernel_size=1)
    rows = [torch.cat([weight, nothing], dim=1), torch.cat([nothing, probe["head.weight"]], dim=1)]
    head.weight.copy_(torch.cat(rows))
    head.bias.copy_(torch.cat([tuned["head.bias"], probe["head.bias"]]))  # type: ignore[union-attr]
    network.head = head


def tell_moved(
    name: str,
    background: str,
    held: list[Photo],
    scores: NDArray[np.float64],
    moved: list[Photo],
    changed: NDArray[np.float64],
    labels: list[str],
) -> None:
    """Print what is found of objects, before and after they are put on another background."""
    members = [m.name for m in load_taxonomy().products if name in {"any product", m.family}]
    columns = [labels.index(m) for m in members if m in labels]
    before, after = (1 - np.prod(1 - s[:, columns], axis=1) for s in (scores, changed))
    validation = np.array([p.split == "validation" for p in held])
    negative = validation & np.array([not is_product(p) for p in held])
    threshold = threshold_at_false_alarm_rate(before[negative], RATE)
    cut = {p.sha256 for p in moved if p.label in members}
    there = validation & np.array([p.sha256 in cut for p in held])
    after = after[[p.sha256 in cut for p in moved]]
    was = share(int((before[there] > threshold).sum()), len(cut))
    now = share(int((after > threshold).sum()), len(cut))
    print(f"{name} on {background}: recall {was} > {now} of {len(cut)}", flush=True)


if __name__ == "__main__":
    main()
