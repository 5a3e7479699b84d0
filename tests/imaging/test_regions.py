from collections.abc import Callable, Mapping
from functools import partial

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from recognizer.imaging.regions import MAX_PARTS, Box, find_parts
from tests.golden import SAMPLES

RGB = NDArray[np.uint8]
PHOTOS = [
    np.asarray(Image.open(path).convert("RGB").resize((352, 264)))
    for path in sorted(SAMPLES.glob("*.jpg"))
]
ROUNDS = 40


def _stored(image, quality):
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _drawn(rng, height, width):
    photo = PHOTOS[int(rng.integers(len(PHOTOS)))]
    photo = photo[:, :: int(rng.choice([-1, 1]))]
    gain = rng.uniform(0.7, 1.1, 3)  # of another camera in another room
    return np.asarray((cv2.resize(photo, (width, height)) * gain).clip(0, 255), np.uint8)


def _collage(rng, rows, columns):
    """Compose photos with gutters of 0 to 3 % of a color; return where they are."""
    height, width = (int(v) for v in rng.integers(150, 300, 2))
    gap = int(rng.uniform(0, 0.03) * columns * width)
    size = (rows * (height + gap) - gap, columns * (width + gap) - gap)
    canvas = np.full((*size, 3), rng.integers(0, 256, 3), np.uint8)
    boxes = []
    for row in range(rows):
        for column in range(columns):
            y, x = row * (height + gap), column * (width + gap)
            canvas[y : y + height, x : x + width] = _drawn(rng, height, width)
            boxes.append((x, y, x + width, y + height))
    return canvas, boxes


def _on_page(rng, wide, high):
    """Put a photo anywhere on a page of one color that is so many times as large."""
    canvas = np.full((round(high * 264), round(wide * 352), 3), rng.integers(0, 256, 3), np.uint8)
    y, x = (int(rng.integers(0, free + 1)) for free in (len(canvas) - 264, canvas.shape[1] - 352))
    canvas[y : y + 264, x : x + 352] = _drawn(rng, 264, 352)
    return canvas, [(x, y, x + 352, y + 264)]


