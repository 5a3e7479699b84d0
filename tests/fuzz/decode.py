"""A fuzz target for atheris: header parsing and decoding, on any bytes.

``pip install atheris``, then ``python -m tests.fuzz.decode CORPUS_FOLDER -max_total_time=600``.
What a run may do is what the tests of ``tests/imaging/test_decode.py`` check with hypothesis.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["recognizer", "PIL"]):
    from tests.imaging.test_decode import check


def main() -> None:
    atheris.Setup(sys.argv, lambda data: check(bytes(data)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
