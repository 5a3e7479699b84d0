"""Colors in sRGB, by the ICC profile of a file.

Other descriptions of colors (``cICP``, ``gAMA`` and ``cHRM`` of PNG, ``nclx`` of AVIF) are not
converted: docs/limits.md has the list.
"""

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE = 4 << 20  # bytes; those of printing presses take up to 3 MB

_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_FLAGS = ImageCms.Flags.NOWHITEONWHITEFIXUP
_INTENTS = (ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Intent.PERCEPTUAL)
_TAGS, _TAG_BYTES = 132, 12  # of a profile: ICC.1:2022, section 7.3
_AMBIGUOUS = {b"cicp", b"D2B0", b"D2B1"}  # tags that browsers and LittleCMS read differently
_MAX_NOISE = 9  # of 255: a gamma of 2.2 differs from sRGB by no more, in the shadows
_MAX_BEND = 40  # of 255: Display P3 bends colors by 22, Adobe RGB by 36, linear light by 73
_MAX_DISPUTE = 64  # of 255, between two tables of one profile
_MAX_CHANGE, _MAX_SHADE = 180, 80  # of 255; wide gamuts change a channel by 165, linear gray by 73


@dataclass(frozen=True, slots=True)
class Conversion:
    """A conversion from pixels of a mode (RGB, L or CMYK) to sRGB.

    One that ``is_bent`` precedes the reduction of an image: the mean of pixels becomes another
    color than the pixels do, so that a fine pattern could hide an image. Of one that ``is_far``
    from sRGB, a browser that ignores the profile, as if it is damaged, shows another image.
    """

    mode: str
    transform: ImageCms.ImageCmsTransform
    is_bent: bool
    is_far: bool

    def applies_to(self, mode: str) -> bool:
        """Whether an image of this mode has such pixels; browsers ignore other profiles, too."""
        is_cmyk = mode == "CMYK"
        return (self.mode == "CMYK") == is_cmyk and (self.mode != "L" or mode in {"L", "LA"})

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return an image in sRGB, with the same alpha."""
        alpha = image.getchannel("A") if "A" in image.mode else None
        converted = image if image.mode == self.mode else image.convert(self.mode)
        converted = self.transform.apply(converted)
        if alpha:
            converted.putalpha(alpha)
        return converted


@lru_cache(maxsize=16)
def conversion_of(profile: bytes) -> Conversion | None:
    """Return the conversion by an ICC profile, None if it is sRGB or nearly so.

    Raise a ValueError if the profile cannot be used. It takes up to 0.2 s, and is kept: photos
    share few profiles.
    """
    if len(profile) > MAX_PROFILE:
        raise ValueError(f"it has more than {MAX_PROFILE} bytes")
    count = int.from_bytes(profile[128:_TAGS], "big")
    starts = range(_TAGS, min(_TAGS + _TAG_BYTES * count, len(profile)), _TAG_BYTES)
    if _AMBIGUOUS & {profile[at : at + 4] for at in starts}:
        raise ValueError("it describes colors twice")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES[source.profile.xcolor_space]
        is_plain = source.profile.is_matrix_shaper
        # LittleCMS is fast by tables of its own, which miss what others bring out here or there.
        flags = _FLAGS if is_plain else _FLAGS | ImageCms.Flags.NOOPTIMIZE
        srgb = ImageCms.createProfile("sRGB")
        transforms = [
            ImageCms.buildTransform(source, srgb, mode, "RGB", intent, flags) for intent in _INTENTS
        ]
        colors = _grid(mode)
        shown, other = (np.asarray(one.apply(colors), np.int16) for one in transforms)
        ramps = np.asarray(transforms[0].apply(_ramps(mode)), float)
    except Exception as error:  # LittleCMS and Pillow raise all kinds
        raise ValueError(f"{error}"[:200]) from error
    if np.abs(shown - other).max() > _MAX_DISPUTE:
        raise ValueError("two of its tables disagree")
    change = shown - np.asarray(colors.convert("RGB"))
    if is_plain and np.abs(change).max() <= _MAX_NOISE:
        return None  # most profiles are those of sRGB
    first, last = ramps[:, :1], ramps[:, -1:]
    bend = np.abs(ramps - first - (last - first) * np.linspace(0, 1, 256)[:, None]).max()
    is_far = np.abs(change).max() > _MAX_CHANGE or np.abs(change.mean(-1)).max() > _MAX_SHADE
    return Conversion(mode, transforms[0], not is_plain or bool(bend > _MAX_BEND), bool(is_far))


def _grid(mode: str) -> Image.Image:
    # Colors of all kinds; neighbors are close enough to show what a narrow table does.
    bands = len(Image.new(mode, (1, 1)).getbands())
    steps = np.linspace(0, 255, {1: 256, 3: 18, 4: 9}[bands]).round().astype(np.uint8)
    colors = np.stack(np.meshgrid(*[steps] * bands, indexing="ij"), -1)
    return Image.frombytes(mode, (colors.size // bands, 1), colors.tobytes())


def _ramps(mode: str) -> Image.Image:
    # Grays, and each channel by itself.
    axes = np.vstack([np.ones(bands := len(Image.new(mode, (1, 1)).getbands())), np.eye(bands)])
    ramps = np.ascontiguousarray(axes[:, None] * np.arange(256)[:, None], np.uint8)
    return Image.frombytes(mode, (256, len(axes)), ramps.tobytes())
