r"""What each branch of a run with a linear probe finds that the run did not learn from, and both.

Of the sources that the run left out, and of the validation split: the branch that was fine-tuned,
the probe on ImageNet's features, and the mean of their logits, which is what the run exports. Then
the products of the left-out sources are enrolled, all photos but one at a time. The test split is
not touched.

    python benchmarks/branches.py runs/unseen/two/a/seed0 --data DATA --rendered RENDERED
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ablation
import cv2
import torch
from torch import nn

from recognizer.training.data import load_photos, prepare
from recognizer.training.loader import PlainPhotos, batches
from recognizer.training.model import ProductNetwork
from recognizer.training.runs import AVERAGED, load_run, read_checkpoint
from recognizer.training.unseen import held_out, measure_scores

BRANCHES = ("fine-tuned", "linear probe", "both")
UNKNOWN = -1e4  # the logit of what a branch does not know


def main() -> None:
    """Run every held-out photo once and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rendered", type=Path, required=True)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    network, config, labels = load_run(asked.run)
    split = prepare([*load_photos(asked.data), *load_photos(asked.rendered)], config)
    scores = scores_of_branches(asked.run, PlainPhotos(held_out(split), config.input_size))
    for found_in in ("excluded", "validation"):
        for name, of_branch in zip(BRANCHES, scores, strict=True):
            found = measure_scores(of_branch.numpy(), labels, split, found_in={found_in})
            ablation.tell(f"{name}, {found_in}", found)
    ablation.enrol(network, config, labels, split)


@torch.no_grad()
def scores_of_branches(run: Path, photos: PlainPhotos) -> tuple[torch.Tensor, ...]:
    """Return the probabilities of each branch and of both, float64, (photos, labels) each."""
    network, _, labels = load_run(run)
    state = read_checkpoint(run)
    if state is None:
        raise SystemExit(f"{run}: no run")
    split_head(network, state[AVERAGED])
    logits = torch.cat([network(images).logits for images in batches(photos, 32, 1)]).double()
    return tuple(part.softmax(1) for part in logits.split(len(labels), dim=1))


def split_head(network: ProductNetwork, tuned: dict[str, torch.Tensor]) -> None:
    """Give a network of two branches three heads in one: of each branch alone, and its own."""
    joined = network.head.state_dict()
    weight, bias = tuned["head.weight"], tuned["head.bias"]
    channels = weight.shape[1]
    nothing = torch.zeros_like(weight)
    of_probe = 2 * joined["weight"][:, channels:]
    its_bias = 2 * joined["bias"] - bias
    # Of some labels there are no photos: the probe does not know them.
    its_bias[of_probe.flatten(1).abs().sum(dim=1) == 0] = UNKNOWN
    head = nn.Conv2d(2 * channels, 3 * len(bias), kernel_size=1)
    head.weight.copy_(
        torch.cat(
            [
                torch.cat([weight, nothing], dim=1),
                torch.cat([nothing, of_probe], dim=1),
                joined["weight"],
            ]
        )
    )
    head.bias.copy_(torch.cat([bias, its_bias, joined["bias"]]))  # type: ignore[union-attr]
    network.head = head


if __name__ == "__main__":
    main()
