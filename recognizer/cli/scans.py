"""The verbs for scans that are done: ``decide``, ``compare``, ``rows``, ``merge``, ``similar``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from recognizer.cli import options
from recognizer.cli.options import output_option, print_json
from recognizer.cli.progress import print_table, show_progress, shown
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.rows import DecisionDiff


def decide_command(
    scan: options.ScanArgument,
    policy: options.PolicyOption,
    dry_run: Annotated[bool, Option("--dry-run", help="Only print what would change.")] = False,
    bundle: options.RowsBundleOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Apply another policy to the scores of a scan, and print which decisions change.

    No image is read and no model is run. The rows that change are changed in the scan's file, all
    or none of them; while a scan writes it, this is refused.
    """
    from recognizer.model.bundle import bundles_behind
    from recognizer.policy.values import Policy
    from recognizer.rows import Ranking, ScanFile, ScanWriter, decide_again, group_copies

    bundles = bundles_behind(bundle)
    rules = Policy.load(policy, bundles[0].taxonomy)
    ScanFile(scan).close()  # which must be there: a writer would make it
    opened = ScanFile(scan) if dry_run else ScanWriter(scan, Ranking(bundles))
    with opened as file, show_progress(f"Deciding {scan}"):
        diff = decide_again(file, rules, bundles, dry_run=dry_run)
        if not dry_run:
            group_copies(file)
    if as_json:
        print_json(diff.to_json())
        return
    _print_diff(diff)
    done = "would be decided" if dry_run else "decided"
    typer.echo(f"{scan}: {diff.rows:,} rows {done} by {rules.name!r}")


def compare_command(
    before: Annotated[Path, Argument(metavar="BEFORE", help="The file of a scan.")],
    after: Annotated[Path, Argument(metavar="AFTER", help="The file of another scan.")],
    top: Annotated[int, Option(min=0, help="How many of the largest changes to show.")] = 20,
    as_json: options.JsonOption = False,
) -> None:
    """Show which decisions changed between two scans, and the images that changed most.

    Images are paired by name and listing, or by their bytes if the folder differs.
    """
    from recognizer.rows import ScanFile
    from recognizer.rows.deciding import compare

    with ScanFile(before) as old_scan, ScanFile(after) as new_scan, show_progress("Comparing"):
        result = compare(old_scan, new_scan, top=top)
    if as_json:
        print_json(result.to_json())
        return
    was, now = result.images
    typer.echo(f"{was:,} images before, {now:,} after, {result.common.rows:,} in both")
    if result.moved:
        typer.echo(f"{result.moved:,} of them were renamed, and are paired by their bytes")
    if result.replaced:
        typer.echo(f"{result.replaced:,} have new bytes, and are not compared")
    _print_diff(result.common)
    for change in result.changes:
        old, new = change.before, change.after
        typer.echo(f"{shown(new.source)}: {old.decision} to {new.decision}, {change.by:+.3f}")
        for sentence in new.why or old.why:
            typer.echo(f"    {'' if new.why else 'was '}{shown(sentence)}")


def _print_diff(diff: DecisionDiff) -> None:
    from recognizer.rows.deciding import LEAD_COUNTS

    if diff.leads:
        print_table(
            "Images that are leads, by product",
            ["product", *LEAD_COUNTS],
            (
                [name, *(f"{counts[key]:,}" for key in LEAD_COUNTS)]
                for name, counts in sorted(diff.leads.items())
            ),
        )
    for (before, after), count in sorted(diff.decisions.items()):
        if before != after:
            typer.echo(f"{before} to {after}: {count:,}")
    same = sum(count for (before, after), count in diff.decisions.items() if before == after)
    typer.echo(f"As before: {same:,}")


