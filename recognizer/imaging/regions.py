"""A picture in a picture: parts of a collage, a screenshot, a page, a strip, a photo in a frame.

Whoever composes an image leaves edges that are exactly straight, and margins of one color. Both
show in projections (Nagy and Seth, "Hierarchical representation of optically scanned documents",
ICPR 1984). On a page, pictures are rectangles of other colors. No network looks for them.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import pairwise, takewhile
from typing import Any, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from recognizer.imaging.pixels import averaged

_Shares: TypeAlias = NDArray[np.floating]
Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are exclusive."""

MAX_PARTS = 9

_SIDE = 264  # cells of the short side in which lines are looked for; 96 find half as many collages
_SMALLEST = 72  # cells: in less, too few say whether there is a line
# Levels by which the sides of a line differ at least: the share of the larger step beside it, but
# so many; or fewer where there is hardly any beside it.
_BLUNT, _STEP, _CLEAN = 0.85, 16, 8
_SPAN = 0.75  # share of an image that a line across it shows on
_AGAIN = 0.72  # the same where a line was found: then more are likely
_INNER, _WEAKEST = 0.82, 0.5  # the same of the sides of a picture within another: mean, and each
_RUN = 0.135  # of an image, that a line within it shows on without a gap
_FLAT = 10  # levels between which a margin lies; a page, from its color
_MIN_SIDE, _MIN_AREA = 1 / 12, 1 / 20  # of the image, that a part has
_FRAMED = 0.3  # share of an image that its margins leave, below which they are a frame
_STRIP = 3  # times as long as wide, from which an image is looked at in squares
_SLIMMEST, _NEARLY = 4, 0.8  # sides of a part, and share of an image: more is not looked at again
_SAMPLED = 5  # every fifth cell along a line is looked at
_MAX_LINES, _MAX_SIDES = 6, 14  # across an image, and within, in one direction; the longest ones
_EDGE = 8  # cells over which the noise of JPEG reaches
_AROUND = 0.6  # share of the edge of an image that shows the page
_RECTANGLE = 0.94  # share of the smallest rectangle around a picture on a page that it fills
_PRINTED, _HULL = 0.8, 0.65  # the same at half the detail; of its convex hull, on a sheet
_TEXT = 14  # cells: what is no thicker is text
_MIN_SHEET, _MAX_SHEET = 0.35, 0.97  # of the image, that a sheet takes
_SOLID = 0.94  # of its convex hull, that its outline encloses
_STRAIGHT = 0.03  # of its outline, by which it leaves four straight sides
_PAPER = 8  # levels between which paper lies, once its light is known
_LIMITS = np.array([min(max(_BLUNT * n, _STEP), _CLEAN + n) for n in range(256)], np.uint8)


