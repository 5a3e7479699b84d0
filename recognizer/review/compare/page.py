"""A comparison as one HTML file that needs nothing else and runs no script.

Everything that comes from a row is escaped by the template. The page's own security policy lets it
fetch nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from recognizer._atomic import replacing, require_page
from recognizer.listing_columns import Role, as_text, as_url, value_of
from recognizer.policy import Decision
from recognizer.review.card_images import CardImage, make_card_image
from recognizer.review.compare.comparison import Change, Comparison
from recognizer.review.compare.drift import CHANGED, LARGE
from recognizer.rows.thumbnails import THUMBNAIL_SIDE, ThumbnailStore, thumbnails_path
from recognizer.taxonomy import load_taxonomy

_ORDER = (Decision.PRIORITY, Decision.REVIEW, Decision.UNSCORED, Decision.CLEAR)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeCard:
    """A change with its image, and the title and address of its listing."""

    change: Change
    image: CardImage
    title: str
    url: str | None


def write_comparison(
    comparison: Comparison, output: Path, journals: tuple[Path, Path], title: str | None = None
) -> None:
    """Write a comparison as a page, in one step.

    Args:
        comparison: of the journals.
        output: the HTML file.
        journals: their paths; thumbnails beside them are shown.
        title: of the page; None for one made from the names of the journals.

    Raises:
        ScanFileError: a store of thumbnails cannot be read.
        UsageError: the page cannot be written, or is another file.
    """
    require_page(output)
    environment = Environment(
        loader=PackageLoader("recognizer", "review"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("compare/compare.html.j2")
    with ExitStack() as stack:
        stores = [
            stack.enter_context(ThumbnailStore(path, create=False))
            for path in map(thumbnails_path, reversed(journals))
            if path.is_file()
        ]
        partial = stack.enter_context(replacing(output))
        # A name that is not valid text comes with lone surrogates, which UTF-8 cannot hold.
        file = stack.enter_context(
            partial.open("w", encoding="utf-8", errors="backslashreplace", newline="\n")
        )
        first, second = comparison.sides
        context = {
            "title": title or f"{first.journal} and {second.journal}",
            "comparison": comparison,
            "order": _ORDER,
            "cards": _cards(comparison, stores),
            "display_name": load_taxonomy().display_name,
            "changed_psi": CHANGED,
            "large_psi": LARGE,
        }
        file.writelines(template.generate(context))


def _cards(comparison: Comparison, stores: list[ThumbnailStore]) -> Iterator[ChangeCard]:
    for change in comparison.changes:
        row = change.after
        store = next((s for s in stores if s.get(row.sha256) is not None), None)
        image = make_card_image(row.source, row.sha256, side=THUMBNAIL_SIDE, store=store)
        item = row.item or {}
        yield ChangeCard(
            change=change,
            image=image,
            title=as_text(value_of(item, Role.TITLE))
            or row.source.rpartition("/")[2]
            or row.source,
            url=as_url(value_of(item, Role.URL)),
        )
