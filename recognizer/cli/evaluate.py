"""``recognizer evaluate``: measure a bundle on labelled photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from recognizer._atomic import check_place, replacing, require_own, require_page
from recognizer.cli.options import (
    BundleArgument,
    JsonOption,
    OptionalDataOption,
    OutOfFoldOption,
    ThreadsOption,
    load_data,
    output_option,
    require_extra,
)
from recognizer.cli.progress import show_stage, wide_console
from recognizer.errors import DatasetError, TrainingError, UsageError

if TYPE_CHECKING:
    from recognizer.dataset.manifest import Photo
    from recognizer.engine import Recognizer
    from recognizer.evaluation.by_photo import Scored
    from recognizer.evaluation.evaluate import Evaluation
    from recognizer.evaluation.html_report import ReportPart
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
    errors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Draw photos on which another label has the highest score, with heat-maps.",
        ),
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            help="The share of photos with a product at which precision is stated.",
            show_default="0.0003",
        ),
    ] = None,
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
    threads: ThreadsOption = 1,
    *,
    group_by_source: Annotated[
        bool, typer.Option("--group-by-source", help="Bootstrap over sources, not photos.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print average precision, AUC and recall at fixed false-positive rates, with intervals.

    It runs the ONNX file of the bundle. Negatives are all photos without a product.
    """
    require_extra("evaluate")
    from recognizer.engine import Recognizer
    from recognizer.evaluation.prevalence import DEFAULT_PREVALENCE

    prevalence = DEFAULT_PREVALENCE if prevalence is None else prevalence
    if not 0 < prevalence < 1:
        raise UsageError(f"--prevalence {prevalence}: give a share between 0 and 1")
    files = [file for file in (output, predictions, errors) if file is not None]
    _check_modes(split, files, against, robustness)
    _check_places(output, predictions, errors)
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
        recognizer = Recognizer.load(bundle, threads=threads)
        photos = _corrected(recognizer, load_data(data, recognizer.bundle.taxonomy))
        if robustness:
            found = _alter(recognizer, photos, split or "test")
        elif against:
            other = Recognizer.load(against, threads=threads)
            found = _compare(recognizer, other, photos, split or "test", rounds, group_by_source)
        else:
            found, measured = _evaluate(
                recognizer, _choose(photos, split), prevalence, output, rounds, group_by_source
            )
            _write_by_photo(recognizer, [part.scored for part in measured], predictions, errors)
    if as_json:
        typer.echo(found.json)
    else:
        found.show()


_PICTURES = (".png", ".jpg", ".webp")


class _Found(NamedTuple):
    """What was measured, as JSON, and what prints its tables."""

    json: str
    show: Callable[[], object]


def _check_modes(
    split: str | None, files: Sequence[Path], against: str | None, robustness: bool
) -> None:
    if split not in {None, "test", "validation", "all"}:
        raise UsageError(f"--split {split}: give test, validation or all")
    if against and robustness:
        raise UsageError("give either --against or --robustness")
    if files and (against or robustness):
        raise UsageError(
            "--output, --predictions and --errors go with neither --against nor --robustness"
        )


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


def _corrected(recognizer: Recognizer, photos: list[Photo]) -> list[Photo]:
    """Correct labels as the bundle's recipe does, or print why that is impossible."""
    from recognizer.evaluation.held_out import corrected

    try:
        return corrected(recognizer.bundle, photos)
    except (DatasetError, TrainingError) as error:
        typer.echo(f"labels are not corrected: {error}", err=True)
        return photos


def _choose(photos: Sequence[Photo], split: str | None) -> list[tuple[str, str, list[Photo]]]:
    """Return for each split its name, what figures on it mean, and its photos."""
    from recognizer.evaluation import held_out

    names = [split] if split else ["test"]
    if not split and any(p.split == "validation" for p in photos):
        names.append("validation")
    return [
        (name, held_out.SPLIT_CAVEATS[name], held_out.photos_of_split(photos, name))
        for name in names
    ]


