"""The stage: ground, wall and clutter, bodies that fall into heaps, light, camera and exposure."""

import math
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import cv2
import numpy as np
from mathutils import Euler, Matrix, Vector

from . import shapes
from .surfaces import ground, plain, shades, surface, tone

SHORT_SIDE = 264


class Stage:
    """One scene: things are put on the ground (z = 0) around the origin, a few units large."""

    def __init__(self, rng: random.Random, samples: int) -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.rng, self.scene = rng, bpy.context.scene
        self.scene.render.engine = "CYCLES"
        self.scene.cycles.samples = samples
        self.scene.cycles.use_denoising = True
        self.scene.cycles.max_bounces = 3
        self.scene.cycles.seed = rng.randrange(10**6)
        self.scene.render.threads_mode, self.scene.render.threads = "FIXED", 1
        self.shown: list[bpy.types.Object] = []

    def put(self, mesh, material, place=(0, 0, 0), turn=(0, 0, 0), scale=1.0, shown=True):
        """Put a mesh onto the stage; what is ``shown`` is framed by the camera."""
        thing = bpy.data.objects.new("thing", mesh)
        bpy.context.collection.objects.link(thing)
        if not mesh.materials:
            mesh.materials.append(material)
        size = Matrix.Diagonal((scale,) * 3 if isinstance(scale, int | float) else scale).to_4x4()
        thing.matrix_world = Matrix.Translation(place) @ Euler(turn).to_matrix().to_4x4() @ size
        if shown:
            self.shown.append(thing)
        return thing

    def rest(self, thing, above: float = 0.0) -> None:
        """Move a thing up or down until it touches the ground."""
        thing.location.z += above - _corners(thing)[:, 2].min()

    def lie(self, mesh, material, place=(0.0, 0.0), scale: float = 1.0, yaw=None):
        """Put a mesh onto the ground as it would lie: with its centre low."""
        vertices = np.array([vertex.co for vertex in mesh.vertices])[::5]
        best = (math.inf, None)
        for _ in range(80):
            turn = Euler([self.rng.uniform(0, math.tau) for _ in range(3)]).to_matrix().to_4x4()
            heights = vertices @ np.array(turn)[2, :3]
            best = min(best, (heights.mean() - heights.min(), turn), key=lambda pair: pair[0])
        thing = self.put(mesh, material, scale=scale)
        yaw = self.rng.uniform(0, math.tau) if yaw is None else yaw
        thing.matrix_world = Matrix.Rotation(yaw, 4, "Z") @ best[1] @ thing.matrix_world
        thing.location = (*place, 0)
        self.rest(thing)
        return thing

    def row(self, meshes, material, count: int, gap: float, scale: float = 1.0) -> None:
        """Lay things in rows, as a seller lays out goods."""
        columns = math.ceil(math.sqrt(count * self.rng.uniform(1, 3)))
        for number in range(count):
            across, down = number % columns, number // columns
            middle = (columns - 1) / 2, (math.ceil(count / columns) - 1) / 2
            place = [(at - mid) * gap for at, mid in zip((across, down), middle, strict=True)]
            place = [part + self.rng.gauss(0, 0.06 * gap) for part in place]
            turn = (0, 0, self.rng.gauss(0, 0.25))
            size = scale * self.rng.uniform(0.8, 1.1)
            self.rest(self.put(self.rng.choice(meshes), material, (*place, 0), turn, size))

    def heap(self, meshes, materials, count, spread=1.0, *, fixed=(), aligned=False, frames=70):
        """Let things fall into a heap, or into what is ``fixed`` (a bowl); aligned, into a stack."""
        rng, fallen = self.rng, []
        for number in range(count):
            turn = [rng.uniform(0, math.tau) for _ in range(3)]
            if aligned:
                turn = (math.pi / 2, rng.uniform(0, math.tau), rng.gauss(0, 0.1))
            far, angle = spread * math.sqrt(rng.random()), rng.uniform(0, math.tau)
            height = 0.5 + number * (0.25 if aligned else 0.6 / max(spread, 1))
            place = (far * math.cos(angle), far * math.sin(angle) * (0.2 if aligned else 1), height)
            size = rng.uniform(0.75, 1.15)
            fallen.append(self.put(rng.choice(meshes), rng.choice(materials), place, turn, size))
        floor = self.put(shapes.box(60, 60, 1), None, (0, 0, -1), shown=False)
        bpy.ops.rigidbody.world_add()
        for group, kind, hull in (
            (fallen, "ACTIVE", "CONVEX_HULL"),
            ([*fixed, floor], "PASSIVE", "MESH"),
        ):
            for thing in group:
                with bpy.context.temp_override(object=thing, selected_objects=[thing]):
                    bpy.ops.rigidbody.object_add(type=kind)
                body = thing.rigid_body
                body.collision_shape, body.friction, body.restitution = hull, 0.9, 0.0
                body.use_margin, body.collision_margin = True, 0.005
                body.linear_damping = body.angular_damping = 0.2
        last = frames + count // 4
        for frame in range(1, last):
            self.scene.frame_set(frame)
        ends = [thing.matrix_world.copy() for thing in fallen]
        bpy.ops.rigidbody.world_remove()
        for thing, end in zip(fallen, ends, strict=True):
            thing.matrix_world = end
            if end.translation.z < -0.5 or end.translation.length > 12:
                self.shown.remove(thing)
                bpy.data.objects.remove(thing)
        bpy.data.objects.remove(floor)
        return fallen

    def bowl(self, radius: float, height: float):
        """Put a bowl, a basket or an open sack around the origin."""
        rng = self.rng
        lean = rng.uniform(0.7, 1.0)
        outline = [(0, 0.02), (radius * lean, 0.02), (radius, height), (radius * 1.03, height)]
        outline += [(radius * lean * 1.05, 0), (0, 0)]
        cloth = surface(rng, shades(rng, rng.uniform(0.05, 0.15), 0.3, 0.7), grain=(30, 60), rough=1)
        material = rng.choice([cloth, plain(rng), plain(rng, rough=0.15)])
        return self.put(shapes.turned(rng, outline, rng.choice([0, 0.03])), material)

    def plinth(self, place, radius: float, height: float) -> None:
        """Put a turned wooden plinth under what stands at a place."""
        outline = [(radius, 0), (radius * 1.1, height / 2), (radius, height), (0, height)]
        wood = surface(self.rng, shades(self.rng, 0.06, 0.6, 0.35), rough=0.3, grain=(4, 20))
        self.put(shapes.turned(self.rng, outline), wood, (*place, 0), shown=False)

    def dress(self) -> None:
        """Put the ground, sometimes a wall, a ruler, and goods beside what is shown."""
        rng = self.rng
        centre, radius = self.frame()
        floor, zoom = ground(rng), radius / 2 * rng.uniform(0.7, 1.5)
        self.put(shapes.box(60 / zoom, 60 / zoom, 0.01), floor, (0, 0, -0.01 * zoom), scale=zoom, shown=False)
        if rng.random() < 0.4:
            wall = floor if rng.random() < 0.3 else ground(rng)
            place, turn = (0, radius * rng.uniform(1.3, 4), 0), (math.pi / 2, 0, rng.gauss(0, 0.1))
            self.put(shapes.box(60 / zoom, 60 / zoom, 0.01), wall, place, turn, zoom, shown=False)
        if rng.random() < 0.15:
            self.ruler((centre.x, centre.y - radius * rng.uniform(0.7, 1)), radius)
        for _ in range(rng.choice([0, 0, 0, 1, 2, 4])):
            angle, far = rng.uniform(-0.3, 3.5), radius * rng.uniform(1.1, 1.9)
            place = (centre.x + far * math.cos(angle), centre.y + far * math.sin(angle), 0)
            size = [radius * rng.uniform(0.1, 0.6) for _ in range(3)]
            outline = [(size[0] / 2, 0), (size[1] / 2, size[2] / 2), (size[0] / 2, size[2]), (0, size[2])]
            made = rng.choice([shapes.box(*size), shapes.turned(rng, outline)])
            self.put(made, plain(rng), place, (0, 0, rng.uniform(0, 3)), shown=False)

    def ruler(self, place, length: float) -> None:
        """Put a ruler with marks along x."""
        white, black = plain(self.rng, tone(0, 0, 0.9)), plain(self.rng, tone(0, 0, 0.05))
        self.put(shapes.box(length, length / 8, 0.02), white, (*place, 0), shown=False)
        for number in range(21):
            long = length / (14 if number % 5 == 0 else 25)
            x = place[0] - length / 2 + length * (number + 0.5) / 21
            mark = shapes.box(length / 150, long, 0.025)
            self.put(mark, black, (x, place[1] + length / 16 - long / 2, 0), shown=False)

    def frame(self) -> tuple[Vector, float]:
        """Return the centre and the radius of what is shown."""
        bpy.context.view_layer.update()
        corners = np.concatenate([_corners(thing) for thing in self.shown])
        low, high = corners.min(axis=0), corners.max(axis=0)
        return Vector((low + high) / 2), float(np.linalg.norm(high - low) / 2)

    def light(self, centre: Vector, radius: float, eye: Vector) -> None:
        """Light the scene as sellers do: a window, the sun, a flash, a lamp, a studio."""
        rng = self.rng
        world = bpy.data.worlds.new("world")
        self.scene.world, world.use_nodes = world, True
        kind = rng.choice(["window", "window", "sun", "flash", "lamp", "studio"])
        ambient = {"window": 0.5, "sun": 0.4, "flash": 0.1, "lamp": 0.15, "studio": 0.9}[kind]
        sky = world.node_tree.nodes["Background"].inputs
        sky[0].default_value = tone(rng.choice([0.09, 0.6]), rng.uniform(0, 0.2), 1.0)
        sky[1].default_value = ambient * rng.uniform(0.4, 1.6)
        for _ in range({"studio": 3, "lamp": 2}.get(kind, 1)):
            lamp = bpy.data.lights.new("lamp", "SUN" if kind == "sun" else "AREA")
            far = radius * rng.uniform(3, 6)
            turn, tilt = rng.uniform(0, math.tau), rng.uniform(0.4, 1.3)
            flat = Vector((math.cos(turn), math.sin(turn), 0)) * math.cos(tilt)
            place = centre + far * (flat + Vector((0, 0, math.sin(tilt))))
            lamp.energy = rng.uniform(2, 5)
            if kind == "flash":
                place = eye + Vector((rng.uniform(-0.1, 0.1), 0, 0.1)) * radius
            if kind != "sun":
                lamp.size = radius * {"flash": 0.15, "lamp": 0.5}.get(kind, rng.uniform(1, 4))
                lamp.energy = (place - centre).length ** 2 * rng.uniform(20, 50)
            lamp.color = tone(rng.choice([0.08, 0.1, 0.6]), rng.uniform(0, 0.3), 1.0)[:3]
            thing = bpy.data.objects.new("lamp", lamp)
            bpy.context.collection.objects.link(thing)
            thing.location = place
            thing.rotation_euler = (centre - place).to_track_quat("-Z", "Y").to_euler()

    def shoot(self, path: Path) -> None:
        """Frame what is shown, light and render it, and write a JPEG as a phone would."""
        rng, scene = self.rng, self.scene
        self.dress()
        centre, radius = self.frame()
        camera = bpy.data.cameras.new("camera")
        camera.lens = rng.uniform(30, 80)
        eye = bpy.data.objects.new("camera", camera)
        bpy.context.collection.objects.link(eye)
        tilt = rng.choice([rng.uniform(0.15, 0.6), rng.uniform(0.5, 1.1), rng.uniform(1.2, 1.55)])
        turn = -math.pi / 2 + rng.gauss(0, 0.5)
        distance = radius * rng.uniform(0.75, 1.35) * camera.lens / 18
        shift = Vector([rng.gauss(0, 0.1) * radius for _ in range(3)])
        flat = Vector((math.cos(turn), math.sin(turn), 0)) * math.cos(tilt)
        eye.location = centre + shift + distance * (flat + Vector((0, 0, math.sin(tilt))))
        eye.rotation_euler = (centre + shift - eye.location).to_track_quat("-Z", "Y").to_euler()
        eye.rotation_euler.rotate_axis("Z", rng.gauss(0, 0.08))
        scene.camera = eye
        if rng.random() < 0.25:
            camera.dof.use_dof, camera.dof.focus_distance = True, distance
            camera.dof.aperture_fstop = rng.uniform(0.4, 2) * 3 / radius
        self.light(centre, radius, eye.location)
        wide = rng.choice([1, 4 / 3, 4 / 3, 3 / 2, 3 / 4, 3 / 4, 2 / 3])
        scene.render.resolution_x = round(SHORT_SIDE * max(wide, 1))
        scene.render.resolution_y = round(SHORT_SIDE * max(1 / wide, 1))
        with _quiet():
            pixels = self._render(path.with_suffix(".exr"))
        quality = [cv2.IMWRITE_JPEG_QUALITY, rng.randint(75, 93)]
        if not cv2.imwrite(str(path), develop(rng, pixels), quality):
            raise OSError(f"{path} cannot be written")

    def _render(self, path: Path) -> np.ndarray:
        self.scene.render.image_settings.file_format = "OPEN_EXR"
        self.scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(str(path))
        pixels = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(pixels)
        path.unlink()
        return pixels.reshape(image.size[1], image.size[0], 4)[::-1, :, :3]


