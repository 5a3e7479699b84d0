"""``recognizer report``: the review queue of a scan as one HTML file."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from recognizer._atomic import require_page
from recognizer.cli import options
from recognizer.cli.inputs import bundles_behind, read_original
from recognizer.cli.options import output_option
from recognizer.cli.progress import working
from recognizer.review.page import write_report


def command(
    scan: options.ScanArgument,
    output: Annotated[Path, output_option("The HTML file to write.")] = Path("report.html"),
    outcomes: options.OutcomesOption = None,
    bundle: options.RowsBundleOption = None,
    title: options.TitleOption = None,
    language: Annotated[
        Literal["en", "zh"], typer.Option(help="The language of the page: English or Chinese.")
    ] = "en",
) -> None:
    """Write the leads and failures of a scan as one HTML page, on which a reviewer decides.

    The page works offline. Verdicts stay in the browser until they are exported; recognizer
    outcomes import reads the file. The page holds thumbnails of the images: keep it as
    confidential as they are.
    """
    require_page(output)
    with working(f"Writing {output}"):
        write_report(
            scan,
            output,
            bundles_behind(bundle),
            outcomes=outcomes,
            title=title,
            language=language,
            read=partial(read_original, allow_http=False),
        )
    typer.echo(f"Wrote {output}")
