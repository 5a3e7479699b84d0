"""The command line: ``python -m benchmarks.speed``."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.speed.goals import comparison, goals_table
from benchmarks.speed.report import closing_lines, table, write_figures
from benchmarks.speed.run import SIZES, Benchmark, benchmark, busy_cpus
from recognizer.errors import RecognizerError, UsageError
from recognizer.model.bundle import load_bundle

MAX_BUSY_CPUS = 0.2
"""More than this, of other programs, and figures are not those of the machine."""

SAMPLES = Path(__file__).parents[2] / "datasets" / "samples"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the stages, a whole scan, and the loops that people write by hand."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description=f"{main.__doc__} Takes some minutes; nothing else should run meanwhile.",
    )
    parser.add_argument(
        "--samples", type=Path, default=SAMPLES, help="folder of JPEGs to make the photos from"
    )
    parser.add_argument("--bundle", "-b", help="folder or name of a model; default: the released")
    parser.add_argument(
        "--fp32", type=Path, help="also measure this ONNX file: the same network, not quantised"
    )
    parser.add_argument(
        "--size", type=_size, action="append", metavar="WxH",
        help="size of the photos, repeatable; default: 1600x1200 and 800x800",
    )  # fmt: skip
    parser.add_argument("--photos", type=int, default=48, help="photos of each kind; default: 48")
    parser.add_argument(
        "--images", type=int, default=1600, help="images that a scan is measured over; 1600"
    )
    parser.add_argument(
        "--workers", "-w", type=int, default=0, help="processes of a scan; default: by CPUs"
    )
    parser.add_argument(
        "--peers", action=argparse.BooleanOptionalAction, default=True,
        help="also measure the loops that people write by hand",
    )  # fmt: skip
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    parser.add_argument(
        "--rounds", type=int, default=3, help="how often everything is measured; default: 3"
    )
    parser.add_argument(
        "--stored", type=Path, nargs="+", metavar="JSON",
        help="print the rounds of these files (--json) instead of measuring",
    )  # fmt: skip
    parser.add_argument(
        "--against", type=Path, metavar="JSON", help="also compare with these stored rounds"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--markdown", type=Path, help="also write the figures into a page")
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    try:
        before = [] if options.against is None else _load(options.against)
        rounds = _rounds(options)
    except RecognizerError as error:
        parser.error(str(error))
    if options.markdown is not None:
        command = shlex.join(["python", "-m", "benchmarks.speed", *given])
        write_figures(options.markdown, rounds, command)
    if options.json:
        print(json.dumps([one.to_dict() for one in rounds], indent=1))
        return
    lines = [*goals_table(rounds), "", *table(rounds), "", *closing_lines(rounds)]
    if before:
        lines += ["", f"Against {options.against}:", *comparison(rounds, before)]
    print("\n".join(lines))


def _rounds(options: argparse.Namespace) -> list[Benchmark]:
    """Return the rounds of the benchmark, measured now or before."""
    if options.stored:
        return [one for path in options.stored for one in _load(path)]
    busy = busy_cpus()
    if busy is not None and busy > MAX_BUSY_CPUS:
        print(
            f"Warning: other programs keep {busy:.1f} CPUs busy; figures will be too low",
            file=sys.stderr,
        )
    rounds: list[Benchmark] = []
    while len(rounds) < max(1, options.rounds):
        try:
            rounds.append(_round(options))
        except RecognizerError as error:
            if not rounds:
                raise
            print(f"Warning: a round was lost, the others count: {error}", file=sys.stderr)
            break
    return rounds


def _round(options: argparse.Namespace) -> Benchmark:
    return benchmark(
        load_bundle(options.bundle),
        options.samples,
        fp32=options.fp32,
        sizes=options.size or SIZES,
        photos=options.photos,
        images=options.images,
        workers=options.workers,
        with_peers=options.peers,
        engine=options.engine,
        on_stage=lambda words: print(words, file=sys.stderr),
    )


def _load(path: Path) -> list[Benchmark]:
    """Read rounds that ``--json`` has printed; raise a UsageError."""
    try:
        return msgspec.convert(json.loads(path.read_text("utf-8")), list[Benchmark])
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise UsageError(f"{path} holds no rounds of this benchmark: {error}") from error


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r}: width and height in pixels, as in 1600x1200")
    return int(found[1]), int(found[2])


if __name__ == "__main__":
    main()
