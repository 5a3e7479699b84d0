"""``recognizer listings``: the listings of a scan, as the unit of review."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recognizer.cli.options import (
    JournalArgument,
    ListingColumnOption,
    OptionalPolicyOption,
    RowsBundleOption,
    bundles_behind,
    output_option,
)
from recognizer.cli.progress import working

if TYPE_CHECKING:
    from recognizer.rows.listing_files import ListingCounts


def command(
    journal: JournalArgument,
    output: Annotated[Path, output_option("The file to write: .jsonl, .csv or .parquet.")],
    listing_column: ListingColumnOption = None,
    policy: OptionalPolicyOption = None,
    bundle: RowsBundleOption = None,
) -> None:
    """Write the listings of a scan in the order in which they are reviewed: leads first.

    A listing has all its images, its title, price, seller and the like, its leads merged, and says
    in how many others a near-copy of its best photo is. With --policy, the policy of the
    rows, it also has the text of the action.
    """
    from recognizer._policy_file import load_policy
    from recognizer.rows.listing_files import write_listings

    bundles = bundles_behind(bundle)
    rules = None if policy is None else load_policy(policy, bundles[0].taxonomy)
    with working(f"Writing {output}"):
        counts = write_listings(journal, output, listing_column, rules, bundles)
    typer.echo(f"Wrote {output}: {words(counts)}")


def words(counts: ListingCounts) -> str:
    """Return the numbers of listings in words."""
    parts = [f"{counts.listings:,} listings", f"{counts.leads:,} of them leads"]
    parts += [f"{counts.folded:,} near-copies of others"] if counts.folded else []
    parts += [f"{counts.without_image:,} without an image"] if counts.without_image else []
    parts += [f"{counts.strays:,} images that belong to no listing"] if counts.strays else []
    return ", ".join(parts)
