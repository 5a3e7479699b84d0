"""The stage: ground, wall and clutter, heaps, light, camera and exposure."""

import math
import random
from pathlib import Path

import bpy
import cv2
import numpy as np
from mathutils import Euler, Matrix, Vector

from . import shapes
from .surfaces import ground, plain, surface, tone

SHORT_SIDE = 264


class Stage:
    """A scene in which things are put on the ground (z = 0) around the origin."""

    def __init__(self, rng: random.Random, samples: int) -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.rng, self.scene = rng, bpy.context.scene
        self.scene.render.engine = "CYCLES"
        cycles = self.scene.cycles
        cycles.samples, cycles.use_denoising, cycles.max_bounces = samples, True, 2
        cycles.seed = rng.randrange(10**6)
        cycles.caustics_reflective = cycles.caustics_refractive = False
        self.scene.render.threads_mode, self.scene.render.threads = "FIXED", 1
        self.shown: list[bpy.types.Object] = []

    def put(self, mesh, material, place=(0, 0, 0), turn=(0, 0, 0), scale=1.0, shown=True):
        """Put a mesh onto the stage; what is ``shown`` is framed by the camera."""
        thing = bpy.data.objects.new("thing", mesh)
        bpy.context.collection.objects.link(thing)
        if material and not mesh.materials:
            mesh.materials.append(material)
        size = Matrix.Diagonal((scale,) * 3).to_4x4()
        thing.matrix_world = Matrix.Translation(place) @ Euler(turn).to_matrix().to_4x4() @ size
        if shown:
            self.shown.append(thing)
        return thing

    def rest(self, thing):
        """Move a thing up or down until it touches the ground."""
        bpy.context.view_layer.update()
        thing.location.z -= _corners(thing)[:, 2].min()
        return thing

    def lie(self, mesh, material, place=(0.0, 0.0), scale: float = 1.0) -> None:
        """Put a mesh onto the ground as it would lie: with its centre low."""
        vertices, best = _vertices(mesh)[::5], (math.inf, None)
        for _ in range(80):
            turn = Euler([self.rng.uniform(0, math.tau) for _ in range(3)])
            heights = vertices @ np.array(turn.to_matrix())[2]
            best = min(best, (heights.mean() - heights.min(), turn), key=lambda pair: pair[0])
        thing = self.put(mesh, material, (*place, 0), best[1], scale)
        thing.rotation_euler.z += self.rng.uniform(0, math.tau)
        self.rest(thing)

    def bowl(self, radius: float, height: float):
        """Put a bowl, a basket or an open sack around the origin."""
        look = {"around": 30.0, "along": 60.0, "rough": 0.9} if self.rng.random() < 0.4 else {}
        material = surface(self.rng, self.rng.random(), 0.3, self.rng.uniform(0.3, 0.9), **look)
        shape = {"length": height, "hollow": 0.92, "cut": 0.98, "lumps": 0.02}
        made = shapes.swept(self.rng, "cone", radius, self.rng.uniform(0.05, 0.3), **shape)
        return self.rest(self.put(made, material, turn=(math.pi, 0, 0)))

    def heap(self, meshes, materials, count, spread, high, flat, bowl=False, aligned=False):
        """Pile things up, lying or aligned, to a dome of a height or to the rim of a bowl."""
        rng = self.rng
        for _ in range(count):
            far, angle = spread * math.sqrt(rng.random()), rng.uniform(0, math.tau)
            x, y, narrow = math.cos(angle), math.sin(angle), 0.3 if aligned else 1
            z = 0.05 + rng.random() ** 0.4 * high * (1 if bowl else 1 - (far / spread) ** 2)
            slope = 0.15 if bowl else high * far / spread**2
            turn = (flat or rng.choice([0, 0, math.pi])) + rng.gauss(0, 0.3) + slope * y
            roll = rng.uniform(0, math.tau) if flat else rng.gauss(0, 0.3) - slope * x
            turns = (turn, roll, rng.gauss(0, 0.15) if aligned else rng.uniform(0, math.tau))
            place, size = (far * x, far * y * narrow, z), rng.uniform(0.65, 1.2)
            self.put(rng.choice(meshes), rng.choice(materials), place, turns, size)

    def curled(self, meshes, material, x: float) -> None:
        """Cover a ball with rows of overlapping scales, as of a pangolin that has rolled up."""
        rng, rows = self.rng, self.rng.randint(8, 12)
        radius, base = 0.14 * rows, Euler((rng.gauss(0, 0.7), 1.2, 0)).to_matrix()
        centre = Vector((x, rng.gauss(0, 0.3), radius * rng.uniform(0.5, 0.9)))
        for row in range(rows):
            tilt = math.pi * (row + 0.5) / rows
            columns = max(3, round(math.tau * radius * math.sin(tilt) / 0.55))
            for column in range(columns):
                turn = math.tau * (column + row % 2 / 2) / columns
                out, side = _direction(turn, math.pi / 2 - tilt), _direction(turn + math.pi / 2, 0)
                along = side.cross(out)
                axes = base @ Matrix((along.cross(out), along, out)).transposed()
                lifted = (axes @ Euler((0.12, 0, 0)).to_matrix()).to_euler()
                place, size = centre + radius * (base @ out), rng.uniform(0.75, 0.9)
                self.put(rng.choice(meshes), material, place, lifted, size)

    def dress(self) -> None:
        """Put the ground, sometimes a wall, a ruler, and goods beside what is shown."""
        rng, (centre, radius) = self.rng, self.frame()
        floor, zoom = ground(rng), radius / 2 * rng.uniform(0.7, 1.5)
        sheet = shapes.box(60 / zoom, 60 / zoom, 0.01)
        self.put(sheet, floor, (0, 0, -0.01 * zoom), scale=zoom, shown=False)
        if rng.random() < 0.4:
            wall, turn = sheet.copy(), (math.pi / 2, 0, rng.gauss(0, 0.1))
            wall.materials[0] = rng.choice([floor, ground(rng), ground(rng)])
            self.put(wall, None, (0, radius * rng.uniform(1.3, 4), 0), turn, zoom, shown=False)
        if rng.random() < 0.15:
            ruler = shapes.swept(rng, "pipe", radius / 12, length=radius, squash=0.1, lumps=0)
            place = (centre.x, centre.y - radius * rng.uniform(0.7, 1), 0)
            scale = surface(rng, 0, 0, 0.9, bands=70, contrast=0.9, bump=0)
            self.rest(self.put(ruler, scale, place, (0, math.pi / 2, math.pi / 2), shown=False))
        for _ in range(rng.choice([0, 0, 0, 1, 2, 4])):
            angle, far = rng.uniform(-0.3, 3.5), radius * rng.uniform(1.1, 1.9)
            place = (centre.x + far * math.cos(angle), centre.y + far * math.sin(angle), 0)
            x, y, z = (radius * rng.uniform(0.1, 0.6) for _ in range(3))
            pot = shapes.swept(rng, rng.choice(["pipe", "rod", "cone"]), x / 2, length=z, cut=0.95)
            made = rng.choice([shapes.box(x, y, z), pot])
            self.rest(self.put(made, plain(rng), place, (0, 0, 3 * rng.random()), shown=False))

    def frame(self) -> tuple[Vector, float]:
        """Return the centre and the radius of what is shown."""
        bpy.context.view_layer.update()
        corners = np.concatenate([_corners(thing, 9) for thing in self.shown])
        stray = 4 * (len(self.shown) > 20)  # percent: what rolled off a heap may be cut off
        low, high = np.percentile(corners, [stray, 100 - stray], axis=0)
        return Vector((low + high) / 2), float(np.linalg.norm(high - low) / 2)

    def light(self, centre: Vector, radius: float, eye: Vector) -> None:
        """Light the scene as sellers do: a window, the sun, a flash, a lamp, a studio."""
        rng, world = self.rng, bpy.data.worlds.new("world")
        self.scene.world, world.use_nodes = world, True
        kind = rng.choice(["window", "window", "sun", "flash", "lamp", "studio"])
        ambient = {"flash": 0.1, "lamp": 0.15, "studio": 0.9}.get(kind, 0.5)
        sky = world.node_tree.nodes["Background"].inputs
        sky[0].default_value = tone(rng.choice([0.09, 0.6]), rng.uniform(0, 0.2), 1.0)
        sky[1].default_value = ambient * rng.uniform(0.4, 1.6)
        for _ in range({"studio": 3, "lamp": 2}.get(kind, 1)):
            lamp = bpy.data.lights.new("lamp", "SUN" if kind == "sun" else "AREA")
            side = _direction(rng.uniform(0, math.tau), rng.uniform(0.4, 1.3))
            place = centre + radius * rng.uniform(3, 6) * side
            lamp.energy = rng.uniform(2, 5)
            if kind == "flash":
                place = eye + Vector((rng.uniform(-0.1, 0.1), 0, 0.1)) * radius
            if kind != "sun":
                lamp.size = radius * {"flash": 0.15, "lamp": 0.5}.get(kind, rng.uniform(1, 4))
                lamp.energy = (place - centre).length ** 2 * rng.uniform(20, 50)
            lamp.color = tone(rng.choice([0.08, 0.1, 0.6]), rng.uniform(0, 0.3), 1.0)[:3]
            self._aim(bpy.data.objects.new("lamp", lamp), place, centre)

    def shoot(self, path: Path) -> None:
        """Frame what is shown, light and render it, and write a JPEG as a phone would."""
        self.dress()
        rng, (centre, radius) = self.rng, self.frame()
        camera = bpy.data.cameras.new("camera")
        camera.lens = rng.uniform(30, 80)
        tilt = rng.choice([rng.uniform(0.15, 0.6), rng.uniform(0.5, 1.1), rng.uniform(1.2, 1.55)])
        near = 0.4 if len(self.shown) > 20 else 0.7  # a heap may fill the photo
        distance = radius * rng.uniform(near, 1.1) * camera.lens / 18
        target = centre + Vector([rng.gauss(0, 0.1) * radius for _ in range(3)])
        eye = target + distance * _direction(-math.pi / 2 + rng.gauss(0, 0.5), tilt)
        self.scene.camera = self._aim(bpy.data.objects.new("camera", camera), eye, target)
        self.scene.camera.rotation_euler.rotate_axis("Z", rng.gauss(0, 0.08))
        self.light(centre, radius, eye)
        wide = rng.choice([1, 4 / 3, 4 / 3, 3 / 2, 3 / 4, 3 / 4, 2 / 3])
        self.scene.render.resolution_x = round(SHORT_SIDE * max(wide, 1))
        self.scene.render.resolution_y = round(SHORT_SIDE * max(1 / wide, 1))
        photo = develop(rng, self._render(path.with_suffix(".exr")))
        if not cv2.imwrite(str(path), photo, [cv2.IMWRITE_JPEG_QUALITY, rng.randint(75, 93)]):
            raise OSError(f"{path} cannot be written")

    def _aim(self, thing, place: Vector, target: Vector):
        bpy.context.collection.objects.link(thing)
        thing.location = place
        thing.rotation_euler = (target - place).to_track_quat("-Z", "Y").to_euler()
        return thing

    def _render(self, path: Path) -> np.ndarray:
        self.scene.render.image_settings.file_format = "OPEN_EXR"
        self.scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(str(path))
        pixels = np.array(image.pixels, np.float32)
        path.unlink()
        return pixels.reshape(image.size[1], image.size[0], 4)[::-1, :, :3]


