"""An evaluation as one self-contained HTML file.

It shows photos of the data, small, with heat-maps: it is for people who may see the data.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from recognizer._atomic import replacing
from recognizer.dataset.manifest import Photo
from recognizer.engine import Recognizer
from recognizer.evaluation import plots
from recognizer.evaluation.evaluate import ANY_PRODUCT, Evaluation, Target, all_figures, targets
from recognizer.evaluation.figures import SOURCE_RATE, Truth
from recognizer.evaluation.templates import render
from recognizer.evaluation.thresholds import threshold_at_fpr
from recognizer.imaging.thumbnail import draw_heatmap, shrink
from recognizer.model.description import percent
from recognizer.prediction import Explanation, Prediction

MAX_SHOTS = 12
"""Misses, and false positives, shown of each family."""

_SIDE = 200  # longer side of a picture in pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPart:
    """One split of the report: figures, what they mean, photos and their predictions."""

    evaluation: Evaluation
    worth: str
    photos: Sequence[Photo]
    predictions: Sequence[Prediction]


def write_report(
    output: Path,
    recognizer: Recognizer,
    measured: Sequence[ReportPart],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Write the report of one bundle on one or more splits, the most important first.

    ``on_progress`` is called with the splits done and their number.
    """
    parts = []
    for part in measured:
        parts.append(_part(recognizer, part))
        on_progress(len(parts), len(measured))
    page = render(
        "report.html.j2",
        style=Markup(render("report.css.j2")),  # noqa: S704 - ours
        bundle=recognizer.bundle,
        parts=parts,
        all_figures=all_figures,
        any_product=ANY_PRODUCT,
        percent=percent,
        source_rate=f"{100 * SOURCE_RATE:g}",
    )
    with replacing(output) as partial:
        # File names that are not Unicode have lone surrogates, which UTF-8 cannot encode.
        partial.write_text(page, encoding="utf-8", errors="backslashreplace", newline="\n")


def _part(recognizer: Recognizer, measured: ReportPart) -> dict[str, Any]:
    """Return what the page shows of one split."""
    truth = Truth.of(measured.photos)
    wanted = targets(recognizer.bundle, truth, measured.predictions)
    evaluation = measured.evaluation
    return {
        "evaluation": evaluation,
        "worth": measured.worth,
        "curves": plots.curves(wanted, truth.negative),
        "reliability": plots.reliability([*all_figures(evaluation)]),
        "confusion": plots.confusion(evaluation.confusion, recognizer.labels),
        "galleries": list(_galleries(recognizer, measured, truth, wanted)),
    }


def _galleries(
    recognizer: Recognizer, measured: ReportPart, truth: Truth, wanted: Sequence[Target]
) -> Iterator[dict[str, Any]]:
    """Yield the worst errors of each family at a false-positive rate of :data:`SOURCE_RATE`."""
    families = [t for t in wanted if t.name != ANY_PRODUCT and t.positive.any()]
    members = {family.name: family.members for family in recognizer.bundle.families}
    for target in sorted(families, key=lambda t: -int(t.positive.sum())):
        threshold = threshold_at_fpr(target.scores[truth.negative], SOURCE_RATE)
        over = target.scores > threshold
        order = np.argsort(target.scores, kind="stable")
        missed = [i for i in order if target.positive[i] and not over[i]]
        wrong = [i for i in order[::-1] if truth.negative[i] and over[i]]
        shot = partial(_shot, recognizer, measured, target, members[target.name])
        yield {
            "family": target.name,
            "threshold": threshold,
            "missed": len(missed),
            "misses": [*map(shot, missed[:MAX_SHOTS])],
            "false_positives": [*map(shot, wrong[:MAX_SHOTS])],
        }


def _shot(
    recognizer: Recognizer, measured: ReportPart, target: Target, members: Sequence[str], place: int
) -> dict[str, Any]:
    """Return a photo of the gallery; ``explained`` is the label of its heat-map."""
    photo, scores = measured.photos[place], measured.predictions[place].scores
    label = photo.label if photo.label in members else max(members, key=scores.__getitem__)
    picture, heatmap = _pictures(recognizer.explain(photo.path, label))
    best = max(scores, key=scores.__getitem__)
    return {
        "picture": picture,
        "heatmap": heatmap,
        "file": photo.path.name,
        "label": photo.label,
        "source": photo.source,
        "score": float(target.scores[place]),
        "explained": label,
        "best": best,
        "best_score": scores[best],
    }


def _pictures(explanation: Explanation) -> tuple[str, str]:
    """Return the picture, small, and the same under its heat-map, as ``data:`` URIs."""
    drawn = draw_heatmap(explanation.rgb, explanation.heatmap)
    return _uri(explanation.rgb), _uri(drawn)


def _uri(rgb: NDArray[np.uint8]) -> str:
    small = shrink(rgb, _SIDE, 0)
    return "data:image/jpeg;base64," + base64.b64encode(small.jpeg).decode("ascii")
