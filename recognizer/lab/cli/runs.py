"""``recognizer runs``: the figures of a training run, or two runs compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument

from recognizer._files import require_page
from recognizer.cli import options
from recognizer.cli.options import output_option, require_extra
from recognizer.cli.progress import say, show_progress
from recognizer.errors import UsageError
from recognizer.lab.cli.evaluate import ByOption, PrevalenceOption, RoundsOption, print_figures

_KEY = "AP and recall at 1 %: any product, out of fold"
_RECIPE, _OUT_OF_FOLD, _NETWORK = "recipe.json", "out-of-fold.parquet", "network.safetensors"


def runs_command(
    runs: Annotated[list[Path], Argument(metavar="RUN", help="One or two folders of runs.")],
    by: ByOption = None,
    prevalence: PrevalenceOption = 0.0003,
    rounds: RoundsOption = 1000,
    output: Annotated[
        Path | None, output_option("Write an HTML report, with the errors; needs --data.")
    ] = None,
    data: Annotated[list[Path] | None, options.DATA] = None,
    *,
    as_json: options.JsonOption = False,
) -> None:
    """Print the figures of a training run, or the differences of two.

    All figures are of the photos of folds that were left out in turn. One RUN prints the tables of
    `recognizer evaluate`; two are compared photo by photo, the first against the second. Needs the
    extra `lab`.
    """
    require_extra("lab", "matplotlib", "sklearn", "pyarrow")
    if len(runs) > 2:
        raise UsageError("name one run, or two to compare them")
    if (output is None) != (not data) or (output and len(runs) != 1):
        raise UsageError("--output takes one RUN and its --data, to show the photos")
    if output is not None:
        require_page(output)
    with show_progress():
        from recognizer.lab.evaluation import out_of_fold

    titles = [str(run) for run in runs]
    figures: Any
    with show_progress() as report:
        report("measuring")
        files = (path / _OUT_OF_FOLD if path.is_dir() else path for path in runs)
        held = [out_of_fold.read_out_of_fold(file) for file in files]
        for run, one in zip(runs, held, strict=True):
            weights = one.recipe.get("weights", "none")
            if weights not in {"imagenet", "none"}:
                say(f"Warning: {run} began with {weights}, which may know these photos")
        if len(held) == 2:
            figures = out_of_fold.compare_out_of_fold(*held, titles=titles, rounds=rounds)
        else:
            how = {"rounds": rounds, "prevalence": prevalence, "by": by or ()}
            measured = out_of_fold.measure_out_of_fold(held[0], titles[0], **how)
            figures = measured.evaluation
            if output is not None:
                from recognizer.lab.training.sights import write_errors

                write_errors(output, measured, runs[0], data or (), report)
                say(f"Wrote {output}")
    print_figures(figures, as_json=as_json)
