"""Outcomes of leads, and what they say: ``outcomes``, ``measure`` and ``thresholds``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from recognizer._files import replacing, require_own
from recognizer.cli import ExitCode, options
from recognizer.cli.options import output_option, print_json, require_extra
from recognizer.cli.progress import print_table, require_none_failed, say, show_progress
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.desk.measure import Measurement, Precision
    from recognizer.desk.thresholds import Choice
    from recognizer.model.bundle import Bundle
    from recognizer.model.description import Estimate

MAX_STEPS = 12  # choices that are printed

app = options.group("Import, export and use the outcomes of leads.")


@app.command("import")
def import_(
    scan: options.ScanArgument,
    files: Annotated[list[Path], Argument(metavar="FILE", help="JSON Lines or CSV.")],
    outcomes: options.OutcomesOption = None,
    bundle: options.RowsBundleOption = None,
) -> None:
    """Add outcomes from files, as other review tools write them. Known ones are skipped.

    An outcome that names a listing of the scan and no image becomes outcomes on the images of the
    listing with a lead of a product. A label is one that `recognizer info` lists, or one of the
    bundle (--model).
    """
    from recognizer.desk.decided import about_images, count_unknown
    from recognizer.desk.outcomes import Outcomes, read_outcomes
    from recognizer.model.bundle import bundles_behind
    from recognizer.rows import ScanFile

    target = outcomes or scan
    taxonomies = [one.taxonomy for one in bundles_behind(bundle)]
    labels = {name for one in taxonomies for name in (*one.labels, *one.families)}
    with ScanFile(scan) as file, Outcomes(target, write=True, create=True) as stored:
        file.use_outcomes_of(target)
        with stored.file.transaction(), show_progress(f"Reading {len(files)} files"):
            read = (read_outcomes(path, labels) for path in files)
            new = sum(stored.add(about_images(file, stored, found)) for found in read)
        total = len(stored)
        unknown = count_unknown(file, new)
    typer.echo(f"{target}: {new:,} new, {total:,} in all")
    if unknown:
        say(f"{unknown:,} of the new ones are about no image or listing of {scan}")


@app.command()
def export(
    scan: options.ScanArgument,
    output: Annotated[
        Path, Argument(metavar="FILE", help="A .jsonl or .csv file, or -: JSON Lines.")
    ],
    outcomes: options.OutcomesOption = None,
) -> None:
    """Write all outcomes to a file, which scan --known reads."""
    from recognizer.desk.outcomes import open_reviewed
    from recognizer.rows.export import OUTCOMES, outcome_records, write_records

    with open_reviewed(scan, outcomes) as (file, _):
        records = outcome_records(file)
        if str(output) == "-":
            for record in records:
                typer.echo(record.to_json_line(), nl=False)
            return
        typer.echo(f"Wrote {output}: {write_records(output, OUTCOMES, records):,} outcomes")


@app.command()
def dataset(
    scan: options.ScanArgument,
    output: Annotated[Path, Argument(metavar="FOLDER", help="The new data folder.")],
    outcomes: options.OutcomesOption = None,
    rejected_as: Annotated[
        str | None,
        Option(
            metavar="LABEL",
            help="The label of rejected images without a label, such as listing_other.",
            show_default="they are left out",
        ),
    ] = None,
) -> None:
    """Write the confirmed and rejected images with a manifest.

    `train` and `enroll` read it. The exit code is 3 if an image could not be read.
    """
    from recognizer.desk.decided import write_dataset
    from recognizer.desk.outcomes import open_reviewed
    from recognizer.desk.photos import original_reader
    from recognizer.errors import counted, unknown_name
    from recognizer.taxonomy import load_taxonomy

    if rejected_as is not None and rejected_as not in (labels := load_taxonomy().labels):
        raise UsageError(f"--rejected-as: {unknown_name('label', rejected_as, [*labels])}")
    if rejected_as is not None and labels[rejected_as].family is not None:
        raise UsageError(f"--rejected-as: {rejected_as!r} is a product")
    with open_reviewed(scan, outcomes) as (file, _), show_progress(f"Writing {output}"):
        written = write_dataset(file, output, original_reader(file), rejected_as)
    for label, count in sorted(written.labels.items()):
        typer.echo(f"{count:6}  {label}")
    typer.echo(f"Wrote {output}: {counted(written.labels.total(), 'image')}")
    if written.without_label:
        say(
            f"Left out: {counted(written.without_label, 'image')} rejected without a label, which "
            "may show anything but a product (--rejected-as listing_other takes them)"
        )
    require_none_failed(f"{source}: not used: {why}" for source, why in written.missing.items())


def measure_command(
    scan: options.ScanArgument,
    outcomes: options.OutcomesOption = None,
    bundle: options.RowsBundleOption = None,
    *,
    as_json: options.JsonOption = False,
) -> None:
    """Measure precision and misses of a scan by its outcomes.

    An image counts once, whatever the number of its listings. Intervals are 95 % intervals.
    Misses need an audit sample (`recognizer scan --audit-rate`). The families of custom labels come
    from --model.
    """
    require_extra("desk", "scipy")
    from recognizer.desk.measure import distinct_images, measure_outcomes
    from recognizer.desk.outcomes import open_reviewed
    from recognizer.model.bundle import bundles_behind

    taxonomies = [one.taxonomy for one in bundles_behind(bundle)]
    with open_reviewed(scan, outcomes) as (file, stored), show_progress("Measuring"):
        found = measure_outcomes(distinct_images(file), stored, taxonomies)
        rate = file.setting("audit_rate")
    if found.unknown_labels:
        labels = ", ".join(found.unknown_labels)
        say(f"No model at hand has {labels}: of unknown family (give their bundle with --model)")
    if as_json:
        print_json(found)
    else:
        _print(found, rate)


def _print(found: Measurement, rate: str | None) -> None:
    from recognizer.desk.measure import MIN_DECIDED
    from recognizer.errors import counted

    print_table(
        f"{counted(found.leads, 'distinct lead')} of {counted(found.images, 'distinct image')}, "
        f"{found.decided:,} decided; {found.known:,} more by known items alone",
        [
            *("lead", "level", "confirmed", "as this product", "rejected", "open"),
            *("precision, %", "of this product, %"),
        ],
        map(_cells, found.precision),
        "confirmed: as any wildlife product",
    )
    if (misses := found.misses) is None:
        advice = f"scan with --audit-rate{f' over {rate}, which drew nothing' if rate else ''}"
        sample = "decide some of the audit sample, of each probability"
        typer.echo(f"Misses: unknown; {sample if found.drawn else advice}.")
        return
    typer.echo(
        f"Misses: {misses.found} of {misses.audited} audited images ({misses.drawn} drawn of "
        f"{misses.cleared:,} distinct clear ones) show a product: an estimated "
        f"{misses.rate.as_percent()} of the clear images"
    )
    unknown = (
        f"unknown; it needs verdicts on {MIN_DECIDED:.0%} of the leads, as the first that "
        "reviewers decide do not stand for the others, and a product among all."
    )
    typer.echo(f"Recall: {misses.recall.as_percent() if misses.recall else unknown}")


def _cells(found: Precision) -> list[str]:
    name = (
        f"{found.name} ({found.kind})" if found.kind in ("family", "known") else found.name or "all"
    )
    numbers = (found.confirmed, found.as_product, found.rejected, found.open)
    shares = map(share_cell, (found.precision, found.product_precision))
    return [name, found.level, *map(str, numbers), *shares]


def share_cell(estimate: Estimate | None) -> str:
    """Return a share with its interval, in percent, for a table."""
    return "-" if estimate is None else estimate.as_percent().replace(" %", "")


def thresholds_command(
    scan: options.ScanOption,
    outcomes: options.OutcomesOption = None,
    bundle: options.BundleOption = None,
    policy: options.ScanPolicyOption = None,
    reviewers: Annotated[int, Option(help="Reviewers at work each day.", min=1)] = 1,
    cases_per_reviewer: Annotated[
        int | None, Option(help="Leads that one reviewer works through in a day.", min=1)
    ] = None,
    precision: Annotated[float | None, Option(help="The share of leads with a product.")] = None,
    photos_per_day: Annotated[
        int | None, Option(help="Photos scanned a day.", min=1, show_default="as scanned")
    ] = None,
    output: Annotated[Path | None, output_option("The policy to write (TOML).")] = None,
    *,
    as_json: options.JsonOption = False,
) -> None:
    """Print leads, recall and precision of thresholds, and choose the one that fits a team.

    They are measured by the outcomes of a scan, each distinct image once, whatever the number of
    its listings. The choice is the loosest threshold whose leads the team can work through, or of
    whose leads enough show a product (--precision). All other rules come from --policy. Intervals
    are 95 % intervals. The exit code is 3, and nothing is written, if no threshold can be chosen.
    """
    require_extra("desk", "scipy")
    from recognizer.desk.measure import distinct_images
    from recognizer.desk.outcomes import open_reviewed
    from recognizer.desk.thresholds import choose, measure_reviewed, policy_of
    from recognizer.model.bundle import bundle_behind, bundles_behind
    from recognizer.policy.values import Policy, policy_toml

    if (cases_per_reviewer is None) == (precision is None):
        raise UsageError("give --cases-per-reviewer (and --reviewers), or --precision")
    if output is not None:
        require_own(output, "policy that this command wrote", lambda f: f.read(8) == b"# Chosen")
    with open_reviewed(scan, outcomes) as (file, stored), show_progress(f"Reading {scan}"):
        if (row := next(file.rows(), None)) is None:
            raise UsageError("the scan has no rows")
        model = bundle_behind(row.model, bundles_behind(bundle and [bundle]))
        own = Policy.load(policy, model.taxonomy) if policy else file.policy(model.taxonomy)
        base = own or Policy()
        measured = measure_reviewed(
            model,
            distinct_images(file),
            stored.decided(),
            images_per_day=photos_per_day,
            ignore=base.ignore,
        )
    if base.rules:
        names = ", ".join(name for _, name in base.rules)
        note = f"The rules of {base.name!r} for {names} are kept: their leads are not counted here."
        measured = replace(measured, notes=(note, *measured.notes))
    capacity = cases_per_reviewer and reviewers * cases_per_reviewer
    choice = choose(measured, capacity=capacity, precision=precision)
    if as_json:
        print_json(choice)
    else:
        _print_choice(choice, model)
    if choice.step is None:
        say("No threshold was chosen" + (f"; {output} was not written" if output else ""))
        raise typer.Exit(ExitCode.SOME_FAILED)
    if output is not None:
        goal = f"{capacity:,} leads" if capacity else f"a precision of {precision:.0%}"
        comments = (
            f"Chosen for {model.title} ({model.digest[:12]}) and {goal}, from {choice.origin}.",
            "Probabilities hold for this bundle alone.",
        )
        chosen = policy_of(choice.step, base, output.stem)
        with replacing(output) as partial_file:
            partial_file.write_text(policy_toml(chosen, comments), encoding="utf-8")
        was = base.default.review
        say(f"Wrote {output}: review over {choice.step.threshold:g}, not {was}; all else as before")


def _print_choice(choice: Choice, bundle: Bundle) -> None:
    last = len(choice.steps) - 1
    shown = {choice.chosen, *(round(i * last / (MAX_STEPS - 1)) for i in range(MAX_STEPS))}
    rows = [
        [
            ">" if position == choice.chosen else "",
            f"{step.leads:,.0f}",
            *map(share_cell, (step.recall, step.precision)),
            f"{step.threshold:.4g}",
        ]
        for position, step in enumerate(choice.steps)
        if position in shown
    ]
    if rows:
        title = f"{bundle.title}: of {choice.images:,.0f} images; figures from {choice.origin}"
        print_table(title, ("", "distinct leads", "recall, %", "precision, %", "threshold"), rows)
    for note in choice.notes:
        typer.echo(f"- {note}")
