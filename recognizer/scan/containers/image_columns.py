"""Which columns of a table hold the images of its rows, and the images that one cell lists."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from recognizer.listing_columns import normal_name
from recognizer.scan.location import has_image_suffix

BYTES_COLUMNS = ("bytes", "image_bytes", "base64", "image_base64")
"""Columns of images themselves; in tables of text they are Base64."""

_WHATS = ("image", "photo", "picture", "img")

IMAGE_COLUMNS = (
    *("image", "images", "photo", "photos", "picture", "pictures", "img", "imgs"),
    *(
        f"{what}_{how}"
        for what in _WHATS
        for how in ("path", "paths", "url", "urls", "uri", "uris", "file", "files", "link", "links")
    ),
    *BYTES_COLUMNS,
    *("图片", "图片链接", "主图"),
    *("path", "paths", "file_path", "filepath", "file_name", "filename", "file"),
    *("thumbnail", "thumbnails", "thumbnail_url", "thumb", "thumb_url"),
    *("url", "urls", "uri", "uris", "src"),
)
"""Names by which the image column is found, the surest first, as :func:`normal_name` spells them.

A listing's own address is often called ``url``: that name comes last."""

_MAIN_COLUMNS = tuple(
    f"{name}{how}"
    for what in _WHATS
    for name in (f"main_{what}", f"primary_{what}", f"cover_{what}", f"{what}_main")
    for how in ("", "_url", "_path")
)
_NUMBERED = re.compile(
    r"(?:image|photo|picture|img)(?:_(?:url|path|uri|file|link))?_?([0-9]{1,3})(?:_(?:url|path|uri))?"
)
_SURE = IMAGE_COLUMNS.index("path")  # the names before it can be nothing but images
_SEPARATORS = ("|", ";")
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@lru_cache(maxsize=256)
def image_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns with the images, in the order of the images; empty where there are none.

    A main image comes first, then the surest of :data:`IMAGE_COLUMNS`, then ``image_1`` to
    ``image_n``, by their numbers. Names that may mean something else count only where there is no
    other.
    """
    by_name = {normal_name(name): name for name in reversed(names)}
    main = [by_name[name] for name in _MAIN_COLUMNS if name in by_name][:1]
    usual = [(place, by_name[n]) for place, n in enumerate(IMAGE_COLUMNS) if n in by_name][:1]
    numbered = sorted(
        (int(match[1]), place, name)
        for place, name in enumerate(names)
        if (match := _NUMBERED.fullmatch(normal_name(name)))
    )
    sure = [name for place, name in usual if place < _SURE]
    found = [*main, *sure, *(name for _, _, name in numbered)]
    return tuple(dict.fromkeys(found)) or tuple(name for _, name in usual)


def is_image_name(name: str) -> bool:
    """Whether a column is called as those of images are."""
    normal = normal_name(name)
    return normal in {*IMAGE_COLUMNS, *_MAIN_COLUMNS} or bool(_NUMBERED.fullmatch(normal))


def images_of_cell(cell: Any) -> Sequence[Any]:
    """Return the images of a cell, without those that are empty.

    A text may list several: as JSON, or with ``|`` or ``;`` between them, if each is a URL or ends
    like the name of an image. One name that has such a character in it stays whole.
    """
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):  # a path may begin with a bracket
            cell = json.loads(cell)
    if isinstance(cell, str):
        cell = _parts(cell)
    images = cell if isinstance(cell, list | tuple) else [cell]
    return [image for image in images if image not in (None, "", b"")]


def _parts(text: str) -> list[str]:
    for separator in _SEPARATORS:
        parts = [part.strip() for part in text.split(separator)]
        parts = [part for part in parts if part]
        if len(parts) > 1 and all(map(_is_place, parts)):
            return parts
    return [text]


def _is_place(text: str) -> bool:
    return bool(_URL.match(text)) or has_image_suffix(text)
