"""``recognizer scan``: find leads in images, one row for each."""

from __future__ import annotations

import glob
import itertools
import os
import shlex
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Argument, Option

from recognizer._files import check_place
from recognizer.cli import ExitCode, options
from recognizer.cli.options import output_option, print_json
from recognizer.cli.progress import say, show_progress, shown
from recognizer.errors import UsageError, counted

if TYPE_CHECKING:
    from recognizer.rows import ScanFile
    from recognizer.scan import Skipped

_SUFFIX = ".scan.sqlite"


def scan_command(
    sources: Annotated[
        list[str],
        Argument(
            metavar="SOURCE",
            help="Files, folders (with all subfolders), patterns in quotes ('*.jpg', '**/*.png'), "
            "tables (CSV, TSV, JSONL, Parquet), URLs of object stores (s3://...; extra: cloud), or "
            "- for a list of these on standard input, separated by newlines or NULs.",
        ),
    ],
    output: Annotated[
        Path | None,
        output_option(
            "The file of the scan (SQLite). A scan that was stopped resumes from it, and images "
            "that have not changed are not scored again.",
            show_default="NAME.scan.sqlite, after what is scanned; of several sources, scan.sqlite",
        ),
    ] = None,
    image_column: Annotated[
        list[str] | None,
        Option(
            help="A column with images; repeatable.", show_default="all that are named like images"
        ),
    ] = None,
    listing_column: Annotated[
        str | None, Option(help="The column that identifies a listing.", show_default="by its name")
    ] = None,
    image_root: Annotated[
        str | None,
        Option(
            metavar="PLACE",
            help="The folder or object store's prefix from which tables name images.",
            show_default="the folder of the table, and folders and prefixes that are sources",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        Option(
            metavar="HOST",
            help="A host from which images of http(s):// URLs are read; repeatable. The scan's "
            "file remembers it.",
            show_default="none",
        ),
    ] = None,
    policy: options.ScanPolicyOption = None,
    bundle: options.BundleOption = None,
    workers: Annotated[
        int, Option("--workers", "-w", min=0, help="Processes; 0: as CPUs and memory allow.")
    ] = 0,
    provider: options.ProviderOption = "cpu",
    decode: Annotated[
        Literal["auto", "whole"],
        Option(help="Decode JPEGs whole, or at first a fraction, which is faster."),
    ] = "auto",
    memory_limit: Annotated[
        int | None,
        Option(
            metavar="MIB",
            min=0,
            help="Per process, with the model; images that need more fail; 0: no limit (Linux).",
            show_default="its share of the machine's",
        ),
    ] = None,
    audit_rate: Annotated[
        float | None,
        Option(
            metavar="RATE",
            help="Draw clear images for recognizer measure: this share of those with low scores, "
            "10 times it of those with a product score from 0.01, 100 times it from 0.1. So 0.05 "
            "draws 5 %, 50 % and all of these, more than 5 % altogether.",
            show_default="that of the scan's file, if any",
        ),
    ] = None,
    recheck: Annotated[
        bool,
        Option(
            "--recheck",
            help="Also read files whose size, times and inode are unchanged, and retry images that "
            "cost a process (decoder_crash, timeout, out_of_memory).",
        ),
    ] = False,
    known: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Confirmed images, whose near-copies are leads: a scan with outcomes, or a .jsonl "
            "file of `recognizer outcomes export`.",
        ),
    ] = None,
    shard: Annotated[
        str | None, Option(metavar="I/N", help="Scan part I of N, for merge; no listing is split.")
    ] = None,
    strict: Annotated[
        bool, Option("--strict", help="End with exit code 3 if images failed.")
    ] = False,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Print only errors and warnings.")] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Find leads in images. A lead is an image that somebody should look at, not a verdict.

    An image that fails has a row with the reason. The exit code is 0 when all is done, with
    --strict 3 when images failed, 2 for a mistake in the command, 4 for a missing or altered model,
    130 when interrupted.
    """
    from recognizer.cli.results import counts, print_changes, print_results, progress_line
    from recognizer.imaging.sources import MEBIBYTE
    from recognizer.model.bundle import load_bundle
    from recognizer.policy.values import Policy
    from recognizer.rows import AuditSample, Ranking, ScanWriter, load_known
    from recognizer.scan import ScanOptions, Shard, Skipped, expand
    from recognizer.scan.run import Lookahead
    from recognizer.scan.run import scan as run

    model = load_bundle(bundle)
    model.verify()  # here, so that a wrong model is reported before any worker starts
    rules = None if policy is None else Policy.load(policy, model.taxonomy)
    output = _checked(output or default_output(sources))
    _require_sources(sources, image_root)
    audit = None if audit_rate is None else AuditSample(rate=audit_rate, products=model.products)
    skipped = Skipped()
    with _stoppable(output), ExitStack() as progress:
        show = progress.enter_context(show_progress("looking for images", quiet=quiet or as_json))
        settings = ScanOptions(
            workers=workers,
            provider=provider,
            image_columns=tuple(image_column or ()),
            listing_column=listing_column,
            image_root=image_root,
            allow_hosts=frozenset(allow_host or ()),
            whole=decode == "whole",
            memory_limit=None if memory_limit is None else memory_limit * MEBIBYTE,
            recheck=recheck,
            audit=audit,
            known=None if known is None else load_known(known),
        )
        images = expand(sources, settings, skipped=skipped)
        images = images if shard is None else Shard.parse(shard).of(images, listing_column)
        # A table without images is refused before the scan's file is made.
        items = Lookahead(itertools.chain([*itertools.islice(images, 1)], images))
        with ScanWriter(output, Ranking([model])) as file:
            if rules is None:
                rules = file.policy(model.taxonomy) or Policy()
            if not quiet:
                print_changes(file, rules, model, is_given=policy is not None)
            latest = deque([(0.0, 0)], 300)  # the images that a resumed scan skips do not count
            show("loading the model")
            summary = run(
                items,
                model,
                rules,
                file,
                settings,
                on_rows=lambda sums, _: show(progress_line(sums, items.total, latest)),
            )
            progress.close()
            _print_notes(file, skipped)
            if as_json:
                print_json({"scan": output, "bundle": model.title, **counts(summary, skipped)})
            elif not quiet:
                print_results(file, summary, skipped, model)
            elif summary.failed:
                say(f"{counted(summary.failed.total(), 'image')} failed: see 'reason' in {output}")
    if strict and summary.failed:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _print_notes(file: ScanFile, skipped: Skipped) -> None:
    from recognizer.rows.identity import shown_place

    for table, count in skipped.without_image.items():
        rows = f"{counted(count, 'row')} without an image" if count else "no rows"
        say(shown(f"{shown_place(table)}: {rows}"))
    for table, count in skipped.not_utf8.items():
        rows = f"{counted(count, 'row')} not in UTF-8, where keywords may not match"
        say(shown(f"{shown_place(table)}: {rows}: save it as UTF-8 and scan again"))
    for table, unread in skipped.unread_columns.items():
        if unread:
            columns = [*skipped.image_columns.get(table, ()), *unread]
            every = " ".join(f"--image-column {shlex.quote(name)}" for name in columns)
            names = ", ".join(map(repr, unread))
            say(
                shown(
                    f"{shown_place(table)}: images in {names} were not read; to read all: {every}"
                )
            )
    without_id = "SELECT count(*) FROM image WHERE listing IS NULL AND title IS NOT NULL"
    if count := file.select(without_id)[0][0]:
        column = f"a value in {file.listing_column!r}" if file.listing_column else "an ID or URL"
        words = "each is a listing of its own, known by image and title; give an ID"
        say(f"{counted(count, 'image')} of listings without {column}: {words} (--listing-column)")


@contextmanager
def _stoppable(output: Path) -> Iterator[None]:
    """Treat a service manager's SIGTERM as Ctrl-C: stop at once, and say how to resume."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        words = f"The rows so far are in {output}. Run the same command again to resume."
        raise KeyboardInterrupt(f"Stopped. {words}") from None
    finally:
        signal.signal(signal.SIGTERM, before)


