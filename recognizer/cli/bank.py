"""``recognizer bank``: known items, recognised by the hashes of their photos."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from recognizer.cli import options
from recognizer.cli.options import output_option
from recognizer.cli.progress import require_none_failed, show_progress
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.known.bank import KnownItem

app = options.group(
    "Keep, merge and exchange known items. A bank holds hashes and notes, never a photo."
)

BankArgument = Annotated[Path, Argument(metavar="BANK", help="The bank's file.")]


@app.command()
def add(
    bank: BankArgument,
    photos: Annotated[list[Path], Argument(metavar="PHOTO", help="Photos of the items.")],
    label: Annotated[str | None, Option(help="The product or family that they show.")] = None,
    note: Annotated[str | None, Option(help="A note for reviewers.")] = None,
    by: Annotated[str | None, Option(help="Who decided it.")] = None,
    origin: options.OriginOption = None,
    cleared: Annotated[bool, Option("--cleared", help="The items are harmless.")] = False,
    bundle: options.BundleOption = None,
) -> None:
    """Add the hashes of photos to a bank.

    A bank that is missing is made. Give --label, one that `recognizer info` lists (with --model,
    also a bundle's own), or --cleared. The exit code is 3 if some photos have no hash.
    """
    from recognizer.imaging import MIN_HASH_SIDE, load_image, perceptual_hash
    from recognizer.known.bank import Bank, KnownItem
    from recognizer.model.bundle import load_bundle
    from recognizer.policy.values import Finding
    from recognizer.taxonomy import load_taxonomy, unknown_name

    if label is None and not cleared:
        raise UsageError("say what the photos show: --label PRODUCT, or --cleared if harmless")
    taxonomy = load_taxonomy() if bundle is None else load_bundle(bundle).taxonomy
    names = [*taxonomy.labels, *taxonomy.families]
    if label is not None and label not in names:
        unknown = unknown_name("label or family", label, names)
        raise UsageError(f"--label: {unknown} (see `recognizer info`)")
    finding = Finding.CLEARED if cleared else Finding.PRODUCT
    time = datetime.now(UTC).isoformat(timespec="seconds")
    item = partial(KnownItem, label=label, note=note, by=by, origin=origin)
    items, failures = [], []
    with show_progress() as report:
        for number, photo in enumerate(photos, 1):
            image = load_image(photo, min_side=MIN_HASH_SIDE)
            hash_ = perceptual_hash(image.frames[0].rgb) if image.frames else None
            if hash_ is None:
                why = "too little to see for a hash" if image.frames else image.reason
                failures.append(f"{photo}: not added: {why}")
            else:
                items.append(item(pdq=hash_, finding=finding, time=time))
            report("reading photos", number, len(photos))
    with Bank(bank, create=True) as opened:
        typer.echo(f"{bank}: {opened.add(items)} new, {len(opened)} in all")
    require_none_failed(failures)


@app.command("list")
def list_items(
    bank: BankArgument,
    label: Annotated[str | None, Option(help="List only items with this label.")] = None,
    output: Annotated[Path | None, output_option("Write an exchange file instead: a .csv.")] = None,
) -> None:
    """List the items of a bank, or write them into an exchange file.

    The oldest comes first. An exchange file holds hashes and notes, and no photo.
    """
    from recognizer.known.bank import Bank, write_exchange

    with Bank(bank) as opened:
        items = (item for item in opened if label is None or item.label == label)
        if output is not None:
            typer.echo(f"{output}: {write_exchange(items, output)} items")
            return
        for item in items:
            about = [item.id, item.time[:10], item.finding.value, item.label or "-"]
            words = [text for text in (item.origin, item.by, item.note) if text]
            typer.echo("  ".join([*about, ", ".join(words)]).rstrip())


@app.command()
def remove(
    bank: BankArgument,
    ids: Annotated[list[str], Argument(metavar="ID", help="Ids, of `recognizer bank list`.")],
) -> None:
    """Remove items that were added by mistake. Other banks that are merged do not restore them.

    The next scan with this bank makes all rows again.
    """
    from recognizer.known.bank import Bank

    with Bank(bank, write=True) as opened:
        typer.echo(f"{bank}: {opened.remove(ids)} removed, {len(opened)} in all")


@app.command("import")
def import_items(
    bank: BankArgument,
    files: Annotated[
        list[Path] | None, Argument(metavar="FILE", help="Banks, or exchange files.")
    ] = None,
    scan: options.OptionalScanOption = None,
    outcomes: options.OutcomesOption = None,
    origin: options.OriginOption = None,
) -> None:
    """Add the items of other banks, of exchange files and of scans.

    Each file is added completely or not at all; known items are skipped. Of a scan these are the
    confirmed and the rejected images. A bank is made if it is missing.
    """
    from recognizer.known.bank import Bank, is_exchange, read_exchange
    from recognizer.rows import ScanFile
    from recognizer.rows.listings import known_items

    if not (files or scan) or (outcomes and not scan):
        raise UsageError("give other banks, exchange files or a scan; --outcomes needs --scan")

    def add(source: Path, items: Iterable[KnownItem]) -> None:
        with Bank(bank, create=True) as opened, show_progress(f"Reading {source}"):
            new, count = opened.add(items), len(opened)
        typer.echo(f"{source}: {new} new, {count} in all")

    for file in files or ():
        if is_exchange(file):
            add(file, read_exchange(file, origin=origin))
        else:
            with Bank(file) as other:
                add(file, other)
    if scan is not None:
        with ScanFile(scan) as decided:
            if outcomes is not None:
                decided.use_outcomes_of(outcomes)
            add(scan, known_items(decided, origin))
