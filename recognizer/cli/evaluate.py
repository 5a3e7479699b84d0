"""``recognizer evaluate``: measure a bundle on labelled photos."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markdown import Markdown

from recognizer._atomic import require_own, require_page
from recognizer.cli.options import (
    BundleArgument,
    JsonOption,
    OptionalDataOption,
    OutOfFoldOption,
    Split,
    output_option,
    require_extra,
)
from recognizer.cli.progress import print_wide, show_stage
from recognizer.dataset.manifest import Photo, corrected, load_data
from recognizer.dataset.out_of_fold import import_pyarrow, read_out_of_fold
from recognizer.engine import Recognizer
from recognizer.errors import DatasetError, UsageError
from recognizer.evaluation.templates import render
from recognizer.model.bundle import Bundle
from recognizer.model.description import percent
from recognizer.prediction import Prediction

if TYPE_CHECKING:
    from recognizer.evaluation.evaluate import Evaluation
    from recognizer.evaluation.html_report import Measured


def command(
    bundle: BundleArgument = None,
    data: OptionalDataOption = None,
    split: Annotated[
        Split | None,
        typer.Option(
            help="The photos to measure on; all, if training saw none of them.",
            show_default="test, and validation if the data have it",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        output_option("Write an HTML report with a gallery, and a .json file beside it."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="FILE.parquet", help="Write a row for each photo, with all scores."),
    ] = None,
    prevalence: Annotated[
        float, typer.Option(help="The share of photos with a product at which precision is stated.")
    ] = 0.0003,
    against: Annotated[
        str | None, typer.Option(help="Another bundle: print paired differences to it.")
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness", help="Measure on photos altered as phones and platforms alter them."
        ),
    ] = False,
    out_of_fold: OutOfFoldOption = None,
    rounds: Annotated[int, typer.Option(help="Bootstrap rounds.", min=1)] = 1000,
    *,
    group_by_source: Annotated[
        bool, typer.Option("--group-by-source", help="Bootstrap over sources, not photos.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print average precision and recall at fixed false-positive rates, with intervals.

    It runs the ONNX file of the bundle. Negatives are all photos without a product.
    """
    require_extra("evaluate")
    from recognizer.evaluation.evaluate import ANY_PRODUCT, photos_of_split, to_json
    from recognizer.evaluation.out_of_fold import measure_out_of_fold
    from recognizer.evaluation.paired import compare
    from recognizer.evaluation.robustness import measure_robustness

    files = output or predictions
    if bool(files) + bool(against) + robustness > 1:
        raise UsageError("give only one of --against, --robustness, and --output or --predictions")
    _check(prevalence, output, predictions)
    name = split or "test"
    how: dict[str, Any] = {"rounds": rounds, "group_by_source": group_by_source}
    figures: object
    if out_of_fold is not None:
        if data or bundle or files or split or against or robustness:
            raise UsageError(
                "--out-of-fold goes with --json, --rounds and --group-by-source alone: the file "
                "has all that is measured"
            )
        found = measure_out_of_fold(read_out_of_fold(out_of_fold), out_of_fold.name, **how)
        figures, pages = {found.split: found}, [_page_of(found)]
    elif data is None:
        raise UsageError("give --data, the labelled photos, or --out-of-fold")
    else:
        recognizer = Recognizer.load(bundle)
        photos = load_corrected(data, recognizer.bundle)
        used = photos_of_split(photos, name)
        if robustness:
            if not any(p.is_product for p in used):
                raise DatasetError(f"no photo of a product in the {name} split")
            with show_stage("altering photos") as progress:
                figures = measure_robustness(recognizer, used, name, on_progress=progress)
            pages = [render("robustness.md.j2", found=figures, name=ANY_PRODUCT)]
        elif against:
            other = Recognizer.load(against)
            scored = [_score(one, used, one.bundle.title) for one in (recognizer, other)]
            figures = compare(recognizer.bundle, other.bundle, name, used, *scored, **how)
            pages = [render("comparison.md.j2", found=figures)]
        else:
            chosen = {name: used}
            if not split and any(p.split == "validation" for p in photos):
                chosen["validation"] = photos_of_split(photos, "validation")
            measured = [_measure(recognizer, prevalence, how, *part) for part in chosen.items()]
            figures = {part.evaluation.split: part.evaluation for part in measured}
            pages = [_page_of(part.evaluation) for part in measured]
            _write(recognizer, measured, output, predictions, to_json(figures))
    if as_json:
        typer.echo(to_json(figures))
    else:
        _print_pages(pages)


def load_corrected(data: Iterable[Path], bundle: Bundle) -> list[Photo]:
    """Return labelled photos, with the corrections of labels that a bundle was made with."""
    photos = found = load_data(data, bundle.taxonomy)
    try:
        for table in bundle.training.recipe.get("corrections", []) if bundle.training else []:
            found = corrected(found, table)
    except DatasetError as error:
        from recognizer.evaluation.evaluate import count_learned

        if count_learned(bundle, photos):  # others have no corrections
            typer.echo(f"Labels are used without the bundle's corrections ({error}).", err=True)
        return photos
    return found


def _check(prevalence: float, output: Path | None, predictions: Path | None) -> None:
    """Check before minutes of work that files can be written."""
    if not 0 < prevalence < 1:
        raise UsageError(f"--prevalence {prevalence}: give a share between 0 and 1")
    if output is not None:
        require_page(output)
        if output.suffix == ".json":
            raise UsageError(f"--output {output}: the name must end in .html; figures go to .json")
    if predictions is not None:
        import_pyarrow()
        require_own(predictions, "Parquet file", lambda file: file.read(4) == b"PAR1")


def _measure(
    recognizer: Recognizer, prevalence: float, how: dict[str, Any], split: str, photos: list[Photo]
) -> Measured:
    from recognizer.evaluation.evaluate import default_verdicts, measure
    from recognizer.evaluation.html_report import Measured

    found = _score(recognizer, photos, f"scoring: {split}")
    verdicts = default_verdicts(recognizer.bundle, found)
    evaluation = measure(
        *(recognizer.bundle, photos, found, split),
        prevalence=prevalence,
        verdicts=verdicts,
        **how,
    )
    return Measured(evaluation, photos, found, verdicts)


def _write(
    recognizer: Recognizer,
    measured: Sequence[Measured],
    output: Path | None,
    predictions: Path | None,
    figures: str,
) -> None:
    from recognizer.evaluation.html_report import write_predictions, write_report

    if output is not None:
        with show_stage("report") as progress:
            write_report(output, recognizer, measured, progress)
        beside = output.with_suffix(".json")
        beside.write_text(figures, encoding="utf-8")
        typer.echo(f"Wrote {output} and {beside}", err=True)
    if predictions is not None:
        write_predictions(measured, recognizer.labels, predictions)
        typer.echo(f"Wrote {predictions}", err=True)


def _score(recognizer: Recognizer, photos: Sequence[Photo], words: str) -> list[Prediction]:
    from recognizer.evaluation.evaluate import score_photos

    with show_stage(words) as progress:
        return score_photos(recognizer, photos, progress)


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the tables of an evaluation, and what its figures are worth."""
    _print_pages([_page_of(evaluation)])


def _page_of(evaluation: Evaluation) -> str:
    return render("evaluation.md.j2", e=evaluation, percent=percent)


def _print_pages(pages: Sequence[str]) -> None:
    for page in pages:
        print_wide(Markdown(page))
