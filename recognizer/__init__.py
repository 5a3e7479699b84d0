"""Find ivory, pangolin scales, rhino horn and other wildlife products in photos."""

__version__ = "0.1.0"