def develop(rng: random.Random, light: np.ndarray) -> np.ndarray:
    """Turn linear RGB (H, W, 3) into a photo (uint8 BGR): exposure, white balance, noise."""
    mean = light.mean(axis=-1)
    bright, middle = 0.9 / max(np.percentile(mean, 96), 1e-6), 1 / max(mean.mean(), 1e-6)
    gain = min(bright, middle * rng.uniform(0.2, 0.45))
    balance = np.array([rng.uniform(0.9, 1.1), 1.0, rng.uniform(0.85, 1.12)])
    light = light * gain * 2 ** rng.uniform(-0.7, 0.5) * balance
    light = light * (1 + light / 2.5) / (1 + light * rng.uniform(0.4, 1))
    photo = np.clip(light, 0, 1) ** (1 / rng.uniform(1.9, 2.4))
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, 1, photo.shape)
    photo += cv2.GaussianBlur(noise, (0, 0), 0.6) * rng.uniform(0.0, 0.035)
    photo += rng.uniform(0, 0.8) * (photo - cv2.GaussianBlur(photo, (0, 0), 1.2))
    return (np.clip(photo, 0, 1) * 255).round().astype(np.uint8)[..., ::-1]


def _direction(turn: float, tilt: float) -> Vector:
    flat = math.cos(tilt)
    return Vector((math.cos(turn) * flat, math.sin(turn) * flat, math.sin(tilt)))


def _corners(thing, step: int = 1) -> np.ndarray:
    matrix = np.array(thing.matrix_world)
    return _vertices(thing.data)[::step] @ matrix[:3, :3].T + matrix[:3, 3]


def _vertices(mesh) -> np.ndarray:
    flat = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3)
