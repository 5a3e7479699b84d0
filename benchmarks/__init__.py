"""Programs that print figures of the documentation: ``python -m benchmarks.NAME``."""
