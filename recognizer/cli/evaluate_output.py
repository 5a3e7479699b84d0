"""What ``recognizer evaluate`` prints: Markdown, by the templates of the model card."""

from __future__ import annotations

from typing import Any

from rich.markdown import Markdown

from recognizer.cli.progress import wide_console
from recognizer.evaluation.evaluate import Evaluation
from recognizer.evaluation.figures import MIN_FOR_CALIBRATION
from recognizer.evaluation.templates import render
from recognizer.model.description import percent


def print_rendered(template: str, **values: Any) -> None:
    """Print a Markdown template of the evaluation."""
    wide_console().print(Markdown(render(template, **values)))


def print_evaluation(evaluation: Evaluation, worth: str) -> None:
    """Print the tables of an evaluation, and what its figures are worth."""
    print_rendered(
        "evaluation.md.j2",
        e=evaluation,
        worth=worth,
        min_for_calibration=MIN_FOR_CALIBRATION,
        percent=percent,
    )