def _evaluate(
    recognizer: Recognizer,
    chosen: Sequence[tuple[str, str, list[Photo]]],
    prevalence: float,
    output: Path | None,
    rounds: int,
    group_by_source: bool,
) -> tuple[_Found, list[ReportPart]]:
    from recognizer.evaluation.by_photo import Scored
    from recognizer.evaluation.evaluate import default_verdicts, measure, to_json
    from recognizer.evaluation.html_report import ReportPart, write_report

    measured: list[ReportPart] = []
    for name, worth, photos in chosen:
        predictions = _score(recognizer, photos, f"scoring: {name}")
        verdicts = default_verdicts(recognizer.bundle, predictions)
        scored = Scored(name, photos, predictions, verdicts)
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
        measured.append(ReportPart(evaluation=evaluation, worth=worth, scored=scored))
    text = to_json({part.evaluation.split: part.evaluation for part in measured})
    if output is not None:
        with show_stage("report") as progress:
            write_report(output, recognizer, measured, progress)
        beside = output.with_suffix(".json")
        beside.write_text(text, encoding="utf-8")
        typer.echo(f"Wrote {output} and {beside}", err=True)

    def show() -> None:
        for part in measured:
            print_evaluation(part.evaluation, part.worth)

    return _Found(text, show), measured


def _write_by_photo(
    recognizer: Recognizer, scored: Sequence[Scored], predictions: Path | None, errors: Path | None
) -> None:
    from PIL import Image

    from recognizer.evaluation.by_photo import draw_errors, write_predictions

    if predictions is not None:
        write_predictions(scored, recognizer.labels, predictions)
        typer.echo(f"Wrote {predictions}", err=True)
    if errors is not None:
        drawn = draw_errors(recognizer, scored[0])
        if drawn is None:
            typer.echo("There are no errors to draw", err=True)
            return
        with replacing(errors) as partial:
            Image.fromarray(drawn).save(partial, errors.suffix[1:].lower().replace("jpg", "jpeg"))
        typer.echo(f"Wrote {errors}", err=True)


def _evaluate_folds(file: Path, rounds: int, group_by_source: bool) -> _Found:
    from recognizer.dataset.out_of_fold import read_out_of_fold
    from recognizer.evaluation.evaluate import to_json
    from recognizer.evaluation.out_of_fold import SPLIT_CAVEATS, measure_out_of_fold

    found = measure_out_of_fold(
        read_out_of_fold(file), file.name, rounds=rounds, group_by_source=group_by_source
    )

    def show() -> None:
        print_evaluation(found.whole, SPLIT_CAVEATS)
        _print_rendered("folds.md.j2", found=found)

    return _Found(to_json(found), show)


def _compare(
    recognizer: Recognizer,
    other: Recognizer,
    photos: Sequence[Photo],
    split: str,
    rounds: int,
    group_by_source: bool,
) -> _Found:
    from recognizer.evaluation.evaluate import to_json
    from recognizer.evaluation.held_out import photos_of_split
    from recognizer.evaluation.paired import compare

    used = photos_of_split(photos, split)
    comparison = compare(
        recognizer.bundle,
        other.bundle,
        split,
        used,
        _score(recognizer, used, recognizer.bundle.title),
        _score(other, used, other.bundle.title),
        rounds=rounds,
        group_by_source=group_by_source,
    )
    return _Found(
        to_json(comparison), lambda: _print_rendered("comparison.md.j2", found=comparison)
    )


def _alter(recognizer: Recognizer, photos: Sequence[Photo], split: str) -> _Found:
    from recognizer.evaluation.evaluate import ANY_PRODUCT, to_json
    from recognizer.evaluation.held_out import photos_of_split
    from recognizer.evaluation.robustness import measure_robustness

    used = photos_of_split(photos, split)
    if not any(p.is_product for p in used):
        raise DatasetError(f"no photo of a product in the {split} split")
    with show_stage("altering photos") as progress:
        measured = measure_robustness(recognizer, used, split, on_progress=progress)
    return _Found(
        to_json(measured),
        lambda: _print_rendered("robustness.md.j2", found=measured, name=ANY_PRODUCT),
    )


def _score(recognizer: Recognizer, photos: Sequence[Photo], words: str) -> list[Prediction]:
    from recognizer.evaluation.evaluate import score_photos

    with show_stage(words) as progress:
        return score_photos(recognizer, photos, progress)


def print_evaluation(evaluation: Evaluation, worth: str) -> None:
    """Print the tables of an evaluation, and what its figures are worth."""
    from recognizer.evaluation.figures import MIN_FOR_CALIBRATION
    from recognizer.model.description import percent

    _print_rendered(
        "evaluation.md.j2",
        e=evaluation,
        worth=worth,
        min_for_calibration=MIN_FOR_CALIBRATION,
        percent=percent,
    )


def _print_rendered(template: str, **values: Any) -> None:
    from rich.markdown import Markdown

    from recognizer.evaluation.templates import render

    wide_console().print(Markdown(render(template, **values)))
