"""Rules for tests, in few words."""

from recognizer.policy.values import CandidateKind, Probability, Rate, Rule


def rule(review: float | None = None, priority: float | None = None, *, p: bool = False) -> Rule:
    """A rule of rates, or of probabilities."""
    level = Probability if p else Rate
    given = {"review": review, "priority": priority}
    return Rule(**{key: level(value) for key, value in given.items() if value is not None})


def of_label(name: str, own: Rule) -> dict[tuple[CandidateKind, str], Rule]:
    return {(CandidateKind.LABEL, name): own}


def of_family(name: str, own: Rule) -> dict[tuple[CandidateKind, str], Rule]:
    return {(CandidateKind.FAMILY, name): own}
