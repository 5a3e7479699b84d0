"""From a seed to an image: build the scene, render it with mitsuba, develop it as a phone does.

The same seed gives the same bytes on the same versions of mitsuba and OpenCV. Nothing here knows
what the scenes show.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from wildlife_renderer import geometry, stage
from wildlife_renderer.denoise import denoise
from wildlife_renderer.geometry import SURFACE, Array, Mesh
from wildlife_renderer.scenes import SCENES
from wildlife_renderer.stage import ASPECTS, Stage

VARIANTS = ("llvm_ad_rgb", "scalar_rgb")  # the first that this machine can run

# The object's colours come from its vertices; its texture coordinates only mark it, for its mask.
_MARK = 100.0


@dataclass(frozen=True)
class Rendering:
    """A rendered image.

    Attributes:
        jpeg: The file's bytes.
        mask: Where the object is, ``(height, width)``.
        width: In pixels.
        height: In pixels.
        parameters: The choices that followed from the seed.
    """

    jpeg: bytes
    mask: NDArray[np.bool_]
    width: int
    height: int
    parameters: dict[str, Any]


def render(scene: str, seed: int, size: int = 320, paths: int = 24) -> Rendering:
    """Render one image.

    Args:
        scene: A name in ``scenes.SCENES``.
        seed: Any whole number from 0.
        size: The longer side in pixels.
        paths: Light paths for each pixel; more are slower and less noisy.
    """
    rng = np.random.default_rng([seed, crc32(scene.encode())])
    subject = SCENES[scene].build(rng)
    turn = geometry.rotation([0, 0, 1], rng.uniform(0, 360))
    mesh = subject.mesh.turned(turn).grounded()
    wide, high = np.linalg.norm(mesh.vertices[:, :2], axis=1).max(), mesh.vertices[:, 2].max()
    radius = float(max(wide, 0.55 * high))
    mesh = mesh.scaled(1 / radius)
    aspect = str(rng.choice(list(ASPECTS), p=[0.4, 0.25, 0.25, 0.1]))
    around = stage.build(rng, mesh, radius, subject.elevation, aspect)
    width, height = _pixels(size, aspect)
    light, mask = _trace(mesh, around, width, height, paths, seed)
    pixels, development = _develop(rng, light, around.light.mean(axis=(0, 1)))
    quality = int(rng.integers(70, 93))
    encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )[1]
    parameters = {
        "aspect": aspect,
        **subject.parameters,
        **around.parameters,
        **development,
        "quality": quality,
        "samples": paths,
    }
    return Rendering(encoded.tobytes(), mask, width, height, parameters)


def _pixels(size: int, aspect: str) -> tuple[int, int]:
    width, height = ASPECTS[aspect]
    return round(size * width / max(width, height)), round(size * height / max(width, height))


@functools.cache
def _mitsuba() -> ModuleType:
    import mitsuba  # noqa: PLC0415 - slow to load, and needed only to render

    mitsuba.set_variant(*VARIANTS)
    mitsuba.set_log_level(mitsuba.LogLevel.Error)
    return mitsuba


def _trace(
    mesh: Mesh, around: Stage, width: int, height: int, samples: int, seed: int
) -> tuple[Array, NDArray[np.bool_]]:
    """Return linear light, ``(height, width, 3)``, and the object's mask."""
    mi = _mitsuba()
    camera = around.camera
    film = {
        "type": "hdrfilm",
        "width": width,
        "height": height,
        "rfilter": {"type": "box"},  # blocks do not overlap, so their order cannot matter
        "pixel_format": "rgb",
    }
    placed = mi.ScalarTransform4f().look_at(
        origin=camera.origin.tolist(), target=camera.target.tolist(), up=camera.up.tolist()
    )
    lens = {"fov": camera.fov, "fov_axis": "larger", "to_world": placed}
    ground = around.ground
    subject = replace(mesh, coords=mesh.coords + _MARK)
    scene = mi.load_dict(
        {
            "type": "scene",
            "light": {
                "type": "envmap",
                "bitmap": mi.Bitmap(around.light.astype(np.float32)),
                "to_world": mi.ScalarTransform4f().rotate([1, 0, 0], 90),
            },
            "floor": _shape(
                around.floor,
                {
                    "type": "twosided",
                    "bsdf": {
                        "type": "principled",
                        "base_color": {
                            "type": "bitmap",
                            "bitmap": mi.Bitmap(np.clip(ground.colour, 0, 1).astype(np.float32)),
                            "raw": True,
                            "wrap_mode": "mirror",
                        },
                        "roughness": ground.roughness,
                        "specular": 0.4,
                    },
                },
            ),
            "surroundings": _shape(around.surroundings, _vertex_bsdf()),
            "object": _shape(subject, _vertex_bsdf()),
        }
    )
    sensor = mi.load_dict(
        {
            "type": "thinlens",
            "aperture_radius": camera.aperture,
            "focus_distance": camera.focus,
            "film": film,
            "sampler": {"type": "independent", "sample_count": samples},
            **lens,
        }
    )
    _free_of_constants(sensor, "aperture_radius", "focus_distance")
    # One integrator for both would trace every path twice (seen with mitsuba 3.9).
    path = mi.load_dict({"type": "path", "max_depth": 5})
    guides = mi.load_dict({"type": "aov", "aovs": "albedo:albedo,normal:sh_normal,depth:depth"})
    light, hit = (
        np.nan_to_num(np.array(integrator.render(scene, sensor, seed=seed, spp=samples)))
        for integrator in (path, guides)
    )
    light = denoise(np.clip(light, 0, 1e3), hit[..., -7:-4], hit[..., -4:-1], hit[..., -1])
    return light, _mask(scene, {"type": "perspective", "film": film, **lens})


