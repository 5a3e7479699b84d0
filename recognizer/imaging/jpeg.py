"""The segments of a JPEG (ITU-T T.81, annex B), and its header without what costs time or memory.

As in libjpeg, a marker that it does not know ends the file.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from recognizer.imaging.formats import orientation_of
from recognizer.imaging.sources import Refused
from recognizer.status import Reason

MAX_SCANS = 100  # scans that are decoded; encoders write about ten
MAX_SEGMENTS = 20_000  # the largest profile and metadata take 1,000

# Neither stuffing, fill bytes, restart markers nor those that are reserved: with restart intervals,
# libjpeg passes over these in a scan.
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
_START_OF_SCAN = 0xDA
_BASELINE = frozenset({0xC0, 0xC1})
_UNUSUAL = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})
_FRAMES = _BASELINE | _UNUSUAL | {0xC2, 0xC9, 0xCA}
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD})
_METADATA = frozenset({0xDC, *range(0xE0, 0xF0), 0xFE})

_EXIF, _ICC, _JFIF = b"Exif\0", b"ICC_PROFILE\0", b"JFIF\0"
_LABELS = {0xE0: (_JFIF,), 0xE1: (_EXIF,), 0xE2: (_ICC,)}
_ADOBE = b"Adobe"
_INTERVAL = b"\xdd\0\4"  # the marker and the length of a restart interval
_SOUND_JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegOutline:
    """The header of a JPEG, before it is decoded."""

    scans: int  # up to :data:`MAX_SCANS` + 1
    components: int
    header_bytes: int  # in front of the first scan
    bare_header: bytes  # of the same pixels, without metadata and padding
    is_unusual: bool  # lossless or hierarchical
    orientation: int  # as in EXIF
    profile: bytes | None  # of its colors; empty if some of it is missing

    def bare(self, data: bytes) -> bytes:
        """Return the JPEG without the metadata and padding in its header."""
        return self.bare_header + data[self.header_bytes :]


def outline_jpeg(data: bytes) -> JpegOutline:
    """Find the scans of a JPEG, and its orientation.

    A few bytes are a whole scan of a progressive JPEG, and a decoder goes through all pixels for
    each: no limit on bytes or pixels bounds the time. Of a baseline JPEG with all components in the
    first scan a decoder reads no further one.
    """
    scans, components, frame, steps = 0, 0, 0, 0
    labelled: list[bytes] = []
    kept, interval = [data[:2]], b""  # of several restart intervals the last one counts
    position, header_bytes = 2, len(data)
    while scans <= MAX_SCANS:
        steps += 1
        if steps > MAX_SEGMENTS:
            raise Refused(Reason.UNSUPPORTED_FORMAT, f"more than {MAX_SEGMENTS} segments")
        if (match := _MARKER.search(data, position)) is None:
            break
        marker, position = match[0][1], match.end()
        # A segment's length includes its own two bytes; behind a scan's come the coded pixels.
        end = position + int.from_bytes(data[position : position + 2], "big")
        is_dropped = marker in _METADATA and not data.startswith(_ADOBE, position + 2)
        if marker == _START_OF_SCAN:
            header_bytes = header_bytes if scans else match.start()
            scans += 1
            if data[position + 2 : position + 3] == bytes([components]) and frame in _BASELINE:
                break
        elif (marker in _FRAMES and frame) or marker not in _FRAMES | _TABLES | _METADATA:
            header_bytes = header_bytes if scans else match.start()
            break
        elif marker in _FRAMES:
            frame, components = marker, int.from_bytes(data[position + 7 : position + 8], "big")
        elif not scans and data.startswith(_LABELS.get(marker, ()), position + 2):
            labelled.append(data[position + 2 : end])
        if data.startswith(_INTERVAL, match.start() + 1):
            interval = data[end - 2 : end]
        elif not (scans or is_dropped):
            kept.append(data[match.start() : end])
        position = end
    if any(s.startswith(_JFIF) and len(s) >= 14 for s in labelled):
        kept.insert(1, _SOUND_JFIF)
    exifs = (segment[len(_EXIF) + 1 :] for segment in labelled if segment.startswith(_EXIF))
    return JpegOutline(
        scans=scans,
        components=components,
        header_bytes=header_bytes,
        bare_header=b"".join([*kept, *([b"\xff", _INTERVAL, interval] if interval else [])]),
        is_unusual=frame in _UNUSUAL,
        # Of segments with more than their label (and a byte of padding) the first one counts.
        orientation=orientation_of(next(filter(None, exifs), b"")),
        profile=_profile(labelled),
    )


def _profile(labelled: Sequence[bytes]) -> bytes | None:
    # ICC.1:2022, annex B.4: each part has its number, from 1, and how many there are. As in
    # Chromium, parts without content are passed over, and so is what follows a whole profile.
    parts: dict[int, bytes] = {}
    count = 0
    for segment in labelled:
        part = segment[len(_ICC) :] if segment.startswith(_ICC) else b""
        if len(part) > 2:
            number, of = part[:2]
            count = count or of
            if of != count or not 0 < number <= count or number in parts:
                return b""
            parts[number] = part[2:]
            if len(parts) == count:
                return b"".join(parts[number] for number in sorted(parts))
    return b"" if count else None
