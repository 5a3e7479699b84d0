"""Predictions of a bundle: a self-contained HTML report, and a Parquet file for analyses.

The page shows photos of the data, small, with heat-maps: it is for people who may see the data.
"""

import base64
from collections import defaultdict
from pathlib import Path

import numpy as np
from markdown_it import MarkdownIt
from markupsafe import Markup

from recognizer._files import replacing
from recognizer.engine import Recognizer
from recognizer.imaging.thumbnail import draw_heatmap, shrink
from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.evaluation import plots
from recognizer.lab.evaluation.evaluate import Measured, highest, targets
from recognizer.lab.evaluation.figures import Truth
from recognizer.lab.evaluation.out_of_fold import import_pyarrow
from recognizer.lab.evaluation.templates import render
from recognizer.model.bundle import Bundle
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
    evaluation = measured.evaluation
    page = render(
        "report.html.j2",
        style=Markup(render("report.css.j2")),  # noqa: S704 - ours
        tables=Markup(_MARKDOWN.render(render("evaluation.md.j2", e=evaluation))),  # noqa: S704 - escaped
        bundle=recognizer.bundle,
        split=evaluation.split,
        curves=plots.curves(wanted, truth.negative),
        confusion=plots.confusion(evaluation.confusion, recognizer.labels),
        errors=_errors(recognizer, measured),
        false_leads=_false_leads(recognizer, measured),
        reliability=plots.reliability(evaluation.reliability),
    )
    with replacing(output) as partial:
        partial.write_text(page, encoding="utf-8", newline="\n")


def _errors(recognizer: Recognizer, measured: Measured) -> dict[str, list[tuple[str, str]]]:
    """Return the errors by true label: words, and a JPEG in Base64 of photo and heat-map.

    The heat-map is of the true label, or if the model does not know it, of the one on top.
    """
    wrong: defaultdict[str, list[tuple[float, str, Photo]]] = defaultdict(list)
    for photo, said in zip(measured.photos, measured.predictions, strict=True):
        if (best := highest(said)) != photo.label:
            wrong[photo.label].append((said.scores[best], best, photo))
    shown = defaultdict[str, list[tuple[str, str]]](list)
    for label in sorted(wrong):
        for score, best, photo in sorted(wrong[label], key=lambda one: -one[0])[:MAX_ERRORS]:
            known = label if label in recognizer.labels else best
            shown[label].append((f"{best} {score:.2f}", _picture(recognizer, photo, known)))
    return shown


def _false_leads(recognizer: Recognizer, measured: Measured) -> list[tuple[str, str]]:
    """Return the leads of the default policy without a product, the highest scores first.

    The heat-map is of the product with the highest score.
    """
    products = [label.name for label in measured.photos[0].taxonomy.products]
    rows = []
    for photo, said, triage in zip(*measured[1:], strict=True):
        if not photo.is_product and triage.decision is not Decision.CLEAR:
            score, name = max((said.scores[name], name) for name in products if name in said.scores)
            rows.append((score, name, photo))
    return [
        (f"{photo.label}: {name} {score:.2f}", _picture(recognizer, photo, name))
        for score, name, photo in sorted(rows, key=lambda row: -row[0])[:MAX_FALSE_LEADS]
    ]


def _picture(recognizer: Recognizer, photo: Photo, label: str) -> str:
    found = recognizer.explain(photo.path, label)
    pair = shrink(np.hstack([found.rgb, draw_heatmap(found.rgb, found.heatmap)]), _WIDTH, 0)
    return base64.b64encode(pair.jpeg).decode("ascii")


def write_predictions(measured: Measured, bundle: Bundle, path: Path) -> None:
    """Write a row for each photo; ``highest`` is the label with the highest score.

    Columns of the manifest that have no other use follow as they are there.
    """
    parquet, pyarrow = import_pyarrow()
    texts = ["path", "sha256", "split", "label", "kind", "source", "highest", "decision", "leads"]
    others = dict.fromkeys(name for photo in measured.photos for name in photo.columns)
    texts += [name for name in others if name not in texts]
    split, rows = measured.evaluation.split, []
    for photo, said, triage in zip(*measured[1:], strict=True):
        words = dict(photo.columns) | {
            "path": photo.path,
            "sha256": photo.sha256,
            "split": split,
            "label": photo.label,
            "kind": photo.taxonomy.labels[photo.label].kind,
            "source": photo.source,
            "highest": highest(said),
            "decision": triage.decision,
            "leads": " ".join(lead.name for lead in triage.leads),
        }
        # File names that are not Unicode have lone surrogates, which UTF-8 cannot encode.
        shown = {
            name: str(words.get(name, "")).encode("utf-8", "backslashreplace").decode()
            for name in texts
        }
        scores = {f"score.{name}": score for name, score in said.scores.items()}
        scores |= {f"family.{name}": score for name, score in said.families.items()}
        rows.append(shown | scores | {"any_product": max(said.families.values(), default=0.0)})
    schema = [(name, pyarrow.string()) for name in texts] + [("any_product", pyarrow.float32())]
    schema += [(f"family.{family.name}", pyarrow.float32()) for family in bundle.families]
    schema += [(f"score.{name}", pyarrow.float32()) for name in bundle.label_names]
    table = pyarrow.Table.from_pylist(rows, schema=pyarrow.schema(schema))
    with replacing(path) as partial:
        parquet.write_table(table, partial, compression="zstd")
