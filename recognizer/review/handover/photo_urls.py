"""Under which URL a review console finds a photo: its own, or one made by a template."""

from __future__ import annotations

from pathlib import PurePath
from string import Formatter
from urllib.parse import quote

from recognizer.errors import UsageError
from recognizer.listing_columns import as_url

FIELDS = ("sha256", "source", "name")
"""What a template may name: the digest, the path as it was scanned, the file's name."""


class PhotoUrls:
    """Gives the URLs of photos.

    Args:
        template: for photos that are no URL themselves, such as
            ``https://photos.example/{sha256}``; None for none.

    Raises:
        UsageError: the template names something else, or nothing.
    """

    def __init__(self, template: str | None = None) -> None:
        try:
            names = [
                name for _, name, _, _ in Formatter().parse(template or "") if name is not None
            ]
        except ValueError as error:
            raise UsageError(f"photo URL {template!r}: {error}") from error
        if template is not None and not (names and {*names} <= {*FIELDS}):
            known = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise UsageError(f"photo URL {template!r}: name one or more of {known} in it")
        self._template = template

    def of(self, source: str, sha256: str | None) -> str | None:
        """Return the URL of a photo; None where it has none."""
        if (own := as_url(source)) is not None:
            return own
        if self._template is None or sha256 is None:
            return None
        clean = source.encode("utf-8", "replace").decode()
        return self._template.format(
            sha256=sha256, source=quote(clean, safe="/"), name=quote(PurePath(clean).name, safe="")
        )
