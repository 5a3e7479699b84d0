"""The command line: ``wildlife-render``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from wildlife_renderer.scenes import SCENES
from wildlife_renderer.sets import plan, write_samples, write_set


def main(arguments: Sequence[str] | None = None) -> None:
    """Render photo-like images of wildlife products and look-alikes."""
    parser = argparse.ArgumentParser(prog="wildlife-render", description=main.__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("scenes", help="list the scenes with their labels")
    render = verbs.add_parser(
        "render", help="write a training set with its manifest; existing images are kept"
    )
    render.add_argument("--output", type=Path, required=True, help="the folder of the set")
    render.add_argument("--count", type=int, default=100, help="number of images; default: 100")
    render.add_argument("--seed", type=int, default=0, help="seed of the first image; default: 0")
    render.add_argument("--scenes", default="", help="names, separated by commas; default: all")
    render.add_argument("--size", type=int, default=320, help="longer side in pixels; default: 320")
    render.add_argument("--paths", type=int, default=24, help="light paths per pixel; default: 24")
    render.add_argument("--workers", type=int, default=1, help="processes; default: 1")
    samples = verbs.add_parser("samples", help="render the sample images again, with their list")
    samples.add_argument("--output", type=Path, required=True, help="the folder to write them to")
    options = parser.parse_args(arguments)
    if options.verb == "scenes":
        for name, entry in sorted(SCENES.items(), key=lambda item: (item[1].label, item[0])):
            print(f"{entry.label:18}{name}")
        return
    try:
        if options.verb == "samples":
            write_samples(options.output)
            return
        if min(options.count, options.size, options.paths, options.workers) < 1 or options.seed < 0:
            parser.error("--count, --size, --paths and --workers must be above 0, --seed not below")
        names = [name.strip() for name in options.scenes.split(",") if name.strip()]
        jobs = plan(options.count, options.seed, names, options.size, options.paths)
        write_set(jobs, options.output, options.workers)
    except KeyError as error:
        parser.error(f"--scenes: {error.args[0]}")
    except OSError as error:
        parser.error(f"--output {options.output}: {error.strerror or error}")


if __name__ == "__main__":
    main()
