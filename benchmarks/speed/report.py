"""The figures of the benchmark, for a terminal and for a page of the documentation.

Each is the median of the rounds; of rates the lowest and the highest are printed too.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.speed.goals import goals_table
from benchmarks.speed.measure import Throughput
from benchmarks.speed.run import Benchmark, Case

COLUMNS = (
    *("photos", "kB", "decode ms", "resize ms", "infer ms", "hash ms", "scan photos/s"),
    *("roofline", "share", "busy share", "MB", "PSS MB", "Pillow + ORT", "torch + timm"),
)
"""The columns of the table; the page says what they hold."""


def closing_lines(rounds: Sequence[Benchmark]) -> list[str]:
    """Return the figures that are not in the table."""
    result = rounds[-1]
    machine = result.machine
    lines = []
    if result.cases:
        stages = [one.cases[0].stages for one in rounds]
        one, eight, many = (
            _ms(statistics.median(figures))
            for figures in (
                [stage.infer_single for stage in stages],
                [stage.infer for stage in stages],
                [stage.infer_32 for stage in stages],
            )
        )
        lines.append(
            "The model's pass for a photo, in batches of 1, 8 and 32: "
            f"{one}, {eight} and {many} ms."
        )
    lines.append(
        f"{result.model}, engine {result.engine}, {machine['cpus']} CPUs ({machine['cpu']}, "
        f"products of bytes by {machine['kernel']}), rounds: {len(rounds)}, "
        + ", ".join(f"{name} {version}" for name, version in result.versions.items())
        + f", {result.time}."
    )
    return lines


_FIGURES = """\
Written by `{command}`; do not edit.

{goals}

{rows}

{closing}

{arithmetic}
"""
_BEGIN, _END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def write_figures(page: Path, rounds: Sequence[Benchmark], command: str) -> None:
    """Replace the figures between the two comments of a page, or add them at its end."""
    figures = _FIGURES.format(
        command=command,
        goals="\n".join(goals_table(rounds)),
        rows="\n".join(table(rounds)),
        closing="\n".join(f"- {line}" for line in closing_lines(rounds)),
        arithmetic="\n".join(_arithmetic(rounds)),
    )
    text = page.read_text("utf-8") if page.exists() else ""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}{figures}{_END}{after}", "utf-8")


def table(rounds: Sequence[Benchmark]) -> Iterator[str]:
    """Yield the lines of the table, in Markdown."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|{'---|' * len(COLUMNS)}"
    for cases in _same_cases(rounds):
        yield f"| {' | '.join(_cells(cases))} |"


def _same_cases(rounds: Sequence[Benchmark]) -> Iterator[tuple[Case, ...]]:
    return zip(*(one.cases for one in rounds), strict=True)


def _arithmetic(rounds: Sequence[Benchmark]) -> Iterator[str]:
    """Yield what numbers of photos cost. Rates grow with the CPUs: workers share nothing."""
    yield "| photos | photos/s for a CPU | CPU-hours for a million | CPU-years for a billion |"
    yield "|---|---|---|---|"
    for cases in _same_cases(rounds):
        rate = statistics.median(
            case.pipeline.photos_per_second / min(case.workers, case.cpus) for case in cases
        )
        hours = 1e6 / rate / 3600
        years = 1e9 / rate / 3600 / 24 / 365.25
        yield f"| {_kind(cases[0])} | {rate:.1f} | {hours:.1f} | {years:.2f} |"


def _kind(case: Case) -> str:
    coding = "progressive" if case.progressive else "baseline"
    return f"{case.width}x{case.height} {coding}, {case.precision}"


def _cells(cases: Sequence[Case]) -> list[str]:
    def middle(figure: Callable[[Case], float]) -> float:
        return statistics.median(map(figure, cases))

    rates = [case.pipeline.photos_per_second for case in cases]
    return [
        _kind(cases[0]),
        f"{cases[0].bytes / 1000:.0f}",
        _ms(middle(lambda case: case.stages.decode)),
        _ms(middle(lambda case: case.stages.resize)),
        _ms(middle(lambda case: case.stages.infer)),
        _ms(middle(lambda case: case.stages.hash)),
        f"{statistics.median(rates):.1f} ({min(rates):.1f} to {max(rates):.1f})",
        f"{middle(lambda case: case.roofline):.1f}",
        f"{middle(lambda case: case.share):.0%}",
        f"{middle(lambda case: case.busy_share):.0%}",
        _megabytes([case.pipeline.memory for case in cases]),
        _megabytes([case.pipeline.own_memory for case in cases]),
        _peer(cases, [case.pillow for case in cases]),
        _peer(cases, [case.torch for case in cases]),
    ]


def _megabytes(values: Sequence[int | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{max(known) / 1e6:.0f}" if known else ""


def _peer(cases: Sequence[Case], peers: Sequence[Throughput | None]) -> str:
    pairs = [(case, peer) for case, peer in zip(cases, peers, strict=True) if peer is not None]
    if not pairs:
        return ""
    rate = statistics.median(peer.photos_per_second for _, peer in pairs)
    times = statistics.median(case.times_faster_than(peer) or 0.0 for case, peer in pairs)
    return f"{rate:.1f} ({times:.1f}x)"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"
