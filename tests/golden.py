"""Golden references of the released bundle: what it says of the sample pictures.

``python -m tests.golden`` writes them again: right after a new bundle, or pixels that are meant to
differ; wrong after anything else. A change in decoding or inference shows as a difference.
"""

import json
from pathlib import Path

import cv2

from recognizer import Recognizer
from recognizer.imaging import model_input

SAMPLES = Path(__file__).parents[1] / "datasets" / "samples"
FILE = Path(__file__).parent / "golden.json"
GRID = 4


def observe():
    """Return for each sample the colors of its model input on a coarse grid, and its scores."""
    recognizer = Recognizer.load(threads=1)
    found = {}
    for entry in json.loads((SAMPLES / "samples.json").read_text()):
        path = SAMPLES / entry["file"]
        rgb = recognizer.load_image(path).frames[0].rgb
        pixels = model_input(rgb, recognizer.bundle.input.size)
        grid = cv2.resize(pixels, (GRID, GRID), interpolation=cv2.INTER_AREA)
        scores = recognizer.predict(path).scores
        found[entry["file"]] = {
            "colors": grid.reshape(-1).tolist(),
            "scores": {name: round(score, 5) for name, score in scores.items()},
        }
    return found


if __name__ == "__main__":
    digest = Recognizer.load().bundle.digest
    FILE.write_text(json.dumps({"model": digest, "samples": observe()}, indent=1) + "\n")
