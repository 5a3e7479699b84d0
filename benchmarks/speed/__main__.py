"""The command line: ``python -m benchmarks.speed``."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.speed.report import closing_lines, markdown, table
from benchmarks.speed.run import SIZES, benchmark
from recognizer.errors import RecognizerError
from recognizer.model.bundle import load_bundle

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
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--markdown", type=Path, help="also write the figures as a page")
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    try:
        result = benchmark(
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
    except RecognizerError as error:
        parser.error(str(error))
    if options.markdown is not None:
        command = shlex.join(["python", "-m", "benchmarks.speed", *given])
        options.markdown.write_text(markdown(result, command), "utf-8")
    if options.json:
        print(json.dumps(result.to_dict(), indent=1))
        return
    print("\n".join([*table(result), *closing_lines(result)]))


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r}: width and height in pixels, as in 1600x1200")
    return int(found[1]), int(found[2])


if __name__ == "__main__":
    main()
