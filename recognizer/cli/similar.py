"""``recognizer similar``: the images of a scan that are similar to a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli.options import (
    BundleOption,
    JsonLinesOption,
    ScanOption,
    print_json,
)
from recognizer.cli.progress import working
from recognizer.errors import UsageError


def command(
    photo: Annotated[
        Path, typer.Argument(metavar="PHOTO", help="The photo to find similar images of.")
    ],
    scan: ScanOption,
    bundle: BundleOption = None,
    top: Annotated[
        int, typer.Option("--top", min=1, help="How many to list, the most similar first.")
    ] = 20,
    json_lines: JsonLinesOption = False,
) -> None:
    """Rank a scan's images by their similarity to a photo: the cosine of the model's features.

    A similar image need not show the same product; 1.0 is the same image or a near-copy.
    """
    from recognizer import Recognizer
    from recognizer.cli.scan_output import shown
    from recognizer.rows import ScanFile, similar_images

    recognizer = Recognizer.load(bundle)
    with ScanFile(scan) as file, working("Comparing"):
        embedding = recognizer.embed(photo)
        if embedding.vector is None:
            raise UsageError(f"{photo} has no embedding: {embedding.reason}: {embedding.detail}")
        found = similar_images(file, embedding.vector, recognizer.bundle.digest, top)
    for one in found:
        if json_lines:
            print_json({"cosine": round(one.cosine, 4), "row": one.row.to_json()}, on_one_line=True)
        else:
            best = max((one.row.scores or {"": 0.0}).items(), key=lambda score: score[1])
            typer.echo(
                f"{one.cosine:6.3f}  {one.row.decision:10} "
                f"{best[0]} {best[1]:.3f}  {shown(one.row.source)}"
            )
