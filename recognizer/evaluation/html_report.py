"""An evaluation as one self-contained HTML file.

It shows photos of the data, small, with heat-maps: it is for people who may see the data.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from recognizer._atomic import replacing
from recognizer.engine import Recognizer
from recognizer.evaluation import plots
from recognizer.evaluation.by_photo import Scored, draw_errors
from recognizer.evaluation.evaluate import ANY_PRODUCT, Evaluation, all_figures, targets
from recognizer.evaluation.figures import COMPARED_RATE, Truth
from recognizer.evaluation.templates import render
from recognizer.model.description import percent


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPart:
    """One split of the report: figures, what they mean, photos and their predictions."""

    evaluation: Evaluation
    worth: str
    scored: Scored


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
        compared_rate=f"{100 * COMPARED_RATE:g}",
    )
    with replacing(output) as partial:
        partial.write_text(page, encoding="utf-8", newline="\n")


def _part(recognizer: Recognizer, measured: ReportPart) -> dict[str, Any]:
    """Return what the page shows of one split."""
    truth = Truth.of(measured.scored.photos)
    wanted = targets(recognizer.bundle, truth, measured.scored.predictions)
    evaluation = measured.evaluation
    errors = draw_errors(recognizer, measured.scored)
    picture = io.BytesIO()
    if errors is not None:
        Image.fromarray(errors).save(picture, "JPEG", quality=85)
    return {
        "evaluation": evaluation,
        "worth": measured.worth,
        "curves": plots.curves(wanted, truth.negative),
        "reliability": plots.reliability([*all_figures(evaluation)]),
        "confusion": plots.confusion(evaluation.confusion, recognizer.labels),
        "errors": base64.b64encode(picture.getvalue()).decode("ascii"),
    }