def _free_of_constants(thing: Any, *names: str) -> None:
    """Keep numbers out of mitsuba's program, so that it is not compiled again for every image."""
    import drjit  # noqa: PLC0415 - comes with mitsuba

    mi = _mitsuba()
    values = mi.traverse(thing)
    for name in names:
        value = mi.Float(values[name])
        drjit.make_opaque(value)
        values[name] = value
    values.update()


def _mask(scene: Any, pinhole: dict[str, Any]) -> NDArray[np.bool_]:
    """Return where the object is in sharp focus: where the texture coordinates are marked."""
    mi = _mitsuba()
    sensor = mi.load_dict({**pinhole, "sampler": {"type": "independent", "sample_count": 1}})
    coordinates = mi.load_dict({"type": "aov", "aovs": "at:uv"})
    return np.array(coordinates.render(scene, sensor, spp=1))[..., -1] > _MARK / 2


def _vertex_bsdf() -> dict[str, Any]:
    """Describe a surface whose colour and qualities come from the vertices."""
    return {
        "type": "twosided",
        "bsdf": {
            "type": "principled",
            "base_color": {"type": "mesh_attribute", "name": "vertex_colour"},
            **{
                quality: {"type": "mesh_attribute", "name": f"vertex_{quality}"}
                for quality in SURFACE
            },
            "specular": 0.5,
            "clearcoat_gloss": 0.9,
        },
    }


def _shape(mesh: Mesh, bsdf: dict[str, Any]) -> Any:
    mi = _mitsuba()
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict(bsdf)
    shape = mi.Mesh(
        "mesh",
        len(mesh.vertices),
        len(mesh.faces),
        properties,
        has_vertex_normals=True,
        has_vertex_texcoords=True,
    )
    values = mi.traverse(shape)
    values["vertex_positions"] = np.ascontiguousarray(mesh.vertices, np.float32).ravel()
    values["faces"] = np.ascontiguousarray(mesh.faces, np.uint32).ravel()
    values["vertex_texcoords"] = np.ascontiguousarray(mesh.coords, np.float32).ravel()
    values["vertex_normals"] = np.ascontiguousarray(geometry.normals(mesh), np.float32).ravel()
    values.update()
    shape.add_attribute("vertex_colour", 3, np.clip(mesh.colour, 0, 1).astype(np.float32).ravel())
    for column, quality in enumerate(SURFACE):
        shape.add_attribute(
            f"vertex_{quality}", 1, np.clip(mesh.surface[:, column], 0.02, 1).astype(np.float32)
        )
    return shape


def _develop(
    rng: np.random.Generator, light: Array, lamp: Array
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Apply a phone's exposure, colour, curve, noise and sharpening."""
    height, width = light.shape[:2]
    brightness = light.mean(axis=2)
    bias = rng.normal(0, 0.3)
    middle = np.exp(np.log(brightness + 1e-3).mean())
    high = np.quantile(brightness, 0.97)
    exposure = min(0.27 / middle, 1.35 / high) * 2.0**bias
    # The phone removes most of the lamp's colour; what remains is its error.
    remains = rng.uniform(0.05, 0.5)
    balance = (lamp.mean() / lamp) ** (1 - remains) * np.exp(rng.normal(0, 0.03, 3))
    value = light * exposure * balance
    y, x = np.mgrid[0:height, 0:width]
    off = np.hypot(x - width / 2, y - height / 2) / np.hypot(width / 2, height / 2)
    value *= (1 - rng.uniform(0.05, 0.35) * off**2.5)[..., None]
    value = _curve(value)
    sigma = rng.uniform(0.003, 0.022)
    luma = rng.normal(0, 1, (height, width, 1))
    chroma = cv2.GaussianBlur(rng.normal(0, 1, (height, width, 3)), (0, 0), 1.2)
    value = value + sigma * (luma + 0.8 * chroma) * (1.2 - value)
    sharp = rng.uniform(0.0, 0.6)
    value = value + sharp * (value - cv2.GaussianBlur(value, (0, 0), 1.0))
    pixels = (np.clip(value, 0, 1) * 255 + 0.5).astype(np.uint8)
    return pixels, {"exposure_bias": round(float(bias), 2), "noise": round(float(sigma), 4)}


def _curve(value: Array) -> Array:
    """Convert linear light to display values, with a soft shoulder for the highlights."""
    over = np.clip(value - 0.7, 0, None)
    value = np.minimum(value, 0.7) + 0.3 * (1 - np.exp(-over / 0.3))
    display = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    return display + 0.08 * np.sin((display - 0.5) * 2 * np.pi) / 2
