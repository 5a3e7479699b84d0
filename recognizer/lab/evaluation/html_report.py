"""What a bundle says of each photo: a self-contained HTML report, and a Parquet file for analyses.

The page shows photos of the data, small, with heat-maps: it is for people who may see the data.
"""

import base64
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from recognizer._atomic import replacing
from recognizer.engine import Recognizer
from recognizer.imaging.thumbnail import draw_heatmap, shrink
from recognizer.lab.dataset.manifest import Photo
from recognizer.lab.dataset.out_of_fold import import_pyarrow
from recognizer.lab.evaluation import plots
from recognizer.lab.evaluation.evaluate import ANY_PRODUCT, Measured, highest, targets
from recognizer.lab.evaluation.figures import COMPARED_RATE, Truth
from recognizer.lab.evaluation.templates import render

MAX_ERRORS = 12  # errors of each label that are shown, the most confident first
_WIDTH = 480  # pixels, of a photo beside its heat-map


def write_report(output: Path, recognizer: Recognizer, measured: Measured) -> None:
    """Write the report of a bundle on a split."""
    truth = Truth.of(measured.photos)
    wanted = targets(recognizer.bundle, truth, measured.predictions)
    page = render(
        "report.html.j2",
        style=Markup(render("report.css.j2")),  # noqa: S704 - ours
        bundle=recognizer.bundle,
        e=measured.evaluation,
        curves=plots.curves(wanted, truth.negative),
        confusion=plots.confusion(measured.evaluation.confusion, recognizer.labels),
        errors=_errors(recognizer, measured),
        any_product=ANY_PRODUCT,
        compared_rate=f"{100 * COMPARED_RATE:g}",
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
            found = recognizer.explain(photo.path, known)
            pair = shrink(np.hstack([found.rgb, draw_heatmap(found.rgb, found.heatmap)]), _WIDTH, 0)
            picture = base64.b64encode(pair.jpeg).decode("ascii")
            shown[label].append((f"{best} {score:.2f}", picture))
    return shown


def write_predictions(measured: Measured, labels: Sequence[str], path: Path) -> None:
    """Write a row for each photo; ``highest`` is the label with the highest score."""
    parquet, pyarrow = import_pyarrow()
    texts = ("path", "sha256", "split", "label", "source", "highest", "decision")
    split, rows = measured.evaluation.split, []
    for photo, said, verdict in zip(*measured[1:], strict=True):
        words = (photo.path, photo.sha256, split, photo.label, photo.source, highest(said))
        # File names that are not Unicode have lone surrogates, which UTF-8 cannot encode.
        shown = (
            str(word).encode("utf-8", "backslashreplace").decode()
            for word in (*words, verdict.decision)
        )
        scores = {f"score.{name}": score for name, score in said.scores.items()}
        rows.append(dict(zip(texts, shown, strict=True)) | scores)
    schema = [(name, pyarrow.string()) for name in texts]
    schema += [(f"score.{name}", pyarrow.float32()) for name in labels]
    table = pyarrow.Table.from_pylist(rows, schema=pyarrow.schema(schema))
    with replacing(path) as partial:
        parquet.write_table(table, partial, compression="zstd")