def develop(rng: random.Random, light: np.ndarray) -> np.ndarray:
    """Turn linear RGB (H, W, 3) into a photo (uint8 BGR): exposure, white balance, noise."""
    mean = light.mean(axis=-1)
    gain = min(0.9 / np.percentile(mean, 96), 0.45 / max(mean.mean(), 1e-6))
    light = light * gain * 2 ** rng.uniform(-0.7, 0.5)
    light = light * [rng.uniform(0.9, 1.1), 1.0, rng.uniform(0.85, 1.12)]
    shoulder = light * (1 + light / 2.5) / (1 + light * rng.uniform(0.4, 1))
    photo = np.clip(shoulder, 0, 1) ** (1 / rng.uniform(1.9, 2.4))
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, 1, photo.shape)
    photo = photo + cv2.GaussianBlur(noise, (0, 0), 0.6) * rng.uniform(0.0, 0.035)
    if rng.random() < 0.6:
        photo += rng.uniform(0.2, 1) * (photo - cv2.GaussianBlur(photo, (0, 0), 1.2))
    return (np.clip(photo, 0, 1) * 255).round().astype(np.uint8)[..., ::-1]


def _corners(thing) -> np.ndarray:
    bpy.context.view_layer.update()
    vertices = np.array([vertex.co for vertex in thing.data.vertices])
    matrix = np.array(thing.matrix_world)
    return vertices @ matrix[:3, :3].T + matrix[:3, 3]


@contextmanager
def _quiet() -> Iterator[None]:
    """Send what Blender prints of each rendering to the null device."""
    kept = os.dup(1)
    with open(os.devnull, "w", encoding="utf-8") as null:
        os.dup2(null.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
