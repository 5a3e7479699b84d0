"""``recognizer evaluate``: measure a bundle on labelled photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recognizer._atomic import check_place, replacing, require_own, require_page
from recognizer.cli import options
from recognizer.cli.progress import print_wide, show_stage
from recognizer.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from recognizer.dataset.manifest import Photo
    from recognizer.engine import Recognizer
    from recognizer.evaluation.evaluate import Evaluation
    from recognizer.prediction import Prediction

_PICTURES = (".png", ".jpg", ".webp")


def command(
    bundle: options.BundleArgument = None,
    data: options.OptionalDataOption = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="The photos: test, validation, or all, if training saw none of them.",
            show_default="test, and validation if the data have it",
        ),
    ] = None,
    output: Annotated[
        Path | None, options.output_option("Write an HTML report, and a .json file beside it.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="FILE.parquet", help="Write a row for each photo, with all scores."),
    ] = None,
    errors: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the photos that get another label."),
    ] = None,
    prevalence: Annotated[
        float, typer.Option(help="The share of photos with a product at which precision is stated.")
    ] = 0.0003,
    against: Annotated[
        str | None, typer.Option(help="Another bundle: print paired differences to it.")
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option("--robustness", help="Measure on photos altered as phones and platforms do."),
    ] = False,
    out_of_fold: options.OutOfFoldOption = None,
    rounds: Annotated[int, typer.Option(help="Bootstrap rounds.", min=1)] = 1000,
    *,
    group_by_source: Annotated[
        bool, typer.Option("--group-by-source", help="Bootstrap over sources, not photos.")
    ] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Print average precision, AUC and recall at fixed false-positive rates, with intervals.

    It runs the ONNX file of the bundle. Negatives are all photos without a product.
    """
    options.require_extra("evaluate")
    from recognizer.engine import Recognizer
    from recognizer.evaluation.evaluate import ANY_PRODUCT
    from recognizer.evaluation.held_out import photos_of_split
    from recognizer.evaluation.robustness import measure_robustness

    if not 0 < prevalence < 1:
        raise UsageError(f"--prevalence {prevalence}: give a share between 0 and 1")
    files = [file for file in (output, predictions, errors) if file is not None]
    if split not in {None, "test", "validation", "all"}:
        raise UsageError(f"--split {split}: give test, validation or all")
    if bool(files) + bool(against) + robustness > 1:
        raise UsageError(
            "--against, --robustness, and the files (--output, --predictions, --errors) exclude "
            "each other"
        )
    _check_places(output, predictions, errors)
    if out_of_fold is not None:
        if data or bundle or files or split or against or robustness:
            raise UsageError(
                "--out-of-fold goes with --json, --rounds and --group-by-source alone: the file "
                "has all that is measured"
            )
        _evaluate_folds(out_of_fold, rounds, group_by_source, as_json)
        return
    if data is None:
        raise UsageError("give --data, the labelled photos, or --out-of-fold")
    recognizer = Recognizer.load(bundle)
    photos = options.load_corrected(data, recognizer.bundle)
    if robustness:
        used = photos_of_split(photos, split or "test")
        if not any(photo.is_product for photo in used):
            raise DatasetError(f"no photo of a product in the {split or 'test'} split")
        with show_stage("altering photos") as progress:
            found = measure_robustness(recognizer, used, split or "test", on_progress=progress)
        _print(found, "robustness.md.j2", as_json, name=ANY_PRODUCT)
    elif against:
        other = Recognizer.load(against)
        _compare(recognizer, other, photos, split or "test", rounds, group_by_source, as_json)
    else:
        splits = [split] if split else ["test"]
        if not split and any(photo.split == "validation" for photo in photos):
            splits.append("validation")
        measuring = {"rounds": rounds, "prevalence": prevalence, "group_by_source": group_by_source}
        _evaluate(recognizer, photos, splits, measuring, as_json, output, predictions, errors)


def _check_places(output: Path | None, predictions: Path | None, errors: Path | None) -> None:
    """Check before minutes of work that the files can be written."""
    if output is not None:
        require_page(output)
        if output.suffix == ".json":
            raise UsageError(f"--output {output}: the name must end in .html; figures go to .json")
    if predictions is not None:
        from recognizer.dataset.out_of_fold import import_pyarrow

        import_pyarrow()
        require_own(predictions, "Parquet file", lambda file: file.read(4) == b"PAR1")
    if errors is not None:
        if errors.suffix.lower() not in _PICTURES:
            raise UsageError(f"--errors {errors}: the name must end in {', '.join(_PICTURES)}")
        check_place(errors)


