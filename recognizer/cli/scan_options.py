"""The options of ``recognizer scan``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Engine(StrEnum):
    """Who does the work of a scan."""

    LOCAL = "local"
    RAY = "ray"


SourcesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="Files, folders (walked to the bottom), patterns in quotes ('*.jpg', '**/*.png'), "
        "tables (CSV, TSV, JSONL, Parquet), archives (tar, zip), URLs of object stores (s3://...; "
        "extra: cloud), or - for a list of these on standard input, separated by newlines or NULs. "
        "See docs/sources.md.",
    ),
]
OutputOption = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="The journal: a JSON row for each photo. It is added to; a scan that was stopped "
        "goes on where it was, and what has not changed is not scored again.",
    ),
]
ReportOption = Annotated[
    Path | None, typer.Option("--report", help="Also write the review queue, as one HTML file.")
]
ThumbnailsOption = Annotated[
    bool,
    typer.Option(
        "--thumbnails/--no-thumbnails",
        help="Keep a thumbnail of each lead in OUTPUT.thumbnails, for the report: it then shows "
        "what was scored, whatever becomes of the file.",
    ),
]
ListingsOption = Annotated[
    Path | None,
    typer.Option("--listings", help="Also write a JSON row for each listing, of all its photos."),
]
ImageColumnOption = Annotated[
    str | None,
    typer.Option("--image-column", help="The column of tables with the images; else by its name."),
]
ListingColumnOption = Annotated[
    str | None,
    typer.Option(
        "--listing-column", help="The column that tells listings apart; else by its name."
    ),
]
HttpOption = Annotated[
    bool,
    typer.Option(
        "--allow-http",
        help="Fetch http:// and https:// URLs, from public addresses only. Else they fail.",
    ),
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        min=0.0,
        max=1.0,
        help="The probability over which any product is a lead, instead of the model's own "
        "thresholds. A lead has priority where it is also over the threshold that the model has "
        "for one false alarm in a thousand.",
    ),
]
PolicyOption = Annotated[
    Path | None, typer.Option("--policy", help="A platform's profile (TOML); see policy.py.")
]
BundleOption = Annotated[
    str | None,
    typer.Option("--bundle", "-b", help="A model's folder, or its name; else the released one."),
]
WorkersOption = Annotated[
    int,
    typer.Option(
        "--workers", "-w", min=0, help="Processes; 0 for as many as CPUs and memory carry."
    ),
]
ProviderOption = Annotated[str, typer.Option("--provider", help="Where onnxruntime computes.")]
FallbackOption = Annotated[
    bool, typer.Option("--allow-fallback", help="Use the CPU where the provider is not there.")
]
MaxBytesOption = Annotated[
    int | None, typer.Option("--max-bytes", min=1, help="Files larger than this are not read.")
]
MaxPixelsOption = Annotated[
    int | None, typer.Option("--max-pixels", min=1, help="Larger pictures are not decoded.")
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        help="An image whose reading, decoding or scoring takes longer is given up: its row says "
        "timeout, and the process that worked on it is replaced.",
    ),
]
MemoryOption = Annotated[
    int | None,
    typer.Option(
        "--memory-limit",
        metavar="MIB",
        min=1,
        help="What each process may hold in memory, model and libraries included; an image that "
        "takes more is given up with the reason out_of_memory (Linux). Else there is no limit.",
    ),
]
RetryOption = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Try again also what cost a process before (decoder_crash, timeout, out_of_memory). "
        "Other failures are always tried again.",
    ),
]
EmbeddingsOption = Annotated[
    Path | None,
    typer.Option(
        "--embeddings",
        metavar="FILE",
        help="Keep the embedding of each photo, for recognizer similar, which looks for them in "
        "OUTPUT.embeddings. Photos without one are scored again.",
    ),
]
KnownOption = Annotated[
    Path | None,
    typer.Option(
        "--known",
        metavar="BANK",
        help="Compare each photo with a bank of known items (see recognizer bank).",
    ),
]
AnyWayUpOption = Annotated[
    bool,
    typer.Option(
        "--any-way-up", help="With --known: also find what was mirrored or turned. Slower."
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Scan only the I-th of N parts (from 1/N to N/N). Jobs that are given the same "
        "sources each do their part, each with an --output of its own; recognizer merge makes "
        "one journal of all.",
    ),
]
EngineOption = Annotated[
    Engine,
    typer.Option(
        "--engine",
        help="Who does the work: processes of this machine, or a Ray cluster (extra: ray), that of "
        "RAY_ADDRESS if it is set; --workers is then the number of its actors.",
    ),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but errors and warnings.")
]


def _print_schema(is_asked: bool) -> None:
    if is_asked:
        import json  # noqa: PLC0415

        from recognizer.rows import row_schema  # noqa: PLC0415

        typer.echo(json.dumps(row_schema(), indent=2))
        raise typer.Exit


SchemaOption = Annotated[
    bool,
    typer.Option(
        "--schema",
        callback=_print_schema,
        is_eager=True,
        help="Print the JSON Schema of a row, and do nothing else.",
    ),
]
