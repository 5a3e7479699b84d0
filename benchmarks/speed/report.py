"""The figures of the benchmark, for a terminal and as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.speed.measure import Throughput
from benchmarks.speed.run import Benchmark, Case

COLUMNS = (
    *("photos", "kB", "decode ms", "resize ms", "infer ms", "hash ms", "scan photos/s"),
    *("roofline", "share", "busy share", "MB", "Pillow + ORT", "torch + timm"),
)
"""The columns of the table; the page says what they hold."""


def closing_lines(result: Benchmark) -> list[str]:
    """Return the figures that are not in the table."""
    machine = result.machine
    lines = [
        f"First prediction in a new process: {result.first_prediction:.2f} s.",
        f"One photo from bytes, on one CPU: {result.single * 1000:.1f} ms.",
    ]
    if result.cases:
        first = result.cases[0].stages
        lines.append(
            "The model's pass for a photo, in batches of 1, 8 and 32: "
            f"{_ms(first.infer_single)}, {_ms(first.infer)} and {_ms(first.infer_32)} ms."
        )
    lines.append(
        f"{result.model}, engine {result.engine}, {machine['cpus']} CPUs "
        f"({', '.join([machine['cpu'], *machine['instructions']])}), "
        + ", ".join(f"{name} {version}" for name, version in result.versions.items())
        + f", {result.time}."
    )
    return lines


_PAGE = """\
# Benchmark

Written by `{command}`; do not edit.

{rows}

{closing}

From these rates to a billion images (docs/scale.md says what they leave out):

{arithmetic}

How to read the first table:

- The photos are JPEGs made by code, with as many bytes as photos have.
- *decode*, *resize*, *infer* and *hash* are medians for one photo on one CPU, with
  nothing else running: the digest of the bytes and a decode at the smallest scale
  that the model's input needs; the resize to the input; the pass in batches of
  eight; the perceptual hash.
- *scan* is the steady rate of a whole scan, with reading, digests, hashes and a
  journal that is on the disk (fsync).
- *roofline* is CPUs / (decode + resize + infer), *share* what the scan reaches of
  it. *busy share* is the same with stages that were measured on all CPUs at once:
  CPUs that share a core or a memory are slower together than alone.
- *MB* is the largest memory of the largest process of the scan.
- *Pillow + ORT* is the loop that people write (one process, a full decode, one photo
  at a time), with the same model file. *torch + timm* is the same network in fp32,
  fed by a DataLoader with a worker on each CPU. Both in photos/s, and in brackets
  how many times faster the scan is.
"""


def markdown(result: Benchmark, command: str) -> str:
    """Return the figures as a page of Markdown, which names the command that prints them."""
    return _PAGE.format(
        command=command,
        rows="\n".join(table(result)),
        closing="\n".join(f"- {line}" for line in closing_lines(result)),
        arithmetic="\n".join(_arithmetic(result)),
    )


def table(result: Benchmark) -> Iterator[str]:
    """Yield the lines of the table, in Markdown."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|{'---|' * len(COLUMNS)}"
    for case in result.cases:
        yield f"| {' | '.join(_cells(case))} |"


def _arithmetic(result: Benchmark) -> Iterator[str]:
    """Yield what numbers of photos cost. Rates grow with the CPUs: workers share nothing."""
    yield "| photos | photos/s for a CPU | CPU-hours for a million | CPU-years for a billion |"
    yield "|---|---|---|---|"
    for case in result.cases:
        rate = case.pipeline.photos_per_second / min(case.workers, case.cpus)
        hours = 1e6 / rate / 3600
        years = 1e9 / rate / 3600 / 24 / 365.25
        yield f"| {_kind(case)} | {rate:.1f} | {hours:.1f} | {years:.2f} |"


def _kind(case: Case) -> str:
    coding = "progressive" if case.progressive else "baseline"
    return f"{case.width}x{case.height} {coding}, {case.precision}"


def _cells(case: Case) -> list[str]:
    memory = case.pipeline.memory
    return [
        _kind(case),
        f"{case.bytes / 1000:.0f}",
        *map(_ms, (case.stages.decode, case.stages.resize, case.stages.infer, case.stages.hash)),
        f"{case.pipeline.photos_per_second:.1f}",
        f"{case.roofline:.1f}",
        f"{case.share:.0%}",
        f"{case.busy_share:.0%}",
        "" if memory is None else f"{memory / 1e6:.0f}",
        _peer(case, case.pillow),
        _peer(case, case.torch),
    ]


def _peer(case: Case, peer: Throughput | None) -> str:
    times = case.times_faster_than(peer)
    return "" if peer is None or times is None else f"{peer.photos_per_second:.1f} ({times:.1f}x)"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"
