"""``recognizer runs``: what was trained, its figures, two runs compared."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from typer import Argument

from recognizer.cli import options
from recognizer.cli.options import print_json, require_extra
from recognizer.cli.progress import duration, print_table, say, show_progress
from recognizer.errors import UsageError, counted
from recognizer.lab.cli.evaluate import ByOption, PrevalenceOption, RoundsOption, print_figures

_KEY = "AP and recall at 1 %: any product, out of fold; took: from the first file to the last"
_RECIPE, _OUT_OF_FOLD, _NETWORK = "recipe.json", "out-of-fold.parquet", "network.safetensors"


def runs_command(
    runs: Annotated[
        list[Path] | None, Argument(metavar="RUN", help="Folders of runs.", show_default="runs/*")
    ] = None,
    by: ByOption = None,
    prevalence: PrevalenceOption = 0.0003,
    rounds: RoundsOption = 1000,
    *,
    as_json: options.JsonOption = False,
) -> None:
    """List training runs; print the figures of one, or the differences of two.

    All figures are of the photos of folds that were left out in turn. One RUN prints the tables of
    `recognizer evaluate`; two are compared photo by photo, the first against the second. Without
    RUN, or with more than two, each is a line. Needs the extra `lab`.
    """
    require_extra("lab", "matplotlib", "sklearn", "pyarrow")
    with show_progress():
        from recognizer.lab.evaluation import out_of_fold

    given = runs or sorted(path.parent for path in Path("runs").glob(f"*/{_RECIPE}"))
    titles = [str(run) for run in given]
    if not given:
        raise UsageError("no runs in runs/: `recognizer train` makes one, or name their folders")
    if runs and len(runs) < 3:
        figures: Any
        with show_progress() as report:
            report("measuring")
            files = (path / _OUT_OF_FOLD if path.is_dir() else path for path in given)
            held = [out_of_fold.read_out_of_fold(file) for file in files]
            for run, one in zip(given, held, strict=True):
                if weights := _earlier(one.recipe):
                    say(f"Warning: {run} began with {weights}, which may know these photos")
            if len(held) == 2:
                figures = out_of_fold.compare_out_of_fold(*held, titles=titles, rounds=rounds)
            else:
                how = {"rounds": rounds, "prevalence": prevalence, "by": by or ()}
                figures = out_of_fold.measure_out_of_fold(held[0], titles[0], **how)
        print_figures(figures, as_json=as_json)
    else:
        with show_progress() as report:
            table = [_describe(run, report) for run in given]
        if as_json:
            print_json(table)
        else:
            title, rows = counted(len(table), "run"), ([*row.values()] for row in table)
            print_table(title, [*table[0]], rows, _KEY)


def _describe(run: Path, report: Any) -> dict[str, str]:
    from recognizer.lab.evaluation import out_of_fold

    about = out_of_fold.read_run(run)
    recipe, photos = about["recipe"], about["recipe"]["photos"]
    words = f"{recipe['name']}: {recipe['backbone']} at {recipe['input_size']}"
    weights = _earlier(recipe)
    words += f" from {weights}" if weights else ""
    drawn = f"{photos:,} photos" if photos else "frozen"
    row = {"run": str(run), "recipe": f"{words}, {drawn}"}
    row |= {"data": f"{len(about['labels'])} labels, {about['photos'][:8]}"}
    row |= dict.fromkeys(("AP", "recall", "finished", "took"), "-")
    if (run / _OUT_OF_FOLD).is_file():
        report(f"measuring {run}")
        held = out_of_fold.read_out_of_fold(run / _OUT_OF_FOLD)
        figures = out_of_fold.measure_out_of_fold(held, str(run), rounds=100).any_product
        row |= {"AP": str(figures.average_precision), "recall": str(figures.recall[0.01])}
    if (run / _NETWORK).is_file():
        first, last = ((run / name).stat().st_mtime for name in (_RECIPE, _NETWORK))
        row["finished"] = f"{datetime.fromtimestamp(last, UTC):%Y-%m-%d %H:%M}"
        row["took"] = duration(max(0.0, last - first))
    return row


def _earlier(recipe: Mapping[str, Any]) -> str:
    """Return the file that a recipe's weights come from, or an empty text."""
    weights = str(recipe.get("weights", "none"))
    return "" if weights in {"imagenet", "none"} else weights
