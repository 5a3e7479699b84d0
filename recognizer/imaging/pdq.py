"""The perceptual hash of an image: PDQ (Meta, "TMK+PDQF", 2019), 256 bits; near-copies share most.

One step differs: areas are averaged where the published program blurs, so that a photo and its
smaller copy get nearly the same hash.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

MIN_QUALITY = 50
"""PDQ's own measure of how much there is to see, 0 to 100. Under this, as its authors advise,
an image has no hash: all blank ones would match one another."""

MIN_HASH_SIDE = 128  # pixels to which an image that is decoded only for its hash may be reduced

_SIDE = 64  # of the averaged image
_FREQUENCIES = 16  # the lowest ones of the transform, without the constant
_LUMINANCE = np.array([[0.299, 0.587, 0.114]], np.float32)
_GRADIENT_UNIT = 90.0  # gradients (in percent of full contrast) for one unit of quality
_MIDDLE = [_FREQUENCIES**2 // 2 - 1, _FREQUENCIES**2 // 2]
_DCT = (
    np.sqrt(2 / _SIDE)
    * np.cos(np.pi / 2 / _SIDE * np.outer(np.arange(1, _FREQUENCIES + 1), 2 * np.arange(_SIDE) + 1))
).astype(np.float32)


def perceptual_hash(rgb: NDArray[np.uint8]) -> str | None:
    """Return the PDQ hash of an RGB image of any size: 64 hexadecimal digits, as in hash lists.

    Return None if the image has too little structure (see :data:`MIN_QUALITY`).
    """
    # OpenCV halves far faster than it averages by another factor.
    while min(rgb.shape[:2]) >= 4 * _SIDE and not (rgb.shape[0] % 2 or rgb.shape[1] % 2):
        rgb = np.asarray(cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    # Averaged while it is small in memory, and only then weighed: the order makes no difference.
    small = cv2.resize(rgb, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    luminance = np.asarray(cv2.transform(small, _LUMINANCE), np.float32)
    steps = sum(  # of gradients, small ones left out
        float(np.abs(np.trunc(np.diff(luminance, axis=axis) * (100 / 255))).sum())
        for axis in (0, 1)
    )
    if steps / _GRADIENT_UNIT < MIN_QUALITY:
        return None
    coefficients = _DCT @ luminance @ _DCT.T
    # np.median would import masked arrays, which takes longer than all else here.
    bits = coefficients > np.partition(coefficients.ravel(), _MIDDLE)[_MIDDLE].mean()
    # The published order begins with the last bit.
    return np.packbits(bits.ravel()[::-1]).tobytes().hex()
