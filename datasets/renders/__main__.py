"""Make renderings: ``python -m datasets.renders OUTPUT --count N [--things a,b] [--seed S]``."""

import argparse
import csv
import random
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np

from .stage import Stage
from .things import THINGS, build

COLUMNS = ("sha256", "file", "label", "kind", "subtype", "source", "split", "seed")


def main() -> None:
    """Render the asked number of images of each thing, with a manifest and a contact sheet."""
    parser = argparse.ArgumentParser(prog="python -m datasets.renders", description=__doc__)
    parser.add_argument("output", type=Path, help="folder; images that are there are kept")
    parser.add_argument("--count", type=int, default=10, help="images of each thing")
    parser.add_argument("--things", default=",".join(THINGS), help=", ".join(THINGS))
    parser.add_argument("--seed", type=int, default=0, help="of the first image of each thing")
    parser.add_argument("--samples", type=int, default=5, help="rays for each pixel")
    options = parser.parse_args()
    names = options.things.split(",")
    if unknown := set(names) - set(THINGS):
        parser.error(f"unknown things: {', '.join(sorted(unknown))}")
    options.output.mkdir(parents=True, exist_ok=True)
    manifest, made = options.output / "manifest.csv", []
    with manifest.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if not file.tell():
            writer.writerow(COLUMNS)
        for seed in range(options.seed, options.seed + options.count):
            for name in names:
                path = options.output / name / f"{name}-{seed:06}.jpg"
                made.append(path)
                if not path.exists():
                    subtype = render(name, seed, path, options.samples)
                    label, kind = THINGS[name]["label"], THINGS[name].get("kind", "lookalike")
                    place, digest = path.relative_to(options.output), sha256(path.read_bytes())
                    source = f"render#{name}"
                    row = (digest.hexdigest(), place, label, kind, subtype, source, "train", seed)
                    writer.writerow(row)
                    file.flush()
    cv2.imwrite(str(options.output / "sheet.jpg"), sheet(made), [cv2.IMWRITE_JPEG_QUALITY, 60])
    print(f"Wrote {len(made)} images and {manifest}")


def render(name: str, seed: int, path: Path, samples: int = 5) -> str:
    """Render a thing to a JPEG file and return its subtype."""
    rng = random.Random(f"{name} {seed}")  # noqa: S311
    stage = Stage(rng, samples)
    subtype = build(stage, rng, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    stage.shoot(path)
    return subtype


def sheet(paths: list[Path], columns: int = 12, side: int = 110) -> np.ndarray:
    """Return a contact sheet of the middle squares of at most 96 images (uint8 BGR)."""
    tiles = []
    for path in paths[:: -(-len(paths) // 96)]:
        image = cv2.imread(str(path))
        top, left = ((length - min(image.shape[:2])) // 2 for length in image.shape[:2])
        square = image[top : image.shape[0] - top, left : image.shape[1] - left]
        tiles.append(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA))
    tiles += [np.full((side, side, 3), 255, np.uint8)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[at : at + columns]) for at in range(0, len(tiles), columns)]
    return np.vstack(rows)


if __name__ == "__main__":
    main()
