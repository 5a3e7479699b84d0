"""``recognizer thresholds`` chooses the thresholds of a policy for a review team."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from recognizer._files import CsvRows, replacing, require_own
from recognizer.cli import options
from recognizer.cli.options import output_option, print_json
from recognizer.cli.progress import print_table, say, show_progress
from recognizer.errors import UsageError

if TYPE_CHECKING:
    from recognizer.desk.thresholds import Choice, LabelledPhoto
    from recognizer.model.bundle import Bundle
    from recognizer.model.description import Estimate
    from recognizer.rows import ScanFile

MAX_STEPS = 12  # choices that are printed
_MANIFEST = "manifest.csv"


def thresholds_command(
    scan: options.ScanOption,
    outcomes: options.OutcomesOption = None,
    labels: Annotated[
        Path | None,
        Option(
            metavar="PATH",
            help="What the photos of the scan show: their folder, with a manifest.csv or a folder "
            "for each label, or a manifest.",
        ),
    ] = None,
    split: Annotated[
        options.Split, Option(help="With --labels: the photos of the manifest that are measured.")
    ] = "test",
    bundle: options.BundleOption = None,
    policy: options.ScanPolicyOption = None,
    reviewers: Annotated[int, Option(help="Reviewers at work each day.", min=1)] = 1,
    cases_per_reviewer: Annotated[
        int | None, Option(help="Leads that one reviewer works through in a day.", min=1)
    ] = None,
    precision: Annotated[float | None, Option(help="The share of leads with a product.")] = None,
    photos_per_day: Annotated[
        int | None,
        Option(help="Photos scanned a day.", min=1, show_default="as scanned; for --labels 10000"),
    ] = None,
    prevalence: Annotated[float, Option(help="With --labels: the share with a product.")] = 0.0003,
    output: Annotated[Path | None, output_option("The policy to write (TOML).")] = None,
    *,
    as_json: options.JsonOption = False,
) -> None:
    """Print leads, recall and precision of thresholds, and choose the one that fits a team.

    They are measured by the outcomes of a scan, or by labels of its photos (--labels). The choice
    is the loosest threshold whose leads the team can work through, or of whose leads enough show a
    product (--precision). All other rules come from --policy. Intervals are 95 % intervals.
    """
    from recognizer.desk.outcomes import open_reviewed
    from recognizer.desk.thresholds import choose, measure_labelled, measure_reviewed, policy_of
    from recognizer.model.bundle import bundle_behind, bundles_behind
    from recognizer.policy.toml import policy_toml
    from recognizer.policy.values import Policy

    if (cases_per_reviewer is None) == (precision is None):
        raise UsageError("give --cases-per-reviewer (and --reviewers), or --precision")
    if labels is not None and outcomes is not None:
        raise UsageError("give what the photos show (--labels), or outcomes; not both")
    if output is not None:
        require_own(output, "policy that this command wrote", lambda f: f.read(8) == b"# Chosen")
    with open_reviewed(scan, outcomes) as (file, found_out), show_progress(f"Reading {scan}"):
        if (row := next(file.rows(), None)) is None:
            raise UsageError("the scan has no rows")
        model = bundle_behind(row.model, bundles_behind(bundle and [bundle]))
        own = Policy.load(policy, model.taxonomy) if policy else file.policy(model.taxonomy)
        base = own or Policy()
        if labels is None:
            measured = measure_reviewed(
                model,
                file.rows(),
                found_out.decided(),
                images_per_day=photos_per_day,
                ignore=base.ignore,
            )
        else:
            measured = measure_labelled(
                model,
                [*_labelled_photos(file, labels, split, model)],
                images_per_day=photos_per_day or 10_000,
                prevalence=prevalence,
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
    if output is not None:
        goal = f"{capacity:,} leads" if capacity else f"a precision of {precision:.0%}"
        kept = "" if choice.step else ", with the thresholds as before"
        comments = (
            f"Chosen for {model.title} ({model.digest[:12]}) and {goal}, from {choice.origin}"
            f"{kept}.",
            "Probabilities hold for this bundle alone; rates, for any.",
        )
        chosen = policy_of(choice, model, base, output.stem)
        with replacing(output) as partial_file:
            partial_file.write_text(policy_toml(chosen, comments), encoding="utf-8")
        say(f"Wrote {output}{kept}")


# --- what labelled photos show --------------------------------------------------------------------


def _labelled_photos(
    scan: ScanFile, labels: Path, split: str, bundle: Bundle
) -> Iterator[LabelledPhoto]:
    """Yield the scored photos of a scan whose label is known."""
    from recognizer.desk.thresholds import LabelledPhoto
    from recognizer.taxonomy import load_taxonomy, unknown_name

    folder = labels if labels.is_dir() else labels.parent
    manifest = labels if labels.is_file() else labels / _MANIFEST
    own = folder / "taxonomy.toml"
    taxonomy = load_taxonomy(own, bundle.taxonomy) if own.exists() else bundle.taxonomy
    listed = _read_manifest(manifest, split) if manifest.exists() else None
    count = missing = 0
    for row in scan.rows():
        if listed is not None:
            found = listed.get(row.sha256 or "")
        else:
            found = _by_folders(Path(row.source), folder)
        if found is None:
            continue
        label, source = found
        if label not in taxonomy.labels:
            unknown = unknown_name("label", label, [*taxonomy.labels])
            raise UsageError(f"{labels}: {row.source}: {unknown}")
        if row.scores is None or row.model.digest != bundle.digest:
            missing += 1
            continue
        count += 1
        yield LabelledPhoto(label, source, row.scores, taxonomy)
    if missing:
        say(f"{missing:,} labelled photos have no score of {bundle.title}")
    if not count:
        why = f"--split {split}; " if listed is not None else ""
        raise UsageError(
            f"{labels}: the scan has no scored photo of these ({why}are they scanned?)"
        )


def _read_manifest(path: Path, split: str) -> dict[str, tuple[str, str]]:
    """Return sha256 -> label and source of the photos of a split."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {
                row["sha256"]: (row["label"], row["source"])
                for row in CsvRows(file)
                if split == "all" or row["split"] == split
            }
    except KeyError as error:
        raise UsageError(f"{path}: no column {error}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: {error}") from error


