"""``recognizer evaluate`` measures a bundle on labelled photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from recognizer._files import require_own, require_page
from recognizer.cli import options
from recognizer.cli.options import output_option, print_json, require_extra, to_json
from recognizer.cli.progress import print_wide, show_progress
from recognizer.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from recognizer.engine import Recognizer
    from recognizer.lab.dataset.manifest import Photo
    from recognizer.lab.evaluation.evaluate import Evaluation, Measured
    from recognizer.model.bundle import Bundle
    from recognizer.prediction import Prediction


def evaluate_command(
    bundle: options.BundleArgument = None,
    data: options.OptionalDataOption = None,
    split: Annotated[
        options.Split | None,
        Option(
            help="The photos to measure on; all, if training saw none of them.", show_default="test"
        ),
    ] = None,
    output: Annotated[Path | None, output_option("Write an HTML report, and a .json file.")] = None,
    predictions: Annotated[
        Path | None, Option(metavar="FILE.parquet", help="Write a row of scores for each photo.")
    ] = None,
    prevalence: Annotated[
        float, Option(help="The share of photos with a product at which precision is stated.")
    ] = 0.0003,
    against: Annotated[
        str | None, Option(help="Another bundle: print paired differences to it instead.")
    ] = None,
    by: Annotated[
        list[str] | None,
        Option(
            metavar="KEY",
            help="A table by source, label, kind, a column of the manifest, or a CSV file of "
            "source and slice; repeatable.",
        ),
    ] = None,
    out_of_fold: Annotated[
        Path | None, Option(metavar="FILE", help="Measure the out-of-fold file of `train` instead.")
    ] = None,
    rounds: Annotated[int, Option(help="Bootstrap rounds.", min=1)] = 1000,
    *,
    as_stored: Annotated[
        bool, Option("--as-stored", help="Score files as stored, not at one size and quality.")
    ] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Print average precision and recall at fixed false-positive rates, with intervals by source.

    It runs the ONNX file of the bundle, on all photos at one size and JPEG quality, which else may
    tell where a photo is from. Negatives are all photos without a product.
    """
    from rich.markdown import Markdown

    from recognizer.engine import Recognizer
    from recognizer.lab.evaluation.templates import render

    require_extra("lab", "matplotlib", "sklearn")
    from recognizer.lab.evaluation.evaluate import evaluate, photos_of_split
    from recognizer.lab.evaluation.out_of_fold import measure_out_of_fold, read_out_of_fold
    from recognizer.lab.evaluation.paired import compare

    files = output or predictions
    if against and (files or by):
        raise UsageError("give only one of --against, and --by, --output or --predictions")
    _check(prevalence, output, predictions)
    name = split or "test"
    how: dict[str, Any] = {"rounds": rounds}
    figures: Any
    with show_progress() as report:
        if out_of_fold is not None:
            if data or bundle or files or split or against:
                raise UsageError(
                    "--out-of-fold measures what its file has: leave out the bundle, and all "
                    "options but --by, --json, --prevalence and --rounds"
                )
            how |= {"prevalence": prevalence, "by": by or ()}
            report("measuring")
            found = measure_out_of_fold(read_out_of_fold(out_of_fold), out_of_fold.name, **how)
            figures, page = {found.split: found}, render("evaluation.md.j2", e=found)
        elif data is None:
            raise UsageError("give --data, the labelled photos, or --out-of-fold")
        else:
            report("reading the data")
            recognizer = Recognizer.load(bundle)
            photos = photos_of_split(load_corrected(data, recognizer.bundle), name)
            if against:
                other = Recognizer.load(against)
                both = (recognizer, other)
                scored = [_score(one, photos, report, as_stored=as_stored) for one in both]
                report("comparing")
                figures = compare(recognizer.bundle, other.bundle, name, photos, *scored, **how)
                page = render("comparison.md.j2", found=figures)
            else:
                how |= {"prevalence": prevalence, "as_stored": as_stored, "by": by or ()}
                measured = evaluate(recognizer, photos, name, report, **how)
                figures = {name: measured.evaluation}
                page = render("evaluation.md.j2", e=measured.evaluation)
                _write_files(recognizer, measured, output, predictions, report)
    if as_json:
        print_json(figures)
    else:
        print_wide(Markdown(page))


def _write_files(
    recognizer: Recognizer,
    measured: Measured,
    output: Path | None,
    predictions: Path | None,
    report: Callable[..., None],
) -> None:
    from recognizer.lab.evaluation.html_report import write_predictions, write_report

    if output is not None:
        report("writing the report")
        write_report(output, recognizer, measured)
        beside = output.with_suffix(".json")
        figures = {measured.evaluation.split: measured.evaluation}
        beside.write_text(to_json(figures), encoding="utf-8")
        typer.echo(f"Wrote {output} and {beside}", err=True)
    if predictions is not None:
        report("writing the predictions")
        write_predictions(measured, recognizer.bundle, predictions)
        typer.echo(f"Wrote {predictions}", err=True)


def load_corrected(data: Iterable[Path], bundle: Bundle) -> list[Photo]:
    """Return labelled photos, with the corrections of labels that a bundle was made with."""
    from recognizer.lab.dataset.manifest import CORRECTIONS, corrected, load_data, read_rows

    photos = found = load_data(data, bundle.taxonomy)
    own = bundle.path / CORRECTIONS
    tables = bundle.training.recipe.get("corrections", []) if bundle.training else []
    digests: set[str] = set()
    try:
        for table in [own] if own.is_file() else tables:
            found = corrected(found, table)
            digests |= {row["sha256"] for _, row in read_rows(table, ["sha256"])}
    except DatasetError as error:
        typer.echo(
            f"Warning: the labels that {bundle.title} was made with are corrected, these are not "
            f"({error}): figures differ from those of its card.",
            err=True,
        )
        return photos
    if digests:
        applied = len(digests & {photo.sha256 for photo in photos})
        typer.echo(
            f"Of {len(digests):,} labels that were corrected for {bundle.title}, {applied:,} are "
            "of these photos, by their sha256: a resized or recompressed copy keeps its label.",
            err=True,
        )
    return found


def _check(prevalence: float, output: Path | None, predictions: Path | None) -> None:
    """Check before minutes of work that files can be written."""
    if not 0 < prevalence < 1:
        raise UsageError(f"--prevalence {prevalence}: give a share between 0 and 1")
    if output is not None:
        require_page(output)
        if output.suffix.lower() not in {".html", ".htm"}:
            raise UsageError(f"--output {output}: the name must end in .html; figures go to .json")
    if predictions is not None:
        from recognizer.lab.evaluation.out_of_fold import import_pyarrow

        import_pyarrow()
        if predictions.suffix.lower() != ".parquet":
            raise UsageError(f"--predictions {predictions}: the name must end in .parquet")
        require_own(predictions, "Parquet file", lambda file: file.read(4) == b"PAR1")


def _score(
    recognizer: Recognizer, photos: Sequence[Photo], report: Callable[..., None], *, as_stored: bool
) -> list[Prediction]:
    from recognizer.lab.evaluation.evaluate import score_photos

    progress = partial(report, recognizer.bundle.title)
    return score_photos(recognizer, photos, progress, as_stored=as_stored)


def print_evaluation(*evaluations: Evaluation) -> None:
    """Print the tables of evaluations, and what their figures are worth."""
    from rich.markdown import Markdown

    from recognizer.lab.evaluation.templates import render

    for evaluation in evaluations:
        print_wide(Markdown(render("evaluation.md.j2", e=evaluation)))
