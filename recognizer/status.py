"""Status of an input, and the reason if it is not ``ok``.

The codes are part of the row format: codes are added, never renamed.
"""

from enum import StrEnum


class Status(StrEnum):
    """Status of one input."""

    OK = "ok"
    """Decoded as it was meant to be."""
    DEGRADED = "degraded"
    """Scored in part: something is missing or damaged; the reason says what. Never *clear*."""
    FAILED = "failed"
    """Not scored; the reason says why. Never to be read as *clear*."""


class Reason(StrEnum):
    """Why an input is ``degraded`` or ``failed``."""

    NO_IMAGE = "no_image"
    """The row of a table names no image: a listing of text alone."""
    NOT_FOUND = "not_found"
    """No such file."""
    PERMISSION_DENIED = "permission_denied"
    """The file may not be read."""
    NOT_A_FILE = "not_a_file"
    """A directory, FIFO, socket or device; only regular files are read."""
    READ_ERROR = "read_error"
    """The storage failed while the bytes were read."""
    SOURCE_REFUSED = "source_refused"
    """It lies where a scan may not read: on a host that is not allowed, or in a place that a table
    names outside its folder."""
    CORRUPT_CONTAINER = "corrupt_container"
    """The table that names it is damaged there, or goes beyond a bound."""
    EMPTY = "empty"
    """Zero bytes."""
    TOO_MANY_BYTES = "too_many_bytes"
    """Larger than the byte limit; not read."""
    TOO_MANY_PIXELS = "too_many_pixels"
    """By its header it has more pixels, a longer side, or takes more memory or time than it may."""
    NOT_AN_IMAGE = "not_an_image"
    """The bytes are not an image in a known format (HTML, PDF, text, noise)."""
    UNSUPPORTED_FORMAT = "unsupported_format"
    """A format or variant that is not decoded here (HEIC without its extra), or an archive."""
    CORRUPT_HEADER = "corrupt_header"
    """The magic bytes are those of an image, the header behind them makes no sense."""
    TRUNCATED = "truncated"
    """The data ends early: ``degraded`` where pixels could be had, else ``failed``."""
    CORRUPT_DATA = "corrupt_data"
    """The pixel data is damaged: ``degraded`` where pixels could be had, else ``failed``."""
    FRAMES_SKIPPED = "frames_skipped"
    """Not all frames, pages or parts of an image were scored (``degraded``)."""
    TOO_SMALL = "too_small"
    """So few pixels that the scores mean little (``degraded``)."""
    OUT_OF_MEMORY = "out_of_memory"
    """The image did not fit into memory, or into what a worker may take of it."""
    TIMEOUT = "timeout"
    """Reading, decoding or scoring took longer than the time limit."""
    DECODER_CRASH = "decoder_crash"
    """The process that decoded this image died."""
    INTERNAL_ERROR = "internal_error"
    """A defect of this program; the detail names the exception. Please report it."""


DEADLY = (Reason.DECODER_CRASH, Reason.TIMEOUT, Reason.OUT_OF_MEMORY)
"""Reasons that cost a process. Each new try may cost another, so a scan tries the same bytes
again only on request, and any other failure always: the storage may be back, or limits wider."""