def _by_folders(photo: Path, folder: Path) -> tuple[str, str] | None:
    """Return a photo's label and source by the folders that it is in."""
    try:
        label, *sources, _ = photo.absolute().relative_to(folder.absolute()).parts
    except ValueError:
        return None
    return label, sources[0] if sources else folder.name


# --- what is printed ------------------------------------------------------------------------------


def _print_choice(choice: Choice, bundle: Bundle) -> None:
    last = len(choice.steps) - 1
    shown = {choice.chosen, *(round(i * last / (MAX_STEPS - 1)) for i in range(MAX_STEPS))}
    rows = [
        [
            ">" if place == choice.chosen else "",
            _count(step.leads),
            _share(step.recall),
            _share(step.precision),
            f"{step.threshold:.4g}",
        ]
        for place, step in enumerate(choice.steps)
        if place in shown
    ]
    if rows:
        title = (
            f"{bundle.title}: leads of {choice.images:,.0f} images; figures from {choice.origin}"
        )
        print_table(title, ("", "leads", "recall, %", "precision, %", "threshold"), rows)
    for note in choice.notes:
        typer.echo(f"- {note}")


def _share(estimate: Estimate | None) -> str:
    from recognizer.model.description import percent

    if estimate is None:
        return "-"
    if estimate.value == 1:  # "100" would be read as a promise
        return f"at least {percent(estimate.low)}"
    return estimate.as_percent().replace(" %", "")


def _count(estimate: Estimate) -> str:
    if estimate.low == estimate.high:
        return f"{estimate.value:,.0f}"
    return f"{estimate.value:,.0f} ({estimate.low:,.0f}-{estimate.high:,.0f})"