def default_output(sources: Sequence[str]) -> Path:
    """Return a file in this folder, named after what is scanned if there is a single source."""
    from recognizer.scan.items import FileLocation, parse_location

    name = ""
    if len(sources) == 1 and sources[0] != "-" and not glob.has_magic(sources[0]):
        location = parse_location(sources[0])
        is_file = isinstance(location, FileLocation)
        name = os.path.basename(os.path.abspath(location) if is_file else str(location).rstrip("/"))
    name = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in name)
    return Path(f"{name}{_SUFFIX}" if name.strip("._") else _SUFFIX[1:])


def _require_sources(sources: Sequence[str], root: str | None) -> None:
    """Raise a UsageError if no local source exists, or a local root is not a folder."""
    from recognizer.scan.items import FileLocation, parse_location

    def is_missing(source: str) -> bool:
        location = parse_location(source)
        is_plain = isinstance(location, FileLocation) and source not in {"", "-"}
        return is_plain and not (glob.has_magic(source) or os.path.lexists(str(location)))

    if all(map(is_missing, sources)):  # if only some are missing, each has its row
        raise UsageError(f"{sources[0]}: no such file or folder")
    folder = parse_location(root or os.curdir)
    if isinstance(folder, FileLocation) and not os.path.isdir(folder):
        advice = "name that in which the paths of the table begin"
        raise UsageError(f"--image-root {root}: not a folder; {advice}")


def _checked(output: Path) -> Path:
    """Raise a UsageError, before the scan, unless its file can be written; return its path."""
    if output.suffix.lower() in {".jsonl", ".csv", ".parquet"}:
        scan = output.with_suffix(".sqlite")
        advice = f"name another, such as {scan}, and then: recognizer rows {scan} --output {output}"
        raise UsageError(f"--output {output}: a scan is an SQLite file; {advice}")
    check_place(output)
    return output
