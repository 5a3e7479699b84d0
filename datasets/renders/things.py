"""What is rendered: products, and look-alikes made of the same shapes, grounds and light.

Each function puts one kind of thing onto the stage and returns the subtype for the manifest.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from .shapes import box, cone, plate, ring, rod, swept, turned
from .stage import Stage
from .surfaces import plain, shades, silver, surface, tone

Build = Callable[[Stage, random.Random], str]


@dataclass(frozen=True)
class Thing:
    label: str
    kind: str
    build: Build


THINGS: dict[str, Thing] = {}


def thing(label: str, kind: str = "lookalike") -> Callable[[Build], Build]:
    def register(build: Build) -> Build:
        THINGS[build.__name__] = Thing(label, kind, build)
        return build

    return register


@thing("rhino_horn", "product")
def rhino_horn(stage: Stage, rng: random.Random) -> str:
    u = rng.uniform
    hue, saturation, value = u(0.05, 0.105), u(0.15, 0.6), u(0.18, 0.62)
    kind = rng.choice(["whole", "whole", "whole", "pair", "several", "cut", "base", "polished", "cup"])
    polished = kind in ("polished", "cup")
    if kind == "cup":
        hue, saturation, value = u(0.02, 0.08), u(0.5, 0.8), u(0.25, 0.6)
    colors = shades(rng, hue, saturation, value)
    tip = tone(hue, saturation * u(0.4, 1), value * u(0.3, 0.7)) if rng.random() < 0.6 else None
    material = surface(
        rng,
        colors,
        patches=u(0.8, 2.5),
        grain=(u(3, 6), u(1, 3)) if polished else (u(6, 16), u(0.8, 2.5)),
        contrast=u(0.1, 0.3) if polished else u(0.2, 0.6),
        bump=0.05 if polished else u(0.4, 1),
        tip=tip,
        edge=None if polished else tone(hue, saturation * 0.8, value * u(0.8, 1.5)),
        rough=u(0.1, 0.25) if polished else u(0.45, 0.9),
        soft=0.08 if polished else 0,
    )

    def horn(front: bool = True, **more):
        length, radius = (u(2.0, 4.2), u(0.5, 0.8)) if front else (u(0.9, 1.6), u(0.5, 0.7))
        bend = u(0.3, 1.1) if front else u(0.05, 0.4)
        more = {"fringe": 0 if polished else u(0.02, 0.09), "lumps": u(0.01, 0.05)} | more
        profile = cone(radius, u(0.75, 1.2), 0 if polished else u(0.05, 0.45))
        hollow = u(0.03, 0.15)
        return swept(rng, length, profile, bend, squash=u(0.75, 1.1), hollow=hollow, **more)

    def stand(mesh, place):
        height = u(0.1, 0.3) if rng.random() < 0.3 else 0.0
        if height:
            stage.plinth(place, 0.9, height)
        turn = (rng.gauss(0, 0.04), rng.gauss(0, 0.08), rng.choice([0, 3.1]) + rng.gauss(0, 0.7))
        stage.rest(stage.put(mesh, material, (*place, 0), turn), height)

    if kind == "cup":
        radius, height = u(0.7, 1), u(1, 1.7)
        outline = [(0.45, 0), (0.4, 0.3), (radius, height), (radius * 0.9, height), (0.3, 0.4), (0, 0.4)]
        cup = turned(rng, outline, u(0.03, 0.09))
        stage.put(cup, material, scale=(1, u(0.6, 0.9), 1), turn=(0, 0, u(0, 6)))
    elif kind == "base":
        for number in range(rng.choice([1, 2])):
            made = horn(cut=u(0.2, 0.6), fringe=u(0.05, 0.12))
            tilt = (math.pi + rng.gauss(0, 0.3), rng.gauss(0, 0.3), u(0, 6))
            stage.rest(stage.put(made, material, (number * 2.2, u(-0.2, 0.2), 0), tilt))
    elif kind == "cut":
        for number in range(rng.choice([1, 2, 4])):
            place = (number % 2 * 2.0 + u(0, 0.4), number // 2 * 2.0 + u(0, 0.4))
            stage.lie(horn(cut=u(0.25, 0.6)), material, place)
    elif kind == "pair":
        for front in (True, False):
            if rng.random() < 0.6:
                stand(horn(front), (0 if front else 1.7, u(-0.3, 0.3)))
            else:
                stage.lie(horn(front), material, (0 if front else 2, u(-0.3, 0.3)))
    elif kind == "several":
        for number in range(rng.choice([3, 4, 6, 8])):
            place = (number % 3 * 2 + u(-0.4, 0.4), number // 3 * 2.6 + u(-0.4, 0.4))
            stage.lie(horn(rng.random() < 0.6), material, place, yaw=None)
    elif rng.random() < 0.5:
        stand(horn(), (0, 0))
    else:
        stage.lie(horn(), material)
    return kind


@thing("cow_horn")
def cow_horn(stage: Stage, rng: random.Random) -> str:
    u = rng.uniform
    kind = rng.choice(["cow", "cow", "buffalo", "goat", "drinking horn"])
    dark = tone(0.08, u(0.1, 0.4), u(0.05, 0.2))
    if kind in ("buffalo", "goat"):
        colors, tip = shades(rng, 0.08, u(0.05, 0.4), u(0.1, 0.3)), dark
    else:
        pale = tone(0.1, u(0.15, 0.45), u(0.65, 0.9))
        brown = tone(0.07, u(0.3, 0.6), u(0.3, 0.5))
        colors, tip = rng.choice([[pale, brown], [dark, brown, pale], [pale, pale]]), dark
    smooth = kind != "goat"
    material = surface(
        rng,
        colors,
        patches=u(0.5, 1.5),
        grain=(u(1, 3), u(0.5, 1)),
        contrast=u(0.05, 0.3),
        bands=u(6, 14) if kind in ("buffalo", "goat") else 0,
        bump=u(0.02, 0.15) if smooth else 0.5,
        tip=tip if rng.random() < 0.8 else None,
        rough=u(0.1, 0.4) if smooth else 0.6,
        soft=0.05,
    )
    for number in range(rng.choice([1, 1, 2, 2, 4])):
        ringed = {"rings": u(8, 20), "depth": u(0.01, 0.05)} if kind in ("buffalo", "goat") else {}
        profile = cone(u(0.28, 0.5), u(0.6, 0.95))
        squash = u(0.5, 0.8) if kind == "buffalo" else u(0.9, 1.1)
        bend, sway = u(0.6, 2.4), rng.gauss(0, 0.2)
        made = swept(
            rng, u(2.2, 4), profile, bend, squash=squash, hollow=0.35, sway=sway, lumps=0.01, **ringed
        )
        place = (u(-0.3, 0.3), number * 1.2)
        if rng.random() < 0.75:
            stage.lie(made, material, place)
        else:
            stage.rest(stage.put(made, material, (*place, 0), (0, 0, u(0, 6))))
    return kind


@thing("wood")
def wooden(stage: Stage, rng: random.Random) -> str:
    u = rng.uniform
    kind = rng.choice(["driftwood", "driftwood", "root", "turned cone", "stump"])
    hue, saturation, value = u(0.05, 0.11), u(0.1, 0.6), u(0.25, 0.75)
    material = surface(
        rng,
        shades(rng, hue, saturation, value),
        grain=(u(2, 8), u(0.5, 2)),
        contrast=u(0.2, 0.6),
        bump=u(0.1, 0.8),
        rough=u(0.3, 0.9),
        edge=tone(hue, saturation * 0.7, value * 1.3),
    )
    for number in range(rng.choice([1, 1, 2, 3])):
        place = (u(-0.5, 0.5), number * 1.4)
        if kind == "turned cone":
            made = swept(rng, u(1.5, 3), cone(u(0.4, 0.9), u(0.8, 1.1)), 0, lumps=0)
            stage.rest(stage.put(made, material, (*place, 0)))
            continue
        stump = kind == "stump"
        profile = rod(u(0.15, 0.4), 4) if not stump else cone(u(0.5, 0.9), 0.3, u(0, 0.5))
        bend, sway, cut = u(-0.5, 2), rng.gauss(0, 0.8), u(0.3, 0.6) if stump else 1.0
        rough = {"lumps": u(0.06, 0.16), "fringe": u(0, 0.1), "cut": cut, "sway": sway}
        stage.lie(swept(rng, u(2, 4), profile, bend, **rough), material, place)
    return kind


@thing("plastic_resin")
def cones(stage: Stage, rng: random.Random) -> str:
    u = rng.uniform
    kind = rng.choice(["party cones", "party cones", "funnels", "carved resin horn"])
    color = tone(rng.random(), u(0, 0.9), u(0.15, 0.9))
    if kind == "carved resin horn":
        color = tone(u(0.0, 0.1), u(0.4, 0.8), u(0.2, 0.6))
    material = surface(rng, [color, color], rough=u(0.1, 0.6), bump=0.02, soft=0.1)
    for number in range(rng.choice([1, 2, 3])):
        if kind == "carved resin horn":
            carved = {"lumps": 0.14, "rings": u(5, 12), "depth": 0.12, "columns": 60}
            made = swept(rng, u(2, 3), cone(u(0.35, 0.6), 0.7), u(0.2, 0.9), **carved)
        else:
            hollow = 0.9 if kind == "funnels" else 0.1
            made = swept(rng, u(1.2, 2.6), cone(u(0.4, 0.9)), 0, lumps=0, hollow=hollow)
        place = (number * 1.5, u(-0.3, 0.3))
        if rng.random() < 0.6:
            stage.rest(stage.put(made, material, (*place, 0), (0, 0, u(0, 6))))
        else:
            stage.lie(made, material, place)
    return kind


@thing("pangolin_scales", "product")
def pangolin_scales(stage: Stage, rng: random.Random) -> str:
    u = rng.uniform
    hue, saturation, value = u(0.06, 0.115), u(0.2, 0.75), u(0.3, 0.7)
    rim = tone(hue + 0.015, saturation * u(0.5, 1), min(value * u(1.3, 2.2), 0.92))
    materials = []
    for _ in range(3):
        made = surface(
            rng,
            shades(rng, hue + rng.gauss(0, 0.008), saturation, value * u(0.7, 1.2)),
            patches=u(1, 2.5),
            grain=(u(7, 16), u(0.3, 1.2)),
            contrast=u(0.2, 0.6),
            bump=u(0.2, 0.7),
            bands=u(4, 12) if rng.random() < 0.5 else 0,
            tip=rim if rng.random() < 0.6 else None,
            edge=rim if rng.random() < 0.8 else None,
            rough=u(0.25, 0.6),
            soft=u(0.02, 0.15),
            variety=0.35,
        )
        materials.append(made)
    wide, pointed = u(0.42, 0.68), u(0.35, 0.7)

    def scale():
        root, tall = u(0.3, 0.6), u(0.75, 1.1)

        def half(t):
            return wide * (root + (1 - root) * (t * 1.4).clip(0, 1)) * (1 - t**3.5).clip(0) ** pointed

        return plate(
            rng,
            tall,
            half,
            thickness=u(0.015, 0.035),
            curve=u(0.2, 0.9),
            curl=u(-0.2, 0.5),
            ribs=rng.choice([0, 5, 8, 11]),
            ragged=u(0, 0.025),
            waves=u(0, 0.04),
        )

    meshes = [scale() for _ in range(6)]
    kind = rng.choice(["heap", "heap", "heap", "heap", "sack", "bowl", "rows", "few", "single"])
    if kind == "heap":
        stage.heap(meshes, materials, rng.choice([25, 50, 90, 140]), u(0.5, 1.4))
    elif kind in ("sack", "bowl"):
        radius = u(1.1, 1.8)
        holder = stage.bowl(radius, u(1, 1.6) if kind == "sack" else u(0.4, 0.8))
        stage.heap(meshes, materials, int(u(35, 60) * radius**2), radius * 0.7, fixed=[holder])
    elif kind == "rows":
        meshes = [mesh for mesh in meshes for material in [rng.choice(materials)]]
        stage.row(meshes, materials[0], rng.choice([3, 6, 8, 12, 20]), u(0.9, 1.3))
    else:
        for _ in range(1 if kind == "single" else rng.randint(2, 5)):
            place = (rng.gauss(0, 0.7), rng.gauss(0, 0.5))
            stage.lie(rng.choice(meshes), rng.choice(materials), place)
    return kind


PIECES = {  # of heaps that look like scales: label, hue, saturation, value, grain, bands
    "mussels": ("shell", (0.6, 0.75), (0.1, 0.5), (0.1, 0.4), None, 8),
    "clams": ("shell", (0.05, 0.12), (0.1, 0.5), (0.4, 0.85), None, 10),
    "leaves": ("scene_other", (0.05, 0.28), (0.4, 0.8), (0.25, 0.6), (3, 6), 0),
    "crisps": ("food_pile", (0.1, 0.13), (0.5, 0.75), (0.75, 0.95), None, 0),
    "dried slices": ("food_pile", (0.06, 0.12), (0.2, 0.6), (0.5, 0.9), (4, 4), 0),
    "coins": ("metalwork", (0.07, 0.13), (0.1, 0.7), (0.5, 0.9), None, 0),
    "pasta": ("food_pile", (0.11, 0.14), (0.4, 0.6), (0.8, 0.95), None, 0),
    "pebbles": ("stone_jade", (0.05, 0.6), (0.02, 0.3), (0.25, 0.8), None, 0),
    "wood chips": ("wood", (0.07, 0.11), (0.25, 0.6), (0.4, 0.85), (5, 1), 0),
}


def _piece(rng: random.Random, kind: str):
    u = rng.uniform
    if kind == "coins":
        return turned(rng, [(0, 0), (0.4, 0), (0.4, 0.06), (0.36, 0.06), (0.35, 0.05), (0, 0.05)])
    if kind == "pebbles":
        return swept(rng, u(0.6, 1), rod(u(0.25, 0.45), 1), 0, squash=u(0.5, 1), lumps=0.07)
    if kind == "pasta":
        return swept(rng, u(0.5, 1), lambda t: 0.13 + 0 * t, u(0, 2.5), hollow=0.4, cut=0.99)
    bend, curl = {"mussels": (1.6, -0.8), "clams": (1.2, -1.2), "wood chips": (0.1, 0.3)}.get(
        kind, (u(-0.8, 0.8), u(-0.8, 0.8))
    )
    power = {"mussels": 0.7, "leaves": 1.0, "wood chips": 0.05}.get(kind, 0.5)
    width = u(0.2, 0.35) if kind in ("leaves", "mussels", "wood chips") else u(0.4, 0.55)

    def half(t):
        return width * (4 * t * (1 - t)).clip(0.001) ** power

    waves = u(0, 0.12) if kind in ("leaves", "crisps", "dried slices") else 0
    thick = u(0.01, 0.02) if kind in ("leaves", "crisps") else u(0.03, 0.07)
    ragged = 0.04 if kind in ("dried slices", "wood chips") else 0
    ribs = 14 if kind == "clams" else 0
    more = {"waves": waves, "ribs": ribs, "ragged": ragged}
    return plate(rng, u(0.8, 1.1), half, thickness=thick, curve=bend, curl=curl, **more)


def _pieces(kind: str) -> Build:
    label, hue, saturation, value, grain, bands = PIECES[kind]

    def build(stage: Stage, rng: random.Random) -> str:
        u = rng.uniform
        materials = [
            surface(
                rng,
                shades(rng, u(*hue), u(*saturation), u(*value)),
                grain=grain,
                bands=bands,
                metallic=1.0 if label == "metalwork" else 0.0,
                bump=u(0.1, 0.4),
                contrast=u(0.2, 0.5),
                rough=u(0.15, 0.7),
                soft=0.1 if label == "food_pile" else 0,
            )
            for _ in range(3)
        ]
        meshes = [_piece(rng, kind) for _ in range(6)]
        way = rng.choice(["heap", "heap", "heap", "bowl", "rows", "few"])
        if way == "heap":
            stage.heap(meshes, materials, rng.choice([25, 50, 90]), u(0.5, 1.3))
        elif way == "bowl":
            holder = stage.bowl(1.4, u(0.5, 1.3))
            stage.heap(meshes, materials, rng.choice([50, 80]), 0.9, fixed=[holder])
        elif way == "rows":
            stage.row(meshes, materials[0], rng.choice([3, 6, 9, 12]), u(1, 1.3))
        else:
            for _ in range(rng.randint(1, 5)):
                stage.lie(rng.choice(meshes), rng.choice(materials), (u(-1, 1), u(-0.8, 0.8)))
        return f"{kind}, {way}"

    return build


for _kind, _row in PIECES.items():
    THINGS[_kind.replace(" ", "_")] = Thing(
        _row[0], "other" if _row[0] == "scene_other" else "lookalike", _pieces(_kind)
    )
