"""``recognizer train``: fine-tune a network on labelled photos."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from recognizer.dataset.manifest import Photo
    from recognizer.training.config import TrainingConfig
    from recognizer.training.fit import Progress as FitProgress

_LINE_EVERY = 20.0  # seconds between two lines of progress where there is no terminal

DataOption = Annotated[
    list[Path],
    typer.Option(
        "--data",
        "-d",
        help="A folder with a manifest.csv, or with a folder for each label. May be repeated.",
    ),
]


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
    from rich.console import Console  # noqa: PLC0415 - heavy imports wait for the verb

    from recognizer.cli.extras import require_extra  # noqa: PLC0415
    from recognizer.training.config import load_config  # noqa: PLC0415

    require_extra("train")
    from recognizer.training.fit import fit  # noqa: PLC0415

    console = Console(stderr=True)
    recipe = load_config(config)
    if seed is not None:
        recipe = replace(recipe, seed=seed)
    photos = read_data(data, recipe)
    counts = {s: sum(p.split == s for p in photos) for s in ("train", "validation")}
    console.print(f"{counts['train']} photos to train on, {counts['validation']} held out")
    with _Bar(console) as bar:
        fit(recipe, photos, output, on_progress=bar.update, on_epoch=bar.print_epoch)
    console.print(f"Wrote {output}")


def read_data(folders: list[Path], config: TrainingConfig) -> list[Photo]:
    """Read data folders and split them as a run does."""
    from recognizer.dataset.manifest import load_photos  # noqa: PLC0415
    from recognizer.dataset.splits import prepare  # noqa: PLC0415

    return prepare([photo for folder in folders for photo in load_photos(folder)], config)


class _Bar:
    """The progress of a run: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

        self._console = console
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("train", epoch="-", state="")
        self._printed = time.monotonic()

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, p: FitProgress) -> None:
        """Show the state of the run."""
        epoch = f"{p.epoch}/{p.epochs}"
        state = (
            f"loss {p.loss:.3f}  lr {p.learning_rate:.1e}  {p.rate:.0f} photos/s  "
            f"{p.seconds_left / 60:.0f} min left"
        )
        self._bar.update(self._task, total=p.photos, completed=p.photo, epoch=epoch, state=state)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._printed >= _LINE_EVERY:
            self._printed = now
            self._console.print(f"epoch {epoch}  photo {p.photo}/{p.photos}  {state}")

    def print_epoch(self, row: dict[str, float]) -> None:
        """Print the row of an epoch."""
        self._console.print("  ".join(f"{key} {value:.4g}" for key, value in row.items()))
