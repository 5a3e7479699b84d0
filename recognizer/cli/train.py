"""``recognizer train``: fine-tune a network on labelled photos."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli.options import DataOption, load_data, require_extra
from recognizer.cli.progress import LINE_EVERY

if TYPE_CHECKING:
    from rich.console import Console

    from recognizer.dataset.manifest import Photo
    from recognizer.training.config import TrainingConfig
    from recognizer.training.fit import Progress as FitProgress


def command(
    config: Annotated[Path, typer.Argument(help="The recipe, a TOML file as export/*/train.toml.")],
    data: DataOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="The run's folder.")],
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Seed instead of the recipe's. Runs that differ only in it can be averaged.",
        ),
    ] = None,
) -> None:
    """Fine-tune a network. The same command again resumes a run that was stopped."""
    from rich.console import Console

    from recognizer.training.config import load_config

    require_extra("train")
    from recognizer.training.fit import fit

    console = Console(stderr=True)
    recipe = load_config(config)
    if seed is not None:
        recipe = replace(recipe, seed=seed)
    photos = read_data(data, recipe)
    counts = {s: sum(p.split == s for p in photos) for s in ("train", "validation")}
    console.print(f"{counts['train']} photos to train on, {counts['validation']} held out")

    def print_epoch(row: dict[str, float]) -> None:
        console.print("  ".join(f"{key} {value:.4g}" for key, value in row.items()))

    with _show_run(console) as show:
        fit(recipe, photos, output, on_progress=show, on_epoch=print_epoch)
    console.print(f"Wrote {output}")


def read_data(folders: list[Path], config: TrainingConfig) -> list[Photo]:
    """Read data folders and split them as a run does."""
    from recognizer.dataset.splits import prepare

    return prepare(load_data(folders), config)


@contextmanager
def _show_run(console: Console) -> Iterator[Callable[[FitProgress], None]]:
    """Yield a function that shows the progress of a run: a bar, or a line now and then."""
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
            state = (
                f"loss {p.loss:.3f}  lr {p.learning_rate:.1e}  {p.rate:.0f} photos/s  "
                f"{p.seconds_left / 60:.0f} min left"
            )
            bar.update(task, total=p.photos, completed=p.photo, epoch=epoch, state=state)
            now = time.monotonic()
            if not console.is_terminal and now - printed >= LINE_EVERY:
                printed = now
                console.print(f"epoch {epoch}  photo {p.photo}/{p.photos}  {state}")

        yield show
