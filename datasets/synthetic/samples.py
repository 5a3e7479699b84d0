"""The sample photos: which scenes and seeds were chosen, and how they are written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.synthetic.dataset import LICENSE
from datasets.synthetic.render import render

SIZE = 560
SAMPLES = 40
LIST = "samples.json"


@dataclass(frozen=True)
class Sample:
    """One chosen picture."""

    name: str
    scene: str
    seed: int


# Seeds below 1000 belong to the samples; training sets begin at 10000.
CHOSEN = (
    Sample("tusk-pair", "tusk_pair", 3),
    Sample("tusk-stack", "tusk_stack", 4),
    Sample("ivory-bangles", "ivory_bangle", 6),
    Sample("ivory-figure", "ivory_figure", 3),
    Sample("pangolin-heap", "pangolin_heap", 3),
    Sample("pangolin-few", "pangolin_few", 5),
    Sample("rhino-horn", "rhino_horn_whole", 2),
    Sample("rhino-horn-pair", "rhino_horn_pair", 5),
    Sample("cow-horn", "cow_horn_single", 3),
    Sample("wooden-bowl", "wooden_bowl", 4),
    Sample("mug", "mug", 5),
    Sample("toy-bricks", "toy_bricks", 4),
    Sample("jade-bangles", "jade_bangle", 4),
    Sample("almonds", "almonds", 5),
    Sample("bones", "long_bones", 4),
    Sample("bananas", "bananas", 3),
)


def write(output: Path, say: Callable[[str], None] = print) -> None:
    """Render the chosen pictures into a folder, with ``samples.json`` beside them."""
    output.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    for sample in CHOSEN:
        photo = render(sample.scene, sample.seed, SIZE, SAMPLES)
        file = f"{sample.name}.jpg"
        (output / file).write_bytes(photo.jpeg)
        entries.append(
            {
                "file": file,
                "label": photo.label,
                "kind": photo.kind,
                "scene": photo.scene,
                "seed": photo.seed,
                "width": photo.width,
                "height": photo.height,
                "sha256": hashlib.sha256(photo.jpeg).hexdigest(),
                "license": LICENSE,
                "parameters": photo.parameters,
            }
        )
        say(f"{file}  {len(photo.jpeg) // 1024} kB")
    text = json.dumps(entries, indent=2)
    (output / LIST).write_text(text + "\n", encoding="utf-8")
