"""What a JPEG is made of (ITU-T T.81, annex B), and its header without what costs time or memory.

Floods of segments, of four bytes each, are valid and shown by browsers: what is short is passed in
one step. As in libjpeg, a marker that it does not know ends the file.
"""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cache

from PIL import Image

from recognizer.imaging.formats import orientation_of

MAX_SCANS = 100  # scans that are decoded; encoders write about ten

# Neither stuffing, fill bytes, restart markers nor those that are reserved: with restart intervals,
# libjpeg passes over these in a scan.
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
_START_OF_SCAN = 0xDA
_BASELINE = frozenset({0xC0, 0xC1})
_UNUSUAL = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})
_FRAMES = _BASELINE | _UNUSUAL | {0xC2, 0xC9, 0xCA}
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD})
_METADATA = frozenset({0xDC, *range(0xE0, 0xF0), 0xFE})

_EXIF, _XMP, _JFIF = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"JFIF\0"
_LABELS = {0xE0: (_JFIF,), 0xE1: (_EXIF, _XMP)}
_LABELLED = rb"\xff\xe1..(?:Exif|http)|\xff\xe0\0[\x10-\xff]JFIF\0"
_ADOBE = rb"\xff\xee\0[\x0e-\xff]Adobe"
_BETWEEN = rb"[^\xff]++|\xff+(?=\xff)|\xff[\0-\xbf\xd0-\xd7]"
_NOTHING = rb"(?!)"
_SOUND_JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"

_MAX_STEPS = 500_000  # half a second; what metadata is left then stays
_MAX_LABELLED = 64  # segments of JFIF, EXIF and XMP that are looked at
_MANY = 1000  # segments, after which short ones are passed together
_SHORT = 128  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegOutline:
    """What a JPEG says of itself before it is decoded."""

    scans: int  # up to :data:`MAX_SCANS` + 1
    components: int
    header_bytes: int  # in front of the first scan
    has_jfif: bool
    is_cut: bool  # its data ends before its end marker
    is_unusual: bool  # lossless or hierarchical
    orientation: int  # as in EXIF


def outline_jpeg(data: bytes, *, is_whole: bool = False) -> JpegOutline:
    """Find the scans of a JPEG, and its orientation.

    A few bytes are a whole scan of a progressive JPEG, and a decoder goes through all pixels for
    each: no limit on bytes or pixels bounds the time. Of a baseline JPEG with all components in the
    first scan a decoder reads no further one; only if ``is_whole`` they are looked for.
    """
    scans, components, frame, header_bytes, is_cut, steps = 0, 0, 0, 0, False, 0
    labelled: list[bytes] = []
    position = 2
    while scans <= MAX_SCANS:
        steps += 1
        if steps > _MANY:
            but = _LABELLED if len(labelled) < _MAX_LABELLED else _NOTHING
            if run := _segments(_TABLES | _METADATA, but).match(data, position):
                position = run.end()
        if (match := _MARKER.search(data, position)) is None:
            is_cut = True
            break
        marker, position = match[0][1], match.end()
        # A segment's length includes its own two bytes; behind a scan's come the coded pixels.
        end = position + int.from_bytes(data[position : position + 2], "big")
        if marker in _FRAMES and not frame:
            frame, components = marker, int.from_bytes(data[position + 7 : position + 8], "big")
        elif marker == _START_OF_SCAN:
            scans += 1
            header_bytes = header_bytes or match.start()
            is_one = data[position + 2 : position + 3] == bytes([components])
            if is_one and frame in _BASELINE and not is_whole:
                break
        elif marker not in _TABLES and marker not in _METADATA:
            break
        elif data.startswith(_LABELS.get(marker, ()), position + 2):
            labelled.append(data[position + 2 : end])
        position = end
    return JpegOutline(
        scans=scans,
        components=components,
        header_bytes=header_bytes,
        has_jfif=any(s.startswith(_JFIF) and len(s) >= 14 for s in labelled),
        is_cut=is_cut,
        is_unusual=frame in _UNUSUAL,
        orientation=_orientation(labelled),
    )


def _orientation(labelled: Sequence[bytes]) -> int:
    image = Image.Image()  # it knows how to read either
    for segment in labelled:
        if segment.startswith(_EXIF):
            image.info["exif"] = image.info.get("exif", b"") + segment[len(_EXIF) :]
        elif segment.startswith(_XMP):
            image.info["xmp"] = segment[len(_XMP) :]
    return orientation_of(image) if image.info else 1


def bare_jpeg(data: bytes, outline: JpegOutline) -> bytes:
    """Return a JPEG without the metadata and padding in its header, which change no pixel."""
    kept, position = [data[:2], _SOUND_JFIF * outline.has_jfif], 2
    for _ in range(_MAX_STEPS):
        if run := _dropped().match(data, position):
            position = run.end()
        if run := _segments(_TABLES | {0xEE}, between=_NOTHING).match(data, position):
            kept.append(run[0])
            position = run.end()
            continue
        match = _MARKER.match(data, position)
        if match is None or match[0][1] == _START_OF_SCAN:
            break
        end = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
        if match[0][1] not in _METADATA or data.startswith(b"Adobe", position + 4):
            kept.append(data[position:end])
        position = end
    return b"".join([*kept, data[position:]])


@cache
def _segments(
    markers: Set[int], but: bytes = _NOTHING, between: bytes = _BETWEEN
) -> re.Pattern[bytes]:
    """Return a pattern of short segments, and what is between them."""
    return re.compile(rb"(?s)(?:%b|%b)++" % (_short(markers, but), between))


@cache
def _dropped() -> re.Pattern[bytes]:
    metadata = rb"%b|%b" % (_short(_METADATA, _ADOBE), _BETWEEN)
    interval = rb"\xff\xdd\0\x04"  # of several the last one counts
    return re.compile(
        rb"(?s)(?:%b|%b..(?=(?:%b)*+%b))++" % (metadata, interval, metadata, interval)
    )


def _short(markers: Set[int], but: bytes) -> bytes:
    kinds = re.escape(bytes(sorted(markers)))
    sizes = b"|".join(rb"\x%02x.{%d}" % (size, size - 2) for size in range(2, _SHORT))
    return rb"(?!%b)\xff[%b]\0(?:%b)" % (but, kinds, sizes)
