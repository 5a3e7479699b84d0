"""The segments of a JPEG (ITU-T T.81, annex B), and its header without what costs time or memory.

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

_EXIF, _ICC, _JFIF = b"Exif\0\0", b"ICC_PROFILE\0", b"JFIF\0"
_LABELS = {0xE0: (_JFIF,), 0xE1: (_EXIF,), 0xE2: (_ICC,)}
_ADOBE = b"Adobe"
_INTERVAL = b"\xdd\0\4"  # the marker and the length of a restart interval
_SOUND_JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"

_MAX_STEPS = 200_000  # half a second; what metadata is left then stays
_MAX_LABELLED = 300  # segments of JFIF, EXIF and ICC that are looked at; a profile has up to 255
_MANY = 1000  # segments, after which short ones are passed together
_SHORT = 128  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegOutline:
    """The header of a JPEG, before it is decoded."""

    scans: int  # up to :data:`MAX_SCANS` + 1
    components: int
    header_bytes: int  # in front of the first scan
    bare_header: bytes  # of the same pixels, without metadata and padding
    is_cut: bool  # its data ends before its end marker
    is_unusual: bool  # lossless or hierarchical
    orientation: int  # as in EXIF
    profile: bytes | None  # of its colors; empty if some of it is missing


def outline_jpeg(data: bytes, *, is_whole: bool = False) -> JpegOutline:
    """Find the scans of a JPEG, and its orientation.

    A few bytes are a whole scan of a progressive JPEG, and a decoder goes through all pixels for
    each: no limit on bytes or pixels bounds the time. Of a baseline JPEG with all components in the
    first scan a decoder reads no further one; only if ``is_whole`` they are looked for.
    """
    scans, components, frame, is_cut, steps = 0, 0, 0, False, 0
    labelled: list[bytes] = []
    kept, interval = [data[:2]], b""  # of several restart intervals the last one counts
    position, header_bytes = 2, len(data)
    while scans <= MAX_SCANS:
        steps += 1
        if steps > _MANY:
            is_labelled = len(labelled) < _MAX_LABELLED
            run = _runs(is_labelled, bool(scans) or steps > _MAX_STEPS).match(data, position)
            if run is not None and run.end() > position:
                position, interval = run.end(), run["interval"] or interval
                kept += [run["kept"]] * (not scans)
        if (match := _MARKER.search(data, position)) is None:
            is_cut = True
            break
        marker, position = match[0][1], match.end()
        # A segment's length includes its own two bytes; behind a scan's come the coded pixels.
        end = position + int.from_bytes(data[position : position + 2], "big")
        is_dropped = marker in _METADATA and not data.startswith(_ADOBE, position + 2)
        if marker == _START_OF_SCAN:
            header_bytes = header_bytes if scans else match.start()
            scans += 1
            is_one = data[position + 2 : position + 3] == bytes([components])
            if is_one and frame in _BASELINE and not is_whole:
                break
        elif (marker in _FRAMES and frame) or marker not in _FRAMES | _TABLES | _METADATA:
            header_bytes = header_bytes if scans else match.start()
            break
        elif marker in _FRAMES:
            frame, components = marker, int.from_bytes(data[position + 7 : position + 8], "big")
        elif data.startswith(_LABELS.get(marker, ()), position + 2):
            labelled.append(data[position + 2 : end])
        if data.startswith(_INTERVAL, match.start() + 1):
            interval = data[end - 2 : end]
        elif not (scans or is_dropped):
            kept.append(data[match.start() : end])
        position = end
    if any(s.startswith(_JFIF) and len(s) >= 14 for s in labelled):
        kept.insert(1, _SOUND_JFIF)
    return JpegOutline(
        scans=scans,
        components=components,
        header_bytes=header_bytes,
        bare_header=b"".join([*kept, *([b"\xff", _INTERVAL, interval] if interval else [])]),
        is_cut=is_cut,
        is_unusual=frame in _UNUSUAL,
        orientation=_orientation(labelled),
        profile=_profile(labelled),
    )


def _orientation(labelled: Sequence[bytes]) -> int:
    image = Image.Image()
    for segment in labelled:
        if segment.startswith(_EXIF):  # the first one counts
            image.info.setdefault("exif", segment)
    return orientation_of(image)


def _profile(labelled: Sequence[bytes]) -> bytes | None:
    # ICC.1:2022, annex B.4: each part has its number, from 1, and how many there are.
    parts = [segment[len(_ICC) :] for segment in labelled if segment.startswith(_ICC)]
    if not parts:
        return None
    numbered = {part[0]: part[2:] for part in parts if part[1:2] == bytes([len(parts) & 255])}
    is_whole = sorted(numbered) == list(range(1, len(parts) + 1))
    return b"".join(numbered[number] for number in sorted(numbered)) if is_whole else b""


def bare_jpeg(data: bytes, outline: JpegOutline) -> bytes:
    """Return a JPEG without the metadata and padding in its header, which change no pixel."""
    return outline.bare_header + data[outline.header_bytes :]


@cache
def _runs(is_labelled: bool, are_kept: bool) -> re.Pattern[bytes]:
    """Return a pattern of short segments and padding, with groups for what is not dropped.

    If ``is_labelled``, it ends in front of segments of JFIF, EXIF and ICC.
    """
    labels = rb"\xe0\0[\x10-\xff]JFIF\0|\xe1..%b|\xe2..%b" % (re.escape(_EXIF), re.escape(_ICC))
    but = labels if is_labelled else rb"(?!)"
    if are_kept:
        return re.compile(rb"(?s)(?P<kept>(?:%b)*+)" % _padded(_TABLES | _METADATA, but))
    dropped = _padded(_METADATA, rb"%b|\xee\0[\x0e-\xff]Adobe" % but)
    kept = rb"\xff%b" % _short(_TABLES | {0xEE}, but)
    return re.compile(rb"(?s)(?:%b|\xff+(?=\xff))*+(?P<kept>(?:%b)*+)" % (dropped, kept))


def _padded(markers: Set[int], but: bytes) -> bytes:
    interval = rb"%b(?P<interval>..)" % _INTERVAL
    segment = _short(markers, but)
    return rb"[^\xff]*+\xff++(?:[\0-\xbf\xd0-\xd7]|%b|%b)" % (interval, segment)


def _short(markers: Set[int], but: bytes) -> bytes:
    kinds = re.escape(bytes(sorted(markers)))
    sizes = b"|".join(rb"\x%02x.{%d}" % (size, max(0, size - 2)) for size in range(_SHORT))
    return rb"(?!%b)[%b]\0(?:%b)" % (but, kinds, sizes)
