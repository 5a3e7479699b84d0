"""Which places a scan may read from."""

from __future__ import annotations

from dataclasses import dataclass

from recognizer.scan.locations.web import Gate, public_only


@dataclass(frozen=True, slots=True)
class Access:
    """Which places a scan may read from.

    Attributes:
        allow_http: whether ``http://`` and ``https://`` URLs are fetched.
        gate: judges every address that a fetch would connect to; something that can be pickled.
    """

    allow_http: bool = False
    gate: Gate = public_only
