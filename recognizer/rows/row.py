"""The row: what a scan says of one image. All descriptions of rows follow from its fields."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from recognizer.errors import UsageError
from recognizer.model.description import ModelReference
from recognizer.policy.keywords import KeywordHit
from recognizer.policy.values import CandidateKind, Decision, KnownMatch, Lead
from recognizer.prediction import Digest, Region, Score
from recognizer.rows.identity import shown_place
from recognizer.status import Reason, Status

ROW_SCHEMA = 8  # grows when keys are added, or hold something else

Count: TypeAlias = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A policy; the digest is over all of it but the name."""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The result of a scan for one image.

    Attributes:
        source: The absolute path of a file, its folder without links; or the URL.
        item: The listing's own columns, passed through.
        status: ok; degraded: scored in part (damaged, frames left out); failed: not scored.
        reason: Why the status is not ok.
        sha256: Of the image's bytes; null if they could not be read.
        phash: The PDQ perceptual hash of the frame with the highest product score.
        format: The image format by its first bytes, in lower case.
        width: Of the upright image, in pixels.
        height: Of the upright image, in pixels.
        frames: Frames in the file; null for a TIFF of several pages.
        scores: Label -> calibrated probability, for every label of the model.
        leads: Labels and families over their review threshold, the highest score first.
        family: Family -> probability that one of its products is shown, about the sum of theirs.
        decision: What the policy decided: clear, review, priority, or unscored.
        why: A sentence for each lead, and for each other reason for the decision.
        regions: Where in the image the leads are (of a family, its likeliest product).
        model: What scored it.
        policy: What decided.
        preprocessing: The version of the steps from bytes to the model's input; in hundreds, of
            what is scored in an image.
        time: When the row was made, with its time zone.
        detail: More on the reason, in the words of a decoder or the system.
        schema: The version of the row.
        known: The confirmed images that it is near, the nearest first; null if it was compared with
            none.
        audit: The probability with which it was drawn for the audit sample, or null.
        keywords: The policy's keywords that the listing has, and in which columns.
        last_seen: When the last scan that met the image began.
        unread: Why that scan could not read it, if the row is that of an earlier one.
    """

    source: str
    item: Mapping[str, Any] | None
    status: Status
    reason: Reason | None
    sha256: Digest | None
    phash: Digest | None
    format: str | None
    width: Count | None
    height: Count | None
    frames: Count | None
    scores: Mapping[str, Score] | None
    leads: tuple[Lead, ...]
    family: Mapping[str, Score] | None
    decision: Decision
    why: tuple[str, ...]
    regions: tuple[Region, ...]
    model: ModelReference
    policy: Reference
    preprocessing: Count
    time: Annotated[datetime, Meta(tz=True)]
    detail: str | None
    schema: Annotated[int, Meta(ge=ROW_SCHEMA, le=ROW_SCHEMA)] = ROW_SCHEMA
    known: tuple[KnownMatch, ...] | None
    audit: Score | None = None
    keywords: tuple[KeywordHit, ...]
    last_seen: Annotated[datetime, Meta(tz=True)] | None = field(default=None, compare=False)
    unread: Reason | None = None

    def __post_init__(self) -> None:
        is_whole = self.status is Status.OK
        if self.decision is (Decision.UNSCORED if is_whole else Decision.CLEAR):
            raise ValueError(f"decision {self.decision} of an image of status {self.status}")

    @property
    def is_unread(self) -> bool:
        """Whether nothing could be read: what the image shows is unknown, not what it showed."""
        return self.status is Status.FAILED and self.sha256 is None

    @property
    def is_lead(self) -> bool:
        """Whether somebody should look at the image."""
        return self.decision.is_lead

    @property
    def lead_labels(self) -> tuple[str, ...]:
        """The products that the image may show: lead labels, and the likeliest of a lead family."""
        labels = [lead.name for lead in self.leads if lead.kind is CandidateKind.LABEL]
        return tuple(dict.fromkeys([*labels, *(region.label for region in self.regions)]))

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain values, as ``json.loads`` would."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        values["time"] = self.time.isoformat(timespec="seconds")
        values["last_seen"] = self.last_seen and self.last_seen.isoformat(timespec="seconds")
        if self.status is Status.FAILED:
            values |= _NULLS | {"why": values["why"] or None}
        return values

    def to_json_line(self) -> bytes:
        """Return the row as one line of ASCII, with its newline."""
        return json.dumps(self.to_json(), allow_nan=False, separators=(",", ":")).encode() + b"\n"


_NULLS = dict.fromkeys(("scores", "leads", "family", "regions"))  # where the image failed
STRATA = ((0.1, 100.0), (0.01, 10.0), (0.0, 1.0))
"""From which product score on an image is drawn how many times as often as the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSample:
    """A random sample of clear images, whose review shows what a scan has missed.

    A hash of its bytes draws an image, with the probability ``rate`` if ``products`` score low; it
    stands for 1 / probability (Horvitz and Thompson, 1952).
    """

    rate: float
    products: Sequence[str]

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise UsageError(f"audit rate = {self.rate}: over 0, and at most 1")

    def drawn(self, row: Row) -> Row:
        """Return a row with the probability of its draw if it was drawn."""
        drawn = None
        if row.decision is Decision.CLEAR and row.sha256 is not None and row.scores:
            score = max((row.scores.get(name, 0.0) for name in self.products), default=0.0)
            factor = next(factor for least, factor in STRATA if score >= least)
            probability = min(1.0, factor * self.rate)
            digest = hashlib.blake2b(f"0 {row.sha256}".encode(), digest_size=8).digest()
            if int.from_bytes(digest, "big") < probability * 2**64:
                drawn = probability
        return row if row.audit == drawn else replace(row, audit=drawn)


@dataclass(slots=True)
class ScanSummary:
    """The sums of a scan, over ``scanned`` images and ``skipped`` images, whose earlier rows hold.

    ``kept`` images could not be read and keep their earlier result; ``repeated`` inputs were given
    more than once; ``unplaced`` images of an earlier version have a relative path behind which they
    were not found; ``without_image`` listings are text alone; ``audited`` images are drawn from the
    clear ones; of a lead, ``leads`` has the likeliest product.
    """

    scanned: int = 0
    skipped: int = 0
    kept: int = 0
    repeated: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    failed: Counter[Reason] = field(default_factory=Counter)
    without_image: int = 0
    decisions: Counter[Decision] = field(default_factory=Counter)
    leads: Counter[str] = field(default_factory=Counter)
    unplaced: int = 0
    audited: int = 0
    seconds: float = 0.0
    refused: str = ""  # the first image that was, and why

    @property
    def to_review(self) -> Counter[Decision]:
        """The decisions of leads."""
        return Counter({level: n for level, n in self.decisions.items() if level.is_lead})

    @property
    def images(self) -> int:
        """Images that have a row now."""
        return self.scanned + self.skipped

    def add(self, row: Row, *, is_new: bool, is_kept: bool = False) -> None:
        """Count an image by its row."""
        if row.reason is Reason.NO_IMAGE:
            self.without_image += 1
        else:
            self.kept += is_kept
            self.scanned += is_new
            self.skipped += not is_new
            self.statuses[row.status] += 1
            if row.status is Status.FAILED and row.reason is not None:
                self.failed[row.reason] += 1
                if row.reason is Reason.SOURCE_REFUSED:
                    self.refused = self.refused or f"{shown_place(row.source)}: {row.detail}"
        self.decisions[row.decision] += 1
        if row.is_lead:
            self.leads.update(row.lead_labels[:1])
        self.audited += row.audit is not None