def _insets(rng, n, side, frame):
    """Put photos of a share of the sides, in frames of a color, into quarters of another one."""
    canvas, boxes, color = _drawn(rng, 600, 800), [], rng.integers(0, 256, 3)
    high, wide = round(side * 600), round(side * 800)
    for quarter in rng.permutation(4)[:n].tolist():
        y = 300 * (quarter // 2) + int(rng.integers(frame, 301 - high - frame))
        x = 400 * (quarter % 2) + int(rng.integers(frame, 401 - wide - frame))
        canvas[y - frame : y + high + frame, x - frame : x + wide + frame] = color
        canvas[y : y + high, x : x + wide] = _drawn(rng, high, wide)
        boxes.append((x, y, x + wide, y + high))
    return canvas, boxes


def _screenshot(rng):
    canvas = np.full((740, 352, 3), 250, np.uint8)
    canvas[:30] = rng.integers(0, 256, 3)
    top = int(rng.integers(80, 300))
    canvas[top : top + 264] = _drawn(rng, 264, 352)
    for y in range(top + 290, 720, 30):
        cv2.line(canvas, (20, y), (int(rng.integers(100, 330)), y), (40, 40, 40), 4)
    return canvas, [(0, top, 352, top + 264)]


def _sheet(rng, *, is_aslant):
    """Photograph a page of text with a photo aslant on a dark table, or scan it nearly straight."""
    sheet = np.full((780, 704, 3), (246, 244, 238), np.uint8)
    x, y = int(rng.integers(60, 280)), int(rng.integers(60, 200))
    sheet[y : y + 264, x : x + 352] = _drawn(rng, 264, 352)
    for line in range(y + 300, 740, 20):
        cv2.line(sheet, (60, line), (int(rng.integers(400, 640)), line), (70, 70, 70), 3)
    photo = np.array([[x, y], [x + 352, y], [x + 352, y + 264], [x, y + 264]], np.float32)
    if is_aslant:
        sheet = (sheet * np.linspace(1, rng.uniform(0.75, 0.9), 704)[:, None]).astype(np.uint8)
    share, off = (rng.uniform(0.7, 0.95), 25) if is_aslant else (1, 7)  # of the table around it
    corners = np.array([[0, 0], [704, 0], [704, 780], [0, 780]], np.float32)
    to = share * corners + 352 * (1 - share) + rng.uniform(-off, off, (4, 2))
    matrix = cv2.getPerspectiveTransform(corners, to.astype(np.float32))
    ground = (92, 78, 66) if is_aslant else (246, 244, 238)
    image = cv2.warpPerspective(sheet, matrix, (704, 780), borderValue=ground)
    left, top, wide, high = cv2.boundingRect(cv2.perspectiveTransform(photo[None], matrix))
    return np.asarray(image, np.uint8), [(left, top, left + wide, top + high)]


def _is_found(box, parts):
    """Whether a part is nearly all of a photo, but perhaps for the photo's own plain margin."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    for part in parts:
        wide, high = (max(0, min(box[i + 2], part[i + 2]) - max(box[i], part[i])) for i in (0, 1))
        if wide * high > max(0.9 * (part[2] - part[0]) * (part[3] - part[1]), 0.4 * area):
            return True
    return False


COMPOSED: Mapping[str, tuple[Callable[[np.random.Generator], tuple[RGB, list[Box]]], float]] = {
    "collage of 2": (lambda rng: _collage(rng, 1, 2), 0.9),
    "collage of 2, upright": (lambda rng: _collage(rng, 2, 1), 0.9),
    "collage of 4": (lambda rng: _collage(rng, 2, 2), 0.8),
    "collage of 9": (lambda rng: _collage(rng, 3, 3), 0.8),
    "border": (lambda rng: _on_page(rng, 2, 2), 0.9),
    "letterbox": (lambda rng: _on_page(rng, 3, 1), 0.9),
    "page": (lambda rng: _on_page(rng, 3, 3), 0.9),
    "screenshot": (_screenshot, 0.9),
    "inset": (partial(_insets, n=1, side=0.44, frame=3), 0.85),
    "small inset, thick frame": (partial(_insets, n=1, side=0.25, frame=14), 0.85),
    "four insets": (partial(_insets, n=4, side=0.35, frame=3), 0.9),
    "page scanned": (partial(_sheet, is_aslant=False), 0.7),
    "page aslant": (partial(_sheet, is_aslant=True), 0.75),
}


@pytest.mark.parametrize("kind", COMPOSED)
@pytest.mark.parametrize("quality", [95, 60])
def test_what_was_composed_is_found(kind, quality):
    compose, least = COMPOSED[kind]
    found = []
    for seed in range(ROUNDS):
        image, boxes = compose(np.random.default_rng(seed))
        parts = find_parts(_stored(image, quality)).boxes
        assert len(parts) <= MAX_PARTS
        found += [_is_found(box, parts) for box in boxes]
    assert np.mean(found) >= least


def test_parts_lie_within_the_image_and_apart():
    for seed in range(ROUNDS):
        image, _ = _collage(np.random.default_rng(seed), 3, 3)
        taken = np.zeros(image.shape[:2], int)
        for left, top, right, bottom in find_parts(image).boxes:
            assert 0 <= left < right <= image.shape[1]
            assert 0 <= top < bottom <= image.shape[0]
            taken[top + 2 : bottom - 2, left + 2 : right - 2] += 1
        assert taken.max() == 1


@pytest.mark.parametrize("channel", range(3))
def test_a_line_of_one_channel_divides(channel):
    half = PHOTOS[0].copy()
    half[..., channel] //= 2
    assert len(find_parts(np.hstack([PHOTOS[0], half[:, ::-1]])).boxes) == 2


@pytest.mark.parametrize(("side", "parts"), [(0.3, 1), (0.6, 0)])
def test_a_product_on_white_is_cut_out_if_it_is_small(side, parts):
    page = np.full((300, 300, 3), 255, np.uint8)
    cv2.circle(page, (140, 160), round(150 * side), (90, 70, 50), -1)
    assert len(find_parts(page).boxes) == parts


@pytest.mark.parametrize("number", range(len(PHOTOS)))
def test_a_photo_is_left_whole(number):
    assert find_parts(PHOTOS[number]) == ((), False)


def test_a_frame_is_one_color_around_one_picture():
    assert not find_parts(_insets(np.random.default_rng(0), 1, 0.44, 3)[0]).is_frame
    page = np.full((528, 704, 3), 128, np.uint8)
    page[130:394, 180:532] = PHOTOS[0]
    assert find_parts(_stored(page, 60)).is_frame
    # What is of another color, as light as the margin, is not cut away unseen.
    page[20:80, 20:120] = (255, 128, 17)
    assert not find_parts(page).is_frame


@pytest.mark.parametrize("shape", [(1, 1), (20, 900), (31, 31), (64, 4000), (4000, 64), (300, 400)])
@pytest.mark.parametrize("value", [0, 255, None])
def test_any_size_is_looked_at(shape, value):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3)) if value is None else np.full((*shape, 3), value)
    assert len(find_parts(image.astype(np.uint8)).boxes) <= MAX_PARTS


@pytest.mark.parametrize(("height", "parts"), [(60, 0), (130, 2)])
def test_a_strip_and_what_is_nearly_the_whole_are_not_looked_at(height, parts):
    rng = np.random.default_rng(2)
    upper, lower = _drawn(rng, 264, 352), _drawn(rng, 264, 352)
    assert len(find_parts(np.vstack([upper, lower[:height]])).boxes) == parts


@pytest.mark.parametrize(("length", "parts"), [(700, 0), (800, 6), (1200, 9), (9001, 9)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_strip_without_lines_is_looked_at_in_squares(length, parts, axis):
    strip = cv2.cvtColor(cv2.resize(np.uint8([range(0, 240, 20)]), (length, 264)), 8)
    boxes = np.array(find_parts(strip if axis == 0 else strip.transpose(1, 0, 2)).boxes)
    assert len(boxes) == parts
    if parts:  # whatever is half as long as a square is whole in one of them
        start, end = boxes[:, axis], boxes[:, axis + 2]
        assert (start[0], end[-1]) == (0, length)
        assert (start[1:] <= (start + end)[:-1] / 2 + 1).all()
        assert max(end - start) <= max(264, length / 5)
