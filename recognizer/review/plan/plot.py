"""The plot of a plan: what each choice of thresholds gives, and where the time goes."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from recognizer._atomic import replacing
from recognizer.evaluation.plots import STYLE
from recognizer.review.plan.planning import Plan

MAX_BARS = 8
"""Products with a bar of their own."""

_COLOR, _CHOSEN, _CAPACITY = "#0072b2", "#d55e00", "#57606c"
_LEAST = 0.1  # leads a day; stands for none, which a logarithm does not have


def draw(plan: Plan) -> Figure:
    """Draw recall over the queue, and the reviewers' time by product."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _draw_steps(left, plan)
        _draw_time(right, plan)
        figure.suptitle(
            f"{plan.bundle}: {plan.photos_per_day:,} photos a day, {plan.prevalence:.4g} of them "
            f"with a product, {plan.reviewers} reviewers",
            fontsize=11,
        )
    return figure


def _draw_steps(axes: Axes, plan: Plan) -> None:
    queue = np.maximum([step.queue.value for step in plan.steps], _LEAST)
    recall = [[s.recall.value, s.recall.low, s.recall.high] for s in plan.steps]
    value, low, high = np.transpose(recall)
    axes.fill_between(queue, low, high, color=_COLOR, alpha=0.15, linewidth=0)
    axes.plot(queue, value, "o-", color=_COLOR, markersize=3, label="thresholds to choose from")
    step = plan.step
    place = (max(step.queue.value, _LEAST), step.recall.value)
    axes.hlines(place[1], max(step.queue.low, _LEAST), step.queue.high, color=_CHOSEN)
    axes.vlines(place[0], step.recall.low, step.recall.high, color=_CHOSEN)
    axes.plot(*place, "o", color=_CHOSEN, label="chosen, with 95 % intervals")
    axes.axvline(plan.capacity, color=_CAPACITY, linestyle="--", label="what the team can look at")
    axes.set(xscale="log", ylim=(-0.02, 1.02), xlabel="leads a day", ylabel="recall")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if queue[-1] < 100 * queue[0] else (1,)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:g}")
    axes.set_title("Recall and queue", fontsize=10)
    axes.legend(loc="upper left", frameon=False)


def _draw_time(axes: Axes, plan: Plan) -> None:
    bars = [(p.name, p.queue, p.share_of_time) for p in plan.products if p.queue >= 0.5]
    rest = bars[MAX_BARS:]
    if rest:
        others = (f"{len(rest)} others", sum(q for _, q, _ in rest), sum(s for *_, s in rest))
        bars = [*bars[:MAX_BARS], others]
    places = np.arange(len(bars))[::-1]
    axes.barh(places, [share for *_, share in bars], color=_COLOR, height=0.7)
    for place, (_, queue, share) in zip(places, bars, strict=True):
        axes.text(share, place, f" {queue:,.0f} a day, {share:.0%}", va="center")
    axes.set_yticks(places, [name.replace("_", " ") for name, *_ in bars])
    axes.set(xlim=(0, 1.45 * max([share for *_, share in bars], default=1.0)), xticks=[])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.set_title("Reviewers' time, by what a lead looks most like", fontsize=10)


def write(plan: Plan, path: Path) -> None:
    """Write the plot as PNG or SVG, as the name ends.

    Raises:
        UsageError: the file cannot be written.
    """
    kind = path.suffix[1:].lower()
    metadata = {"Date": None} if kind == "svg" else None  # the same plan gives the same file
    with replacing(path) as partial:
        draw(plan).savefig(partial, format=kind, dpi=150, metadata=metadata)
