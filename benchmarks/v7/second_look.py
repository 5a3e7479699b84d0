"""Which copies are worth a second look, and by how much thresholds must rise: on training photos.

    python -m benchmarks.v7.second_look --data data

A network scores photos that it learned from lower where they show no product, so that all is
compared at the log-odds that 1 % of them exceed, with the highest 5 % looked at again.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from benchmarks.forms import FORMS, Material
from recognizer import Recognizer
from recognizer.imaging import DETAIL_SIDE
from recognizer.imaging.pixels import altered
from recognizer.lab.dataset.manifest import load_data, read_photo
from recognizer.policy.decide import thresholds_of
from recognizer.policy.values import CandidateKind, Policy

NEGATIVES, PRODUCTS, NEAR = 2500, 170, 1.31  # NEAR: log-odds from the threshold for 1 % to 5 %
WAYS: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda rgb: rgb,
    **{f"turned {q}": partial(altered, quarters=q, degrees=0) for q in (1, 2, 3)},
    "mirrored": lambda rgb: np.ascontiguousarray(rgb[:, ::-1]),
    "gray": lambda rgb: np.dstack([cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)] * 3),
    "center": lambda rgb: _center(rgb, 0.65),
    "hue 120": partial(altered, quarters=0, degrees=120),
    "hue 240": partial(altered, quarters=0, degrees=240),
}
TURNS, HUES = ["turned 1", "turned 2", "turned 3"], ["hue 120", "hue 240"]
LOOKS = {
    "none": [],
    "turns": [TURNS],
    "hues": [HUES],
    "turns; hues": [TURNS, HUES],
    "turns; gray": [TURNS, ["gray"]],
    "turns; hues; center": [TURNS, HUES, ["center"]],
    "turns; hues; center and mirrored": [TURNS, HUES, ["center", "mirrored"]],
}
SHOWN: tuple[str, ...] = (
    *("turned by 90", "turned by 180", "turned by 270", "turned by 45", "hue turned by 60"),
    *("hue turned by 120", "large coloured text", "strong tiled", "six stickers", "blur, 0.5"),
)


def _center(rgb: np.ndarray, share: float) -> np.ndarray:
    top, left = (round(side * (1 - share) / 2) for side in rgb.shape[:2])
    return np.ascontiguousarray(rgb[top : len(rgb) - top, left : rgb.shape[1] - left])


def main() -> None:
    """Print for each set of looks: false leads, the rise of the threshold, and leads by form."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    photos = [p for p in load_data([parser.parse_args().data]) if p.split == "train"]
    photos = [photos[i] for i in np.random.default_rng(11).permutation(len(photos))]
    products = [p for p in photos if p.is_product][:PRODUCTS]
    others = [p for p in photos if not p.is_product]
    recognizer = Recognizer.load(threads=1)
    bundle, thresholds = recognizer.bundle, thresholds_of(recognizer.bundle, Policy())
    families = [family.name for family in bundle.families]

    def margins(images: list[np.ndarray]) -> np.ndarray:
        """Return the log-odds of the highest product above its threshold, (N, ways)."""
        log_odds = np.array(
            [recognizer.features([way(rgb) for way in WAYS.values()])[0] for rgb in images]
        )
        scores = bundle.calibrate(log_odds)
        whole = bundle.family_scores(scores)
        found = []
        for one in thresholds:
            name, of_label = one.candidate.name, one.candidate.kind is CandidateKind.LABEL
            at = bundle.label_names.index(name) if of_label else families.index(name)
            own = (scores if of_label else whole)[..., at].clip(1e-9, 1 - 1e-9)
            limit = one.review[0]
            found.append(np.log(own / (1 - own)) - np.log(limit / (1 - limit)))
        return np.asarray(np.max(found, axis=0))

    rng = np.random.default_rng(5)
    material = Material(
        rng, lambda: read_photo(others[rng.integers(len(others))], DETAIL_SIDE), 256
    )

    def drawn(form: str) -> list[np.ndarray]:
        (draw,) = (one.draw for one in FORMS if one.name.startswith(form))
        made = (draw(read_photo(photo, DETAIL_SIDE), material) for photo in products)
        files = (one if isinstance(one, bytes) else Image.fromarray(one) for one in made)
        return [recognizer.load_image(file).frames[0].rgb for file in files]

    def looked(values: np.ndarray, sets: list[list[str]], near: float) -> np.ndarray:
        columns, own = list(WAYS), values[:, 0]
        means = [values[:, [0, *map(columns.index, one)]].mean(axis=1) for one in sets]
        return np.where(own > near, np.max([own, *means], axis=0), own)

    negative = margins([read_photo(photo, DETAIL_SIDE) for photo in others[:NEGATIVES]])
    limit = float(np.quantile(negative[:, 0], 0.99))
    few = int((negative[:, 0] > limit).sum())
    plain = margins([read_photo(photo, DETAIL_SIDE) for photo in products])
    forms = {form: margins(drawn(form))[plain[:, 0] > 0] for form in SHOWN}
    for name, sets in LOOKS.items():
        after = looked(negative, sets, limit - NEAR)
        raised = max(limit, float(np.sort(after)[::-1][few]))
        shares = [(looked(x, sets, limit - NEAR) > raised).mean() for x in (plain, *forms.values())]
        print(f"{name:34} false {few} > {(after > limit).sum()}, raised by {raised - limit:.2f};")
        print(
            "  ", ", ".join(f"{f} {s:.2f}" for f, s in zip(("plain", *forms), shares, strict=True))
        )


if __name__ == "__main__":
    main()
