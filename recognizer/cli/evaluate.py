"""``recognizer evaluate``: measure a bundle on labelled photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from recognizer._atomic import require_own, require_page
from recognizer.cli.options import (
    BundleArgument,
    JsonOption,
    OptionalDataOption,
    OutOfFoldOption,
    load_corrected,
    output_option,
    require_extra,
)
from recognizer.cli.progress import print_wide, show_stage
from recognizer.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from recognizer.dataset.manifest import Photo
    from recognizer.engine import Recognizer
    from recognizer.evaluation.evaluate import Evaluation
    from recognizer.evaluation.html_report import Measured
    from recognizer.prediction import Prediction


def command(
    bundle: BundleArgument = None,
    data: OptionalDataOption = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="The photos to measure on: test, validation, or all, if training saw none of "
            "them.",
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
    from recognizer.engine import Recognizer
    from recognizer.evaluation.evaluate import photos_of_split, to_json

    if not 0 < prevalence < 1:
        raise UsageError(f"--prevalence {prevalence}: give a share between 0 and 1")
    files = output or predictions
    if bool(files) + bool(against) + robustness > 1:
        raise UsageError("give only one of --against, --robustness, and --output or --predictions")
    _check(split, output, predictions)
    if out_of_fold is not None:
        if data or bundle or files or split or against or robustness:
            raise UsageError(
                "--out-of-fold goes with --json, --rounds and --group-by-source alone: the file "
                "has all that is measured"
            )
        found = _evaluate_folds(out_of_fold, rounds, group_by_source)
    elif data is None:
        raise UsageError("give --data, the labelled photos, or --out-of-fold")
    else:
        recognizer = Recognizer.load(bundle)
        photos = load_corrected(data, recognizer.bundle)
        name = split or "test"
        used = photos_of_split(photos, name)
        if robustness:
            found = _alter(recognizer, used, name)
        elif against:
            other = Recognizer.load(against)
            found = _compare(recognizer, other, used, name, rounds, group_by_source)
        else:
            chosen = {name: used}
            if not split and any(p.split == "validation" for p in photos):
                chosen["validation"] = photos_of_split(photos, "validation")
            found, measured = _evaluate(recognizer, chosen, prevalence, rounds, group_by_source)
            _write(recognizer, measured, output, predictions, to_json(found.figures))
    if as_json:
        typer.echo(to_json(found.figures))
    else:
        _print_pages(found.pages)


class _Found(NamedTuple):
    """What was measured, and Markdown that shows it."""

    figures: object
    pages: list[str]


def _check(split: str | None, output: Path | None, predictions: Path | None) -> None:
    """Check before minutes of work that there is such a split and that files can be written."""
    from recognizer.evaluation.evaluate import SPLIT_CAVEATS

    if split not in {None, *SPLIT_CAVEATS}:
        raise UsageError(f"--split {split}: give test, validation or all")
    if output is not None:
        require_page(output)
        if output.suffix == ".json":
            raise UsageError(f"--output {output}: the name must end in .html; figures go to .json")
    if predictions is not None:
        from recognizer.dataset.out_of_fold import import_pyarrow

        import_pyarrow()
        require_own(predictions, "Parquet file", lambda file: file.read(4) == b"PAR1")


def _evaluate(
    recognizer: Recognizer,
    photos_of: dict[str, list[Photo]],
    prevalence: float,
    rounds: int,
    group_by_source: bool,
) -> tuple[_Found, list[Measured]]:
    from recognizer.evaluation.evaluate import SPLIT_CAVEATS, default_verdicts, measure
    from recognizer.evaluation.html_report import Measured

    measured = []
    for name, photos in photos_of.items():
        predictions = _score(recognizer, photos, f"scoring: {name}")
        verdicts = default_verdicts(recognizer.bundle, predictions)
        evaluation = measure(
            recognizer.bundle,
            photos,
            predictions,
            name,
            rounds,
            prevalence=prevalence,
            group_by_source=group_by_source,
            verdicts=verdicts,
        )
        part = Measured(evaluation, SPLIT_CAVEATS[name], photos, predictions, verdicts)
        measured.append(part)
    figures = {part.evaluation.split: part.evaluation for part in measured}
    return _Found(figures, [_page_of(part.evaluation, part.worth) for part in measured]), measured


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


def _evaluate_folds(file: Path, rounds: int, group_by_source: bool) -> _Found:
    from recognizer.dataset.out_of_fold import read_out_of_fold
    from recognizer.evaluation.out_of_fold import CAVEAT, measure_out_of_fold

    found = measure_out_of_fold(
        read_out_of_fold(file), file.name, rounds=rounds, group_by_source=group_by_source
    )
    return _Found({found.split: found}, [_page_of(found, CAVEAT)])


def _compare(
    recognizer: Recognizer,
    other: Recognizer,
    photos: Sequence[Photo],
    split: str,
    rounds: int,
    group_by_source: bool,
) -> _Found:
    from recognizer.evaluation.paired import compare
    from recognizer.evaluation.templates import render

    found = compare(
        recognizer.bundle,
        other.bundle,
        split,
        photos,
        _score(recognizer, photos, recognizer.bundle.title),
        _score(other, photos, other.bundle.title),
        rounds=rounds,
        group_by_source=group_by_source,
    )
    return _Found(found, [render("comparison.md.j2", found=found)])


def _alter(recognizer: Recognizer, photos: Sequence[Photo], split: str) -> _Found:
    from recognizer.evaluation.evaluate import ANY_PRODUCT
    from recognizer.evaluation.robustness import measure_robustness
    from recognizer.evaluation.templates import render

    if not any(p.is_product for p in photos):
        raise DatasetError(f"no photo of a product in the {split} split")
    with show_stage("altering photos") as progress:
        found = measure_robustness(recognizer, photos, split, on_progress=progress)
    return _Found(found, [render("robustness.md.j2", found=found, name=ANY_PRODUCT)])


def _score(recognizer: Recognizer, photos: Sequence[Photo], words: str) -> list[Prediction]:
    from recognizer.evaluation.evaluate import score_photos

    with show_stage(words) as progress:
        return score_photos(recognizer, photos, progress)


def print_evaluation(evaluation: Evaluation, worth: str) -> None:
    """Print the tables of an evaluation, and what its figures are worth."""
    _print_pages([_page_of(evaluation, worth)])


def _page_of(evaluation: Evaluation, worth: str) -> str:
    from recognizer.evaluation.figures import MIN_FOR_CALIBRATION
    from recognizer.evaluation.templates import render
    from recognizer.model.description import percent

    values: dict[str, Any] = {"min_for_calibration": MIN_FOR_CALIBRATION, "percent": percent}
    return render("evaluation.md.j2", e=evaluation, worth=worth, **values)


def _print_pages(pages: Sequence[str]) -> None:
    from rich.markdown import Markdown

    for page in pages:
        print_wide(Markdown(page))
