"""What is rendered: ``things.toml`` describes it in ranges, this module draws from them.

A list of two floats is a range, any other list a choice. A thing is its defaults and one of its
variants, with ``shape`` (a function of ``shapes`` and its arguments), ``surface`` (arguments of
``surfaces.surface``) and ``ways``: how things are arranged.
"""

import math
import random
import tomllib
from pathlib import Path

from . import shapes
from .stage import Stage
from .surfaces import surface

THINGS = tomllib.loads(Path(__file__).with_name("things.toml").read_text("utf-8"))
COUNTS = {"heap": (40, 90, 200), "stack": (20, 45, 90), "rows": (3, 6, 12), "few": (1, 1, 2, 3)}


def build(stage: Stage, rng: random.Random, name: str) -> str:
    """Put a thing onto the stage and return its subtype."""
    thing = THINGS[name]
    variant = rng.choice(thing.get("variants", [{}]))
    parts = {part: thing.get(part, {}) | variant.get(part, {}) for part in ("shape", "surface")}
    if "made" in variant.get("shape", {}):
        parts["shape"] = variant["shape"]  # of another function: its arguments alone
    shape, look = ({key: draw(rng, part[key]) for key in part} for part in parts.values())
    way = rng.choice(variant.get("ways", thing["ways"]))
    vary, made = shape.pop("vary", 0.12), shape.pop("made")
    meshes = [getattr(shapes, made)(rng, **jitter(rng, shape, vary)) for _ in range(6)]
    materials = [surface(rng, **jitter(rng, look, 0.08)) for _ in range(3)]
    arrange(stage, rng, way, meshes, materials, math.pi / 2 if made == "swept" else 0.0)
    return ", ".join(filter(None, (variant.get("name"), way)))


def draw(rng: random.Random, value):
    """Draw a value from a range or a choice; what is no list is returned as it is."""
    if not isinstance(value, list):
        return value
    if len(value) == 2 and all(isinstance(part, float) for part in value):
        return rng.uniform(*value)
    return rng.choice(value)


def jitter(rng: random.Random, drawn: dict, share: float) -> dict:
    """Return drawn values in which floats differ by a share: no two pieces are alike."""
    floats = {key: value for key, value in drawn.items() if isinstance(value, float)}
    return drawn | {key: floats[key] * rng.uniform(1 - share, 1 + share) for key in floats}


def arrange(stage: Stage, rng: random.Random, way: str, meshes, materials, flat: float) -> None:
    """Arrange things as sellers and customs do; turned by ``flat`` they lie."""
    count = rng.choice(COUNTS.get(way, (1, 2)))
    spread = 0.33 * count**0.42 * rng.uniform(0.6, 1)
    if way in ("heap", "stack"):
        high, aligned = spread * rng.uniform(0.2, 0.5), way == "stack"
        stage.heap(meshes, materials, count, spread, high, flat, aligned=aligned)
    elif way == "bowl":
        radius, high = rng.uniform(1, 2), rng.uniform(0.4, 1.3)
        stage.bowl(radius, high)
        stage.heap(meshes, materials, round(60 * radius**1.6), 0.92 * radius, high, flat, bowl=True)
    elif way == "curled":
        for number in range(count):
            stage.curled(meshes, rng.choice(materials), 2.6 * number)
    else:
        columns = math.ceil(math.sqrt(count * rng.uniform(0.8, 2.5)))
        gap, rolls = rng.uniform(0.6, 1.1), {"rows": flat, "stand": 0.0, "upside": math.pi}
        for number in range(count):
            place = [gap * (at + rng.gauss(0, 0.1)) for at in divmod(number, columns)]
            mesh, material, size = rng.choice(meshes), rng.choice(materials), rng.uniform(0.6, 1.1)
            if way in rolls:
                turn = (rolls[way], rng.gauss(0, 0.1), rng.gauss(0, 0.4))
                stage.rest(stage.put(mesh, material, (*place, 0), turn, size))
            else:
                stage.lie(mesh, material, place, size)
