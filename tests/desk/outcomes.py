"""What people in tests say of images and listings."""

from recognizer.desk.outcomes import Judgement, Outcome, Outcomes
from tests.rows.rows import NOW


def outcome(judgement="confirmed", **values):
    return Outcome(judgement=Judgement(judgement), **{"time": NOW, "reviewer": "Ama"} | values)


def store(path, outcomes):
    """Add outcomes to the file of a scan or of a team."""
    with Outcomes(path, write=True, create=not path.exists()) as opened:
        opened.add(outcomes)
