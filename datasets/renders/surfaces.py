"""Surfaces: colours mixed by noise, fibres and bands along the ``flow`` of a shape, pale rims."""

import colorsys
import random

import bpy

WHITE = (1.0, 1.0, 1.0, 1.0)
STEP = ((0.0, 0.0, 0.0, 1.0), WHITE)
METALS = ((0.1, 0.05, 0.9), (0.1, 0.05, 0.75), (0.12, 0.5, 0.9))  # silver, steel, gold


def tone(hue: float, saturation: float, value: float) -> tuple[float, float, float, float]:
    """Return a linear colour for one as people pick it (HSV of sRGB)."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(saturation, 1.0), min(value, 1.0))
    return (red**2.2, green**2.2, blue**2.2, 1.0)


def shades(rng: random.Random, hue: float, saturation: float, value: float) -> list[tuple]:
    """Return a dark, a middle and a light shade of a colour."""
    turn = rng.uniform(-0.015, 0.015)
    dark = tone(hue - turn, saturation * 1.1, value * 0.55)
    light = tone(hue + turn, saturation * 0.75, min(value * 1.35, 0.95))
    return [dark, tone(hue, saturation, value), light]


class Nodes:
    """A material's node tree, written as calls: ``add`` returns the outputs of a new node."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes, self.tree = True, self.material.node_tree
        self.shader = self.tree.nodes["Principled BSDF"].inputs

    def add(self, kind, inputs=None, **settings):
        node = self.tree.nodes.new(f"ShaderNode{kind}")
        for name, value in settings.items():
            setattr(node, name, value)
        for name, value in (inputs or {}).items():
            self.set(node.inputs[name], value)
        return node.outputs

    def set(self, socket, value) -> None:
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        else:
            socket.default_value = value

    def ramp(self, factor, colors, low=0.3, high=0.7):
        outputs = self.add("ValToRGB", {0: factor})
        stops = outputs[0].node.color_ramp.elements
        for number, color in enumerate(colors[1:-1], start=1):
            place = low + (high - low) * number / (len(colors) - 1)
            stops.new(place).color = color
        stops[0].position, stops[-1].position = low, high
        stops[0].color, stops[-1].color = colors[0], colors[-1]
        return outputs[0]

    def mix(self, factor, first, second, blend="MIX"):
        colors = {0: factor, 6: first, 7: second}
        return self.add("Mix", colors, data_type="RGBA", blend_type=blend)[2]

    def noise(self, where, scale, detail=2.0):
        vector = self.add("Mapping", {"Vector": where, "Scale": scale})[0]
        inputs = {"Vector": vector, "Scale": 1.0, "Detail": detail, "Roughness": 0.6}
        return self.add("TexNoise", inputs)[0]

    def finish(self, height, bump, distance, values):
        inputs = {"Height": height, "Strength": min(bump, 1.0), "Distance": distance}
        for name, value in (values | {"Normal": self.add("Bump", inputs)[0]}).items():
            self.set(self.shader[name], value)
        return self.material


def surface(
    rng: random.Random,
    hue: float,
    saturation: float,
    value: float,
    *,
    patches: float = 3.0,
    around: float = 0.0,
    along: float = 1.0,
    contrast: float = 0.4,
    bump: float = 0.2,
    bands: float = 0.0,
    mottled: float = 0.0,
    tip: float = 0.0,
    edge: float = 0.0,
    under: float = 0.0,
    cap: float = 0.0,
    rough: float = 0.5,
    metallic: float = 0.0,
    soft: float = 0.0,
    variety: float = 0.25,
) -> bpy.types.Material:
    """Return a material: shades of a colour in patches, with what lies along the flow of a shape.

    ``around`` and ``along`` count the fibres, ``bands`` what crosses them, ``contrast`` darkens
    the gaps; ``tip``, ``edge`` and ``under`` are the brightness of tip, rims and undersides of
    plates as a share of ``value`` (0: as the rest), ``cap`` the share of the length in a metal cap,
    ``mottled`` darkens and sharpens the patches, ``variety`` differs objects in brightness.
    """
    n = Nodes("surface")
    chance = n.add("ObjectInfo")["Random"]
    offset = n.add("VectorMath", {0: (97.0, 53.0, 31.0), "Scale": chance}, operation="SCALE")[0]
    place = n.add("VectorMath", {0: n.add("TexCoord")["Object"], 1: offset})[0]
    flow = n.add("Attribute", attribute_name="flow")["Vector"]
    _, side, length = n.add("SeparateXYZ", {0: flow})
    moved = n.add("VectorMath", {0: flow, 1: offset})[0]
    colors, sharp = shades(rng, hue, saturation, value), 0.2 * (1 - mottled) + 0.01
    colors[0] = tone(hue, saturation, value * (0.55 - 0.4 * mottled))
    color = n.ramp(n.noise(place, (patches,) * 3), colors, 0.5 - sharp, 0.5 + sharp)
    other = {part: tone(hue + 0.01, 0.8 * saturation, value * part) for part in (tip, edge, under)}
    if tip:
        color = n.mix(n.ramp(length, STEP, rng.uniform(0.1, 0.5), 1.0), color, other[tip])
    if under:
        color = n.mix(n.ramp(side, STEP, 0.6, 1.0), color, other[under])
    height = n.noise(place, (rng.uniform(25, 80),) * 3, 1.0)
    for where, gaps in (((around, around, along), around), ((0.4, 0.4, bands), bands)):
        if gaps:
            lines = n.noise(moved, where)
            gap = (1 - contrast,) * 3 + (1.0,)
            color = n.mix(1.0, color, n.ramp(lines, [gap, WHITE], 0.35, 0.6), "MULTIPLY")
            height = n.add("Math", {0: lines, 1: height}, operation="ADD")[0]
    if edge:
        rim = n.add("Attribute", attribute_name="edge")["Fac"]
        color = n.mix(n.ramp(rim, STEP, 0.2, 1.0), color, other[edge])
    bright = n.add("MapRange", {0: chance, 3: 1 - variety, 4: 1 + variety})[0]
    color = n.add("HueSaturation", {"Color": color, "Value": bright})[0]
    if cap:
        bare = n.ramp(length, STEP, cap, cap + 0.01)
        color = n.mix(bare, tone(*rng.choice(METALS)), color)
        metallic = n.add("Math", {0: 1.0, 1: bare}, operation="SUBTRACT")[0]
    values = {"Base Color": color, "Roughness": rough, "Metallic": metallic}
    values |= {"Subsurface Weight": soft, "Subsurface Scale": 0.02}
    return n.finish(height, bump, 0.015, values)


