"""``recognizer scan``: look for leads in photos, one row for each."""

from __future__ import annotations

import itertools
import math
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from recognizer._atomic import check_place
from recognizer.cli import SomeInputsFailedError
from recognizer.cli.page import check_page
from recognizer.cli.scan_options import (
    AnyWayUpOption,
    BundleOption,
    EmbeddingsOption,
    Engine,
    EngineOption,
    FallbackOption,
    HttpOption,
    ImageColumnOption,
    KnownOption,
    ListingColumnOption,
    ListingsOption,
    MaxBytesOption,
    MaxPixelsOption,
    MemoryOption,
    OutputOption,
    PolicyOption,
    ProviderOption,
    QuietOption,
    ReportOption,
    RetryOption,
    SchemaOption,
    ShardOption,
    SourcesArgument,
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
    from recognizer.scan.pool import Hire

DEFAULT_OUTPUT = Path("scan.jsonl")


def command(
    sources: SourcesArgument,
    output: OutputOption = DEFAULT_OUTPUT,
    report: ReportOption = None,
    thumbnails: ThumbnailsOption = True,
    listings: ListingsOption = None,
    image_column: ImageColumnOption = None,
    listing_column: ListingColumnOption = None,
    allow_http: HttpOption = False,
    threshold: ThresholdOption = None,
    policy: PolicyOption = None,
    bundle: BundleOption = None,
    workers: WorkersOption = 0,
    provider: ProviderOption = "cpu",
    allow_fallback: FallbackOption = False,
    max_bytes: MaxBytesOption = None,
    max_pixels: MaxPixelsOption = None,
    timeout: TimeoutOption = 30.0,
    memory_limit: MemoryOption = None,
    retry_failed: RetryOption = False,
    embeddings: EmbeddingsOption = None,
    known: KnownOption = None,
    any_way_up: AnyWayUpOption = False,
    shard: ShardOption = None,
    engine: EngineOption = Engine.LOCAL,
    quiet: QuietOption = False,
    schema: SchemaOption = False,  # noqa: ARG001 - its callback has seen to it
) -> None:
    """Find leads in photos. A lead is a photo that somebody should look at; it is no verdict.

    The exit code is 0 when all is done, 3 when some photos failed, 2 for a mistake in the
    command, 4 for a missing or altered model, 130 when interrupted.
    """
    from recognizer.cli.scan_output import Output, warnings  # noqa: PLC0415
    from recognizer.imaging import Limits  # noqa: PLC0415
    from recognizer.imaging.sources import MEBIBYTE  # noqa: PLC0415
    from recognizer.model.bundle import load_bundle  # noqa: PLC0415 - heavy imports wait for the verb
    from recognizer.rows import EmbeddingStore, Journal  # noqa: PLC0415
    from recognizer.rows.thumbnails import ThumbnailStore, thumbnails_path  # noqa: PLC0415
    from recognizer.scan import Access, Guard, Passed, Shard, expand, scan  # noqa: PLC0415

    model = load_bundle(bundle)
    model.read_model()  # verified here, so that a wrong one is told before any worker starts
    rules = _policy(policy, threshold, model)
    part = Shard(1, 1) if shard is None else Shard.parse(shard)
    standard = Limits()
    limits = Limits(max_bytes or standard.max_bytes, max_pixels or standard.max_pixels)
    passed = Passed()
    guard = Guard(timeout, None if memory_limit is None else memory_limit * MEBIBYTE)
    if str(output) == "-":
        raise UsageError(
            "--output - : rows go to a file, from which a scan is resumed; name one, and follow it "
            "with: tail -f"
        )
    check_place(output)
    _require_different(
        {
            "--output": output,
            "--report": report,
            "--listings": listings,
            "--embeddings": embeddings,
        }
    )
    access = Access(allow_http=allow_http)
    items = expand(sources, image_column=image_column, access=access, limits=limits, passed=passed)
    write_listings = _listings_writer(listings, listing_column, quiet=quiet)
    write_report = _report_writer(report)
    with (
        _stoppable(output),
        _share_bank(known, any_way_up) as bank,
        Journal(output) as journal,
        ThumbnailStore(thumbnails_path(output), create=True)
        if thumbnails
        else nullcontext() as store,
        nullcontext()
        if embeddings is None
        else EmbeddingStore(embeddings, model.digest) as vectors,
        Output(sources, journal, part, image_column, quiet=quiet) as shown,
    ):
        summary = scan(
            part.of(items),
            model,
            rules,
            journal,
            workers=workers,
            provider=provider,
            allow_fallback=allow_fallback,
            limits=limits,
            guard=guard,
            retry_failed=retry_failed,
            thumbnails=store,
            embeddings=vectors,
            known=bank,
            on_rows=shown.on_rows,
            access=access,
            hire=hire_for(engine),
        )
        if summary.provider not in {None, provider}:
            typer.echo(f"{provider} is not there: computed on {summary.provider}", err=True)
        for line in warnings(passed):
            typer.echo(line, err=True)
        write_report(output, model)
        shown.print_results(summary, passed, model, report)
        write_listings(output)  # last: whether there is such a column is known only now
    if summary.failed:
        raise SomeInputsFailedError


def hire_for(engine: Engine) -> Hire:
    """Return what makes the workforce of an engine."""
    if engine is Engine.RAY:
        from recognizer.scan.ray_engine import RayCrew  # noqa: PLC0415

        return RayCrew
    from recognizer.scan.pool import Crew  # noqa: PLC0415

    return Crew


@contextmanager
def _stoppable(output: Path) -> Iterator[None]:
    """Take a service manager's SIGTERM as Ctrl-C: end at once, and say how to go on."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped; the rows so far are in {output}. The same command again goes on."
        ) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _share_bank(path: Path | None, any_way_up: bool) -> AbstractContextManager[KnownItems | None]:
    if path is None:
        if any_way_up:
            raise UsageError("--any-way-up says how to compare with the bank of --known")
        return nullcontext()
    from recognizer.known import share_bank  # noqa: PLC0415

    return share_bank(path, any_way_up=any_way_up)


def _require_different(paths: Mapping[str, Path | None]) -> None:
    given = [(option, path) for option, path in paths.items() if path is not None]
    for (one, path), (other, same) in itertools.combinations(given, 2):
        if path.resolve() == same.resolve():
            raise UsageError(f"{other} and {one} are the same file: {path}")


def _listings_writer(
    path: Path | None, column: str | None, *, quiet: bool
) -> Callable[[Path], None]:
    """Return what writes the listings; that it can be done is checked before the scan."""
    if path is None:
        if column is not None:
            raise UsageError("--listing-column says how to tell the listings of --listings apart")
        return lambda _rows: None
    from recognizer.rows.listings import require_listings, write_listings  # noqa: PLC0415

    require_listings(path)

    def write(rows: Path) -> None:
        count, strays = write_listings(rows, path, column)
        of_none = f"; {strays:,} photos belong to none" if strays else ""
        if not quiet:
            typer.echo(f"Listings: {path}, {count:,}{of_none}", err=True)

    return write


def _report_writer(path: Path | None) -> Callable[[Path, Bundle], None]:
    """Return what writes the report; that it can be written is checked before the scan."""
    if path is None:
        return lambda _rows, _bundle: None
    check_page(path)
    from recognizer.review.report import write_report  # noqa: PLC0415

    def write(rows: Path, bundle: Bundle) -> None:
        try:
            write_report(rows, path, bundle)
        except OSError as error:
            raise UsageError(f"--report {path}: {error.strerror or error}") from error

    return write


def _policy(path: Path | None, threshold: float | None, bundle: Bundle) -> Policy:
    from recognizer.policy import Policy, load_policy  # noqa: PLC0415

    if path is not None and threshold is not None:
        raise UsageError("--policy and --threshold exclude each other: write it into the policy")
    if threshold is not None and math.isnan(threshold):  # which no range keeps out
        raise UsageError("--threshold nan: a probability from 0 to 1")
    if path is not None:
        return load_policy(path, bundle.taxonomy)
    return Policy() if threshold is None else threshold_policy(threshold)


def threshold_policy(threshold: float) -> Policy:
    """Return a policy for which any product over one probability is a lead.

    A lead has priority where it is also over the bundle's threshold for a false-positive rate
    of 0.001; where that one is lower than ``threshold``, every lead has priority.
    """
    from recognizer.policy import Policy, Probability, Rate, Rule  # noqa: PLC0415

    rule = Rule(review=Probability(threshold), priority=Rate(0.001))
    return Policy(name=f"threshold {threshold:g}", default=rule)
