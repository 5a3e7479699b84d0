"""A scan in numbers."""

from collections import Counter
from dataclasses import dataclass, field

from recognizer.policy.values import Decision
from recognizer.rows.row import Row
from recognizer.status import Reason, Status


@dataclass(slots=True)
class ScanSummary:
    """The sums of a scan, over ``scanned`` images and ``skipped`` ones, whose earlier rows hold.

    ``kept`` ones could not be read and keep their earlier result; ``repeated`` inputs were given
    more than once; ``without_image`` listings are text alone; of ``cleared``, some are ``audited``.
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
    cleared: int = 0
    audited: int = 0
    seconds: float = 0.0

    @property
    def images(self) -> int:
        """Images that have a row now."""
        return self.scanned + self.skipped

    @property
    def rate(self) -> float:
        """Images per second; 0 if there were none."""
        return self.images / self.seconds if self.seconds > 0 else 0.0

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
        if row.is_lead:
            self.decisions[row.decision] += 1
            self.leads.update(dict.fromkeys(lead.title for lead in row.leads).keys())
        self.cleared += row.decision is Decision.CLEAR
        self.audited += row.audit is not None
