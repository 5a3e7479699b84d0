"""A scan in numbers, for people: counted in its file, by listings where not said otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recognizer.model.bundle import Bundle
from recognizer.policy import Decision
from recognizer.review.texts import Texts
from recognizer.rows.listings import QUEUE_ORDER
from recognizer.rows.scanfile import ScanFile
from recognizer.status import Reason

Counts = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The numbers; ``degraded`` and ``reasons`` (of failures) count images.

    ``models`` are names, versions and digests, ``policies`` names and digests, each with how many
    rows they are behind. ``begin`` and ``end`` are minutes, or None without rows.
    """

    images: int
    listings: int
    levels: Counts
    products: Counts
    degraded: int
    reasons: tuple[tuple[Reason, int], ...]
    models: tuple[tuple[str, int, str, int], ...]
    policies: tuple[tuple[str, str, int], ...]
    begin: str | None
    end: str | None

    @classmethod
    def of(cls, file: ScanFile) -> Summary:
        """Count."""
        ((images, listings, degraded, begin, end),) = file.select(
            "SELECT sum(reason IS NOT 'no_image'), count(DISTINCT unit), sum(status = 'degraded'),"
            " substr(min(time), 1, 16), substr(max(time), 1, 16) FROM image"
        )
        levels = dict(
            file.select("SELECT place, count(*) FROM entry WHERE section = 'queue' GROUP BY 1")
        )
        clear = QUEUE_ORDER.index(Decision.CLEAR)
        levels[clear] = listings - sum(levels.values())
        return cls(
            images=images or 0,
            listings=listings,
            levels=tuple((str(one), levels.get(at, 0)) for at, one in enumerate(QUEUE_ORDER)),
            products=_counts(
                file,
                "SELECT product, count(*) FROM entry WHERE section = 'queue' AND place < 2"
                " AND product IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1",
            ),
            degraded=degraded or 0,
            reasons=tuple(
                (Reason(name), count)
                for name, count in _counts(
                    file,
                    "SELECT reason, count(*) FROM image WHERE status = 'failed'"
                    " AND reason != 'no_image' GROUP BY 1 ORDER BY 2 DESC, 1",
                )
            ),
            models=_counts(
                file,
                "SELECT name, version, digest, count(*) FROM image"
                " JOIN model ON model.id = image.model GROUP BY model.id ORDER BY 4 DESC, 3",
            ),
            policies=_counts(
                file,
                "SELECT name, digest, count(*) FROM image"
                " JOIN policy ON policy.id = image.policy GROUP BY policy.id ORDER BY 3 DESC, 2",
            ),
            begin=begin and begin.replace("T", " "),
            end=end and end.replace("T", " "),
        )

    def to_context(self, bundles: Sequence[Bundle], texts: Texts) -> dict[str, Any]:
        """Return what the template shows of it, and of the models behind it."""
        known = {bundle.digest: bundle for bundle in bundles}
        here = [known[digest] for _, _, digest, _ in self.models if digest in known]
        return {
            "summary": self,
            "not_recognized": [
                (one.title, [texts.label(name, one.taxonomy) for name in one.not_recognized])
                for one in here
                if one.not_recognized
            ],
            "missing_models": [
                f"{name}-v{version}"
                for name, version, digest, _ in self.models
                if digest not in known
            ],
        }


def _counts(file: ScanFile, statement: str) -> Any:
    return tuple(file.select(statement))
