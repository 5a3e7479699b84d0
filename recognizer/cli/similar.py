"""``recognizer similar``: the photos of a scan that resemble a given one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from recognizer.errors import UsageError


def command(
    photo: Annotated[Path, typer.Argument(help="The photo whose look-alikes are sought.")],
    journal: Annotated[Path, typer.Option("--journal", "-j", help="The rows of a scan (JSONL).")],
    embeddings: Annotated[
        Path | None,
        typer.Option("--embeddings", help="What scan --embeddings wrote; else JOURNAL.embeddings."),
    ] = None,
    bundle: Annotated[
        str | None, typer.Option("--bundle", "-b", help="The model of the scan, if not the usual.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many, the most alike first.")] = 20,
    json_lines: Annotated[
        bool, typer.Option("--json", help="One JSON object for each, with its row.")
    ] = False,
) -> None:
    """Rank a scan's photos by their likeness to a photo: the cosine of the model's features.

    A look-alike need not be of the same kind; 1.0 is the same picture or a near-copy.
    """
    from rich.console import Console  # noqa: PLC0415 - heavy imports wait for the verb

    from recognizer import Recognizer  # noqa: PLC0415
    from recognizer.cli.scan_output import shown  # noqa: PLC0415
    from recognizer.rows import EmbeddingStore, embeddings_path, look_alikes  # noqa: PLC0415

    file = embeddings_path(journal) if embeddings is None else embeddings
    if not file.is_file():
        raise UsageError(
            f"{file} is not there: look-alikes are found by embeddings, which a scan keeps where "
            f"it is asked to. Scan the same photos again with --embeddings {file}, or name the "
            "file with --embeddings"
        )
    with EmbeddingStore(file) as store:
        recognizer = Recognizer.load(bundle)
        if recognizer.bundle.digest != store.model:
            raise UsageError(
                f"{file} holds embeddings of another model than {recognizer.bundle.title}: name "
                "the model of the scan with --bundle"
            )
        with Console(stderr=True).status("comparing"):
            embedding = recognizer.embed(photo)
            if embedding.vector is None:
                raise UsageError(
                    f"{photo} has no embedding: {embedding.reason}: {embedding.detail}"
                )
            found = look_alikes(embedding.vector, journal, store, top)
    for one in found:
        if json_lines:
            typer.echo(json.dumps({"cosine": round(one.cosine, 4), "row": one.row}))
        else:
            best = max((one.row["scores"] or {"": 0.0}).items(), key=lambda score: score[1])
            typer.echo(
                f"{one.cosine:6.3f}  {one.row['decision'] or 'not scored':10} "
                f"{best[0]} {best[1]:.3f}  {shown(one.row['source'])}"
            )
