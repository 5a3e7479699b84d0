"""HEIC, where the extra ``heif`` is installed: decoded like everything else."""

import io

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from recognizer.imaging import load_image
from recognizer.status import Reason, Status


def heic(orientation: int = 1) -> bytes:
    """Red above blue, 200 x 120, stored with an EXIF orientation."""
    top, bottom = (np.full((60, 200, 3), c, np.uint8) for c in ((200, 30, 30), (30, 30, 200)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    picture = pillow_heif.from_pillow(Image.fromarray(np.concatenate([top, bottom])))
    picture.save(buffer, quality=90, exif=exif.tobytes())
    return buffer.getvalue()


def test_it_is_decoded_and_reduced() -> None:
    loaded = load_image(heic(), min_side=50)
    assert (loaded.status, loaded.format) == (Status.OK, "heic")
    assert (loaded.width, loaded.height) == (200, 120)
    rgb = loaded.frames[0].rgb
    assert rgb.shape == (60, 100, 3)
    assert rgb[10, 50] == pytest.approx([200, 30, 30], abs=8)
    assert rgb[50, 50] == pytest.approx([30, 30, 200], abs=8)


def test_it_is_turned_upright_once() -> None:
    loaded = load_image(heic(orientation=6))
    assert (loaded.width, loaded.height) == (120, 200)
    rgb = loaded.frames[0].rgb
    assert rgb[100, 110] == pytest.approx([200, 30, 30], abs=8)  # what was above is on the right
    assert rgb[100, 10] == pytest.approx([30, 30, 200], abs=8)


def test_each_of_several_images_is_seen() -> None:
    file = pillow_heif.HeifFile()
    for level in range(10):
        file.add_frombytes("RGB", (64, 64), bytes([25 * level] * 64 * 64 * 3))
    buffer = io.BytesIO()
    file.save(buffer, quality=90, primary_index=3)
    loaded = load_image(buffer.getvalue())
    assert (loaded.status, loaded.reason) == (Status.DEGRADED, Reason.FRAMES_SKIPPED)
    assert loaded.frame_count == 10
    seen = [round(float(frame.rgb.mean()) / 25) for frame in loaded.frames]
    assert seen[0] == 3  # what viewers show
    assert len({*seen}) == 8
    assert {0, 9} <= {*seen}
