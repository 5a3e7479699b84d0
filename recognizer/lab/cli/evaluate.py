"""``recognizer evaluate`` measures a bundle on labelled photos."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from recognizer._files import require_own, require_page
from recognizer.cli import options
from recognizer.cli.options import output_option, print_json, require_extra
from recognizer.cli.progress import print_wide, say, show_progress
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.lab.evaluation.evaluate import Evaluation
    from recognizer.lab.evaluation.paired import PairedEvaluation

PrevalenceOption = Annotated[
    float,
    Option(help="The share of photos with a product at which precision is stated.", min=0, max=1),
]
ByOption = Annotated[
    list[str] | None,
    Option(
        metavar="KEY",
        help="Also a table by source, label, a column of the manifest, or a CSV file of source and "
        "slice; repeatable.",
    ),
]
LooksOption = Annotated[
    Path | None,
    Option(
        metavar="FILE.csv",
        help="Where looks at the test split are counted.",
        show_default="looks.csv in the first folder of data",
    ),
]
RoundsOption = Annotated[int, Option(help="Bootstrap rounds.", min=1)]


def evaluate_command(
    data: options.DataOption,
    bundle: options.BundleArgument = None,
    split: Annotated[
        options.Split, Option(help="The photos to measure on; all, if training saw none of them.")
    ] = "test",
    output: Annotated[Path | None, output_option("Write an HTML report, with the errors.")] = None,
    predictions: Annotated[
        Path | None, Option(metavar="FILE.parquet", help="Write a row of scores for each photo.")
    ] = None,
    prevalence: PrevalenceOption = 0.0003,
    against: Annotated[
        str | None, Option(help="Another bundle: print paired differences to it instead.")
    ] = None,
    by: ByOption = None,
    rounds: RoundsOption = 1000,
    looks: LooksOption = None,
    purpose: Annotated[str, Option(help="Why you look at the test split, for --looks.")] = "",
    *,
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
    if output is not None:  # before minutes of work
        require_page(output)
    if predictions is not None:
        require_own(predictions, "Parquet file", lambda file: file.read(4) == b"PAR1")
    figures: Any
    with show_progress() as report:
        from recognizer.engine import Recognizer
        from recognizer.lab.dataset.manifest import load_data
        from recognizer.lab.evaluation import evaluate as evaluation
        from recognizer.lab.evaluation import html_report
        from recognizer.lab.evaluation.looks import LOOKS_FILE, record_look
        from recognizer.lab.evaluation.paired import compare

        report("reading the data")
        recognizers = [Recognizer.load(name) for name in (bundle, *([against] if against else []))]
        bundles = [recognizer.bundle for recognizer in recognizers]
        every = load_data(data, bundles[0].taxonomy)
        photos = evaluation.photos_of_split(every, split)
        if split == "test":
            names = " and ".join(one.title for one in bundles)
            count = record_look(looks or data[0] / LOOKS_FILE, photos, names, purpose)
            say(f"Look {count} at this test split: it does not measure what is chosen by it")
        if against:
            scored = [
                evaluation.score_photos(one, photos, partial(report, one.bundle.title))
                for one in recognizers
            ]
            report("comparing")
            figures = compare(bundles[0], bundles[1], split, photos, *scored, rounds=rounds)
        else:
            how: Any = {"rounds": rounds, "prevalence": prevalence, "by": by or ()}
            measured = evaluation.evaluate(recognizers[0], photos, split, report, **how)
            figures = measured.evaluation
            report("writing")
            if output is not None:
                learned = [p for p in every if p.split == "train" and split != "all"]
                sight = html_report.sight_of_bundle(recognizers[0], learned)
                html_report.write_report(output, measured, lambda _: sight)
            if predictions is not None:
                html_report.write_predictions(measured, predictions)
    print_figures(figures, as_json=as_json)
    if written := [str(path) for path in (output, predictions) if path is not None]:
        say(f"Wrote {', '.join(written)}")


def print_figures(figures: Evaluation | PairedEvaluation, *, as_json: bool = False) -> None:
    """Print the tables of an evaluation or a comparison, and what they are worth; or JSON."""
    from rich.markdown import Markdown

    from recognizer.lab.evaluation.evaluate import Evaluation
    from recognizer.lab.templates import render

    is_one = isinstance(figures, Evaluation)
    if as_json:
        print_json({figures.split: figures} if is_one else figures)
    else:
        name = "evaluation" if is_one else "comparison"
        page = render(f"evaluation/{name}.md.j2", found=figures)
        print_wide(Markdown(page))
