"""``recognizer report``: the review queue of a scan as one HTML file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from recognizer._atomic import require_page
from recognizer._messages import MESSAGES
from recognizer.cli.options import (
    JournalArgument,
    RowsBundleOption,
    TitleOption,
    bundles_behind,
    output_option,
)
from recognizer.cli.progress import working


class Language(StrEnum):
    """A language of the page."""

    ENGLISH = "en"
    CHINESE = "zh"


def command(
    journal: JournalArgument,
    output: Annotated[Path, output_option("The HTML file to write.")] = Path("report.html"),
    bundle: RowsBundleOption = None,
    title: TitleOption = None,
    part: Annotated[
        str,
        typer.Option(
            help="The part of the queue for one of several reviewers, such as 2/5. A listing stays "
            "in its part."
        ),
    ] = "1/1",
    language: Annotated[
        Language, typer.Option(help="The language of the page: English or Chinese.")
    ] = Language.ENGLISH,
) -> None:
    """Write the leads and failures of a scan as one HTML page, on which a reviewer decides.

    The page works offline. Verdicts stay in the browser until they are exported; recognizer
    outcomes import reads the file. The page holds thumbnails of the images: keep it as
    confidential as they are.
    """
    from recognizer.review.page import write_report
    from recognizer.review.queue import Part

    require_page(output)
    with MESSAGES.listening(), working(f"Writing {output}"):
        write_report(
            journal,
            output,
            bundles_behind(bundle),
            title=title,
            part=Part.parse(part),
            language=language,
        )
    typer.echo(f"Wrote {output}")
