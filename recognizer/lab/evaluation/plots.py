"""The plots of an evaluation report."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import ConfusionMatrixDisplay, precision_recall_curve, roc_curve

from recognizer.lab.evaluation.figures import ReliabilityBin, Target

MIN_FOR_CURVE = 5  # positives below which a curve would have only two or three steps
MAX_CURVES = 6

# Okabe and Ito (2008): distinct for people with color blindness, too.
_COLORS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00")
_COLOR, _CHOSEN, _GRAY = "#0072b2", "#d55e00", "#57606c"
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
        figure = Figure(figsize=(10, 4), layout="constrained")
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
        left.legend(fontsize=8, edgecolor="none")
        right.set(xscale="log", xlabel="false-positive rate", ylabel="recall")
        right.set(xlim=(lowest, 1), ylim=(0, 1.03))
        right.set_title("Recall and false-positive rate (left edge: 0)", fontsize=10)
        for rate in drawn[0].thresholds:
            right.axvline(rate, color=_GRAY, linestyle=":", linewidth=1)
        return data_uri(figure)


def reliability(bins: Sequence[ReliabilityBin]) -> str:
    """Draw the share of products over the any-product score, with counts, as a ``data:`` URI."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 3.5), layout="constrained")
        axes = figure.subplots()
        places = range(len(bins))
        of = [b.products for b in bins]
        axes.vlines(places, [e.low for e in of], [e.high for e in of], color=_COLOR)
        axes.plot(places, [e.value for e in of], "o", color=_COLOR, label="with a product")
        axes.plot(places, [b.mean_score for b in bins], "_", color=_CHOSEN, markersize=18)
        axes.plot([], [], "_", color=_CHOSEN, label="mean score, no probability")
        words = [f"{b.low:g} to {b.high:g}\n{b.photos:,} ({b.sources})" for b in bins]
        axes.set_xticks(places, words, fontsize=8)
        axes.set(ylim=(-0.02, 1.02), ylabel="share with a product")
        axes.set_xlabel("any-product score; photos (sources)")
        axes.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
        return data_uri(figure)


def confusion(table: Mapping[str, Mapping[str, int]], labels: Sequence[str]) -> str:
    """Draw the confusion of the labels that occur in it, as a ``data:`` URI."""
    occur = {*table, *(name for row in table.values() for name in row)}
    names = [name for name in dict.fromkeys([*labels, *table]) if name in occur]
    counts = np.array([[table.get(row, {}).get(column, 0) for column in names] for row in names])
    side = 2.5 + 0.32 * len(names)
    with mpl.rc_context({**STYLE, "axes.grid": False, "font.size": 8}):
        figure = Figure(figsize=(side, side), layout="constrained")
        drawn = ConfusionMatrixDisplay(counts, display_labels=names).plot(
            ax=figure.subplots(), cmap="Blues", xticks_rotation="vertical", colorbar=False
        )
        # Shades are shares of a row: else a common label would leave all others white.
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        drawn.im_.set_data(shares)
        drawn.im_.set_clim(0, 1)
        for count, part, text in zip(counts.flat, shares.flat, drawn.text_.flat, strict=True):
            text.set_text(str(count) if count else "")
            text.set_color("white" if part > 0.55 else "#1b2129")
        drawn.ax_.set(xlabel="label with the highest score", ylabel="true label")
        return data_uri(figure)


def data_uri(figure: Figure) -> str:
    """Return a figure as SVG, as a ``data:`` URI."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
