r"""What accuracy costs: networks and input sizes against the CPU time of a pass.

    python -m benchmarks.front --data DATA --runs runs/front --plot docs/pictures/front.svg \
        --cascade runs/wildlife/out-of-fold.parquet --bundle bundles/own-v1

For each network and size, a logistic regression on its frozen features is measured on folds of
sources that it has not seen, and its int8 file is timed in turn with that of lite1 at 240 pixels
(one thread, CPU time), the network of ``wildlife-v5``, on photos of the test split without a
product. ``--cascade`` and ``--bundle`` together add a recipe that was trained: its answers on
the same folds, the time of its bundle on the same photos.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import onnxruntime
import torch
from matplotlib.figure import Figure
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import average_precision_score, roc_curve

from recognizer.lab.dataset.manifest import Photo, load_data
from recognizer.lab.evaluation.out_of_fold import read_out_of_fold
from recognizer.lab.evaluation.plots import STYLE
from recognizer.lab.training.config import load_config
from recognizer.lab.training.head import features_of, fit_head
from recognizer.lab.training.model import build_network
from recognizer.lab.training.onnx_export import export_fp32
from recognizer.lab.training.quantization import quantize
from recognizer.lab.training.runs import Recipe, open_recipe
from recognizer.model.bundle import load_bundle
from recognizer.model.folders import MODEL_FILE
from recognizer.model.numerics import sigmoid
from recognizer.model.session import session_options

NETWORKS = (
    *((0, 192), (0, 208), (0, 224), (0, 320)),
    *((1, 208), (1, 224), (1, 240), (1, 320), (2, 240)),
)
TOGETHER = ((0, 320), (1, 320))  # whose mean is a point of its own
REFERENCE = (1, 240)
PREVALENCE = 0.02
CHIEF = (
    *("ivory", "posts", "ivory_raw", "big_cat_skin", "antelope_horn", "reptile_leather"),
    "any product",
)
IVORY, POSTS = ("ivory_raw", "ivory_worked"), "gabrieldeml/iwt"
CALIBRATION_PHOTOS, TIMED_PHOTOS, ROUNDS = 100, 300, 5


@dataclass(frozen=True)
class Point:
    """A model: its objective out of fold, and its pass against that of the reference."""

    name: str
    objective: float
    ratio: float


def objective(photos: list[Photo], probabilities: NDArray[np.float64], labels: list[str]) -> float:
    """Return one number to choose by, from answers on sources that were not seen.

    It is the mean over the chief products, ivory, ivory that sellers post, and any product of the
    mean of average precision (at a prevalence of 2 %) and recall at 1 % false positives. A source
    of n photos counts as the root of n.
    """
    truth = np.array([p.label for p in photos])
    source = np.array([p.source for p in photos])
    product = np.array([p.is_product for p in photos])
    products = sorted(set(truth[product]))
    parts = []
    for name in CHIEF:
        columns: tuple[str, ...]
        if name in {"ivory", "posts"}:
            positive, columns = np.isin(truth, IVORY), IVORY
        else:
            positive, columns = truth == name, (name,)
        if name == "posts":
            positive &= np.char.startswith(np.char.lower(source), POSTS)
        if name == "any product":
            scores = probabilities[:, [labels.index(n) for n in products]].max(1)
            positive = product
        else:
            scores = probabilities[:, [labels.index(n) for n in columns]].sum(1)
        parts.append(_figures(scores, positive, product, source))
    return float(np.mean(parts))


def _figures(
    scores: NDArray[np.float64],
    positive: NDArray[np.bool_],
    product: NDArray[np.bool_],
    source: NDArray[np.str_],
) -> float:
    used, weights = positive | ~product, np.zeros(len(scores))
    for rows, total in ((positive, PREVALENCE), (~product, 1 - PREVALENCE)):
        _, place, counts = np.unique(source[rows], return_inverse=True, return_counts=True)
        each = counts[place] ** -0.5
        weights[rows] = total * each / each.sum()
    given = {"y_true": positive[used], "y_score": scores[used], "sample_weight": weights[used]}
    rates, recalls, _ = roc_curve(**given, drop_intermediate=False)
    return float(average_precision_score(**given) + recalls[rates <= 0.01].max()) / 2


def backbone_of(network: int) -> str:
    """Return timm's name."""
    return f"tf_efficientnet_lite{network}"


def out_of_fold(recipe: Recipe, network: int, size: int) -> tuple[list[Photo], NDArray[np.float64]]:
    """Return the photos of all folds, and the logits of heads that have not seen their folds."""
    config = replace(recipe.config, backbone=backbone_of(network), input_size=size)
    built = build_network(config, len(recipe.labels)).eval()
    photos, answers = list[Photo](), []
    for fold in range(int(recipe.folds.max()) + 1):
        train, held = recipe.without(fold), recipe.of_fold(fold)
        features = features_of(built, train, recipe.cache, size)
        weight, bias = fit_head(features, train, recipe.labels, config.label_power, config.head_c)
        x = torch.from_numpy(features_of(built, held, recipe.cache, size))
        answers.append((x @ weight.T + bias).double().numpy())
        photos += held
    return photos, np.concatenate(answers)


