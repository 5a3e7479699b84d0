"""The one list of scenes: importing it imports every module that has builders."""

from __future__ import annotations

from datasets.synthetic import (
    scenes_ivory,
    scenes_lookalikes,
    scenes_ordinary,
    scenes_products,
    scenes_rhino,
    scenes_scales,
    scenes_scaly,
    scenes_solids,
    scenes_stockpiles,
)
from datasets.synthetic.scene import Scene, registered

MODULES = (
    scenes_ivory,
    scenes_products,
    scenes_rhino,
    scenes_stockpiles,
    scenes_scales,
    scenes_scaly,
    scenes_lookalikes,
    scenes_solids,
    scenes_ordinary,
)

SCENES: dict[str, Scene] = registered()
