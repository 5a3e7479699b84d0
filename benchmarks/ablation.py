r"""What rendered pictures and patches of living animals teach, alone and together.

Trains the same recipe with and without each of them, and measures the scarce products on real
photos that no run has learned from: the validation split, and the photos of the sources that the
recipe excludes. The test split is not touched.

    python benchmarks/ablation.py benchmarks/recipes/ablation.toml --data DATA --rendered RENDERED \
        --patches datasets/patches.csv --output runs/ablation
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from recognizer.training.config import load_config
from recognizer.training.data import load_photos, prepare
from recognizer.training.fit import fit
from recognizer.training.unseen import Unseen, held_out, measure_scores, probabilities


def main() -> None:
    """Run the variants that were asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rendered", type=Path, required=True)
    parser.add_argument("--patches", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--variants", nargs="+", default=["none", "rendered", "patches", "both"],
        choices=["none", "rendered", "patches", "both"],
    )  # fmt: skip
    asked = parser.parse_args()
    photos, rendered = load_photos(asked.data), load_photos(asked.rendered)
    for variant in asked.variants:
        config = load_config(asked.config)
        if variant in {"patches", "both"}:
            config = replace(config, patches=str(asked.patches))
        data = photos + (rendered if variant in {"rendered", "both"} else [])
        split = prepare(data, config)
        network = fit(config, split, asked.output / variant)
        labels = sorted({p.label for p in split if p.split == "train"})
        scores = probabilities(network, config, held_out(split))
        tell(variant, measure_scores(scores, labels, split, found_in={"validation", "excluded"}))


def tell(title: str, found: Unseen) -> dict[str, tuple[float, float]]:
    """Print how well products are found, and what is taken for what.

    Returns:
        Family or product -> average precision and recall at 1 % of false alarms.
    """
    print(f"\n## {title}: {found.negatives} negatives")
    figures = {}
    for its in found.figures:
        if its.average_precision is None:
            print(f"{its.name:16} {its.photos:4} photos  no such label")
            continue
        precision, recall = its.average_precision, its.recall["0.01"]
        figures[its.name] = precision.value, recall.value
        ranks = f"  ranks {' '.join(map(str, its.ranks))}" if its.ranks else ""
        print(f"{its.name:16} {its.photos:4} photos  AP {precision}  recall {recall}{ranks}")
    for name, photos in found.animals.items():
        print(f"{name}: {found.called_product[name]} of {photos} called a product")
    if found.lookalikes:
        accuracy, photos = found.lookalikes.accuracy, found.lookalikes.photos
        print(f"ivory and its look-alikes told apart: {accuracy} of {photos}", flush=True)
    return figures


if __name__ == "__main__":
    main()
