"""``recognizer scan``: find leads in images, one row for each."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from recognizer.cli import SomeInputsFailedError
from recognizer.cli.options import (
    AllowHttpOption,
    BundleOption,
    JsonOption,
    ListingColumnOption,
    OptionalPolicyOption,
    ProviderOption,
    QuietOption,
    output_option,
    print_json,
)
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.known import KnownItems
    from recognizer.model.bundle import Bundle
    from recognizer.policy import Policy
    from recognizer.rows.audit import AuditSample
    from recognizer.scan.pool import MakePool


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


def command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Files, folders (with all subfolders), patterns in quotes ('*.jpg', '**/*.png'), "
            "tables (CSV, TSV, JSONL, Parquet), archives (tar, zip), URLs of object stores "
            "(s3://...; extra: cloud), or - for a list of these on standard input, separated by "
            "newlines or NULs.",
        ),
    ],
    output: Annotated[
        Path | None,
        output_option(
            "The journal: a JSON row for each image. A scan that was stopped resumes from "
            "it, and images that have not changed are not scored again.",
            show_default="NAME.scan.jsonl, after the folder, table or archive that is scanned",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Also write the review queue, as recognizer report does."),
    ] = None,
    thumbnails: Annotated[
        bool,
        typer.Option(
            help="Keep a thumbnail of each lead in OUTPUT.thumbnails, so that the report shows "
            "what was scored even if the file is gone."
        ),
    ] = True,
    rehash: Annotated[
        bool,
        typer.Option(
            "--rehash",
            help="Read all files. Without it, a file with the size, times and inode with which it "
            "was read before is not read again (OUTPUT.files).",
        ),
    ] = False,
    listings: Annotated[
        Path | None,
        typer.Option(help="Also write the listings: .jsonl, .csv or .parquet."),
    ] = None,
    image_column: Annotated[
        str | None,
        typer.Option(help="The column of tables with the images.", show_default="by its name"),
    ] = None,
    listing_column: ListingColumnOption = None,
    allow_http: AllowHttpOption = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="The probability above which any product is a lead, instead of the model's own "
            "thresholds. A lead has priority if it is also over the model's threshold for a "
            "false-positive rate of 0.1 %.",
        ),
    ] = None,
    policy: OptionalPolicyOption = None,
    bundle: BundleOption = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", "-w", min=0, help="Processes; 0 for as many as CPUs and memory allow."
        ),
    ] = 0,
    provider: ProviderOption = "cpu",
    allow_fallback: Annotated[
        bool, typer.Option("--allow-fallback", help="Use the CPU if the provider is unavailable.")
    ] = False,
    max_bytes: Annotated[
        int | None,
        typer.Option(min=1, help="Larger files are not read.", show_default="64 MiB"),
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(min=1, help="Larger images are not decoded.", show_default="100 million"),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="An image fails with the reason timeout if reading it, or decoding and scoring "
            "it, takes longer; the process that worked on it is replaced.",
        ),
    ] = 30.0,
    memory_limit: Annotated[
        int | None,
        typer.Option(
            metavar="MIB",
            min=0,
            help="Memory of each process, model and libraries included; an image that takes more "
            "fails with the reason out_of_memory; 0 for no limit (Linux only).",
            show_default="its share of the machine's",
        ),
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="A folder that tables may name files of; may be repeated.",
            show_default="the folder of the table, and folders that are sources",
        ),
    ] = None,
    allow_store: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PREFIX",
            help="What URLs of object stores that tables name may begin with (s3://bucket/photos); "
            "may be repeated.",
            show_default="the folder of the table, and prefixes that are sources",
        ),
    ] = None,
    max_members: Annotated[
        int | None, _bound("Members of an archive, or images of a table.", "10 million")
    ] = None,
    max_nesting: Annotated[
        int | None, _bound("Lists and objects within each other, in a listing's columns.", "64")
    ] = None,
    max_name: Annotated[
        int | None, _bound("Characters of a member's name, or of a path in a table.", "4096")
    ] = None,
    max_headers: Annotated[
        int | None, _bound("Extended headers before one member of a tar.", "64")
    ] = None,
    max_unpacked: Annotated[
        int | None, _bound("Bytes that a compressed archive or table unpacks to.", "1 TiB")
    ] = None,
    max_ratio: Annotated[
        int | None, _bound("Unpacked bytes for each packed one, beyond 256 MiB.", "200")
    ] = None,
    max_columns: Annotated[int | None, _bound("Columns of a table.", "4096")] = None,
    max_cell: Annotated[
        int | None,
        _bound("Characters of a listing's column in a row; what is longer is cut.", "16384"),
    ] = None,
    audit_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Draw this share of the clear images at random for people to look at, and those "
            "with higher scores 10 to 100 times as often; recognizer measure estimates from them "
            "what was missed.",
            show_default="none",
        ),
    ] = None,
    audit_seed: Annotated[
        int, typer.Option(metavar="N", help="Another number draws another sample.")
    ] = 0,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Also try images again that cost a process before (decoder_crash, timeout, "
            "out_of_memory). Other failures are always tried again.",
        ),
    ] = False,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep the embedding of each image, for recognizer similar, which looks for them "
            "in OUTPUT.embeddings. Images without one are scored again.",
        ),
    ] = None,
    known: Annotated[
        Path | None,
        typer.Option(
            metavar="BANK",
            help="Compare each image with a bank of known items (see recognizer bank).",
        ),
    ] = None,
    match_rotations: Annotated[
        bool,
        typer.Option(
            "--match-rotations",
            help="With --known: also match mirrored and rotated images. Slower.",
        ),
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Scan only the I-th of N parts (from 1/N to N/N); a listing is never split. Jobs "
            "with the same sources each scan their part, each with an --output of its own; "
            "recognizer merge makes one journal of all.",
        ),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(
            help="Run the workers on this machine, or on a Ray cluster (extra: ray), that of "
            "RAY_ADDRESS if it is set; --workers is then the number of its actors."
        ),
    ] = Engine.LOCAL,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    schema: Annotated[  # noqa: ARG001 - its callback has printed it
        bool,
        typer.Option(
            "--schema",
            callback=_print_schema,
            is_eager=True,
            help="Print the JSON Schema of a row, and do nothing else.",
        ),
    ] = False,
) -> None:
    """Find leads in images. A lead is an image that somebody should look at, not a verdict.

    The exit code is 0 when all is done, 3 when some images failed, 2 for a mistake in the
    command, 4 for a missing or altered model, 130 when interrupted.
    """
    from recognizer.cli.scan_files import check_outputs, default_journal, write_scanned_listings
    from recognizer.cli.scan_output import Output, as_plain, warnings
    from recognizer.imaging import Limits
    from recognizer.imaging.sources import MEBIBYTE
    from recognizer.model.bundle import load_bundle, load_carried_bundles
    from recognizer.review.page import write_report
    from recognizer.rows import EmbeddingStore, Journal
    from recognizer.rows.files import FileStore, files_path
    from recognizer.rows.thumbnails import ThumbnailStore, thumbnails_path
    from recognizer.scan import (
        Access,
        Bounds,
        Containers,
        Lookahead,
        ScanOptions,
        Shard,
        Skipped,
        expand,
        scan,
    )

    model = load_bundle(bundle)
    model.read_model()  # verified here, so that a wrong one is reported before any worker starts
    rules = _policy(policy, threshold, model)
    output = output or default_journal(sources)
    part = Shard(1, 1) if shard is None else Shard.parse(shard)
    audit = _audit(audit_rate, audit_seed, model)
    standard = Limits()
    options = ScanOptions(
        workers=workers,
        provider=provider,
        allow_fallback=allow_fallback,
        limits=Limits(
            max_bytes=max_bytes or standard.max_bytes, max_pixels=max_pixels or standard.max_pixels
        ),
        timeout=timeout,
        memory_limit=None if memory_limit is None else memory_limit * MEBIBYTE,
        retry_failed=retry_failed,
        access=Access(
            allow_http=allow_http,
            roots=tuple(map(str, root or ())),
            stores=tuple(allow_store or ()),
        ),
    )
    check_outputs(output, report, listings, embeddings)
    bounds = {
        "max_members": max_members,
        "max_nesting": max_nesting,
        "max_name": max_name,
        "max_headers": max_headers,
        "max_unpacked": max_unpacked,
        "max_ratio": max_ratio,
        "max_columns": max_columns,
        "max_cell": max_cell,
    }
    if listing_column is not None and listings is None and shard is None:
        raise UsageError("--listing-column needs --listings or --shard")
    skipped = Skipped()
    containers = Containers(options.timeout, options.memory_limit)
    found = expand(
        sources,
        image_column=image_column,
        access=options.access,
        limits=options.limits,
        bounds=Bounds(**{name: value for name, value in bounds.items() if value is not None}),
        containers=containers,
        skipped=skipped,
    )
    with (
        _stoppable(output),
        _share_bank(known, match_rotations) as bank,
        Journal(output) as journal,
        ThumbnailStore(thumbnails_path(output), create=True)
        if thumbnails
        else nullcontext() as store,
        FileStore(files_path(output), create=True) as files,
        nullcontext()
        if embeddings is None
        else EmbeddingStore(embeddings, model.digest) as vectors,
        containers,
        Lookahead(part.of(found, listing_column)) as items,
        Output(journal, items, quiet=quiet or as_json) as shown,
    ):
        summary = scan(
            items,
            model,
            rules,
            journal,
            replace(options, known=bank),
            thumbnails=store,
            embeddings=vectors,
            files=files,
            rehash=rehash,
            audit=audit,
            on_rows=shown.on_rows,
            pool=_pool_of(engine),
        )
        if summary.provider not in {None, provider}:
            typer.echo(f"Provider {provider!r} is unavailable; used {summary.provider!r}", err=True)
        for line in warnings(skipped):
            typer.echo(line, err=True)
        if report is not None:
            write_report(output, report, [model, *load_carried_bundles()])
        if as_json:
            print_json(as_plain(summary, skipped, model, journal))
        else:
            shown.print_results(summary, skipped, model, report)
        if listings is not None:  # last: whether there is such a column is known only now
            write_scanned_listings(output, listings, listing_column, quiet=quiet or as_json)
    if summary.failed:
        raise SomeInputsFailedError


def _audit(rate: float | None, seed: int, bundle: Bundle) -> AuditSample | None:
    from recognizer.rows.audit import AuditSample
    from recognizer.taxonomy import Kind

    if rate is None:
        if seed:
            raise UsageError("--audit-seed needs --audit-rate")
        return None
    products = [label.name for label in bundle.labels if label.kind is Kind.PRODUCT]
    return AuditSample(rate=rate, seed=seed, products=products)


def _pool_of(engine: Engine) -> MakePool:
    if engine is Engine.RAY:
        from recognizer.scan.ray_engine import RayPool

        return RayPool
    from recognizer.scan.pool import WorkerPool

    return WorkerPool


@contextmanager
def _stoppable(output: Path) -> Iterator[None]:
    """Treat a service manager's SIGTERM as Ctrl-C: stop at once, and say how to resume."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"Stopped. The rows so far are in {output}. Run the same command again to resume."
        ) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _share_bank(
    path: Path | None, match_rotations: bool
) -> AbstractContextManager[KnownItems | None]:
    if path is None:
        if match_rotations:
            raise UsageError("--match-rotations needs --known")
        return nullcontext()
    from recognizer.known import share_bank

    return share_bank(path, match_rotations=match_rotations)


def _policy(path: str | None, threshold: float | None, bundle: Bundle) -> Policy:
    from recognizer._policy_file import load_policy
    from recognizer.policy import Policy, Probability, Rate, Rule

    if path is not None and threshold is not None:
        raise UsageError(
            "--policy and --threshold exclude each other: write the threshold into the policy"
        )
    if threshold is not None and math.isnan(threshold):  # which no range keeps out
        raise UsageError("--threshold nan: a probability from 0 to 1")
    if path is not None:
        return load_policy(path, bundle.taxonomy)
    if threshold is None:
        return Policy()
    # Over the model's own threshold for this rate too, a lead has priority.
    rule = Rule(review=Probability(threshold), priority=Rate(0.001))
    return Policy(name=f"threshold {threshold:g}", default=rule)
