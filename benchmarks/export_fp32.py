r"""Export a run to ONNX in fp32, for ``recognizer bench --fp32``. Speed alone: it is no bundle.

python benchmarks/export_fp32.py runs/mine fp32.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

from recognizer.training.onnx_export import ServedNetwork, export_fp32
from recognizer.training.runs import load_run


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("output", type=Path)
    asked = parser.parse_args()
    network, config, labels = load_run(asked.run)
    served = ServedNetwork(network, config.loss, len(labels))
    export_fp32(served, config.input_size, asked.output)
    print(f"written: {asked.output}, {asked.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
