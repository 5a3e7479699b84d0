r"""Is a living animal no product, and its horn or its scales on a table one?

Prints what the model card says of it (see ``recognizer/training/both_sides.py``), for any bundle.
The test split is not touched.

    python benchmarks/both_sides.py export/wildlife-v3 --data DATA --patches datasets/patches.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from recognizer.dataset.manifest import load_photos
from recognizer.evaluation.held_out import photos_of_split
from recognizer.evaluation.living_animals import measure_both_sides
from recognizer.recognizer import Recognizer


def main() -> None:
    """Measure both sides and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--patches", type=Path, required=True)
    asked = parser.parse_args()
    recognizer = Recognizer.load(asked.bundle)
    held = photos_of_split(recognizer.bundle, load_photos(asked.data), "validation")
    for both in measure_both_sides(recognizer, held, asked.patches):
        print(f"## {both.product}: {both.patches} patches of {both.photos} photos of animals")
        print(f"whole photos called the animal {both.called_animal}")
        print(f"whole photos called a product {both.called_product}")
        print(f"ordinary photos with a patch laid on them, found {both.found}")
        print(f"the same photos without it, found {both.found_without}")


if __name__ == "__main__":
    main()