def _evaluate(
    recognizer: Recognizer,
    photos: Sequence[Photo],
    splits: Sequence[str],
    measuring: dict[str, Any],
    as_json: bool,
    output: Path | None,
    predictions: Path | None,
    errors: Path | None,
) -> None:
    from PIL import Image

    from recognizer.evaluation.by_photo import Scored, draw_errors, write_predictions
    from recognizer.evaluation.evaluate import default_verdicts, measure, to_json
    from recognizer.evaluation.held_out import SPLIT_CAVEATS, photos_of_split
    from recognizer.evaluation.html_report import ReportPart, write_report

    measured = []
    for split, chosen in [(split, photos_of_split(photos, split)) for split in splits]:
        scores = _score(recognizer, chosen, f"scoring: {split}")
        verdicts = default_verdicts(recognizer.bundle, scores)
        found = measure(recognizer.bundle, chosen, scores, split, verdicts=verdicts, **measuring)
        scored = Scored(split, chosen, scores, verdicts)
        measured.append(ReportPart(evaluation=found, worth=SPLIT_CAVEATS[split], scored=scored))
    text = to_json({part.evaluation.split: part.evaluation for part in measured})
    if output is not None:
        with show_stage("report") as progress:
            write_report(output, recognizer, measured, progress)
        beside = output.with_suffix(".json")
        beside.write_text(text, encoding="utf-8")
        typer.echo(f"Wrote {output} and {beside}", err=True)
    if predictions is not None:
        write_predictions((part.scored for part in measured), recognizer.labels, predictions)
        typer.echo(f"Wrote {predictions}", err=True)
    if errors is not None:
        drawn = draw_errors(recognizer, measured[0].scored)
        if drawn is None:
            typer.echo("No errors to draw", err=True)
        else:
            format_ = errors.suffix[1:].lower().replace("jpg", "jpeg")
            with replacing(errors) as partial:
                Image.fromarray(drawn).save(partial, format_)
            typer.echo(f"Wrote {errors}", err=True)
    if as_json:
        typer.echo(text)
        return
    for part in measured:
        print_evaluation(part.evaluation, part.worth)


def _evaluate_folds(file: Path, rounds: int, group_by_source: bool, as_json: bool) -> None:
    from recognizer.dataset.out_of_fold import read_out_of_fold
    from recognizer.evaluation.out_of_fold import SPLIT_CAVEATS, measure_out_of_fold

    found = measure_out_of_fold(
        read_out_of_fold(file), file.name, rounds=rounds, group_by_source=group_by_source
    )
    if not as_json:
        print_evaluation(found.whole, SPLIT_CAVEATS)
    _print(found, "folds.md.j2", as_json)


def _compare(
    recognizer: Recognizer,
    other: Recognizer,
    photos: Sequence[Photo],
    split: str,
    rounds: int,
    group_by_source: bool,
    as_json: bool,
) -> None:
    from recognizer.evaluation.held_out import photos_of_split
    from recognizer.evaluation.paired import compare

    used = photos_of_split(photos, split)
    found = compare(
        recognizer.bundle,
        other.bundle,
        split,
        used,
        _score(recognizer, used, recognizer.bundle.title),
        _score(other, used, other.bundle.title),
        rounds=rounds,
        group_by_source=group_by_source,
    )
    _print(found, "comparison.md.j2", as_json)


def _score(recognizer: Recognizer, photos: Sequence[Photo], words: str) -> list[Prediction]:
    from recognizer.evaluation.evaluate import score_photos

    with show_stage(words) as progress:
        return score_photos(recognizer, photos, progress)


def print_evaluation(evaluation: Evaluation, worth: str) -> None:
    """Print the tables of an evaluation, and what its figures are worth."""
    from recognizer.evaluation.figures import MIN_FOR_CALIBRATION
    from recognizer.model.description import percent

    _render(
        "evaluation.md.j2",
        e=evaluation,
        worth=worth,
        min_for_calibration=MIN_FOR_CALIBRATION,
        percent=percent,
    )


def _print(found: object, template: str, as_json: bool, **values: Any) -> None:
    from recognizer.evaluation.evaluate import to_json

    if as_json:
        typer.echo(to_json(found))
    else:
        _render(template, found=found, **values)


def _render(template: str, **values: Any) -> None:
    from rich.markdown import Markdown

    from recognizer.evaluation.templates import render

    print_wide(Markdown(render(template, **values)))
