"""The command line: ``recognizer VERB``.

A verb is a function ``VERB_command`` or an ``app``, whose module is imported when it is called:
``recognizer --help`` answers at once. Verbs raise; only here an error becomes an exit code.
"""

import importlib
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import typer
import typer.core
import typer.main
from typer import Option

from recognizer import __version__
from recognizer.errors import BundleError, RecognizerError, ScanFileChangedError

VERB_GROUPS = {
    "Scan": {
        "scan": "Find leads in photos: files, folders, patterns, lists.",
        "decide": "Apply another policy to the scores of a scan.",
        "rows": "Export rows or listings, in several formats.",
        "similar": "List near-copies in a scan, or what resembles a photo.",
        "merge": "Merge the shards of a scan, or several scans.",
        "compare": "Show what changed between two scans.",
    },
    "Review": {
        "thresholds": "Choose thresholds for a team, by labelled photos or outcomes.",
        "policy": "Check a policy, and show what it decides.",
        "review": "Work through the leads of a scan, as a team.",
        "report": "Write the review queue of a scan as one HTML file.",
        "outcomes": "Import, export and use what reviewers found out.",
        "measure": "Measure precision and misses by what reviewers found out.",
        "evidence": "Make a case of leads (BagIt): originals, scores, verdicts.",
        "verify": "Check that a case was not changed.",
        "bank": "Keep, merge and exchange known items.",
    },
    "Models": {
        "info": "Describe a model, its labels, and the evidence for each.",
        "enroll": "Add a product to a model, from a few photos.",
        "evaluate": "Measure a model on sources that it never saw.",
        "calibrate": "Calibrate a model on other photos.",
        "train": "Train a model on labelled photos.",
        "export": "Make a model (a bundle) of a training run.",
    },
    "Data": {"dataset": "Split and check labelled photos, describe labels."},
    "Maintenance": {"doctor": "Check the installation, the machine and the model."},
}
"""Heading -> verb -> its line in ``--help``."""

VERBS = {verb: line for group in VERB_GROUPS.values() for verb, line in group.items()}
"""Verb -> its line in ``--help``."""

_MODULES = {
    **dict.fromkeys(("compare", "decide", "merge", "rows", "similar"), "scans"),
    **dict.fromkeys(("evidence", "verify"), "cases"),
    "report": "review",
    "measure": "outcomes",
    "calibrate": "evaluate",
    "export": "train",
}
"""Verb -> its module, if its name is another."""

_HOUSES = {
    "recognizer.desk": (
        *("review", "report", "outcomes", "measure", "thresholds", "evidence", "verify"),
    ),
    "recognizer.lab": ("enroll", "evaluate", "calibrate", "train", "export", "dataset"),
}
"""House -> its verbs, unless it is the core."""

EXAMPLES = (
    "recognizer scan photos/ --output scan.sqlite",
    "recognizer scan listings.csv --output scan.sqlite --policy strict",
    "recognizer scan photos/ --output scan.sqlite --embeddings --known known.bank",
    "find photos -name '*.jpg' -print0 | recognizer scan - --output scan.sqlite",
    "recognizer decide scan.sqlite --policy strict --dry-run",
    "recognizer rows scan.sqlite --listings --output listings.csv",
    "recognizer similar scan.sqlite tusk.jpg",
    "recognizer merge 1.sqlite 2.sqlite --output scan.sqlite",
    "recognizer thresholds --scan labelled.sqlite --labels labelled/ --photos-per-day 100000 "
    "--reviewers 2 --cases-per-reviewer 300 --output next.toml",
    "recognizer thresholds --scan scan.sqlite --precision 0.5 --output next.toml",
    "recognizer policy strict --toml > mine.toml",
    "recognizer outcomes import scan.sqlite outcomes.json",
    "recognizer outcomes dataset scan.sqlite decided/",
    "recognizer evidence scan.sqlite --lead photos/tusk.jpg --output case/",
    "recognizer bank add known.bank tusk.jpg --label ivory_raw --note 'seizure 12'",
    "recognizer enroll shark_fin seized/ --check",
    "recognizer enroll shark_fin seized/ --output bundles/mine-v1",
    "recognizer evaluate bundles/own-v1 --data data/ --output report.html",
    "recognizer train --data data/ --output runs/mine",
    "recognizer export runs/mine --data data/ --output bundles/own-v1",
    "recognizer dataset labels photos/ whale_tooth=product resin=lookalike",
    "recognizer dataset split photos/ --output data/",
)
"""Each stands at the end of the ``--help`` of its verb."""


class ExitCode(IntEnum):
    DONE = 0
    INTERNAL_ERROR = 1  # or the scan's file was moved or replaced in mid-scan
    USAGE = 2  # an option, a policy, a scan's file, a data folder, an extra that is not installed
    SOME_FAILED = 3  # all is done, and the inputs that failed are reported
    MODEL = 4  # it is missing, or is not the one that it should be
    INTERRUPTED = 130


_CODES: Mapping[type[BaseException], ExitCode] = {  # the first that an error is one of
    KeyboardInterrupt: ExitCode.INTERRUPTED,
    ScanFileChangedError: ExitCode.INTERNAL_ERROR,
    BundleError: ExitCode.MODEL,
    RecognizerError: ExitCode.USAGE,
}


class _Verbs(typer.core.TyperGroup):
    """A group whose commands are stand-ins until one of them is called."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click's
        for heading, verbs in VERB_GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([*verbs.items()], col_max=14)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, load_verb(name) if name and stand_in else stand_in, rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (RecognizerError, KeyboardInterrupt) as error:
            if str(error):
                typer.echo(f"recognizer: {error}", err=True)
            code = next(code for kind, code in _CODES.items() if isinstance(error, kind))
            raise typer.Exit(code) from error


def load_verb(verb: str) -> Any:
    """Import the module of a verb, and return its command or group."""
    house = next((house for house, verbs in _HOUSES.items() if verb in verbs), "recognizer")
    module = importlib.import_module(f"{house}.cli.{_MODULES.get(verb, verb)}")
    if function := getattr(module, f"{verb}_command", None):
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(verb)(function)
    else:
        app = module.app
    command = typer.main.get_command(app)
    if examples := [line for line in EXAMPLES if f"recognizer {verb} " in line]:
        command.epilog = "\n  ".join(["\b\nExamples:", *examples])
    return command


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"recognizer {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Find ivory, big cat skins, antelope horn and other wildlife products in photos.

    What it finds are leads: photos that somebody should look at. A lead is not a verdict.
    """


def _stand_in() -> None:
    """Be listed; the module of the verb has what is called."""


for _verb, _line in VERBS.items():
    app.command(_verb, help=_line)(_stand_in)


def _note_interrupts() -> threading.Event:
    """Return what is set when Ctrl-C comes; an import that it interrupts may lose the exception."""
    interrupted = threading.Event()

    def interrupt(*_: object) -> NoReturn:
        interrupted.set()
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored
        signal.signal(signal.SIGINT, interrupt)
    return interrupted


def main() -> None:
    interrupted = _note_interrupts()
    # What Pillow says of a file's metadata: a status says what counts.
    warnings.filterwarnings("ignore", module="PIL")
    try:
        app()
    except BaseException as error:
        if interrupted.is_set():  # even if the exception was lost
            sys.exit(ExitCode.INTERRUPTED)
        if not isinstance(error, Exception):
            raise
        typer.echo(
            "recognizer: a defect of this program; please report it with what follows", err=True
        )
        traceback.print_exc()
        sys.exit(ExitCode.INTERNAL_ERROR)