def rows_command(
    scan: options.ScanArgument,
    output: Annotated[Path, output_option("The file to write: .jsonl or .csv.")],
    listings: Annotated[bool, Option("--listings", help="Write listings, in queue order.")] = False,
    policy: options.OptionalPolicyOption = None,
    raw: options.RawOption = False,
) -> None:
    """Export a scan: a row for each image, or with --listings for each listing.

    A listing has all its images, its title, price, seller and so on, the leads of all images, and
    the number of other listings with a near-copy of its best image. With --policy, the policy of
    the rows, it also has the text of the action.
    """
    from recognizer.policy.values import Policy
    from recognizer.rows import ScanFile, write_listings, write_rows

    if policy is not None and not listings:
        raise UsageError("--policy needs --listings")
    with ScanFile(scan) as file, show_progress(f"Writing {output}"):
        if listings:
            rules = None if policy is None else Policy.load(policy)
            written = f"{write_listings(file, output, rules, raw=raw):,} listings"
        else:
            written = f"{write_rows(file, output, raw=raw):,} rows"
    typer.echo(f"Wrote {output}: {written}")


def merge_command(
    inputs: Annotated[
        list[Path], Argument(metavar="INPUT", help="Scans, or Parquet files of a cluster.")
    ],
    output: Annotated[Path, output_option("The merged file; it may be one of those merged.")],
    leads: Annotated[
        bool, Option("--leads", help="Of Parquet files, leave out what is clear and not audited.")
    ] = False,
    allow_mixed: Annotated[
        bool, Option("--allow-mixed", help="Merge rows of different models, policies or banks.")
    ] = False,
    bundle: options.RowsBundleOption = None,
) -> None:
    """Merge the shards of a scan (scan --shard), or separate scans, into one file.

    Of each image the latest row counts, and outcomes, thumbnails and embeddings are merged too. The
    inputs stay as they are, but for one that is the output too.
    """
    from recognizer.model.bundle import bundles_behind
    from recognizer.rows import Ranking, merge

    ranking = Ranking(bundles_behind(bundle))
    with show_progress(f"Merging {len(inputs)} files"):
        merged = merge(inputs, output, ranking, allow_mixed=allow_mixed, only_pending=leads)
    typer.echo(
        f"Wrote {output}: {merged.rows:,} rows, {merged.superseded:,} superseded by later ones, "
        f"{merged.outcomes:,} outcomes"
    )


def similar_command(
    scan: options.ScanArgument,
    photo: Annotated[
        Path | None, Argument(metavar="PHOTO", help="Rank the images by similarity to it.")
    ] = None,
    bundle: options.BundleOption = None,
    top: Annotated[int, Option(min=1, help="How many to list, the most similar first.")] = 20,
) -> None:
    """List the near-copies among a scan's images, or rank its images by similarity to a photo.

    Near-copies are the same image, resized, recompressed or slightly cropped; all of them keep
    their rows. With PHOTO, similarity is the cosine of the model's features (scan --embeddings):
    1.0 is the same image or a near-copy; a similar image need not show the same product.
    """
    from recognizer.cli.results import row_line
    from recognizer.engine import Recognizer
    from recognizer.rows import ScanFile, find_copies, similar_images

    if photo is None:
        with ScanFile(scan) as file, show_progress(f"Comparing the images of {scan}"):
            ((count,),) = file.select("SELECT count(*) FROM image WHERE reason IS NOT 'no_image'")
            groups = [*find_copies(file)]
        for number, rows in enumerate(groups, 1):
            typer.echo(f"{number}: {len(rows)} near-copies")
            for row in rows:
                typer.echo(f"  {row.decision}  {shown(row.source)}")
        copies = sum(map(len, groups)) - len(groups)
        typer.echo(f"{count:,} images, {len(groups):,} groups, {copies:,} copies of others")
        return
    with ScanFile(scan) as file, show_progress("Comparing"):
        recognizer = Recognizer.load(bundle)
        if (embedding := recognizer.embed(photo)) is None:
            failed = recognizer.predict(photo)
            raise UsageError(f"{photo} has no embedding: {failed.reason}: {failed.detail}")
        similar = similar_images(file, embedding, recognizer.bundle.digest, top)
    for cosine, row in similar:
        typer.echo(f"{cosine:6.3f}  {row_line(row)}")
