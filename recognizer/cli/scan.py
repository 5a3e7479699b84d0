"""``recognizer scan``: find leads in images, one row for each."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

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
from recognizer.cli.scan_options import (
    AllowFallbackOption,
    AllowStoreOption,
    AuditRateOption,
    AuditSeedOption,
    EmbeddingsOption,
    Engine,
    EngineOption,
    ImageColumnOption,
    KnownOption,
    ListingsOption,
    MatchRotationsOption,
    MaxBytesOption,
    MaxCellOption,
    MaxColumnsOption,
    MaxHeadersOption,
    MaxMembersOption,
    MaxNameOption,
    MaxNestingOption,
    MaxPixelsOption,
    MaxRatioOption,
    MaxUnpackedOption,
    MemoryLimitOption,
    RehashOption,
    ReportOption,
    RetryFailedOption,
    RootOption,
    SchemaOption,
    ShardOption,
    ThresholdOption,
    ThumbnailsOption,
    TimeoutOption,
    WorkersOption,
)
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.known import KnownItems
    from recognizer.model.bundle import Bundle
    from recognizer.policy import Policy
    from recognizer.rows.audit import AuditSample
    from recognizer.scan.pool import MakePool


def command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
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
    report: ReportOption = None,
    thumbnails: ThumbnailsOption = True,
    rehash: RehashOption = False,
    listings: ListingsOption = None,
    image_column: ImageColumnOption = None,
    listing_column: ListingColumnOption = None,
    allow_http: AllowHttpOption = False,
    threshold: ThresholdOption = None,
    policy: OptionalPolicyOption = None,
    bundle: BundleOption = None,
    workers: WorkersOption = 0,
    provider: ProviderOption = "cpu",
    allow_fallback: AllowFallbackOption = False,
    max_bytes: MaxBytesOption = None,
    max_pixels: MaxPixelsOption = None,
    timeout: TimeoutOption = 30.0,
    memory_limit: MemoryLimitOption = None,
    root: RootOption = None,
    allow_store: AllowStoreOption = None,
    max_members: MaxMembersOption = None,
    max_nesting: MaxNestingOption = None,
    max_name: MaxNameOption = None,
    max_headers: MaxHeadersOption = None,
    max_unpacked: MaxUnpackedOption = None,
    max_ratio: MaxRatioOption = None,
    max_columns: MaxColumnsOption = None,
    max_cell: MaxCellOption = None,
    audit_rate: AuditRateOption = None,
    audit_seed: AuditSeedOption = 0,
    retry_failed: RetryFailedOption = False,
    embeddings: EmbeddingsOption = None,
    known: KnownOption = None,
    match_rotations: MatchRotationsOption = False,
    shard: ShardOption = None,
    engine: EngineOption = Engine.LOCAL,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    schema: SchemaOption = False,  # noqa: ARG001 - its callback has printed it
) -> None:
    """Find leads in images. A lead is an image that somebody should look at, not a verdict.

    The exit code is 0 when all is done, 3 when some images failed, 2 for a mistake in the
    command, 4 for a missing or altered model, 130 when interrupted.
    """
    from recognizer.cli.scan_files import (
        check_outputs,
        default_journal,
        require_sources,
        write_scanned_listings,
    )
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
    require_sources(sources)
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
            write_scanned_listings(
                output,
                listings,
                listing_column,
                [model, *load_carried_bundles()],
                quiet=quiet or as_json,
            )
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