class _Canvas(NamedTuple):
    """A reduced image, uint8 (h, w, 3), and 1 where a step shows.

    ``across`` is between columns, (h / 5, w), of one row in five; ``down`` between rows,
    (w / 5, h), of one column in five.
    """

    image: NDArray[np.uint8]
    across: NDArray[np.uint8]
    down: NDArray[np.uint8]

    def is_part(self, box: Box) -> bool:
        """Whether a box is large enough to be looked at by itself."""
        height, width = self.image.shape[:2]
        wide, high = (box[2] - box[0]) / width, (box[3] - box[1]) / height
        return bool(min(wide, high) >= _MIN_SIDE and wide * high >= _MIN_AREA)

    def inside(self, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the steps between columns, and between rows, in a box."""
        left, top, right, bottom = box
        across = self.across[top // _SAMPLED : bottom // _SAMPLED, left:right]
        return across, self.down[left // _SAMPLED : right // _SAMPLED, top:bottom]


class Parts(NamedTuple):
    """The pictures within an image; mostly there are none.

    ``boxes``, at most :data:`MAX_PARTS`, overlap in a strip alone. ``is_frame`` says that there is
    one, and around it nothing but one color.
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
    image = averaged(rgb, factor) if factor > 1 else rgb  # a line stays within two cells
    sampled = cv2.resize(image, (wide // _SAMPLED, high), interpolation=cv2.INTER_NEAREST)
    canvas = _Canvas(image, _steps(image[::_SAMPLED]), _steps(cv2.transpose(sampled)))
    ends, sides, whole = (wide, high) * 2, (width, height) * 2, (0, 0, wide, high)
    pictures = [*_split(canvas, _trimmed(canvas, whole))]
    on_sheet = _on_sheet(image) if len(pictures) == 1 else []  # lines show a straight sheet, too
    if pictures == [whole] or (len(pictures) == 1 and not _is_framed(canvas, pictures[0])):
        pictures = []
    on_page = [part for box in _on_page(image) for part in _split(canvas, _trimmed(canvas, box))]
    on_page += [box for box in pictures if not any(_overlap(box, other) for other in on_page)]
    pictures = on_sheet or on_page
    if not pictures:
        is_strip = max(wide, high) >= _STRIP * min(wide, high)
        return Parts(_squares(width, height) if is_strip else ())
    scaled = np.where(np.equal(pictures, ends), sides, np.multiply(pictures, factor))
    sizes = np.sort(scaled[:, 2:] - scaled[:, :2], axis=1)
    is_new = sizes.prod(axis=1) <= _NEARLY * width * height
    is_frame = len(pictures) == 1 and bool(is_new[0]) and _is_bare(image, pictures[0])
    is_new &= is_frame | (sizes[:, 1] <= _SLIMMEST * sizes[:, 0])
    return Parts(tuple(map(tuple, scaled[is_new][:MAX_PARTS].tolist())), is_frame)


def _squares(width: int, height: int) -> tuple[Box, ...]:
    """Return squares of a strip, which a model's input would squeeze; each half over the next."""
    short, long = sorted((width, height))
    side = max(short, 2 * long // (MAX_PARTS + 1))
    starts = np.linspace(0, long - side, min(MAX_PARTS, -(-2 * long // side) - 1)).astype(int)
    ends = ((at, at + side) for at in starts.tolist())
    return tuple((0, a, width, b) if height == long else (a, 0, b, height) for a, b in ends)


def _is_bare(image: NDArray[np.uint8], box: Box) -> bool:
    """Whether all is of one color around a box, but for the noise along its edge."""
    left, top, right, bottom = box
    around = np.ones(image.shape[:2], np.uint8)
    around[max(0, top - _EDGE) : bottom + _EDGE, max(0, left - _EDGE) : right + _EDGE] = 0
    color = np.array(cv2.mean(image, around)[:3])
    return bool(cv2.inRange(image, color - _FLAT, color + _FLAT)[around > 0].all())


def _steps(rows: NDArray[Any]) -> NDArray[np.uint8]:
    """Return 1 where a column of (h, w, 3) differs from the one before, and most there: (h, w)."""
    steps = reduce(cv2.max, cv2.split(cv2.absdiff(rows[:, 1:], rows[:, :-1])))
    limit = cv2.LUT(cv2.max(steps[:, 2:], steps[:, :-2]), _LIMITS)
    edges = np.zeros((len(steps), steps.shape[1] + 1), np.uint8)
    np.greater(steps[:, 1:-1], limit, out=edges[:, 2:-1].view(np.bool_))
    return edges


def _split(canvas: _Canvas, box: Box, least: float = _SPAN) -> Iterator[Box]:
    steps = canvas.inside(box)
    shares = [cv2.reduce(one, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[0] for one in steps]
    parts = _cut(canvas, box, shares, least)
    runs = [*takewhile(np.any, map(_runs, steps))]
    if not parts and len(runs) == 2:
        pieces = (share * run for share, run in zip(shares, runs, strict=True))
        parts = _within(canvas, box, *(_peaks(piece, _MIN_SIDE, _MAX_SIDES) for piece in pieces))
    if not parts:
        yield box
    for part in parts:
        yield from _split(canvas, _trimmed(canvas, part), _AGAIN)


def _runs(steps: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return in which columns a step shows on a part of their length without a gap."""
    kernel = np.ones((max(1, int(_RUN * len(steps))), 1), np.uint8)
    runs = cv2.erode(steps, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(runs.any(axis=0))


def _trimmed(canvas: _Canvas, box: Box) -> Box:
    """Return a box without its margins of one color, if they leave something."""
    left, top, right, bottom = box
    part = canvas.image[top:bottom, left:right]
    ends = (end[::8, 1].tolist() for end in (part[0], part[-1], part[:, 0], part[:, -1]))
    if all(max(end) - min(end) > _FLAT for end in ends):
        return box
    green = np.asarray(cv2.extractChannel(part, 1))  # most of what is seen of light
    y, x = (_content(green.min(axis), green.max(axis)) for axis in (1, 0))
    smaller = (left + x[0], top + y[0], left + x[1], top + y[1])
    return smaller if canvas.is_part(smaller) else box


def _content(low: NDArray[np.uint8], high: NDArray[np.uint8]) -> tuple[int, int]:
    """Return from where to where there is more than the color of the first line, or the last."""
    begins = []
    for lows, highs in ((low, high), (low[::-1], high[::-1])):
        middle = (int(lows[0]) + int(highs[0])) // 2
        other = (lows < middle - _FLAT // 2) | (highs > middle + _FLAT // 2)
        begins.append(int(other.argmax()))  # all alike: nothing is cut
    return begins[0], len(low) - begins[1]


def _is_framed(canvas: _Canvas, box: Box) -> bool:
    """Whether the margins around a box are wide, or end in a straight line on two sides."""
    (height, width), (left, top, right, bottom) = canvas.image.shape[:2], box
    across, _ = canvas.inside((0, top, width, bottom))
    _, down = canvas.inside((left, 0, right, height))
    lines = [across[:, x - 1 : x + 2] for x in (left, right) if 0 < x < width]
    lines += [down[:, y - 1 : y + 2] for y in (top, bottom) if 0 < y < height]
    is_small = (right - left) * (bottom - top) <= _FRAMED * width * height
    return is_small or sum(bool(line.mean(axis=0).max() >= _SPAN) for line in lines) >= 2


def _cut(canvas: _Canvas, box: Box, shares: Sequence[_Shares], least: float) -> list[Box]:
    """Cut a box along the lines from side to side; where there is one, less clear ones count."""
    left, top, right, bottom = box
    columns, rows = shares
    if max(columns.max(), rows.max()) < least:
        return []
    is_upright = columns.max() >= rows.max()
    x = [left, *(left + at for at in _peaks(columns, least if is_upright else _AGAIN)), right]
    y = [top, *(top + at for at in _peaks(rows, _AGAIN if is_upright else least)), bottom]
    parts = [(x1, y1, x2, y2) for y1, y2 in pairwise(y) for x1, x2 in pairwise(x)]
    return [part for part in parts if part != box and canvas.is_part(part)]


def _peaks(values: _Shares, least: float, most: int = _MAX_LINES) -> list[int]:
    """Return where values are at least so high, but of neighbours only the highest."""
    (high,) = np.nonzero(values >= least)
    lines, near = list[int](), {*range(3), *range(len(values) - 2, len(values))}  # blurred ends
    for at in high[np.argsort(-values[high], kind="stable")].tolist():
        if at not in near and len(lines) < most:
            lines.append(at)
            near.update(range(at - 2, at + 3))
    return sorted(lines)


def _within(canvas: _Canvas, box: Box, columns: list[int], rows: list[int]) -> list[Box]:
    """Return the largest rectangles inside a box that lines enclose, of which none overlap."""
    if min(len(columns), len(rows)) < 2:
        return []
    (height, width), (left, top, right, bottom) = canvas.image.shape[:2], box
    across, down = canvas.inside(box)
    x, y = np.array([0, *columns, right - left]), np.array([0, *rows, bottom - top])
    (x1, x2), (y1, y2) = (np.triu_indices(len(at), 1) for at in (x, y))
    # Of each pair of columns and pair of rows: the shares of its four sides.
    upright, level = _shares(across, x, y)[:, y1, y2], _shares(down, y, x)[:, x1, x2]
    sides = np.stack([upright[x1], upright[x2], level[y1].T, level[y2].T])
    # A side of the box itself is not a line.
    inner_x, inner_y = ((at > 0) & (at < at[-1]) for at in (x, y))
    lines = np.add(inner_x[x1], inner_x[x2], dtype=int)[:, None] + inner_y[y1] + inner_y[y2]
    area = (x[x2] - x[x1])[:, None] * (y[y2] - y[y1])
    is_found = (sides.min(axis=0) >= _WEAKEST) & (lines >= 2) & (area <= 0.9 * x[-1] * y[-1])
    is_found &= sides.sum(axis=0) >= 4 - (1 - _INNER) * lines
    wide, high = (x[x2] - x[x1])[:, None] / width, (y[y2] - y[y1]) / height
    is_found &= (np.minimum(wide, high) >= _MIN_SIDE) & (wide * high >= _MIN_AREA)
    kept: list[Box] = []
    for p, q in np.argwhere(is_found)[np.argsort(-area[is_found], kind="stable")].tolist():
        one = (left + x[x1[p]], top + y[y1[q]], left + x[x2[p]], top + y[y2[q]])
        if not any(_overlap(one, other) for other in kept):
            kept.append(one)
    return kept


def _shares(steps: NDArray[np.uint8], columns: NDArray[Any], rows: NDArray[Any]) -> _Shares:
    """Return on which share of a column between two rows a step shows: (columns, rows, rows)."""
    places = np.minimum(rows // _SAMPLED, len(steps))
    shown = steps[:, np.minimum(columns, steps.shape[1] - 1)].astype(np.int32)
    shown[:, [0, -1]] = 1  # the ends of the box show everywhere
    counts = np.vstack([np.zeros_like(shown[:1]), shown.cumsum(axis=0)])[places].T
    lengths = np.maximum(places[None] - places[:, None], 1).astype(np.float32)
    return np.asarray((counts[:, None, :] - counts[:, :, None]) / lengths, np.float32)


def _on_page(image: NDArray[np.uint8]) -> list[Box]:
    """Return the pictures on a page of one color that fills the image."""
    edge = (image[2, ::16], image[-3, ::16], image[::16, 2], image[::16, -3])
    green = sorted(level for line in edge for level in line[:, 1].tolist())
    alike = green[round(_AROUND * len(green)) :]
    if all(high - low > 2 * _FLAT for low, high in zip(green, alike, strict=False)):
        return []  # like most images
    color = np.median(np.concatenate(edge), axis=0)
    ends = color - _FLAT, color + _FLAT
    small = np.ascontiguousarray(image[2::4, 2::4])
    if not _rectangles(cv2.bitwise_not(cv2.inRange(small, *ends)), 4, _PRINTED):
        return []
    return _rectangles(cv2.bitwise_not(cv2.inRange(averaged(image, 2), *ends)), 2, _RECTANGLE)


def _on_sheet(image: NDArray[np.uint8]) -> list[Box]:
    """Return the pictures on a light sheet of four sides that lies on something, perhaps aslant."""
    light = np.ascontiguousarray(image[2::4, 2::4, 1])
    cv2.threshold(light, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU, dst=light)
    if light[:: len(light) - 1, :: light.shape[1] - 1].sum() > 1:  # it has no corners
        return []
    outline = max(_outlines(light), key=cv2.contourArea, default=np.zeros((1, 2), np.int32))
    sheet, area = cv2.convexHull(outline), cv2.contourArea(outline)
    share = area / ((light.shape[0] - 1) * (light.shape[1] - 1))
    corners = cv2.approxPolyDP(sheet, _STRAIGHT * cv2.arcLength(sheet, True), True)
    is_solid = area >= _SOLID * cv2.contourArea(sheet)
    if not (_MIN_SHEET <= share <= _MAX_SHEET and is_solid and len(corners) == 4):
        return []
    half = np.asarray(cv2.extractChannel(averaged(image, 2), 1))
    inside = cv2.fillConvexPoly(np.zeros_like(half), 2 * sheet, 1)
    paper = (inside > 0) & (half >= np.median(half[inside > 0]))
    cells = np.dstack([np.ones_like(half, np.float32), *np.indices(half.shape, np.float32)])
    for _ in range(3):  # the light falls as on a plane; without the light parts of pictures
        levels = half[paper][::5, None].astype(np.float32)  # some are enough
        _, plane = cv2.solve(cells[paper][::5], levels, flags=cv2.DECOMP_QR)
        off = np.abs(np.einsum("hwi,i->hw", cells, plane[:, 0]) - half)
        paper &= off <= max(_PAPER, np.median(off[paper]))
    return _rectangles((off > _PAPER) * inside, 2, _HULL, hull=True)


def _rectangles(mask: NDArray[Any], factor: int, least: float, hull: bool = False) -> list[Box]:
    """Return the boxes, times a factor, of shapes that (or whose hulls) nearly fill a rectangle."""
    boxes, kernel = list[Box](), np.ones((_TEXT // factor,) * 2, np.uint8)
    for outline in _outlines(cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)):
        x, y, w, h = cv2.boundingRect(outline)
        if not _MIN_AREA <= w * h / mask.size <= _NEARLY:
            continue
        shape = cv2.convexHull(outline) if hull else outline
        area = cv2.contourArea(shape) + cv2.arcLength(shape, True) / 2 + 1  # by whole cells
        if area >= least * np.prod(np.add(cv2.minAreaRect(outline)[1], 1)):
            boxes.append((factor * x, factor * y, factor * (x + w), factor * (y + h)))
    return boxes


def _outlines(mask: NDArray[Any]) -> Sequence[NDArray[np.int32]]:
    return cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]  # type: ignore[return-value]


def _overlap(a: Box, b: Box) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) + 2 and min(a[3], b[3]) > max(a[1], b[1]) + 2
