"""The command line: ``python -m datasets.synthetic``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Annotated

import typer

from recognizer.errors import MissingExtraError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Render photo-like pictures of wildlife products and of what is taken for them.",
)


def _require_renderer() -> None:
    """Say what to install before anything is rendered.

    Raises:
        MissingExtraError: mitsuba is missing.
    """
    if importlib.util.find_spec("mitsuba") is None:
        raise MissingExtraError("mitsuba", "synthetic")


@app.command()
def scenes() -> None:
    """List the scenes with their labels."""
    from datasets.synthetic.registry import SCENES  # noqa: PLC0415 - keeps --help fast

    for name, entry in sorted(SCENES.items(), key=lambda item: (item[1].label, item[0])):
        typer.echo(f"{entry.label:18}{name}")


@app.command()
def render(
    output: Annotated[Path, typer.Option(help="The set's folder.")],
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The first picture's seed.")] = 0,
    scenes: Annotated[str, typer.Option(help="Names, separated by commas; all when empty.")] = "",
    size: Annotated[int, typer.Option(min=16, help="The longer side in pixels.")] = 320,
    samples: Annotated[int, typer.Option(min=1, help="Paths of light for each pixel.")] = 24,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 1,
) -> None:
    """Write a training set with its manifest; pictures that are there already are kept."""
    from datasets.synthetic import dataset  # noqa: PLC0415 - keeps --help fast

    names = [name.strip() for name in scenes.split(",") if name.strip()]
    try:
        jobs = dataset.plan(count, seed, names, size, samples)
    except KeyError as error:
        raise typer.BadParameter(str(error.args[0]), param_hint="--scenes") from error
    _require_renderer()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{output}: {error.strerror}", param_hint="--output") from error
    dataset.write(jobs, output, workers, typer.echo)


@app.command()
def samples(
    output: Annotated[Path, typer.Option(help="Where the sample photos lie.")] = Path(
        __file__
    ).parents[1]
    / "samples",
) -> None:
    """Render the sample photos of the repository again, with their list."""
    _require_renderer()
    from datasets.synthetic import samples as chosen  # noqa: PLC0415 - keeps --help fast

    chosen.write(output, typer.echo)


@app.command()
def pictures(
    output: Annotated[Path, typer.Option(help="Where the documentation's pictures lie.")] = Path(
        __file__
    ).parents[2]
    / "docs"
    / "pictures",
) -> None:
    """Render the pictures of the documentation again: scenes, composed ones, other materials."""
    _require_renderer()
    from datasets.synthetic import pictures as shown  # noqa: PLC0415 - keeps --help fast

    shown.write(output, typer.echo)


if __name__ == "__main__":
    try:
        app(prog_name="python -m datasets.synthetic")
    except MissingExtraError as error:
        sys.exit(str(error))
