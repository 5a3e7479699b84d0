"""``recognizer bench``: how fast the program is on this machine."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from recognizer.cli.scan import hire_for
from recognizer.cli.scan_options import BundleOption, Engine, EngineOption, WorkersOption
from recognizer.cli.stages import told_stages
from recognizer.errors import UsageError

SAMPLES = Path("datasets/samples")


def command(
    samples: Annotated[
        Path, typer.Option("--samples", help="Pictures from which the photos are made.")
    ] = SAMPLES,
    bundle: BundleOption = None,
    fp32: Annotated[
        Path | None,
        typer.Option(
            "--fp32", help="Also measure this ONNX file: the same network, not quantised."
        ),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            "--size",
            metavar="WxH",
            help="Size of the photos; may be given again. [default: 1600x1200 and 800x800]",
        ),
    ] = None,
    photos: Annotated[int, typer.Option("--photos", min=1, help="Photos of each kind.")] = 48,
    images: Annotated[
        int, typer.Option("--images", min=1, help="Images that a scan is measured over.")
    ] = 1600,
    workers: WorkersOption = 0,
    peers: Annotated[
        bool, typer.Option(help="Also measure the loops that people write by hand.")
    ] = True,
    engine: EngineOption = Engine.LOCAL,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON in place of a table.")
    ] = False,
    page: Annotated[
        Path | None, typer.Option("--markdown", help="Also write the figures as a page.")
    ] = None,
) -> None:
    """Measure each stage, a whole scan, and beside them what people write by hand.

    Let the machine have nothing else to do meanwhile. Takes some minutes.
    """
    from rich.console import Console  # noqa: PLC0415 - heavy imports wait for the verb

    from recognizer.bench import benchmark, closing_lines, markdown, table  # noqa: PLC0415
    from recognizer.bench.run import SIZES  # noqa: PLC0415
    from recognizer.model.bundle import load_bundle  # noqa: PLC0415

    with told_stages(Console(stderr=True)) as stage:
        result = benchmark(
            load_bundle(bundle),
            samples,
            fp32=fp32,
            sizes=[_size(text) for text in size] if size else SIZES,
            photos=photos,
            images=images,
            workers=workers,
            with_peers=peers,
            engine=engine.value,
            hire=hire_for(engine),
            on_stage=stage,
        )
    if page is not None:
        try:
            page.write_text(markdown(result, shlex.join(["recognizer", *sys.argv[1:]])), "utf-8")
        except OSError as error:
            raise UsageError(f"--markdown {page}: {error.strerror or error}") from error
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=1))
        return
    Console(width=None if sys.stdout.isatty() else 200).print(table(result))
    for line in closing_lines(result):
        typer.echo(line)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})", text)
    if found is None:
        raise UsageError(f"--size {text}: width and height in pixels, as in 1600x1200")
    return int(found[1]), int(found[2])
