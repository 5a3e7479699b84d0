"""What each reason code means to the person who reviews the photo, and what to do about it."""

from __future__ import annotations

from recognizer.status import Reason

EXPLANATIONS: dict[Reason, str] = {
    Reason.NOT_FOUND: "No file was there: it may have been moved or deleted before the scan.",
    Reason.PERMISSION_DENIED: "The scan was not allowed to read this file.",
    Reason.NOT_A_FILE: "This is a folder or a device, not a regular file.",
    Reason.READ_ERROR: "The storage failed while the file was read; scanning it again may help.",
    Reason.SOURCE_REFUSED: "The scan may not read from there (the web, a private address).",
    Reason.CORRUPT_CONTAINER: "The archive or table that holds the picture is damaged there.",
    Reason.ENCRYPTED: "The picture is in an archive and needs a password.",
    Reason.EMPTY: "The file is empty.",
    Reason.TOO_MANY_BYTES: "The file is larger than the byte limit and was not read.",
    Reason.TOO_MANY_PIXELS: "The picture has more pixels than the limit and was not decoded.",
    Reason.NOT_AN_IMAGE: "The content is no known image format, whatever its name says.",
    Reason.UNSUPPORTED_FORMAT: "The picture is of a format that this installation cannot decode.",
    Reason.CORRUPT_HEADER: "The file begins like a picture, but its header makes no sense.",
    Reason.TRUNCATED: "The file ends early: a part of the picture is missing.",
    Reason.CORRUPT_DATA: "The picture's data is damaged.",
    Reason.FRAMES_SKIPPED: "The animation is too long: frames near its end were not looked at.",
    Reason.TOO_SMALL: "The picture is so small that its scores mean little.",
    Reason.OUT_OF_MEMORY: "The picture did not fit into memory.",
    Reason.TIMEOUT: "It took too long: the storage may be slow, or the file made to hang decoders.",
    Reason.DECODER_CRASH: "The decoder died on this file: treat the file itself with suspicion.",
    Reason.INTERNAL_ERROR: "The program itself failed on this file; please report it.",
}
"""One sentence for each reason."""


def explain_reason(code: str | None) -> str:
    """Return the sentence for a reason code; a code of a later version speaks for itself."""
    if code is None:
        return "No reason was recorded."
    try:
        return EXPLANATIONS[Reason(code)]
    except ValueError:
        return f"The reason is recorded as {code}."
