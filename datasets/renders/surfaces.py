"""Surfaces: colours mixed by noise, fibres and bands along the ``flow`` of a shape, pale rims."""

import colorsys
import random

import bpy

Color = tuple[float, float, float, float]


def tone(hue: float, saturation: float, value: float) -> Color:
    """Return a linear colour for one as people pick it (HSV of sRGB)."""
    clipped = (min(max(part, 0.0), 1.0) for part in (saturation, value))
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, *clipped)
    return (red**2.2, green**2.2, blue**2.2, 1.0)


def shades(rng: random.Random, hue: float, saturation: float, value: float) -> list[Color]:
    """Return a dark, a middle and a light shade of a colour."""
    turn = rng.uniform(-0.015, 0.015)
    return [
        tone(hue - turn, saturation * 1.1, value * 0.55),
        tone(hue, saturation, value),
        tone(hue + turn, saturation * 0.75, min(value * 1.35, 0.95)),
    ]


class Nodes:
    """A material's node tree, written as calls: ``add`` returns the outputs of a new node."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
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
        inputs = {0: factor, 6: first, 7: second}
        return self.add("Mix", inputs, data_type="RGBA", blend_type=blend)[2]

    def noise(self, where, scale, detail=4.0, rough=0.55):
        vector = self.add("Mapping", {"Vector": where, "Scale": scale})[0]
        inputs = {"Vector": vector, "Scale": 1.0, "Detail": detail, "Roughness": rough}
        return self.add("TexNoise", inputs)[0]


def surface(
    rng: random.Random,
    colors: list[Color],
    *,
    patches: float = 3.0,
    sharp: float = 0.2,
    grain: tuple[float, float] | None = None,
    contrast: float = 0.5,
    bump: float = 0.3,
    bands: float = 0.0,
    tip: Color | None = None,
    edge: Color | None = None,
    rough: float = 0.5,
    metallic: float = 0.0,
    soft: float = 0.0,
    variety: float = 0.25,
) -> bpy.types.Material:
    """Return a material.

    Args:
        rng: The source of all irregularity.
        colors: Mixed in patches, the first to the last.
        patches: Number of patches over the unit of length.
        sharp: Half the width of the change between patches; small is mottled.
        grain: Fibres around and along the flow (how many over its unit).
        contrast: How dark the gaps between fibres are.
        bump: Height of fibres, bands and pores.
        bands: Number of bands along the flow.
        tip: Colour at the end of the flow.
        edge: Colour of the rims and cut ends.
        rough: Roughness, 0 (a mirror) to 1.
        metallic: 1 for metals.
        soft: Subsurface scattering, 0 to 1.
        variety: How much the brightness of the objects differs.
    """
    n = Nodes("surface")
    chance = n.add("ObjectInfo")["Random"]
    offset = n.add("VectorMath", {0: (97.0, 53.0, 31.0), "Scale": chance}, operation="SCALE")[0]
    object_place = n.add("TexCoord")["Object"]
    place = n.add("VectorMath", {0: object_place, 1: offset})[0]
    flow = n.add("Attribute", attribute_name="flow")["Vector"]
    along = n.add("SeparateXYZ", {0: flow})[2]
    moved = n.add("VectorMath", {0: flow, 1: offset})[0]
    color = n.ramp(n.noise(place, (patches,) * 3), colors, 0.5 - sharp, 0.5 + sharp)
    if tip:
        share = n.ramp(along, [(0, 0, 0, 1), (1, 1, 1, 1)], rng.uniform(0.1, 0.5), 1.0)
        color = n.mix(share, color, tip)
    height = n.noise(place, (rng.uniform(8, 30),) * 3)
    if grain:
        fibres = n.noise(moved, (grain[0], grain[0], grain[1]), 3.0)
        gap = (max(1 - contrast, 0.0),) * 3 + (1.0,)
        color = n.mix(1.0, color, n.ramp(fibres, [gap, (1, 1, 1, 1)], 0.35, 0.6), "MULTIPLY")
        height = n.add("Math", {0: fibres, 1: height}, operation="ADD")[0]
    if bands:
        lines = n.noise(moved, (0.4, 0.4, bands), 2.0)
        gap = (1 - contrast * 0.7,) * 3 + (1.0,)
        color = n.mix(1.0, color, n.ramp(lines, [gap, (1, 1, 1, 1)], 0.4, 0.55), "MULTIPLY")
        height = n.add("Math", {0: lines, 1: height}, operation="ADD")[0]
    if edge:
        rim = n.add("Attribute", attribute_name="edge")["Fac"]
        color = n.mix(n.ramp(rim, [(0, 0, 0, 1), (1, 1, 1, 1)], 0.2, 1.0), color, edge)
    value = n.add("MapRange", {0: chance, 3: 1 - variety, 4: 1 + variety})[0]
    color = n.add("HueSaturation", {"Color": color, "Value": value})[0]
    n.set(n.shader["Base Color"], color)
    inputs = {"Height": height, "Strength": min(bump, 1.0), "Distance": 0.04}
    n.set(n.shader["Normal"], n.add("Bump", inputs)[0])
    n.set(n.shader["Roughness"], rough)
    n.set(n.shader["Metallic"], metallic)
    n.set(n.shader["Subsurface Weight"], soft)
    n.set(n.shader["Subsurface Radius"], (0.2, 0.1, 0.05))
    return n.material


def plain(rng: random.Random, color: Color | None = None, rough: float = 0.4) -> bpy.types.Material:
    """Return a smooth surface of one colour, any colour by default."""
    color = color or tone(rng.random(), rng.uniform(0, 0.8), rng.uniform(0.1, 0.9))
    return surface(rng, [color, color], bump=0.02, rough=rough, variety=0.1)


def silver(rng: random.Random) -> bpy.types.Material:
    """Return silver or gold."""
    color = rng.choice([tone(0.1, 0.05, 0.9), tone(0.1, 0.05, 0.75), tone(0.12, 0.5, 0.9)])
    return surface(rng, [color, color], metallic=1.0, rough=rng.uniform(0.15, 0.4), bump=0.1)


def ground(rng: random.Random) -> bpy.types.Material:
    """Return what things lie on: paper, cloth, planks, tiles, earth, a printed cloth."""
    n = Nodes("ground")
    place = n.add("TexCoord")["Object"]
    turn = (0.0, 0.0, rng.uniform(0, 3.14))
    place = n.add("Mapping", {"Vector": place, "Rotation": turn})[0]
    hue, value = rng.random(), rng.uniform(0.15, 0.9)
    color = tone(hue, rng.uniform(0, 0.7), value)
    kind = rng.choice(["paper", "paper", "cloth", "cloth", "planks", "planks", "tiles", "earth", "print"])
    rough, bump, height = 0.7, 0.05, n.noise(place, (3.0,) * 3)
    if kind == "paper":
        color = tone(hue, rng.uniform(0, 0.06), rng.uniform(0.75, 0.97))
        color = n.ramp(n.noise(place, (0.7,) * 3), [color, tone(hue, 0.05, 0.8)], 0.2, 0.9)
    elif kind == "cloth":
        height = n.noise(place, (rng.uniform(0.6, 2.5),) * 3, 2.0)
        fold = n.add("TexMagic", {"Vector": place, "Scale": rng.uniform(40, 90)})[1]
        color = n.mix(0.15, color, fold, "MULTIPLY")
        rough, bump = 0.95, rng.uniform(0.2, 0.9)
    elif kind == "planks":
        wood = shades(rng, rng.uniform(0.05, 0.1), rng.uniform(0.3, 0.7), rng.uniform(0.25, 0.75))
        height = n.noise(place, (0.6, rng.uniform(8, 16), 1.0), 5.0)
        inputs = {"Vector": place, "Scale": rng.uniform(0.3, 0.8), "Mortar Size": 0.006}
        inputs |= {"Color1": (1, 1, 1, 1), "Color2": (0.7,) * 3 + (1,), "Mortar": (0.1,) * 3 + (1,)}
        color = n.mix(1.0, n.ramp(height, wood), n.add("TexBrick", inputs)[0], "MULTIPLY")
        rough, bump = rng.uniform(0.25, 0.7), 0.1
    elif kind == "tiles":
        inputs = {"Vector": place, "Scale": rng.uniform(0.3, 0.9), "Mortar Size": 0.01}
        inputs |= {"Color1": color, "Color2": tone(hue, 0.2, value * 0.9), "Row Height": 0.5}
        color = n.add("TexBrick", inputs, offset=rng.choice([0.0, 0.5]))[0]
        rough = rng.uniform(0.15, 0.6)
    elif kind == "earth":
        height = n.noise(place, (rng.uniform(4, 9),) * 3, 9.0, 0.7)
        color = n.ramp(height, shades(rng, rng.uniform(0.05, 0.15), rng.uniform(0.05, 0.4), value))
        rough, bump = 0.95, 0.6
    else:
        cells = {"Vector": place, "Scale": rng.uniform(1, 3), "Randomness": rng.choice([0.0, 1.0])}
        distance = n.add("TexVoronoi", cells, feature=rng.choice(["F1", "DISTANCE_TO_EDGE"]))
        other = tone(rng.random(), rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.9))
        color = n.ramp(distance["Distance"], [color, other], 0.2, 0.2 + rng.uniform(0.01, 0.3))
    n.set(n.shader["Base Color"], color)
    inputs = {"Height": height, "Strength": bump, "Distance": 0.2}
    n.set(n.shader["Normal"], n.add("Bump", inputs)[0])
    n.set(n.shader["Roughness"], rough)
    return n.material
