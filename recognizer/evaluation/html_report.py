"""What a bundle says of each photo: a self-contained HTML report, and a Parquet file for analyses.

The page shows photos of the data, small, with heat-maps: it is for people who may see the data.
"""

import base64
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image

from recognizer._atomic import replacing
from recognizer.dataset.contact_sheet import contact_sheet
from recognizer.dataset.manifest import Photo
from recognizer.dataset.out_of_fold import import_pyarrow
from recognizer.engine import Recognizer
from recognizer.evaluation import plots
from recognizer.evaluation.evaluate import ANY_PRODUCT, Measured, highest, targets
from recognizer.evaluation.figures import COMPARED_RATE, Truth
from recognizer.evaluation.templates import render
from recognizer.imaging.thumbnail import draw_heatmap

MAX_ERRORS = 12  # errors of each label that are drawn, the most confident first
_TILE = 240  # pixels, of a photo and its heat-map


def write_report(
    output: Path,
    recognizer: Recognizer,
    measured: Sequence[Measured],
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Write the report of one bundle on one or more splits, the most important first."""
    parts = []
    for part in measured:
        truth, evaluation = Truth.of(part.photos), part.evaluation
        wanted = targets(recognizer.bundle, truth, part.predictions)
        parts.append(
            {
                "evaluation": evaluation,
                "curves": plots.curves(wanted, truth.negative),
                "confusion": plots.confusion(evaluation.confusion, recognizer.labels),
                "errors": base64.b64encode(_draw_errors(recognizer, part)).decode("ascii"),
            }
        )
        on_progress(len(parts), len(measured))
    page = render(
        "report.html.j2",
        style=Markup(render("report.css.j2")),  # noqa: S704 - ours
        bundle=recognizer.bundle,
        parts=parts,
        any_product=ANY_PRODUCT,
        compared_rate=f"{100 * COMPARED_RATE:g}",
    )
    with replacing(output) as partial:
        partial.write_text(page, encoding="utf-8", newline="\n")


def _draw_errors(recognizer: Recognizer, part: Measured) -> bytes:
    """Draw the photos whose own label has not the highest score, by label, with heat-maps of it.

    If the model does not know it, they are of the label with the highest score.
    """
    wrong: defaultdict[str, list[tuple[float, str, Photo]]] = defaultdict(list)
    for photo, said in zip(part.photos, part.predictions, strict=True):
        if (best := highest(said)) != photo.label:
            wrong[photo.label].append((said.scores[best], best, photo))
    drawn = []
    for label in sorted(wrong):
        for score, best, photo in sorted(wrong[label], key=lambda one: -one[0])[:MAX_ERRORS]:
            known = label if label in recognizer.labels else best
            explained = recognizer.explain(photo.path, known)
            pair = np.hstack([explained.rgb, draw_heatmap(explained.rgb, explained.heatmap)])
            drawn.append((f"{label}\n{best} {score:.2f}", pair))
    picture = io.BytesIO()
    if drawn:
        sheet = Image.fromarray(contact_sheet(drawn, _TILE))
        sheet.save(picture, "JPEG", quality=85)
    return picture.getvalue()


def write_predictions(parts: Iterable[Measured], labels: Sequence[str], path: Path) -> None:
    """Write a row for each photo; ``highest`` is the label with the highest score."""
    parquet, pyarrow = import_pyarrow()
    texts = ("path", "sha256", "split", "label", "source", "highest", "decision")
    rows = []
    for part in parts:
        for photo, said, verdict in zip(part.photos, part.predictions, part.verdicts, strict=True):
            split = part.evaluation.split
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
