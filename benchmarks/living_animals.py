r"""Is a living animal no product, and its horn or its scales on a table one?

Prints the table of the model card for any bundle. The test split is not used.

    python -m benchmarks.living_animals export/wildlife-v5 --data DATA \
        --patches datasets/patches.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from recognizer.dataset.manifest import load_photos
from recognizer.engine import Recognizer
from recognizer.evaluation.held_out import photos_of_split
from recognizer.evaluation.living_animals import measure_patches


def main() -> None:
    """Measure the animals and the patches cut out of them, and print both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--patches", type=Path, required=True)
    options = parser.parse_args()
    recognizer = Recognizer.load(options.bundle)
    held_out = photos_of_split(recognizer.bundle, load_photos(options.data), "validation")
    for both in measure_patches(recognizer, held_out, options.patches):
        print(f"## {both.product}: {both.patches} patches of {both.photos} photos of animals")
        print(f"whole photos called the animal {both.called_animal}")
        print(f"whole photos called a product {both.called_product}")
        print(f"ordinary photos with a patch on them, found {both.found}")
        print(f"the same photos without it, found {both.found_without}")


if __name__ == "__main__":
    main()
