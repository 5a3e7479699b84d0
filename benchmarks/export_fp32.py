r"""Export a run to ONNX in fp32, for ``python -m benchmarks.speed --fp32``; it is not a bundle.

python -m benchmarks.export_fp32 runs/mine fp32.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

from recognizer.training.onnx_export import ServedNetwork, export_fp32
from recognizer.training.runs import load_run


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    network, config, labels = load_run(options.run)
    served = ServedNetwork(network, config.loss, len(labels))
    export_fp32(served, config.input_size, options.output)
    print(f"Wrote {options.output}, {options.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
