"""``recognizer rows``: the rows or listings of a scan in other formats."""

from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli import options
from recognizer.cli.progress import working
from recognizer.errors import UsageError
from recognizer.policy import Policy
from recognizer.rows import ScanFile, write_listings, write_rows


def command(
    scan: options.ScanArgument,
    output: Annotated[Path, options.output_option("The file to write: .jsonl, .csv or .parquet.")],
    listings: Annotated[
        bool, typer.Option("--listings", help="Write listings, in the order of the queue.")
    ] = False,
    policy: options.OptionalPolicyOption = None,
    raw: options.RawOption = False,
) -> None:
    """Export a scan: a row for each image, or with --listings for each listing.

    A listing has all its images, its title, price, seller and the like, its leads merged, and says
    in how many others a near-copy of its best image is. With --policy, the policy of the rows, it
    also has the text of the action.
    """
    if policy is not None and not listings:
        raise UsageError("--policy needs --listings")
    with ScanFile(scan) as file, working(f"Writing {output}"):
        if listings:
            rules = None if policy is None else Policy.load(policy)
            written = f"{write_listings(file, output, rules, raw=raw):,} listings"
        else:
            written = f"{write_rows(file, output, raw=raw):,} rows"
    typer.echo(f"Wrote {output}: {written}")
