"""The scenes, by name; importing this package registers them all."""

from wildlife_renderer.scene import Scene, registered
from wildlife_renderer.scenes import ivory, lookalikes, rhino, scales

MODULES = (ivory, rhino, scales, lookalikes)

SCENES: dict[str, Scene] = registered()
