"""``recognizer rows``: the rows, listings or leads of a scan in other formats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli import options
from recognizer.cli.progress import require_none_failed, working
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.rows import ListingCounts, ScanFile

_MAX_SHOWN = 20  # leads without a URL that are listed


def _print_schema(is_asked: bool) -> None:
    if is_asked:
        from recognizer.rows import row_schema

        options.print_json(row_schema())
        raise typer.Exit


def command(
    scan: options.ScanArgument,
    output: Annotated[
        Path,
        options.output_option(
            "The file to write: .jsonl, .csv or .parquet; or .json, the leads as tasks for Label "
            "Studio."
        ),
    ],
    listings: Annotated[
        bool,
        typer.Option("--listings", help="Write listings, in the order of the queue, leads first."),
    ] = False,
    policy: options.OptionalPolicyOption = None,
    photo_url: Annotated[
        str | None,
        typer.Option(
            help="For Label Studio, where a photo is served whose source is not a URL: a URL with "
            "{sha256}, {source} or {name} in it, such as https://photos.example/{sha256}."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Also write Label Studio's interface to this file (XML).")
    ] = None,
    raw: options.RawOption = False,
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
    """Export a scan: a row for each image, with --listings for each listing; or its leads as tasks.

    The keys of rows are those of --schema. A listing has all its images, its title,
    price, seller and the like, its leads merged, and says in how many others a near-copy of its
    best image is. With --policy, the policy of the rows, it also has the text of the action.
    The exit code is 3 if some leads have no URL under which Label Studio finds the photo.
    """
    from recognizer.policy import Policy
    from recognizer.rows import ScanFile, write_listings, write_rows

    is_tasks = output.suffix.lower() == ".json"
    if policy is not None and not listings:
        raise UsageError("--policy needs --listings")
    if is_tasks and listings:
        raise UsageError("--listings is for .jsonl, .csv and .parquet: tasks are of images")
    if not is_tasks and (photo_url or config):
        raise UsageError("--photo-url and --config are for Label Studio: --output NAME.json")
    without_url: list[str] = []
    with ScanFile(scan) as file, working(f"Writing {output}"):
        if is_tasks:
            written, without_url = _write_tasks(file, output, photo_url, config)
        elif listings:
            rules = None if policy is None else Policy.load(policy)
            written = words(write_listings(file, output, rules, raw=raw))
        else:
            written = f"{write_rows(file, output, raw=raw):,} rows"
    typer.echo(f"Wrote {output}: {written}")
    lines = [f"{source}: no URL: give a --photo-url" for source in without_url[:_MAX_SHOWN]]
    if len(without_url) > _MAX_SHOWN:
        lines.append(f"and {len(without_url) - _MAX_SHOWN:,} more")
    require_none_failed(lines)


def _write_tasks(
    file: ScanFile, output: Path, photo_url: str | None, config: Path | None
) -> tuple[str, list[str]]:
    from recognizer._atomic import replacing, require_own
    from recognizer.model.bundle import load_bundle
    from recognizer.review.label_studio import labelling_config, write_tasks

    if config is not None:
        require_own(config, "labelling interface", lambda file: file.read(6) == b"<View>")
    tasks, without_url = write_tasks(file.rows("place < 2"), output, photo_url)
    if config is not None:
        with replacing(config) as partial:
            partial.write_text(labelling_config(load_bundle()), encoding="utf-8")
    return f"{tasks:,} tasks", without_url


def words(counts: ListingCounts) -> str:
    """Return the numbers of listings in words."""
    parts = [f"{counts.listings:,} listings", f"{counts.leads:,} of them leads"]
    parts += [f"{counts.folded:,} near-copies of others"] if counts.folded else []
    parts += [f"{counts.without_image:,} without an image"] if counts.without_image else []
    return ", ".join(parts)
