r"""What rendered pictures and patches of living animals teach, alone and together.

Trains the same recipe with and without each of them, and measures the scarce products on real
photos that no run has learned from: the validation split, and the photos of the sources that the
recipe excludes. The test split is not touched. To each network the third road is added: the photos
of a product at the excluded sources are enrolled, but for one at a time, which is then ranked among
the held-out photos without a product.

    python benchmarks/ablation.py benchmarks/recipes/ablation.toml --data DATA --rendered RENDERED \
        --patches datasets/patches.csv --output runs/ablation
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from enrolment_curve import learner, plain_bundle

from recognizer.dataset.manifest import Photo, load_photos, prepare
from recognizer.enrolment.enroll import FEWEST_PHOTOS
from recognizer.enrolment.examples import read_examples
from recognizer.enrolment.head import Settings
from recognizer.evaluation.thresholds import MOST_FOR_RANKS, ranks_of
from recognizer.evaluation.unseen import Unseen, held_out, measure_scores, probabilities
from recognizer.recognizer import Recognizer
from recognizer.taxonomy import Kind, load_taxonomy
from recognizer.training.config import TrainingConfig, load_config
from recognizer.training.fit import fit
from recognizer.training.model import ProductNetwork
from recognizer.training.negatives import build_bank


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
        enrol(network, config, labels, split)


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
        ranks = f"  ranks {_words(its.ranks)}" if its.ranks else ""
        print(f"{its.name:16} {its.photos:4} photos  AP {precision}  recall {recall}{ranks}")
    for name, photos in found.animals.items():
        print(f"{name}: {found.called_product[name]} of {photos} called a product")
    if found.lookalikes:
        accuracy, photos = found.lookalikes.accuracy, found.lookalikes.photos
        print(f"ivory and its look-alikes told apart: {accuracy} of {photos}", flush=True)
    return figures


def enrol(
    network: ProductNetwork, config: TrainingConfig, labels: list[str], split: list[Photo]
) -> None:
    """Print the ranks of the products of the excluded sources, before and after enrolment.

    Each photo is ranked by a head for which all the others were enrolled and it was not, and each
    negative, of the validation split, by one that did not see its source.
    """
    left_out = [p for p in split if p.split == "excluded" and p.is_evidence]
    kinds = load_taxonomy().labels
    counts = Counter(p.label for p in left_out if kinds[p.label].kind is Kind.PRODUCT)
    with tempfile.TemporaryDirectory() as scratch:
        recognizer = Recognizer.load(
            plain_bundle(network, config, labels, Path(scratch) / "run-v1")
        )
        bank = build_bank(recognizer, split)
        for name, count in sorted(counts.items()):
            if not FEWEST_PHOTOS < count <= MOST_FOR_RANKS:
                continue
            settings = Settings()
            paths = [str(p.path) for p in left_out if p.label == name]
            examples = read_examples(recognizer, paths, views=settings.views, seed=settings.seed)
            column = labels.index(name) if name in labels else None
            learned = learner(examples, bank, name, settings).learn(column)
            if column is not None:
                own = bank.log_odds[learned.rows, column]
                before = ranks_of(examples.log_odds[:, 0, column], own)
                print(f"{name:16} {len(before):4} photos  ranks {_words(before)} among {len(own)}")
            after = ranks_of(learned.left_out, learned.negatives)
            print(
                f"{name + ', enrolled':26} {len(after):4} photos  ranks {_words(after)}", flush=True
            )


def _words(ranks: tuple[int, ...]) -> str:
    return " ".join(map(str, ranks))


if __name__ == "__main__":
    main()
