"""The options of ``recognizer scan`` that no other verb has."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class Engine(StrEnum):
    """What runs the workers of a scan."""

    LOCAL = "local"
    RAY = "ray"


def _bound(text: str, default: str) -> Any:
    panel = "What an archive or table of others may cost"
    return typer.Option(min=1, metavar="N", help=text, show_default=default, rich_help_panel=panel)


def _print_schema(is_asked: bool) -> None:
    if is_asked:
        from recognizer.rows import row_schema

        typer.echo(json.dumps(row_schema(), indent=2))
        raise typer.Exit


ReportOption = Annotated[
    Path | None,
    typer.Option(help="Also write the review queue, as recognizer report does."),
]
ThumbnailsOption = Annotated[
    bool,
    typer.Option(
        help="Keep a thumbnail of each lead in OUTPUT.thumbnails, so that the report shows "
        "what was scored even if the file is gone."
    ),
]
RehashOption = Annotated[
    bool,
    typer.Option(
        "--rehash",
        help="Read all files. Without it, a file with the size, times and inode with which it "
        "was read before is not read again (OUTPUT.files).",
    ),
]
ListingsOption = Annotated[
    Path | None,
    typer.Option(help="Also write the listings: .jsonl, .csv or .parquet."),
]
ImageColumnOption = Annotated[
    str | None,
    typer.Option(help="The column of tables with the images.", show_default="by its name"),
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="The probability above which any product is a lead, instead of the model's own "
        "thresholds. A lead has priority if it is also over the model's threshold for a "
        "false-positive rate of 0.1 %.",
    ),
]
WorkersOption = Annotated[
    int,
    typer.Option(
        "--workers", "-w", min=0, help="Processes; 0 for as many as CPUs and memory allow."
    ),
]
AllowFallbackOption = Annotated[
    bool, typer.Option("--allow-fallback", help="Use the CPU if the provider is unavailable.")
]
MaxBytesOption = Annotated[
    int | None,
    typer.Option(min=1, help="Larger files are not read.", show_default="64 MiB"),
]
MaxPixelsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Larger images are not decoded.", show_default="100 million"),
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        help="An image fails with the reason timeout if reading it, or decoding and scoring "
        "it, takes longer; the process that worked on it is replaced.",
    ),
]
MemoryLimitOption = Annotated[
    int | None,
    typer.Option(
        metavar="MIB",
        min=0,
        help="Memory of each process, model and libraries included; an image that takes more "
        "fails with the reason out_of_memory; 0 for no limit (Linux only).",
        show_default="its share of the machine's",
    ),
]
RootOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="DIR",
        help="A folder that tables may name files of; may be repeated.",
        show_default="the folder of the table, and folders that are sources",
    ),
]
AllowStoreOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PREFIX",
        help="What URLs of object stores that tables name may begin with (s3://bucket/photos); "
        "may be repeated.",
        show_default="the folder of the table, and prefixes that are sources",
    ),
]
MaxMembersOption = Annotated[
    int | None, _bound("Members of an archive, or images of a table.", "10 million")
]
MaxNestingOption = Annotated[
    int | None, _bound("Lists and objects within each other, in a listing's columns.", "64")
]
MaxNameOption = Annotated[
    int | None, _bound("Characters of a member's name, or of a path in a table.", "4096")
]
MaxHeadersOption = Annotated[
    int | None, _bound("Extended headers before one member of a tar.", "64")
]
MaxUnpackedOption = Annotated[
    int | None, _bound("Bytes that a compressed archive or table unpacks to.", "1 TiB")
]
MaxRatioOption = Annotated[
    int | None, _bound("Unpacked bytes for each packed one, beyond 256 MiB.", "200")
]
MaxColumnsOption = Annotated[int | None, _bound("Columns of a table.", "4096")]
MaxCellOption = Annotated[
    int | None,
    _bound("Characters of a listing's column in a row; what is longer is cut.", "16384"),
]
AuditRateOption = Annotated[
    float | None,
    typer.Option(
        metavar="RATE",
        help="Draw this share of the clear images at random for people to look at, and those "
        "with higher scores 10 to 100 times as often; recognizer measure estimates from them "
        "what was missed.",
        show_default="none",
    ),
]
AuditSeedOption = Annotated[
    int, typer.Option(metavar="N", help="Another number draws another sample.")
]
RetryFailedOption = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Also try images again that cost a process before (decoder_crash, timeout, "
        "out_of_memory). Other failures are always tried again.",
    ),
]
EmbeddingsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Keep the embedding of each image, for recognizer similar, which looks for them "
        "in OUTPUT.embeddings. Images without one are scored again.",
    ),
]
KnownOption = Annotated[
    Path | None,
    typer.Option(
        metavar="BANK",
        help="Compare each image with a bank of known items (see recognizer bank).",
    ),
]
MatchRotationsOption = Annotated[
    bool,
    typer.Option(
        "--match-rotations",
        help="With --known: also match mirrored and rotated images. Slower.",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Scan only the I-th of N parts (from 1/N to N/N); a listing is never split. Jobs "
        "with the same sources each scan their part, each with an --output of its own; "
        "recognizer merge makes one journal of all.",
    ),
]
EngineOption = Annotated[
    Engine,
    typer.Option(
        help="Run the workers on this machine, or on a Ray cluster (extra: ray), that of "
        "RAY_ADDRESS if it is set; --workers is then the number of its actors."
    ),
]
SchemaOption = Annotated[
    bool,
    typer.Option(
        "--schema",
        callback=_print_schema,
        is_eager=True,
        help="Print the JSON Schema of a row, and do nothing else.",
    ),
]
