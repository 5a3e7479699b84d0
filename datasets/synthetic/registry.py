"""The one list of scenes: importing it imports every module that has builders."""

from __future__ import annotations

from datasets.synthetic import (
    scenes_ivory,
    scenes_lookalikes,
    scenes_ordinary,
    scenes_products,
    scenes_scales,
    scenes_solids,
)
from datasets.synthetic.scene import Scene, registered

MODULES = (
    scenes_ivory,
    scenes_products,
    scenes_scales,
    scenes_lookalikes,
    scenes_solids,
    scenes_ordinary,
)

SCENES: dict[str, Scene] = registered()
