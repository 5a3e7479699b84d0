"""The scenes, by name; importing this package registers them all."""

from wildlife_renderer.scene import SCENES
from wildlife_renderer.scenes import ivory, lookalikes, rhino, scales

__all__ = ["MODULES", "SCENES"]

MODULES = (ivory, rhino, scales, lookalikes)
