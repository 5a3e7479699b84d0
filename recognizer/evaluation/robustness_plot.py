"""The plot of a bundle's robustness, and the page around it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import jinja2
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from recognizer._atomic import replacing
from recognizer.evaluation.plots import STYLE, data_uri
from recognizer.evaluation.robustness import RATE, Robustness

_BEFORE, _AFTER = "#57606c", "#d55e00"


def draw(robustness: Robustness, name: str) -> Figure:
    """Draw recall and false-positive rate before and after each alteration.

    Args:
        robustness: the figures.
        name: a key of ``robustness.outcomes``.
    """
    outcomes = robustness.outcomes[name]
    places = np.arange(len(outcomes))[::-1]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 1.2 + 0.24 * len(outcomes)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        sides = (
            (left, [(o.recall_before, o.recall) for o in outcomes], "recall"),
            (
                right,
                [(o.false_positive_rate_before, o.false_positive_rate) for o in outcomes],
                "false-positive rate",
            ),
        )
        for axes, pairs, title in sides:
            before, after = np.array([[e.value for e in pair] for pair in pairs]).T
            altered = [after_it for _, after_it in pairs]
            axes.hlines(places, before, after, color="#b8bfc8", linewidth=2)
            axes.plot(
                before, places, "o", color=_BEFORE, markerfacecolor="white", label="unaltered"
            )
            axes.plot(after, places, "o", color=_AFTER, label="altered, with its 95 % interval")
            low, high = [e.low for e in altered], [e.high for e in altered]
            axes.hlines(places, low, high, color=_AFTER, linewidth=1)
            axes.set_title(title, fontsize=10)
        left.set(xlim=(-0.02, 1.02), yticks=places)
        left.set_yticklabels([f"{o.alteration}: {o.strength}" for o in outcomes])
        right.set_xlim(left=0)
        right.axvline(RATE, color=_BEFORE, linestyle=":", linewidth=1)
        handles, words = right.get_legend_handles_labels()
        figure.legend(handles, words, loc="outside lower center", ncols=2, frameon=False)
        figure.suptitle(f"{robustness.bundle}: {name}, {robustness.split} split", fontsize=11)
    return figure


def write(robustness: Robustness, name: str, path: Path) -> None:
    """Write the plot as PNG or SVG, or, if the name ends in ``.html``, a page with plot and table.

    Raises:
        UsageError: the file cannot be written.
    """
    figure = draw(robustness, name)
    with replacing(path) as partial:
        if path.suffix.lower() == ".html":
            partial.write_text(_page(robustness, name, figure), encoding="utf-8")
        else:
            figure.savefig(partial, format=path.suffix[1:].lower(), dpi=150)


def _page(robustness: Robustness, name: str, figure: Figure) -> str:
    template = resources.files("recognizer.evaluation") / "robustness.html.j2"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        robustness=robustness,
        name=name,
        plot=data_uri(figure),
    )
