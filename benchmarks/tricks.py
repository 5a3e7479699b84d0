"""Files that viewers show as the photo, and that a careless decoder sees otherwise.

The scaling attack is that of Quiring et al., "Adversarial Preprocessing" (USENIX Security 2020).
"""

import io
import zipfile
from functools import partial

import cv2
import numpy as np
from PIL import Image, ImageCms

from benchmarks.forms import RGB, Draw, Form, Material, encoded, fit


def hidden_frame(kind: str, image: RGB, material: Material) -> bytes:
    """Show the photo for minutes, as the second of 16 frames; the others for 20 ms each."""
    other = Image.fromarray(fit(material.harmless(), *image.shape[1::-1]))
    frames = [other.copy() for _ in range(16)]
    for number, frame in enumerate(frames):  # so that no encoder merges them
        frame.putpixel((number, 0), (number * 9, 0, 0))
    frames[1] = Image.fromarray(image)
    times = [300_000 if number == 1 else 20 for number in range(16)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=times, loop=0)
    return buffer.getvalue()


def scaling(image: RGB, material: Material) -> bytes:
    """Put other pixels into the lines that an unfiltered resize to the model's input reads."""
    tall = image if image.shape[0] > image.shape[1] else np.swapaxes(image, 0, 1)
    sides = (2 * material.size - 1, 3 * material.size)
    tall = np.asarray(cv2.resize(tall, sides, interpolation=cv2.INTER_CUBIC), np.uint8)
    tall[1::3] = cv2.GaussianBlur(tall, (0, 0), 0.04 * material.size)[1::3]
    is_tall = image.shape[0] > image.shape[1]
    return encoded(np.ascontiguousarray(tall if is_tall else np.swapaxes(tall, 0, 1)), "PNG")


def profile(image: RGB, _: Material) -> bytes:
    """Swap red and blue, and add a color profile that swaps them back."""
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    icc = icc.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    return encoded(np.ascontiguousarray(image[..., ::-1]), icc_profile=icc)


def transparent(image: RGB, _: Material) -> bytes:
    """Show the photo on a dark page, and next to nothing on a white one."""
    alpha = image.max(axis=2, keepdims=True)
    color = image.astype(np.float32) * 255 / np.maximum(alpha, 1)
    return encoded(np.dstack([color.round().astype(np.uint8), alpha]), "PNG")


def polyglot(image: RGB, _: Material) -> bytes:
    """Append an archive to a JPEG, and name it photo.zip."""
    buffer = io.BytesIO(encoded(image))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("readme.txt", "nothing here")
    return buffer.getvalue()


def orientation(kind: str, image: RGB, _: Material) -> bytes:
    """Name an orientation where browsers do not read one: they show the photo as it is stored."""
    exif = Image.Exif()
    exif[0x0112] = 3
    if kind == "WEBP":
        return encoded(image, kind, exif=exif.tobytes())
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
        'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        'tiff:Orientation="3"/></rdf:RDF></x:xmpmeta>'
    )
    return encoded(image, kind, xmp=xmp.encode())


def _trick(name: str, draw: Draw, photos: int = 1000) -> Form:
    return Form(name, "format tricks", draw, is_trained=False, photos=photos)


TRICKS = (
    *(
        _trick(f"hidden frame, {kind}", partial(hidden_frame, kind), photos=24)
        for kind in ("GIF", "WEBP", "PNG")
    ),
    _trick("image-scaling attack", scaling),
    _trick("color profile", profile),
    _trick("transparent, on black", transparent),
    _trick("photo.zip, a JPEG", polyglot),
    *(_trick(f"orientation, {kind}", partial(orientation, kind)) for kind in ("JPEG", "WEBP")),
)
