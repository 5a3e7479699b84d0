"""``recognizer similar``: near-copies in a scan, or the images that resemble a photo."""

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli import options
from recognizer.cli.progress import shown, working
from recognizer.cli.scan_output import row_line
from recognizer.engine import Recognizer
from recognizer.errors import UsageError
from recognizer.rows import ScanFile, find_copies, similar_images


def command(
    scan: options.ScanArgument,
    photo: Annotated[
        Path | None, typer.Argument(metavar="PHOTO", help="Rank the images by similarity to it.")
    ] = None,
    bundle: options.BundleOption = None,
    top: Annotated[int, typer.Option(min=1, help="How many to list, the most similar first.")] = 20,
) -> None:
    """List the near-copies among a scan's images, or rank its images by similarity to a photo.

    Near-copies are the same image, resized, recompressed or slightly cropped; all of them keep
    their rows. With PHOTO, similarity is the cosine of the model's features (scan --embeddings):
    1.0 is the same image or a near-copy; a similar image need not show the same product.
    """
    with ScanFile(scan) as file:
        if photo is None:
            _print_copies(file)
        else:
            _print_similar(file, photo, bundle, top)


def _print_copies(file: ScanFile) -> None:
    with working(f"Comparing the images of {file.path}"):
        count, groups = len(file), [*find_copies(file)]
    for number, rows in enumerate(groups, 1):
        typer.echo(f"{number}: {len(rows)} near-copies")
        for row in rows:
            typer.echo(f"  {row.decision}  {shown(row.source)}")
    copies = sum(map(len, groups)) - len(groups)
    typer.echo(f"{count:,} images, {len(groups):,} groups, {copies:,} copies of others")


def _print_similar(file: ScanFile, photo: Path, bundle: str | None, top: int) -> None:
    recognizer = Recognizer.load(bundle)
    with working("Comparing"):
        scored = recognizer.embed(photo)
        if scored.embedding is None:
            found = scored.prediction
            raise UsageError(f"{photo} has no embedding: {found.reason}: {found.detail}")
        similar = similar_images(file, scored.embedding, recognizer.bundle.digest, top)
    for cosine, row in similar:
        typer.echo(f"{cosine:6.3f}  {row_line(row)}")
