"""``recognizer train``: train a network on labelled photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli.options import DataOption, output_option, require_extra
from recognizer.cli.progress import duration, show_progress
from recognizer.dataset.manifest import load_data
from recognizer.training.config import DEFAULT_RECIPE, load_config

if TYPE_CHECKING:
    from recognizer.training.runs import Stage


def command(
    data: DataOption,
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE",
            help="A TOML file, or a recipe of this package: small-cpu, wildlife.",
            show_default="small-cpu",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        output_option("The recipe's folder.", show_default="runs/ and the recipe's name"),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a key of the recipe, as photos=9600; repeatable.",
        ),
    ] = None,
) -> None:
    """Train a network, and measure it on folds of sources that are left out in turn.

    The same command again resumes training where it was stopped.
    """
    require_extra("train")
    from recognizer.training.runs import open_recipe, train_recipe

    config = load_config(recipe or DEFAULT_RECIPE, changes or ())
    output = output or Path("runs") / config.name
    opened = open_recipe(config, load_data(data), output)
    has_test = any(p.split == "test" for p in opened.photos)
    with opened.cache:
        folds = int(opened.folds.max()) + 1
        typer.echo(
            f"{config.name}: {len(opened.train)} photos of {len(opened.labels)} labels, "
            f"{config.backbone} at {config.input_size} pixels, {config.seeds * (folds + 1)} runs "
            f"({folds} folds left out in turn)",
            err=True,
        )
        if not has_test:
            typer.echo(
                "No test photos, which `recognizer export` needs: `recognizer dataset split` holds "
                "some out.",
                err=True,
            )
        with show_progress() as report:

            def show(stage: Stage) -> None:
                left = stage.seconds_left
                if stage.progress and stage.progress.loss is None:  # resumed
                    typer.echo(stage.words, err=True)
                    return
                report(stage.words if left is None else f"{stage.words}; {duration(left)} left")

            try:
                train_recipe(opened, show)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"Stopped. What is done is in {output}. Run the same command again to resume."
                ) from None
    typer.echo(f"Wrote {output}", err=True)
    if has_test:
        folders = " ".join(f"--data {folder}" for folder in data)
        typer.echo(
            f"Next: recognizer export {output} {folders} --output bundles/{output.name}-v1",
            err=True,
        )
