"""Rules for tests, in few words."""

from recognizer.policy.values import CandidateKind, Probability, Rate, Rule


def rule(review=None, priority=None, *, p=False):
    """A rule of rates, or of probabilities."""
    level = Probability if p else Rate
    given = {"review": review, "priority": priority}
    return Rule(**{key: level(value) for key, value in given.items() if value is not None})


def of_label(name, own):
    return {(CandidateKind.LABEL, name): own}


def of_family(name, own):
    return {(CandidateKind.FAMILY, name): own}
