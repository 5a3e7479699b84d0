"""``recognizer similar``: the images of a scan that are similar to a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli.options import (
    BundleOption,
    JournalOption,
    JsonLinesOption,
    print_json,
)
from recognizer.cli.progress import working
from recognizer.errors import UsageError


def command(
    photo: Annotated[
        Path, typer.Argument(metavar="PHOTO", help="The photo to find similar images of.")
    ],
    journal: JournalOption,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            "--embeddings",
            help="The file that scan --embeddings wrote.",
            show_default="JOURNAL.embeddings",
        ),
    ] = None,
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
    from recognizer.rows import EmbeddingStore, embeddings_path, similar_images

    file = embeddings_path(journal) if embeddings is None else embeddings
    if not file.is_file():
        raise UsageError(
            f"{file} does not exist: similar images are found by their embeddings. Scan the same "
            f"images again with --embeddings {file}, or name the file with --embeddings"
        )
    with EmbeddingStore(file) as store:
        recognizer = Recognizer.load(bundle)
        if recognizer.bundle.digest != store.model:
            raise UsageError(
                f"{file} holds embeddings of another model than {recognizer.bundle.title}: name "
                "the model of the scan with --bundle"
            )
        with working("Comparing"):
            embedding = recognizer.embed(photo)
            if embedding.vector is None:
                raise UsageError(
                    f"{photo} has no embedding: {embedding.reason}: {embedding.detail}"
                )
            found = similar_images(embedding.vector, journal, store, top)
    for one in found:
        if json_lines:
            print_json({"cosine": round(one.cosine, 4), "row": one.row.to_json()}, on_one_line=True)
        else:
            best = max((one.row.scores or {"": 0.0}).items(), key=lambda score: score[1])
            typer.echo(
                f"{one.cosine:6.3f}  {one.row.decision:10} "
                f"{best[0]} {best[1]:.3f}  {shown(one.row.source)}"
            )
