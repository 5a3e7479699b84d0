"""The command line, ``recognizer VERB``: the verbs of the three houses, and the exit codes.

A verb is a function ``VERB_command`` or an ``app``. Its module is imported when it is called, and
imports what is heavy only in functions, so that ``--help`` answers at once. Verbs raise; only here
an error becomes an exit code.
"""

import gc
import importlib
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

import typer.core
import typer.main
from typer import Option

from recognizer import __version__
from recognizer.cli import ExitCode
from recognizer.cli.progress import say
from recognizer.errors import BundleError, RecognizerError, ScanFileChangedError

VERB_GROUPS = {
    "Scan": {
        "scan": ("cli.scan", "Find leads in photos: files, folders, patterns, lists."),
        "decide": ("cli.scans", "Apply another policy to the scores of a scan."),
        "rows": ("cli.scans", "Export rows or listings as JSON Lines or CSV."),
        "merge": ("cli.scans", "Merge the shards of a scan, or several scans."),
    },
    "Review": {
        "thresholds": ("desk.cli.outcomes", "Choose thresholds for a review team."),
        "policy": ("cli.model", "Check a policy, and show what it decides."),
        "review": ("desk.cli.review", "Work through the leads of a scan, as a team."),
        "report": ("desk.cli.review", "Write the review queue of a scan as one HTML file."),
        "outcomes": ("desk.cli.outcomes", "Import, export and use the outcomes of reviews."),
        "measure": ("desk.cli.outcomes", "Measure precision and misses, by outcomes."),
        "evidence": ("desk.cli.cases", "Make a case (BagIt): originals, scores, verdicts."),
        "verify": ("desk.cli.cases", "Check that a case was not changed."),
    },
    "Models": {
        "info": ("cli.model", "Describe a model, its labels, and the evidence for each."),
        "enroll": ("lab.cli.enroll", "Add a product to a model, from a few photos."),
        "evaluate": ("lab.cli.evaluate", "Measure a model on sources that it never saw."),
        "train": ("lab.cli.train", "Train a model on labelled photos."),
        "runs": ("lab.cli.runs", "Measure a training run, or compare two."),
        "export": ("lab.cli.train", "Make a model (a bundle) of a training run."),
    },
    "Data": {"dataset": ("lab.cli.dataset", "Split, check and write labelled photos.")},
    "Maintenance": {"doctor": ("cli.model", "Check the installation, the machine and the model.")},
}
"""Heading -> verb -> the module that has it, and its line in ``--help``."""

VERBS = {verb: entry for group in VERB_GROUPS.values() for verb, entry in group.items()}

EXAMPLE_LINES = (
    "recognizer scan photos/",
    "recognizer report scan.sqlite",
    "recognizer decide scan.sqlite --policy strict --dry-run",
    "recognizer rows scan.sqlite --listings --output listings.csv",
    "recognizer thresholds --scan scan.sqlite --precision 0.5 --output next.toml",
    "recognizer policy strict --toml > mine.toml",
    "recognizer outcomes dataset scan.sqlite decided/",
    "recognizer evidence scan.sqlite --lead photos/tusk.jpg --output case/",
    "recognizer enroll shark_fin seized/ --output bundles/mine-v1",
    "recognizer evaluate bundles/own-v1 --data data/ --output evaluation.html",
    "recognizer train --data data/ --output runs/mine",
    "recognizer export runs/mine --data data/ --output bundles/own-v1",
)
"""Each stands at the end of the ``--help`` of its verb."""

_CODES: Mapping[type[BaseException], ExitCode] = {  # the first that an error is one of
    KeyboardInterrupt: ExitCode.INTERRUPTED,
    ScanFileChangedError: ExitCode.INTERNAL_ERROR,
    BundleError: ExitCode.MODEL,
    RecognizerError: ExitCode.USAGE,
}


class _Verbs(typer.core.TyperGroup):
    """A group whose commands are loaded when they are called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: dict[str, Any] = dict.fromkeys(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - click's
        return load_verb(cmd_name) if cmd_name in VERBS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click's
        for heading, verbs in VERB_GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([(verb, line) for verb, (_, line) in verbs.items()], col_max=14)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (RecognizerError, KeyboardInterrupt) as error:
            if str(error):
                say(f"recognizer: {error}")
            code = next(code for kind, code in _CODES.items() if isinstance(error, kind))
            raise typer.Exit(code) from error


def load_verb(verb: str) -> Any:
    """Import the module of a verb, and return its command or group."""
    module = importlib.import_module(f"recognizer.{VERBS[verb][0]}")
    if function := getattr(module, f"{verb}_command", None):
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(verb)(function)
    else:
        app = module.app
    command = typer.main.get_command(app)
    if examples := [line for line in EXAMPLE_LINES if f"recognizer {verb} " in line]:
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


def _note_interrupts() -> threading.Event:
    """Return an event that Ctrl-C sets: an interrupted import may lose the exception."""
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
        gc.freeze()  # or Python's end looks through all that torch has made: a second or more
        if interrupted.is_set():  # even if the exception was lost
            sys.exit(ExitCode.INTERRUPTED)
        if not isinstance(error, Exception):
            raise
        say("recognizer: a defect of this program; please report it with what follows")
        traceback.print_exc()
        sys.exit(ExitCode.INTERNAL_ERROR)
