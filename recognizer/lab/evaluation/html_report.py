"""Predictions of a bundle: a self-contained HTML report, and a Parquet file for analyses.

The page shows photos of the data, small, with heat-maps: it is for people who may see the data.
"""

import base64
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from markdown_it import MarkdownIt
from markupsafe import Markup

from recognizer._files import parquet_library, replacing
from recognizer.engine import Recognizer
from recognizer.imaging.thumbnail import draw_heatmap, shrink
from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.evaluation import plots
from recognizer.lab.evaluation.evaluate import Measured, highest, targets
from recognizer.lab.evaluation.figures import Truth
from recognizer.lab.evaluation.templates import render
from recognizer.policy.values import Decision

MAX_ERRORS = 12  # errors of each label that are shown, the most confident first
MAX_FALSE_LEADS = 60  # in their gallery, the highest scores first
_WIDTH = 480  # pixels, of a photo beside its heat-map

# Names of sources and labels are the data's: no HTML, links or images of theirs.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_MARKDOWN.disable(["link", "image", "autolink", "reference"])


def write_report(output: Path, recognizer: Recognizer, measured: Measured) -> None:
    """Write the report of a bundle on a split."""
    truth = Truth.of(measured.photos)
    wanted = targets(recognizer.bundle, truth, measured.predictions)
    evaluation, (errors, false_leads) = measured.evaluation, _galleries(recognizer, measured)
    page = render(
        "evaluation/report.html.j2",
        style=Markup(render("evaluation/report.css.j2")),  # noqa: S704 - ours
        tables=Markup(_MARKDOWN.render(render("evaluation/evaluation.md.j2", found=evaluation))),  # noqa: S704 - escaped
        bundle=recognizer.bundle,
        split=evaluation.split,
        curves=plots.curves(wanted, truth.negative),
        confusion=plots.confusion(evaluation.confusion, recognizer.labels),
        errors=errors,
        false_leads=false_leads,
        reliability=plots.reliability(evaluation.reliability),
    )
    with replacing(output) as partial:
        partial.write_text(page, encoding="utf-8", newline="\n")


_Gallery = list[tuple[str, str]]  # words, and a JPEG in Base64 of photo and heat-map


def _galleries(recognizer: Recognizer, measured: Measured) -> tuple[dict[str, _Gallery], _Gallery]:
    """Return the errors by true label, and the default policy's leads without a product.

    The highest scores come first. The heat-map is of the true label if the model knows it, or of
    the one on top; for leads of the product with the highest score.
    """
    products = [label.name for label in measured.photos[0].taxonomy.products]
    errors, leads = defaultdict[str, list[Any]](list), []
    for photo, said, triage in zip(*measured[1:], strict=True):
        if (best := highest(said)) != photo.label:
            known = photo.label if photo.label in recognizer.labels else best
            errors[photo.label].append((said.scores[best], best, known, photo))
        if not photo.is_product and triage.decision is not Decision.CLEAR:
            score, name = max((said.scores[name], name) for name in products if name in said.scores)
            leads.append((score, f"{photo.label}: {name}", name, photo))

    def shown(rows: list[Any], most: int) -> _Gallery:
        return [
            (f"{words} {score:.2f}", _picture(recognizer, photo, name))
            for score, words, name, photo in sorted(rows, key=lambda row: -row[0])[:most]
        ]

    return {n: shown(errors[n], MAX_ERRORS) for n in sorted(errors)}, shown(leads, MAX_FALSE_LEADS)


def _picture(recognizer: Recognizer, photo: Photo, label: str) -> str:
    found = recognizer.explain(photo.path, label)
    pair = shrink(np.hstack([found.rgb, draw_heatmap(found.rgb, found.heatmap)]), _WIDTH, 0)
    return base64.b64encode(pair.jpeg).decode("ascii")


def write_predictions(measured: Measured, path: Path) -> None:
    """Write a row for each photo; ``highest`` is the label with the highest score.

    Columns of the manifest that have no other use are there, too.
    """
    parquet, rows = parquet_library(), []
    others = dict.fromkeys((n for photo in measured.photos for n in photo.columns), "")
    for photo, said, triage in zip(*measured[1:], strict=True):
        words = others | dict(photo.columns)
        words |= {
            "path": str(photo.path),
            "sha256": photo.sha256,
            "split": measured.evaluation.split,
            "label": photo.label,
            "kind": str(photo.taxonomy.labels[photo.label].kind),
            "source": photo.source,
            "highest": highest(said),
            "decision": str(triage.decision),
            "leads": " ".join(lead.name for lead in triage.leads),
        }
        # File names that are not Unicode have lone surrogates, which UTF-8 cannot encode.
        texts = {k: v.encode("utf-8", "backslashreplace").decode() for k, v in words.items()}
        scores = {"any_product": max(said.families.values(), default=0.0)}
        scores |= {f"family.{name}": score for name, score in said.families.items()}
        scores |= {f"score.{name}": score for name, score in said.scores.items()}
        rows.append(texts | scores)
    import pyarrow  # noqa: PLC0415 - an extra

    with replacing(path) as partial:
        parquet.write_table(pyarrow.Table.from_pylist(rows), partial, compression="zstd")
