"""``recognizer train``: train a network on labelled photos."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli.options import DataOption, load_data, output_option, require_extra
from recognizer.cli.progress import LINE_EVERY
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from recognizer.dataset.manifest import Photo
    from recognizer.training.config import TrainingConfig
    from recognizer.training.runs import Progress as FitProgress


def command(
    data: DataOption,
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE",
            help="A TOML file, or a recipe of this package: small-cpu, wildlife, dinov2, siglip2.",
            show_default="small-cpu",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        output_option("The run's folder.", show_default="runs/ and the recipe's name"),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a key of the recipe, as epochs=3. May be repeated.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="A seed instead of the recipe's. Runs that differ only in it can be averaged.",
        ),
    ] = None,
    folds: Annotated[
        str | None,
        typer.Option(
            metavar="N|FILE.csv",
            help="Train once without each fold of sources, and write the predictions for the "
            "photos that were left out. The sources are dealt into N folds, or as a table says.",
        ),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The file that keeps a frozen backbone's features, which other runs can use.",
            show_default="features.sqlite in the run's folder",
        ),
    ] = None,
    *,
    keep_embeddings: Annotated[
        bool,
        typer.Option("--keep-embeddings", help="With --folds: keep the embedding of each photo."),
    ] = False,
) -> None:
    """Train a network. The same command again resumes a run that was stopped."""
    from rich.console import Console

    from recognizer.training.config import DEFAULT_RECIPE, load_config

    require_extra("train")
    from recognizer.training.devices import is_first_process
    from recognizer.training.fit import fit

    # With several devices each process runs this command; the first one reports.
    console = Console(stderr=True, quiet=not is_first_process())
    if keep_embeddings and folds is None:
        raise UsageError("--keep-embeddings goes with --folds")
    config = load_config(recipe or DEFAULT_RECIPE, changes or ())
    if seed is not None:
        config = replace(config, seed=seed)
    output = output or Path("runs") / config.name
    if folds is not None:
        output = _train_folds(config, data, folds, output, features, keep_embeddings, console)
    else:
        photos = read_data(data, config)
        counts = {s: sum(p.split == s for p in photos) for s in ("train", "validation")}
        console.print(f"{counts['train']} photos to train on, {counts['validation']} held out")
        if not any(photo.split == "test" for photo in photos):
            console.print(
                "There are no test photos, which `recognizer export` needs: `recognizer dataset "
                "split` holds some out.",
                soft_wrap=True,
            )
        if recipe is None:
            _print_choice(config, photos, output, console)
        with _show_run(console) as (show, print_epoch):
            fit(
                config,
                photos,
                output,
                features=features,
                on_progress=show,
                on_epoch=print_epoch,
            )
    console.print(f"Wrote {output}")
    if folds is None and any(photo.split == "test" for photo in photos):
        folders = " ".join(f"--data {folder}" for folder in data)
        console.print(
            f"Next: recognizer export {output} {folders} --output bundles/{output.name}-v1",
            soft_wrap=True,
            markup=False,
        )


def _print_choice(
    config: TrainingConfig, photos: Sequence[Photo], output: Path, console: Console
) -> None:
    from recognizer.training.runs import estimate_seconds

    minutes = estimate_seconds(config, photos) / 60
    duration = f"{minutes:.0f} minutes" if minutes >= 1.5 else "a minute"
    what = "a logistic regression on the features of" if config.frozen else "a fine-tuned"
    console.print(
        f"No recipe was given; used {config.name}: {what} {config.backbone} at "
        f"{config.input_size} pixels. It will take about {duration}. The run's folder is {output}.",
        soft_wrap=True,
    )


def _train_folds(
    config: TrainingConfig,
    data: list[Path],
    given: str,
    output: Path,
    features: Path | None,
    embeddings: bool,
    console: Console,
) -> Path:
    from recognizer.dataset.folds import deal_sources, read_folds, write_folds
    from recognizer.training.folds import train_folds

    photos, table = load_data(data), output / "folds.csv"
    if given.isdecimal() and not table.exists():
        output.mkdir(parents=True, exist_ok=True)
        write_folds(deal_sources(photos, int(given), seed=config.split_seed), table)
    folds = read_folds(table if given.isdecimal() else Path(given))

    def on_fold(fold: int, train: int, held: int) -> None:
        console.print(f"fold {fold} of 0-{folds.count - 1}: {train} photos, {held} left out")

    with _show_run(console) as (show, print_epoch):
        return train_folds(
            config,
            photos,
            folds,
            output,
            embeddings=embeddings,
            features=features,
            on_fold=on_fold,
            on_progress=show,
            on_epoch=print_epoch,
        )


def read_data(folders: list[Path], config: TrainingConfig) -> list[Photo]:
    """Read data folders and split them as a run does."""
    from recognizer.dataset.splits import prepare

    return prepare(load_data(folders), config)


@contextmanager
def _show_run(
    console: Console,
) -> Iterator[tuple[Callable[[FitProgress], None], Callable[[dict[str, float]], None]]]:
    """Yield what shows the progress of a run (a bar, or a line now and then) and its epochs."""
    from rich.progress import BarColumn, Progress, TextColumn

    printed = time.monotonic()
    columns = (
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("train", epoch="-", state="")

        def show(p: FitProgress) -> None:
            nonlocal printed
            epoch = f"{p.epoch}/{p.epochs}"
            state = f"{p.rate:.0f} photos/s  {p.seconds_left / 60:.0f} min left"
            if not math.isnan(p.loss):  # otherwise only features are computed
                state = f"loss {p.loss:.3f}  lr {p.learning_rate:.1e}  {state}"
            bar.update(task, total=p.photos, completed=p.photo, epoch=epoch, state=state)
            now = time.monotonic()
            if not console.is_terminal and now - printed >= LINE_EVERY:
                printed = now
                console.print(f"epoch {epoch}  photo {p.photo}/{p.photos}  {state}")

        def print_epoch(row: dict[str, float]) -> None:
            console.print("  ".join(f"{key} {value:.4g}" for key, value in row.items()))

        yield show, print_epoch
