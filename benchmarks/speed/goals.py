"""The figures that were aimed at, from several rounds of the benchmark, and their comparison."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.speed.run import Benchmark, Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A figure, and what was aimed at.

    Attributes:
        name: in words.
        of: returns it from a round; None where it was not measured.
        words: its value, as a format.
        aim: the value to reach.
        is_least: whether more is better; else less.
    """

    name: str
    of: Callable[[Benchmark], float | None]
    words: str
    aim: float
    is_least: bool = True

    def written(self, value: float) -> str:
        """Return a value in words."""
        return self.words.format(value)


def _case(result: Benchmark, *, progressive: bool) -> Case | None:
    found = [case for case in result.cases if case.progressive == progressive]
    return found[0] if found else None


def _of_case(
    figure: Callable[[Case], float | None], *, progressive: bool = False
) -> Callable[[Benchmark], float | None]:
    def of(result: Benchmark) -> float | None:
        case = _case(result, progressive=progressive)
        return None if case is None else figure(case)

    return of


def _megabytes(case: Case) -> float | None:
    return None if case.pipeline.memory is None else case.pipeline.memory / 1e6


GOALS = (
    Goal(
        name="scan of baseline JPEGs / decoding alone",
        of=_of_case(lambda case: case.decode_share),
        words="{:.0%}",
        aim=0.55,
    ),
    Goal(
        name="... / roofline of decode, resize, infer and hash",
        of=_of_case(lambda case: case.share),
        words="{:.0%}",
        aim=0.95,
    ),
    Goal(
        name="... / loop of Pillow and onnxruntime, same file",
        of=_of_case(lambda case: case.times_faster_than(case.pillow)),
        words="{:.1f}x",
        aim=8,
    ),
    Goal(
        name="... / loop of torch, timm and a DataLoader",
        of=_of_case(lambda case: case.times_faster_than(case.torch)),
        words="{:.1f}x",
        aim=25,
    ),
    Goal(
        name="scan of progressive JPEGs / decoding alone",
        of=_of_case(lambda case: case.decode_share, progressive=True),
        words="{:.0%}",
        aim=0.70,
    ),
    Goal(
        name="one photo from bytes, one CPU",
        of=lambda result: result.single,
        words="{:.4f} s",
        aim=0.010,
        is_least=False,
    ),
    Goal(
        name="first prediction in a new process",
        of=lambda result: result.first_prediction,
        words="{:.2f} s",
        aim=0.4,
        is_least=False,
    ),
    Goal(
        name="second scan of unchanged files, photos/s",
        of=lambda result: result.second_scan,
        words="{:.0f}",
        aim=2000,
    ),
    Goal(
        name="resident memory of a worker",
        of=_of_case(_megabytes),
        words="{:.0f} MB",
        aim=150,
        is_least=False,
    ),
)
"""Those of the first size; see :mod:`benchmarks.speed.run`."""


def goals_table(rounds: Sequence[Benchmark]) -> Iterator[str]:
    """Yield a table in Markdown: medians of all rounds, the spread, and what was aimed at."""
    first = rounds[0].cases[0]
    yield f"| {first.width}x{first.height} | median | lowest to highest | aim |"
    yield "|---|---|---|---|"
    for goal in GOALS:
        values = _values(goal, rounds)
        if values:
            middle = statistics.median(values)
            spread = f"{goal.written(min(values))} to {goal.written(max(values))}"
            aim = f"{'≥' if goal.is_least else '≤'}{goal.written(goal.aim)}"
            yield f"| {goal.name} | {goal.written(middle)} | {spread} | {aim} |"


def comparison(rounds: Sequence[Benchmark], stored: Sequence[Benchmark]) -> Iterator[str]:
    """Yield a line for each figure: a stored run's, this one's, and whether they overlap."""
    for goal in GOALS:
        before, now = _values(goal, stored), _values(goal, rounds)
        if before and now:
            apart = min(now) > max(before) or max(now) < min(before)
            was, found = statistics.median(before), statistics.median(now)
            change = f"{found / was - 1:+.1%}" if apart else "within the spread"
            yield f"{goal.name}: {goal.written(was)} -> {goal.written(found)} ({change})"


def _values(goal: Goal, rounds: Sequence[Benchmark]) -> list[float]:
    return [value for one in rounds if (value := goal.of(one)) is not None]
