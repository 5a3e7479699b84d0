r"""Export a trained recipe to ONNX in fp32, for ``python -m benchmarks.speed --fp32``.

The file is no bundle.

python -m benchmarks.export_fp32 runs/wildlife --data DATA fp32.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

from recognizer.dataset.manifest import load_data
from recognizer.training.onnx_export import ServedNetwork, export_fp32
from recognizer.training.runs import finished_network, open_recipe, read_recipe


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    config = read_recipe(options.run)
    with (recipe := open_recipe(config, load_data(options.data), options.run)).cache:
        served = ServedNetwork(finished_network(recipe, options.run)).eval()
    export_fp32(served, config.input_size, options.output)
    print(f"Wrote {options.output}, {options.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
