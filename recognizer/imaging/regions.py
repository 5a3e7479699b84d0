"""A picture in a picture: the parts of a collage, a screenshot, a page, a photo in a frame.

Whoever composes an image leaves edges that are exactly straight, and margins of one colour. Both
show in projections (Nagy and Seth, "Hierarchical representation of optically scanned documents",
ICPR 1984, cut pages the same way). No network looks for them.
"""

from collections.abc import Iterator, Sequence
from itertools import compress, pairwise
from typing import Any, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.imaging.pixels import averaged

Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are exclusive."""

MAX_PARTS = 9

_SIDE = 264  # cells of the short side in which lines are looked for; 96 find half as many collages
_SMALLEST = 72  # cells: in less, too few say whether there is a line
# Levels by which the sides of a line differ at least, and that JPEG adds; numpy is slow with ints.
_STEP, _NOISE = np.uint8(13 + 3), np.uint8(3)
_SPAN = 0.75  # share of an image that a line across it shows on
_AGAIN = 0.72  # the same where one was found: then more are likely
_INNER, _WEAKEST = 0.8, 0.5  # the same of the sides of a picture within another: mean, and each
_RUN = 0.7  # the same of some band of it
_BANDS = 6  # a line within a box, of a third of its length, takes one of these at least
_FLAT = 10  # levels between which a margin lies
_MIN_SIDE, _MIN_AREA = 1 / 12, 1 / 20  # of the image, that a part has
_FRAMED = 0.45  # share of an image that its margins leave, below which they are a frame
_SLIMMEST, _NEARLY = 5, 0.8  # sides of a part, and share of an image: more is not looked at again
_SAMPLED = 3  # of the cells along a line, one in so many is looked at
_MAX_LINES = 8  # in one direction; more are a texture
_MAX_DEPTH = 4
_EDGE = 8  # pixels over which the noise of JPEG reaches
_MIN_SHEET, _MAX_SHEET = 0.35, 0.97  # of the image, that a sheet takes
_SOLID = 0.97  # of its convex hull, that its outline encloses
_STRAIGHT = 0.03  # of its outline, by which it leaves four straight sides
_PAPER = 8  # levels between which paper lies, once its light is known
_PRINTED = 0.8  # share of the smallest rectangle around a printed picture that it fills


class _Canvas(NamedTuple):
    """A reduced image, uint8 (h, w), and 1 where a step shows.

    ``across`` is between columns, (h / 3, w), of one row in three; ``down`` between rows,
    (w / 3, h), of one column in three.
    """

    gray: NDArray[np.uint8]
    across: NDArray[np.uint8]
    down: NDArray[np.uint8]

    def is_part(self, box: Box) -> bool:
        """Whether a box is large enough to be looked at by itself."""
        height, width = self.gray.shape
        wide, high = (box[2] - box[0]) / width, (box[3] - box[1]) / height
        return bool(min(wide, high) >= _MIN_SIDE and wide * high >= _MIN_AREA)

    def inside(self, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the steps between columns, and between rows, in a box."""
        left, top, right, bottom = box
        across = self.across[top // _SAMPLED : bottom // _SAMPLED, left:right]
        return across, self.down[left // _SAMPLED : right // _SAMPLED, top:bottom]


class Parts(NamedTuple):
    """The pictures within an image; mostly there are none.

    ``boxes``, at most :data:`MAX_PARTS`, do not overlap. ``is_frame`` says that there is one, and
    around it nothing but one colour.
    """

    boxes: tuple[Box, ...] = ()
    is_frame: bool = False


def find_parts(rgb: NDArray[np.uint8]) -> Parts:
    """Find the pictures within an image, uint8 (h, w, 3), RGB."""
    height, width = rgb.shape[:2]
    factor = max(1, round(min(height, width) / _SIDE))
    high, wide = height // factor, width // factor
    if min(high, wide) < _SMALLEST:
        return Parts()
    # By a whole factor: a line stays within two cells. Green is most of what is seen of light.
    gray = averaged(np.asarray(cv2.extractChannel(rgb, 1), np.uint8), factor)
    turned = np.asarray(cv2.transpose(gray), np.uint8)
    canvas = _Canvas(gray, _steps(gray[::_SAMPLED]), _steps(turned[::_SAMPLED]))
    ends, sides, whole = (wide, high) * 2, (width, height) * 2, (0, 0, wide, high)
    trimmed = _trimmed(canvas, whole)
    pictures = [*_split(canvas, trimmed)]
    if pictures == [whole] or (len(pictures) == 1 and not _is_framed(canvas, pictures[0])):
        pictures = _on_sheet(gray)
    if not pictures:
        return Parts()
    scaled = np.where(np.equal(pictures, ends), sides, np.multiply(pictures, factor)).tolist()
    if pictures == [trimmed] and _is_bare(rgb, scaled[0]):
        return Parts((tuple(scaled[0]),), True)
    sizes = [sorted((right - left, bottom - top)) for left, top, right, bottom in scaled]
    is_new = [b <= _SLIMMEST * a and a * b <= _NEARLY * width * height for a, b in sizes]
    return Parts(tuple(map(tuple, compress(scaled, is_new)))[:MAX_PARTS])


def _is_bare(rgb: NDArray[np.uint8], box: Box) -> bool:
    """Whether all channels are of one value around a box, but for the noise along its edge."""
    left, top, right, bottom = box
    around = np.ones(rgb.shape[:2], np.bool_)
    around[max(0, top - _EDGE) : bottom + _EDGE, max(0, left - _EDGE) : right + _EDGE] = False
    return not around.any() or int(np.ptp(rgb[around], axis=0).max()) <= 2 * _FLAT


def _steps(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 1 where a column begins that differs from the one before, and most there: (h, w)."""
    steps = cv2.absdiff(gray[:, 1:], gray[:, :-1])
    limit = np.asarray(cv2.max(steps[:, 2:], steps[:, :-2]), np.uint8)  # on both sides
    np.maximum(limit, _STEP, out=limit)
    np.subtract(limit, _NOISE, out=limit)
    edges = np.zeros(gray.shape, np.uint8)
    np.greater(steps[:, 1:-1], limit, out=edges[:, 2:-1].view(np.bool_))
    return edges


def _split(canvas: _Canvas, box: Box, depth: int = 0) -> Iterator[Box]:
    columns, rows = map(_bands, canvas.inside(box))
    parts: Sequence[Box] = ()
    longest = columns.max(), rows.max()
    if depth < _MAX_DEPTH and max(longest) >= _RUN:
        parts = _cut(canvas, box, columns, rows, _AGAIN if depth else _SPAN)
        if not parts and min(longest) >= _RUN:
            parts = _within(canvas, box, _pieces(columns), _pieces(rows))
    if not parts:
        yield box
    for part in parts:
        yield from _split(canvas, _trimmed(canvas, part), depth + 1)


def _pieces(bands: NDArray[np.floating]) -> list[int]:
    """Return the lines that show on most of some band; of too many, those that are longest."""
    return _peaks(np.where(bands.max(axis=0) >= _RUN, 1 + bands.mean(axis=0), 0), 1)


def _bands(steps: NDArray[np.uint8]) -> NDArray[np.floating]:
    """Return on which share of each band of rows a step shows: (bands, columns)."""
    high = max(1, len(steps) // _BANDS)
    bands = steps[: high * _BANDS].reshape(-1, high, steps.shape[1])
    # Sums of bytes are several times as fast.
    sums = bands.sum(axis=1, dtype=np.uint8 if high < 256 else np.uint32)
    return np.asarray(sums / np.float32(high), np.float32)


def _trimmed(canvas: _Canvas, box: Box) -> Box:
    """Return a box without its margins of one colour, if they leave something."""
    left, top, right, bottom = box
    gray = canvas.gray[top:bottom, left:right]
    ends = (cv2.minMaxLoc(end) for end in (gray[:1], gray[-1:], gray[:, :1], gray[:, -1:]))
    if all(high - low > _FLAT for low, high, *_ in ends):
        return box
    begin_y, end_y = _content(gray.min(axis=1), gray.max(axis=1))
    begin_x, end_x = _content(gray.min(axis=0), gray.max(axis=0))
    smaller = (left + begin_x, top + begin_y, left + end_x, top + end_y)
    return smaller if canvas.is_part(smaller) else box


def _content(low: NDArray[np.uint8], high: NDArray[np.uint8]) -> tuple[int, int]:
    """Return from where to where there is more than the colour of the first line, or the last."""
    begins = []
    for lows, highs in ((low, high), (low[::-1], high[::-1])):
        middle = (int(lows[0]) + int(highs[0])) // 2
        other = (lows < middle - _FLAT // 2) | (highs > middle + _FLAT // 2)
        begins.append(int(other.argmax()))  # all alike: nothing is cut
    return begins[0], len(low) - begins[1]


def _is_framed(canvas: _Canvas, box: Box) -> bool:
    """Whether the margins around a box are wide, or end in a straight line on two sides."""
    height, width = canvas.gray.shape
    left, top, right, bottom = box
    if (right - left) * (bottom - top) <= _FRAMED * width * height:
        return True
    across, _ = canvas.inside((0, top, width, bottom))
    _, down = canvas.inside((left, 0, right, height))
    lines = [across[:, x].mean() for x in (left, right) if 0 < x < width]
    lines += [down[:, y].mean() for y in (top, bottom) if 0 < y < height]
    return sum(bool(line >= _SPAN) for line in lines) >= 2


def _cut(
    canvas: _Canvas,
    box: Box,
    columns: NDArray[np.floating],
    rows: NDArray[np.floating],
    least: float,
) -> list[Box]:
    """Cut a box along the lines from side to side; where there is one, less clear ones count."""
    left, top, right, bottom = box
    columns, rows = columns.sum(axis=0) / _BANDS, rows.sum(axis=0) / _BANDS
    if max(columns.max(), rows.max()) < least:
        return []
    is_upright = columns.max() >= rows.max()
    x = [left, *(left + at for at in _peaks(columns, least if is_upright else _AGAIN)), right]
    y = [top, *(top + at for at in _peaks(rows, _AGAIN if is_upright else least)), bottom]
    parts = [(x1, y1, x2, y2) for y1, y2 in pairwise(y) for x1, x2 in pairwise(x)]
    return [part for part in parts if part != box and canvas.is_part(part)]


def _peaks(values: NDArray[np.floating], least: float) -> list[int]:
    """Return where values are at least so high, but of neighbours only the highest."""
    (high,) = np.nonzero(values >= least)
    lines = [0, len(values)]  # what lies next to an end is its blurred edge
    for at in high[np.argsort(-values[high], kind="stable")].tolist():
        if len(lines) < _MAX_LINES + 2 and all(abs(at - other) > 2 for other in lines):
            lines.append(at)
    return sorted(lines[2:])


def _within(canvas: _Canvas, box: Box, columns: list[int], rows: list[int]) -> list[Box]:
    """Return the largest rectangles inside a box that lines enclose, of which none overlap."""
    if min(len(columns), len(rows)) < 2:
        return []
    left, top, right, bottom = box
    across, down = canvas.inside(box)
    x, y = np.array([0, *columns, right - left]), np.array([0, *rows, bottom - top])
    x1, x2 = np.triu_indices(len(x), 1)
    y1, y2 = np.triu_indices(len(y), 1)
    # Of each pair of columns and pair of rows: the shares of its four sides.
    upright, level = _shares(across, x, y), _shares(down, y, x)
    shown = [upright[i][:, y1, y2] for i in (x1, x2)] + [level[i][:, x1, x2].T for i in (y1, y2)]
    sides = np.array(shown)
    # A side that is the box's own is no line.
    inner_x, inner_y = (x > 0) & (x < right - left), (y > 0) & (y < bottom - top)
    lines = (inner_x[x1].astype(int) + inner_x[x2])[:, None] + inner_y[y1] + inner_y[y2]
    area = (x[x2] - x[x1])[:, None] * (y[y2] - y[y1])
    mean = (sides.sum(axis=0) - (4 - lines)) / np.maximum(lines, 1)
    is_found = (sides.min(axis=0) >= _WEAKEST) & (mean >= _INNER) & (lines >= 2)
    is_found &= area <= 0.9 * area.max()
    kept: list[Box] = []
    for p, q in sorted(np.argwhere(is_found).tolist(), key=lambda pair: -area[*pair]):
        one = (left + x[x1[p]], top + y[y1[q]], left + x[x2[p]], top + y[y2[q]])
        if canvas.is_part(one) and not any(_overlap(one, other) for other in kept):
            kept.append(one)
    return kept


def _shares(
    steps: NDArray[np.uint8], columns: NDArray[np.integer], rows: NDArray[np.integer]
) -> NDArray[np.floating]:
    """Return on which share of a column between two rows a step shows: (columns, rows, rows).

    The first and the last column are the ends of the box, which show everywhere.
    """
    places = np.minimum(rows // _SAMPLED, len(steps))
    counts = np.tile(places, (len(columns), 1))
    before = np.cumsum(steps[:, columns[1:-1]], axis=0, dtype=np.int32)
    counts[1:-1] = np.vstack([np.zeros_like(before[:1]), before])[places].T
    lengths = np.maximum(places[None] - places[:, None], 1)
    return np.asarray((counts[:, None, :] - counts[:, :, None]) / lengths, np.float64)


def _on_sheet(gray: NDArray[np.uint8]) -> list[Box]:
    """Return the pictures, nearly rectangles, on a light sheet of four sides that lies aslant."""
    half = averaged(gray, 2)
    small = averaged(half, 2)  # OpenCV halves far faster
    light = cv2.threshold(small, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]
    outline = max(_outlines(light), key=cv2.contourArea, default=np.zeros((1, 2), np.int32))
    sheet, area = cv2.convexHull(outline), cv2.contourArea(outline)
    share = area / ((small.shape[0] - 1) * (small.shape[1] - 1))
    if not _MIN_SHEET <= share <= _MAX_SHEET or area < _SOLID * cv2.contourArea(sheet):
        return []
    corners = cv2.approxPolyDP(sheet, _STRAIGHT * cv2.arcLength(sheet, True), True)
    if len(corners) != 4:
        return []
    paper = cv2.fillConvexPoly(np.zeros_like(half), 2 * corners, 1) > 0
    paper &= half >= np.median(half[paper])
    cells = np.dstack([np.ones_like(half, np.float32), *np.indices(half.shape, np.float32)])
    for _ in range(3):  # the light falls as on a plane; without the light parts of pictures
        known, levels = cells[paper], half[paper]  # not by BLAS, which would start threads
        sums = np.einsum("ni,nj->ij", known, known), np.einsum("ni,n->i", known, levels)
        off = np.abs(np.einsum("hwi,i->hw", cells, np.linalg.solve(*sums)) - half)
        paper &= off <= max(_PAPER, np.median(off[paper]))
    other = cv2.morphologyEx((off > _PAPER).astype(np.uint8), cv2.MORPH_OPEN, np.ones((7, 7)))
    boxes = []
    for outline in _outlines(other):
        x, y, w, h = cv2.boundingRect(outline)
        is_inner = min(x, y, half.shape[1] - x - w, half.shape[0] - y - h) > 1
        around = np.prod(cv2.minAreaRect(outline)[1])
        is_full = cv2.contourArea(cv2.convexHull(outline)) >= _PRINTED * around
        if is_inner and is_full and w * h >= _MIN_AREA * half.size:
            boxes.append((2 * x, 2 * y, 2 * (x + w), 2 * (y + h)))
    return boxes


def _outlines(mask: NDArray[Any]) -> Sequence[NDArray[np.int32]]:
    return cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]  # type: ignore[return-value]


def _overlap(a: Box, b: Box) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) + 2 and min(a[3], b[3]) > max(a[1], b[1]) + 2
