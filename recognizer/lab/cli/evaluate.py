"""``recognizer evaluate`` measures a bundle on labelled photos."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from recognizer._files import parquet_library, require_own, require_page
from recognizer.cli import options
from recognizer.cli.options import output_option, print_json, require_extra, to_json
from recognizer.cli.progress import print_wide, say, show_progress
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.lab.evaluation.evaluate import Evaluation
    from recognizer.lab.evaluation.paired import PairedEvaluation

PrevalenceOption = Annotated[
    float, Option(help="The share of photos with a product at which precision is stated.")
]
ByOption = Annotated[
    list[str] | None,
    Option(
        metavar="KEY",
        help="Also a table by source, label, a column of the manifest, or a CSV file of source and "
        "slice; repeatable.",
    ),
]
RoundsOption = Annotated[int, Option(help="Bootstrap rounds.", min=1)]


def evaluate_command(
    data: options.DataOption,
    bundle: options.BundleArgument = None,
    split: Annotated[
        options.Split, Option(help="The photos to measure on; all, if training saw none of them.")
    ] = "test",
    output: Annotated[Path | None, output_option("Write an HTML report, and a .json file.")] = None,
    predictions: Annotated[
        Path | None, Option(metavar="FILE.parquet", help="Write a row of scores for each photo.")
    ] = None,
    prevalence: PrevalenceOption = 0.0003,
    against: Annotated[
        str | None, Option(help="Another bundle: print paired differences to it instead.")
    ] = None,
    by: ByOption = None,
    rounds: RoundsOption = 1000,
    *,
    as_stored: Annotated[
        bool, Option("--as-stored", help="Score files as stored, not at one size and quality.")
    ] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Measure a model on labelled photos that it never saw, by itself or against another one.

    Prints average precision and recall at fixed false-positive rates, with intervals by source. It
    runs the ONNX file. All photos are scored at one size and JPEG quality: these may tell where a
    photo is from. Negatives are all photos without a product. `recognizer runs` measures a training
    run by its folds.
    """
    require_extra("lab", "matplotlib", "sklearn")
    if against and (output or predictions or by):
        raise UsageError("give only one of --against, and --by, --output or --predictions")
    if not 0 < prevalence < 1:
        raise UsageError(f"--prevalence {prevalence}: give a share between 0 and 1")
    if output is not None:  # before minutes of work
        require_page(output)
        if output.suffix.lower() not in {".html", ".htm"}:
            raise UsageError(f"--output {output}: the name must end in .html; figures go to .json")
    if predictions is not None:
        parquet_library()
        if predictions.suffix.lower() != ".parquet":
            raise UsageError(f"--predictions {predictions}: the name must end in .parquet")
        require_own(predictions, "Parquet file", lambda file: file.read(4) == b"PAR1")
    figures: Any
    written: list[Path] = []
    with show_progress() as report:
        from recognizer.engine import Recognizer
        from recognizer.lab.dataset.manifest import load_data
        from recognizer.lab.evaluation.evaluate import evaluate, photos_of_split, score_photos
        from recognizer.lab.evaluation.html_report import write_predictions, write_report
        from recognizer.lab.evaluation.paired import compare

        report("reading the data")
        recognizer = Recognizer.load(bundle)
        photos = photos_of_split(load_data(data, recognizer.bundle.taxonomy), split)
        if against:
            other = Recognizer.load(against)
            scored = [
                score_photos(one, photos, partial(report, one.bundle.title), as_stored=as_stored)
                for one in (recognizer, other)
            ]
            report("comparing")
            bundles = recognizer.bundle, other.bundle
            figures = compare(*bundles, split, photos, *scored, rounds=rounds)
        else:
            how: Any = {"rounds": rounds, "prevalence": prevalence, "by": by or ()}
            measured = evaluate(recognizer, photos, split, report, as_stored=as_stored, **how)
            figures = measured.evaluation
            if output is not None:
                report("writing the report")
                write_report(output, recognizer, measured)
                beside = output.with_suffix(".json")
                beside.write_text(to_json({split: figures}), encoding="utf-8")
                written += [output, beside]
            if predictions is not None:
                report("writing the predictions")
                write_predictions(measured, predictions)
                written.append(predictions)
    print_figures(figures, as_json=as_json)
    if written:
        say(f"Wrote {', '.join(map(str, written))}")


def print_figures(figures: Evaluation | PairedEvaluation, *, as_json: bool = False) -> None:
    """Print the tables of an evaluation or a comparison, and what they are worth; or JSON."""
    from rich.markdown import Markdown

    from recognizer.lab.evaluation.evaluate import Evaluation
    from recognizer.lab.evaluation.templates import render

    is_one = isinstance(figures, Evaluation)
    if as_json:
        print_json({figures.split: figures} if is_one else figures)
    else:
        name = "evaluation" if is_one else "comparison"
        page = render(f"evaluation/{name}.md.j2", found=figures)
        print_wide(Markdown(page))
