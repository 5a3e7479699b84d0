"""The plots of an evaluation report."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import ConfusionMatrixDisplay, precision_recall_curve, roc_curve

from recognizer.lab.evaluation.figures import Target

MIN_FOR_CURVE = 5  # positives below which a curve would have only two or three steps
MAX_CURVES = 6

# Okabe and Ito (2008): distinct for people with color blindness, too.
_COLORS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00")
_GRAY = "#57606c"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e2e5ea",
    "axes.axisbelow": True,
    "svg.hashsalt": "recognizer",  # the same figures give the same file
}


def curves(targets: Sequence[Target], negative: NDArray[np.bool_]) -> str | None:
    """Draw precision over recall, and recall over the false-positive rate, as a ``data:`` URI.

    Targets with the most positives are drawn; None if none has enough.
    """
    drawn = [t for t in targets if t.positive.sum() >= MIN_FOR_CURVE]
    drawn = sorted(drawn, key=lambda t: -int(t.positive.sum()))[:MAX_CURVES]
    if not drawn:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 4.3), layout="constrained")
        left, right = figure.subplots(1, 2)
        lowest = 0.5 / negative.sum()  # stands for 0, which a logarithm does not have
        for target, color in zip(drawn, _COLORS, strict=False):
            used = target.positive | negative
            shown = target.positive[used], target.scores[used]
            precision, recall, _ = precision_recall_curve(*shown)
            name = f"{target.name} ({target.positive.sum()})"
            left.step(recall, precision, where="post", color=color, label=name)
            # What scores above all negatives is found at the left edge.
            rates, found, _ = roc_curve(*shown)
            right.step(np.maximum(rates, lowest), found, where="post", color=color)
            for threshold in target.thresholds.values():
                rate = float((target.scores[negative] > threshold).mean())
                over = float((target.scores[target.positive] > threshold).mean())
                right.plot(max(rate, lowest), over, "o", color=color, markersize=5, clip_on=False)
        left.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.03))
        left.set_title("Precision and recall, among these photos", fontsize=10)
        right.set(xscale="log", xlabel="false-positive rate", ylabel="recall")
        right.set(xlim=(lowest, 1), ylim=(0, 1.03))
        right.set_title("Recall and false-positive rate (left edge: 0)", fontsize=10)
        for rate in drawn[0].thresholds:
            right.axvline(rate, color=_GRAY, linestyle=":", linewidth=1)
        figure.legend(loc="outside lower center", ncols=MAX_CURVES, frameon=False)
        return data_uri(figure)


def reliability(is_product: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> str:
    """Draw the share of products, (N,), over their probabilities, (N,), as a ``data:`` URI."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6, 3.5), layout="constrained")
        CalibrationDisplay.from_predictions(
            is_product, probabilities, n_bins=10, name="photos", ax=(axes := figure.subplots())
        )
        axes.legend().remove()  # which lies on the line
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        axes.set(xlabel="probability of a product", ylabel="share with a product")
        return data_uri(figure)


def confusion(truth: NDArray[np.str_], highest: Sequence[str]) -> str:
    """Draw true labels, (N,), and those with the highest score, as a ``data:`` URI."""
    side = 2.5 + 0.36 * len(np.unique([*truth, *highest]))
    with mpl.rc_context({**STYLE, "axes.grid": False, "font.size": 8}):
        figure = Figure(figsize=(side, side), layout="constrained")
        how = {"xticks_rotation": "vertical", "cmap": "Blues", "colorbar": False}
        drawn = ConfusionMatrixDisplay.from_predictions(
            truth, highest, normalize="true", values_format=".2g", ax=figure.subplots(), **how
        )
        drawn.ax_.set(xlabel="label with the highest score", ylabel="true label (shares of a row)")
        return data_uri(figure)


def data_uri(figure: Figure) -> str:
    """Return a figure as SVG, as a ``data:`` URI."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
