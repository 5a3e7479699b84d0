"""Renderings of scarce products, and of what looks like them: ``python -m datasets.renders``."""
