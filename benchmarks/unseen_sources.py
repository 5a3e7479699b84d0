r"""How well products are found at sources that training never saw, by leaving sources out.

Trains a short form of the released recipe twice, each time without some of the sources, so that
every photo of antelope horn and of big cat skin is measured by a network that saw none of its
source. Negatives are the validation split and what the left-out sources have of them. The test
split is not touched.

    python benchmarks/unseen_sources.py --data DATA --rendered RENDERED --output runs/unseen
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ablation import print_table, score

from recognizer.training.config import load_config
from recognizer.training.data import load_photos, prepare
from recognizer.training.fit import fit

FOLDS = {
    "a": [
        "tonykitto/collections",
        "lilyworth/EIA-international",
        "fathima-Sara-Shums/WDoS",
        "kidu90/wildlife",
        "MrIee/MrIee.github.io",
        "Nickelgunasekera/CB013126",
    ],
    "b": [
        "brentstreamlinedigital-dotcom/wildclone-taxidermy-website",
        "thatsmellything/judkinstaxidermywebsite",
        "Praveen2703/Wildlife-Conservation-Website",
        "abooh03/Wdos-assignment1",
        "bwpt-savetheanimals/mcgarity-amrketing-page",
        "randilt/wildlife-srilanka",
    ],
}


def main() -> None:
    """Train both folds and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("data", "rendered", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    asked = parser.parse_args()
    photos = [*load_photos(asked.data), *load_photos(asked.rendered)]
    recipe = load_config(Path(__file__).with_name("ablation.toml"))
    for fold, sources in FOLDS.items():
        config = replace(recipe, exclude_sources=sources, patches="datasets/patches.csv")
        split = prepare(photos, config)
        network = fit(config, split, asked.output / fold)
        labels = sorted({p.label for p in split if p.split == "train"})
        held = [p for p in split if p.split in {"validation", "excluded"}]
        print_table(
            f"sources {fold} left out",
            held,
            score(network, held, config.input_size),
            labels,
            positives={"excluded"},
        )


if __name__ == "__main__":
    main()
