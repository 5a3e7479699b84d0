"""``recognizer evaluate``: measure a bundle on labelled photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli.train import DataOption

if TYPE_CHECKING:
    from recognizer.training.evaluate import Evaluation
    from recognizer.training.metrics import Estimate


def command(
    data: DataOption,
    bundle: Annotated[
        str | None, typer.Argument(help="A bundle's folder or name; default: the released one.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which photos of the manifest.")] = "test",
    output: Annotated[Path | None, typer.Option("--json", help="Also write JSON here.")] = None,
    rounds: Annotated[int, typer.Option(help="Bootstrap rounds.", min=1)] = 1000,
    threads: Annotated[int, typer.Option(help="Threads of one pass.", min=1)] = 1,
) -> None:
    """Print average precision, AUC and recall at fixed false-alarm rates, with intervals.

    Runs the ONNX file that ships. Negatives are all photos that are no product.
    """
    from rich.console import Console  # noqa: PLC0415 - heavy imports wait for the verb
    from rich.progress import Progress  # noqa: PLC0415

    from recognizer.training.extras import require_training  # noqa: PLC0415

    require_training(("sklearn",))
    from recognizer.recognizer import Recognizer  # noqa: PLC0415
    from recognizer.training.data import load_photos  # noqa: PLC0415
    from recognizer.training.evaluate import evaluate  # noqa: PLC0415

    photos = [photo for folder in data for photo in load_photos(folder)]
    recognizer = Recognizer.load(bundle, threads=threads)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"scoring the {split} split")
        evaluation = evaluate(
            recognizer,
            photos,
            split,
            rounds=rounds,
            on_progress=lambda done, of: progress.update(task, completed=done, total=of),
        )
    print_evaluation(evaluation)
    if output is not None:
        output.write_text(evaluation.to_json(), encoding="utf-8")
        console.print(f"written: {output}")


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the table of an evaluation."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from recognizer.bundle import FALSE_ALARM_RATES  # noqa: PLC0415
    from recognizer.training.evaluate import all_figures  # noqa: PLC0415

    table = Table(
        title=f"{evaluation.bundle} on the {evaluation.split} split: {evaluation.negatives} "
        f"photos of {evaluation.negative_sources} sources are no product",
        caption="in brackets: 95 % bootstrap intervals over photos",
    )
    table.add_column("")
    for heading in ("photos (sources)", "AP", "AUC"):
        table.add_column(heading, justify="right")
    for rate in FALSE_ALARM_RATES:
        table.add_column(f"recall at {float(rate):.1%}", justify="right")
    families = {f.name for f in evaluation.families}
    for f in all_figures(evaluation):
        table.add_row(
            f"{f.name} (family)" if f.name in families and f in evaluation.families else f.name,
            f"{f.photos} ({f.sources})",
            _cell(f.average_precision),
            _cell(f.area_under_roc),
            *(_cell(f.recall.get(rate)) for rate in FALSE_ALARM_RATES),
        )
    # Redirected into a file, a table must not be cut to a terminal's width.
    console = Console()
    console = console if console.is_terminal else Console(width=140)
    console.print(table)
    flagged = evaluation.flagged_negatives
    console.print(
        f"default policy: {flagged.value:.1%} of the photos without a product go to review; "
        f"label with the highest score is right for {evaluation.accuracy:.1%}"
    )


def _cell(estimate: Estimate | None) -> str:
    return "-" if estimate is None else str(estimate)