def int8_session(recipe: Recipe, network: int, size: int) -> onnxruntime.InferenceSession:
    """Return a network as it is served, in int8."""
    drawn = np.random.default_rng(0).permutation(len(recipe.train))[:CALIBRATION_PHOTOS]
    config = replace(recipe.config, backbone=backbone_of(network), input_size=size)
    with tempfile.TemporaryDirectory() as folder:
        fp32, int8 = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        export_fp32(build_network(config, 8).eval(), size, fp32)
        quantize(fp32, int8, recipe.cache.squares([recipe.train[i] for i in drawn], size))
        return session(int8)


def session(path: Path) -> onnxruntime.InferenceSession:
    """Open a file as it is served, with one thread."""
    return onnxruntime.InferenceSession(
        path, session_options(1), providers=["CPUExecutionProvider"]
    )


def ratio(
    own: onnxruntime.InferenceSession, reference: onnxruntime.InferenceSession, recipe: Recipe
) -> float:
    """Return the CPU time of a pass over photos without a product, as a share of another's."""
    negatives = timed_photos(recipe)
    sessions = [own, reference]
    inputs = [recipe.cache.squares(negatives, s.get_inputs()[0].shape[1]) for s in sessions]
    seconds = np.empty((len(sessions), ROUNDS, len(negatives)))
    for turn, place in np.ndindex(seconds.shape[1:]):
        for number, opened in enumerate(sessions):
            image = inputs[number][place][None]
            started = time.thread_time()
            opened.run(["scores", "embedding"], {"images": image})
            seconds[number, turn, place] = time.thread_time() - started
    # The median of the rounds, and the mean of the photos: a cascade takes longer for some.
    own_time, its_time = np.median(seconds, axis=1).mean(axis=1)
    return float(own_time / its_time)


def timed_photos(recipe: Recipe) -> list[Photo]:
    """Return photos that no network was trained on: a cascade suspects fewer of those it knows."""
    unseen = [p for p in recipe.photos if p.split == "test" and not p.is_product]
    return [unseen[i] for i in np.random.default_rng(1).permutation(len(unseen))[:TIMED_PHOTOS]]


def main() -> None:
    """Measure, print a table, draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--cascade", type=Path)
    parser.add_argument("--bundle", type=Path)
    asked = parser.parse_args()
    if (asked.cascade is None) != (asked.bundle is None):
        parser.error("--cascade and --bundle belong together")
    recipe = open_recipe(load_config("wildlife"), load_data([asked.data]), asked.runs)
    recipe.cache.fill([*recipe.train, *timed_photos(recipe)])
    sessions = {one: int8_session(recipe, *one) for one in NETWORKS}
    points, answers = [], {}
    for one in NETWORKS:
        photos, answers[one] = out_of_fold(recipe, *one)
        found = objective(photos, softmax(answers[one], axis=1), recipe.labels)
        cost = ratio(sessions[one], sessions[REFERENCE], recipe)
        points.append(Point("lite{} at {}".format(*one), found, cost))
        print(points[-1], flush=True)
    mean = np.mean([answers[one] for one in TOGETHER], axis=0)
    cost = sum(p.ratio for p, one in zip(points, NETWORKS, strict=True) if one in TOGETHER)
    points.append(
        Point("both at 320", objective(photos, softmax(mean, axis=1), recipe.labels), cost)
    )
    if asked.cascade:
        held, bundle = read_out_of_fold(asked.cascade), load_bundle(asked.bundle)
        found = objective(list(held.photos), sigmoid(held.log_odds), list(held.labels))
        cost = ratio(session(bundle.path / MODEL_FILE), sessions[REFERENCE], recipe)
        points.append(Point(bundle.title, found, cost))
    print("| | objective | pass |\n|---|---|---|")
    for point in sorted(points, key=lambda p: p.ratio):
        print(f"| {point.name} | {point.objective:.3f} | {point.ratio:.2f} |")
    if asked.plot:
        draw(points, asked.plot)


def draw(points: list[Point], path: Path) -> None:
    """Draw objective over cost."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        for point in points:
            color = "#d55e00" if point.name.startswith("wildlife") else "#0072b2"
            axes.plot(point.ratio, point.objective, "o", color=color)
            place = (point.ratio, point.objective)
            side, left = ("right", -5) if point.name.startswith("lite0") else ("left", 5)
            how: Any = {"textcoords": "offset points", "ha": side, "fontsize": 8}
            axes.annotate(point.name, place, (left, 4), **how)
        axes.margins(x=0.15)
        axes.set(xlabel="CPU time of a pass, of lite1 at 240 = 1", ylabel="objective, out of fold")
        figure.savefig(path)


if __name__ == "__main__":
    main()
