"""``recognizer report``: the review queue of a scan as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli.page import check_page


def command(
    rows: Annotated[Path, typer.Argument(help="The rows of a scan (JSONL).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file.")] = Path(
        "report.html"
    ),
    bundle: Annotated[
        str | None, typer.Option(help="The bundle behind the rows; default: the released one.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
) -> None:
    """Write the leads and failures of a scan as a page to work through, offline.

    The page holds thumbnails of the photos: keep it as confidential as they are.
    """
    from rich.console import Console  # noqa: PLC0415 - heavy imports wait for the verb

    from recognizer.model.bundle import load_bundle  # noqa: PLC0415
    from recognizer.review.report import write_report  # noqa: PLC0415

    check_page(output)
    with Console(stderr=True).status(f"writing {output}"):
        write_report(rows, output, load_bundle(bundle), title=title)
    typer.echo(f"written: {output}")
