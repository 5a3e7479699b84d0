"""What people in tests say of images and listings."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recognizer.desk.outcomes import Judgement, Outcome, Outcomes
from tests.rows.rows import NOW


def outcome(judgement: str = "confirmed", **values: Any) -> Outcome:
    return Outcome(judgement=Judgement(judgement), **{"time": NOW, "reviewer": "Ama"} | values)


def store(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Add outcomes to the file of a scan or of a team."""
    with Outcomes(path, write=True, create=not path.exists()) as opened:
        opened.add(outcomes)
