r"""How far the scores of an onnxruntime provider are from those of the CPU, on the sample images.

python -m benchmarks.provider_parity openvino
"""

from __future__ import annotations

import argparse
from pathlib import Path

from recognizer import Recognizer

SAMPLES = Path(__file__).parent.parent / "datasets" / "samples"


def main() -> None:
    """Print the largest difference in probability for each image, and over all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("provider")
    parser.add_argument("--bundle")
    options = parser.parse_args()
    reference = Recognizer.load(options.bundle)
    other = Recognizer.load(options.bundle, provider=options.provider)
    largest = 0.0
    for path in sorted(SAMPLES.glob("*.jpg")):
        expected, found = reference.predict(path).scores, other.predict(path).scores
        difference = max(abs(found[name] - expected[name]) for name in expected)
        largest = max(largest, difference)
        print(f"{path.name:24} {difference:.4f}")
    print(
        f"{reference.bundle.title}: {other.provider} differs from the CPU by {largest:.4f} at most"
    )


if __name__ == "__main__":
    main()
