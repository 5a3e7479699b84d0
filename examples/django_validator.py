"""A validator for a Django form or model field.

    photo = models.ImageField(validators=[validate_photo])

A photo that cannot be read, or that may show a wildlife product, does not validate; the code of
the error says which ("unreadable", "lead"), so that a view can hold a lead for review instead.
Settings: RECOGNIZER_BUNDLE, RECOGNIZER_PROCESSES.
"""

from functools import cache
from threading import Lock

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import File

from recognizer import Decision, GuardedRecognizer, Limits, Policy

MIB = 1 << 20
MAX_BYTES = 10 * MIB
_LOCK = Lock()


def recognizer() -> GuardedRecognizer:
    """Start the processes with the first photo: a forked web server must not share them."""
    with _LOCK:  # a cache alone would let each thread of a busy server load one
        return _load()


@cache
def _load() -> GuardedRecognizer:
    return GuardedRecognizer.load(
        getattr(settings, "RECOGNIZER_BUNDLE", None),
        processes=getattr(settings, "RECOGNIZER_PROCESSES", 1),
        timeout=10.0,
        memory_limit=600 * MIB,
        limits=Limits(max_bytes=MAX_BYTES, max_pixels=25_000_000),
    )


def validate_photo(file: File) -> None:
    """Check an uploaded photo, and leave the file where it stood."""
    if file.size > MAX_BYTES:
        raise ValidationError("A photo may have 10 MiB.", code="too_large")
    position = file.tell()
    file.seek(0)
    prediction = recognizer().predict(file)
    file.seek(position)
    triage = recognizer().decide(prediction, Policy())
    if triage.decision is Decision.UNSCORED:
        raise ValidationError(
            "We could not read your photo (%(reason)s). Please upload a JPEG or PNG file.",
            code="unreadable",
            params={"reason": prediction.reason},
        )
    if triage.decision in {Decision.REVIEW, Decision.PRIORITY}:
        raise ValidationError(
            "We have to look at your photo before it goes online.",
            code="lead",
            params={"leads": [lead.name for lead in triage.leads]},
        )
