"""How fast the program is on this machine, and beside what people write by hand."""

from recognizer.bench.report import closing_lines, markdown, table
from recognizer.bench.run import Benchmark, Case, benchmark

__all__ = ["Benchmark", "Case", "benchmark", "closing_lines", "markdown", "table"]
