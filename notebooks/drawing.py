"""Pictures, charts and tables as the notebooks draw them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from recognizer.taxonomy import Kind

KIND_COLORS = {
    Kind.PRODUCT: "#b3402e",
    Kind.LOOKALIKE: "#d99a32",
    Kind.ANIMAL: "#5b8c5a",
    Kind.OTHER: "#8796a5",
}
DECISION_COLORS = {"priority": "#b3402e", "review": "#c7861b", "clear": "#5f6b76"}

# Progress bars of other packages, which the notebooks do not show.
warnings.filterwarnings("ignore", message="IProgress not found")

plt.rcParams |= {
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
}


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Markdown:
    """Return a table; columns of numbers stand to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    marks = [_mark(column) for column in zip(*cells, strict=True)]
    lines = [header, marks or ["---"] * len(header), *cells]
    return Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines))


def _mark(column: Sequence[str]) -> str:
    """Return how a column is aligned: right where it holds numbers and dashes alone."""
    numbers = all(cell[:1].isdigit() or cell == "-" for cell in column)
    return "---:" if numbers and set(column) != {"-"} else ":---"


def _cell(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def logarithmic(axis: Axes) -> None:
    """Make the x axis logarithmic, with plain numbers at 1, 3, 10, 30 and so on."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.grid(axis="x")


def show_pictures(
    pictures: Sequence[np.ndarray],
    titles: Sequence[str] = (),
    *,
    columns: int = 8,
    side: float = 1.35,
    heatmaps: Sequence[np.ndarray] = (),
    outlines: Sequence[np.ndarray | None] = (),
    colors: Sequence[str] = (),
) -> Figure:
    """Draw pictures in a grid.

    Args:
        pictures: uint8, (height, width, 3), RGB.
        titles: one for each.
        columns: pictures in a row.
        side: of a picture in inches.
        heatmaps: one for each, (h, w), 0 to 1, drawn over it.
        outlines: one for each, a mask (h, w) whose edge is drawn, or None.
        colors: of the titles.
    """
    columns = min(columns, len(pictures)) or 1
    rows = max(1, math.ceil(len(pictures) / columns))
    lines = max((title.count("\n") + 1 for title in titles), default=0)
    size = (columns * side, rows * (side + 0.16 * lines))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for i, (axis, picture) in enumerate(zip(axes.flat, pictures, strict=False)):
        height, width = picture.shape[:2]
        whole = (0, width, height, 0)
        axis.imshow(picture, extent=whole)
        if heatmaps:
            shade = {"cmap": "inferno", "vmin": 0, "vmax": 1, "interpolation": "bilinear"}
            axis.imshow(heatmaps[i], extent=whole, alpha=0.55, **shade)
        if outlines and outlines[i] is not None:
            mask = outlines[i]
            x = (np.arange(mask.shape[1]) + 0.5) * width / mask.shape[1]
            y = (np.arange(mask.shape[0]) + 0.5) * height / mask.shape[0]
            axis.contour(x, y, mask > 0, levels=[0.5], colors="#00c2ff", linewidths=1.3)
        if titles:
            color = colors[i] if colors else "black"
            axis.set_title(titles[i], fontsize=6.5, color=color, loc="center", pad=2)
    return figure
