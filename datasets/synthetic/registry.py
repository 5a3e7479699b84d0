"""The one list of scenes: importing it imports every module that has builders."""

from __future__ import annotations

from datasets.synthetic import scenes_lookalikes, scenes_ordinary, scenes_products, scenes_scales
from datasets.synthetic.scene import Scene, registered

BUILDERS = (scenes_products, scenes_scales, scenes_lookalikes, scenes_ordinary)

SCENES: dict[str, Scene] = registered()
