"""``recognizer runs``: what was trained, its figures, two runs compared."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

from typer import Argument

from recognizer._files import require_page
from recognizer.cli import options
from recognizer.cli.options import output_option, print_json, require_extra
from recognizer.cli.progress import print_table, say, show_progress
from recognizer.errors import UsageError, counted
from recognizer.lab.cli.evaluate import ByOption, PrevalenceOption, RoundsOption, print_figures

_KEY = "AP and recall at 1 %: any product, out of fold"
_RECIPE, _OUT_OF_FOLD, _NETWORK = "recipe.json", "out-of-fold.parquet", "network.safetensors"


def runs_command(
    runs: Annotated[
        list[Path] | None, Argument(metavar="RUN", help="Folders of runs.", show_default="runs/*")
    ] = None,
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
    """List training runs; print the figures of one, or the differences of two.

    All figures are of the photos of folds that were left out in turn. One RUN prints the tables of
    `recognizer evaluate`; two are compared photo by photo, the first against the second. Without
    RUN, or with more than two, each is a line. Needs the extra `lab`.
    """
    require_extra("lab", "matplotlib", "sklearn", "pyarrow")
    if (output is None) != (not data) or (output and len(runs or ()) != 1):
        raise UsageError("--output takes one RUN and its --data, to show the photos")
    if output is not None:
        require_page(output)
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

                    write_errors(output, measured, given[0], data or (), report)
                    say(f"Wrote {output}")
        print_figures(figures, as_json=as_json)
    else:
        with show_progress() as report:
            table = _list_runs(given, rounds, report)
        if as_json:
            print_json(table)
        else:
            title, rows = counted(len(given), "run"), ([*row.values()] for row in table)
            print_table(title, [*table[0]], rows, _KEY)


def _list_runs(runs: Sequence[Path], rounds: int, report: Any) -> list[dict[str, str]]:
    """Describe each run, and at the end the mean of those that differ in their seed alone."""
    from recognizer.lab.evaluation.out_of_fold import (
        any_product_out_of_fold,
        read_out_of_fold,
        read_run,
    )

    table, figures = [], defaultdict[str, list[tuple[float, float]]](list)
    for run in runs:
        about = read_run(run)
        row = _describe(run, about)
        if (run / _OUT_OF_FOLD).is_file():
            report(f"measuring {run}")
            held = read_out_of_fold(run / _OUT_OF_FOLD)
            found = any_product_out_of_fold(held, str(run), rounds=rounds)
            if precision := found.average_precision:
                recall = found.recall[0.01]
                row |= {"AP": str(precision), "recall": str(recall)}
                alike = json.dumps([{**about["recipe"], "seed": 0}, about["photos"]])
                figures[alike].append((precision.value, recall.value))
        table.append(row)
    for alike, values in figures.items():
        if len(values) > 1:
            cells = (
                f"{mean(column):.3f} ± {stdev(column):.3f}" for column in zip(*values, strict=True)
            )
            row = dict.fromkeys(table[0], "") | dict(zip(("AP", "recall"), cells, strict=True))
            recipe = f"{json.loads(alike)[0]['name']}: mean ± deviation"
            table.append(row | {"run": f"{len(values)} seeds", "recipe": recipe})
    return table


def _describe(run: Path, about: Mapping[str, Any]) -> dict[str, str]:
    from recognizer.lab.training.config import changes_of

    recipe, photos = about["recipe"], about["recipe"]["photos"]
    words = f"{recipe['name']}: {recipe['backbone']} at {recipe['input_size']}"
    drawn = f"{photos:,} photos" if photos else "frozen"
    row = {"run": str(run), "recipe": f"{words}, {drawn}", "--set": " ".join(changes_of(recipe))}
    row |= {"data": f"{len(about['labels'])} labels, {about['photos'][:8]}"}
    row |= dict.fromkeys(("AP", "recall", "finished"), "-")
    if (run / _NETWORK).is_file():
        done = datetime.fromtimestamp((run / _NETWORK).stat().st_mtime, UTC)
        row["finished"] = f"{done:%Y-%m-%d %H:%M}"
    return row