def plain(rng: random.Random) -> bpy.types.Material:
    """Return a smooth surface of any colour."""
    color = (rng.random(), rng.uniform(0, 0.8) ** 2, rng.uniform(0.05, 0.95))
    return surface(rng, *color, bump=0.02, rough=rng.uniform(0.15, 0.5))


def ground(rng: random.Random) -> bpy.types.Material:
    """Return what things lie on: paper, cloth, planks, tiles, earth."""
    n = Nodes("ground")
    place = n.add("TexCoord")["Object"]
    place = n.add("Mapping", {"Vector": place, "Rotation": (0, 0, rng.uniform(0, 3.14))})[0]
    hue, saturation, value = rng.random(), rng.uniform(0, 0.85) ** 3, rng.uniform(0.05, 0.95)
    color = tone(hue, saturation, value)
    kind = rng.choice(["paper"] * 3 + ["cloth"] * 2 + ["planks"] * 2 + ["tiles", "tiles", "earth"])
    rough, bump, height = 0.7, 0.05, n.noise(place, (3.0,) * 3)
    joints = {"Vector": place, "Scale": rng.uniform(0.3, 0.9), "Mortar Size": 0.008}
    joints |= {"Mortar": (0.1,) * 3 + (1,), "Color1": WHITE, "Color2": (0.7,) * 3 + (1,)}
    if kind == "paper":
        color = tone(hue, rng.uniform(0, 0.06), rng.uniform(0.75, 0.97))
    elif kind == "cloth":
        height = n.noise(place, (rng.uniform(0.6, 2.5),) * 3)
        weave = n.add("TexMagic", {"Vector": place, "Scale": rng.uniform(40, 90)})[1]
        color = n.mix(0.15, color, weave, "MULTIPLY")
        rough, bump = 0.95, rng.uniform(0.2, 0.9)
    elif kind == "planks":
        wood = shades(rng, rng.uniform(0.05, 0.1), rng.uniform(0.2, 0.7), rng.uniform(0.2, 0.8))
        height = n.noise(place, (0.6, rng.uniform(8, 16), 1.0), 3.0)
        planks = n.add("TexBrick", joints | {"Brick Width": rng.uniform(1, 8)})[0]
        color = n.mix(1.0, n.ramp(height, wood), planks, "MULTIPLY")
        rough, bump = rng.uniform(0.25, 0.7), 0.1
    elif kind == "tiles":
        joints |= {"Color1": color, "Color2": tone(hue, saturation, value * 0.9), "Row Height": 0.5}
        color = n.add("TexBrick", joints, offset=rng.choice([0.0, 0.5]))[0]
        rough = rng.uniform(0.15, 0.6)
    else:
        height = n.noise(place, (rng.uniform(4, 9),) * 3, 5.0)
        color = n.ramp(height, shades(rng, rng.uniform(0.05, 0.15), rng.uniform(0, 0.4), value))
        rough, bump = 0.95, 0.6
    return n.finish(height, bump, 0.2, {"Base Color": color, "Roughness": rough})
