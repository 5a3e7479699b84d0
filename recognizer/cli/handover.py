"""``recognizer handover``: leads for the review console that a platform has."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli import SomeInputsFailedError
from recognizer.cli.options import JournalArgument, ListingColumnOption, output_option
from recognizer.cli.progress import working
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.review.handover.coop_requests import CoopTarget
    from recognizer.rows.listings import Listing

API_KEY = "COOP_API_KEY"
"""The environment variable with Coop's API key."""

_MAX_SHOWN = 20  # sources or items that an output lists


class Console(StrEnum):
    """Where leads go."""

    COOP = "coop"
    LABEL_STUDIO = "label-studio"


def command(
    journal: JournalArgument,
    to: Annotated[Console, typer.Option("--to", help="The console.")],
    url: Annotated[str | None, typer.Option(help="Coop: its URL (https).")] = None,
    item_type: Annotated[
        str | None, typer.Option(help="Coop: the ID of the item type of listings.")
    ] = None,
    reporter_type: Annotated[
        str | None,
        typer.Option(
            help="Coop: the ID of the user type that reports; submits reports, which become jobs "
            "for reviewers. Without it items are submitted, for Coop's own rules."
        ),
    ] = None,
    coop_policy: Annotated[
        str | None, typer.Option(help="Coop: the ID of the policy that leads may violate.")
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(help="Coop: a file with its API key.", show_default=f"the variable {API_KEY}"),
    ] = None,
    photo_url: Annotated[
        str | None,
        typer.Option(
            help="Where a photo is served whose source is not a URL: a URL with {sha256}, {source} "
            "or {name} in it, such as https://photos.example/{sha256}."
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Coop: seconds for one request.", min=0.1)] = 30.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Coop: print the requests, and send nothing.")
    ] = False,
    listing_column: ListingColumnOption = None,
    output: Annotated[
        Path | None,
        output_option("Label Studio: the file to import there (.json)."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Label Studio: also write the labelling interface (XML)."),
    ] = None,
) -> None:
    """Hand the leads of a scan over to Coop or Label Studio.

    A handover that was stopped resumes with the same command: what Coop has accepted is recorded
    beside the journal. The exit code is 3 where some leads were not accepted.
    """
    from recognizer.review.handover.photo_urls import PhotoUrls

    urls = PhotoUrls(photo_url)
    if to is Console.LABEL_STUDIO:
        if output is None:
            raise UsageError("--to label-studio: name the file to write with --output")
        if dry_run or url or item_type or reporter_type or coop_policy or api_key_file:
            raise UsageError("--to label-studio: the options of Coop are not for it")
        _write_tasks(journal, output, config, photo_url)
        return
    if url is None or item_type is None or output is not None or config is not None:
        raise UsageError("--to coop: give --url and --item-type, and neither --output nor --config")
    from recognizer.review.handover.coop_requests import CoopTarget

    target = CoopTarget(
        url=url,
        item_type=item_type,
        reporter_type=reporter_type,
        policy=coop_policy,
        photo_urls=urls,
    )
    if dry_run:
        _print_requests(journal, listing_column, target)
    else:
        _submit(journal, listing_column, target, _read_key(api_key_file), timeout)


def _leads(journal: Path, column: str | None) -> Iterator[Listing]:
    from recognizer.model.bundle import load_carried_bundles
    from recognizer.rows.listing_table import ListingTable

    with closing(ListingTable(journal, column, load_carried_bundles())) as table:
        yield from (listing for listing in table if listing.is_lead)


def _read_key(file: Path | None) -> str:
    if file is None:
        key = os.environ.get(API_KEY, "").strip()
        if not key:
            raise UsageError(f"put Coop's API key into {API_KEY}, or name its --api-key-file")
    else:
        try:
            key = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file} cannot be read: {error}") from error
    if not (key and key.isascii() and key.isprintable()):
        raise UsageError("the API key of Coop is one line of printable characters")
    return key


def _print_requests(journal: Path, column: str | None, target: CoopTarget) -> None:
    from recognizer.review.handover.accepted import AcceptedStore, accepted_path
    from recognizer.review.handover.coop import BATCH, planned

    path = accepted_path(journal)
    opened = AcceptedStore(path, create=False) if path.exists() else nullcontext()
    batch: list[object] = []

    def show(body: object) -> None:
        request = {"method": "POST", "url": target.endpoint, "body": body}
        typer.echo(json.dumps(request, ensure_ascii=True))

    with opened as store:
        for submission, is_known in planned(_leads(journal, column), target, store):
            if is_known:
                continue
            if submission.report is not None:
                show(submission.report)
                continue
            batch.append(submission.item)
            if len(batch) == BATCH:
                show({"items": batch})
                batch = []
    if batch:
        show({"items": batch})


def _submit(
    journal: Path, column: str | None, target: CoopTarget, key: str, timeout: float
) -> None:
    from recognizer.review.handover.accepted import AcceptedStore, accepted_path
    from recognizer.review.handover.coop import CoopClient, hand_over

    client = CoopClient(api_key=key, timeout=timeout)
    with (
        AcceptedStore(accepted_path(journal), create=True) as store,
        working(f"Submitting to {target.url}"),
    ):
        report = hand_over(_leads(journal, column), target, client, store)
    typer.echo(
        f"{target.url}: {report.accepted} leads accepted, {report.earlier} were accepted earlier, "
        f"{len(report.refused)} refused"
    )
    _report_failures({item: f"refused: {why}" for item, why in report.refused.items()})


def _write_tasks(journal: Path, output: Path, config: Path | None, photo_url: str | None) -> None:
    from recognizer._atomic import replacing, require_own
    from recognizer.model.bundle import load_bundle
    from recognizer.review.handover.label_studio import labelling_config, write_tasks
    from recognizer.review.handover.photo_urls import PhotoUrls
    from recognizer.rows.journal import last_rows

    with working(f"Writing {output}"):
        report = write_tasks(last_rows(journal), output, PhotoUrls(photo_url))
    typer.echo(f"Wrote {output}: {report.tasks} tasks")
    if config is not None:
        require_own(config, "labelling interface", lambda file: file.read(6) == b"<View>")
        with replacing(config) as partial:
            partial.write_text(labelling_config(load_bundle()), encoding="utf-8")
        typer.echo(f"Wrote {config}")
    why = "no URL: give a --photo-url under which Label Studio finds the photos"
    _report_failures(dict.fromkeys(report.without_url, why))


def _report_failures(failures: dict[str, str]) -> None:
    from recognizer.cli.scan_output import shown

    for number, (name, why) in enumerate(failures.items()):
        if number == _MAX_SHOWN:
            typer.echo(f"and {len(failures) - _MAX_SHOWN} more", err=True)
            break
        typer.echo(f"{shown(name)}: {why}", err=True)
    if failures:
        raise SomeInputsFailedError
