"""The options of a scan, and what travels to its workers."""

import math
import re
import sys
from dataclasses import dataclass, field
from functools import cached_property

from recognizer.engine import GPU_BATCH, Recognizer
from recognizer.errors import UsageError
from recognizer.imaging import Limits
from recognizer.known import KnownItems
from recognizer.model.bundle import Bundle
from recognizer.policy.values import Policy
from recognizer.rows.deciding import Decider
from recognizer.rows.records import result_key
from recognizer.rows.row import AuditSample
from recognizer.rows.scanfile import ScanFile
from recognizer.status import DEADLY


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """Options of a scan; `recognizer scan --help` says what most of the options do.

    ``workers`` and ``batch`` (images in one pass of the model) may be 0: as many as CPUs and memory
    allow, as many as are best for the provider. ``timeout`` is in seconds, for one step: reading
    an image, or decoding and scoring it. ``memory_limit`` is in resident bytes of a worker: None
    for its share of the machine's memory (Linux), 0 for no limit. ``whole``: of JPEGs all pixels.
    """

    workers: int = 0
    provider: str = "cpu"
    limits: Limits = field(default_factory=Limits)
    image_columns: tuple[str, ...] = ()
    listing_column: str | None = None
    image_root: str | None = None
    allow_hosts: frozenset[str] = frozenset()
    timeout: float = 30.0
    memory_limit: int | None = None
    batch: int = 0
    recheck: bool = False
    whole: bool = False
    audit: AuditSample | None = None
    known: KnownItems | None = None

    def __post_init__(self) -> None:
        for host in self.allow_hosts:
            if not re.fullmatch(r"[^/?#\\@\sA-Z]+", host):
                words = "a host in lower case, such as photos.example, or with its port"
                raise UsageError(f"--allow-host {host}: {words}, if a URL names it: localhost:8080")
        if not 0 < self.timeout < math.inf:
            raise UsageError(f"timeout = {self.timeout}: a number of seconds over 0")
        if self.memory_limit and sys.platform != "linux":
            raise UsageError("a memory limit for workers needs Linux")

    def remember(self, file: ScanFile) -> None:
        """Store in a scan's file what later scans and the desk need to read the same images."""
        if self.listing_column is not None:
            file.set_listing_column(self.listing_column)
        if self.allow_hosts:
            file.set_setting("allow_hosts", " ".join(sorted(self.allow_hosts)))

    @property
    def batch_size(self) -> int:
        """Images in one pass of the model: one on the CPU, where larger batches are no faster."""
        return self.batch or (1 if self.provider == "cpu" else GPU_BATCH)


def allowed_hosts(file: ScanFile) -> frozenset[str]:
    """Return the hosts from which a scan's file remembers that images may be read."""
    return frozenset((file.setting("allow_hosts") or "").split())


@dataclass(frozen=True, kw_only=True)
class WorkerPayload:
    """The payload of a worker."""

    bundle: Bundle
    policy: Policy
    options: ScanOptions = field(default_factory=ScanOptions)

    def __post_init__(self) -> None:
        self.policy.check(self.bundle.taxonomy)  # before any worker starts

    @cached_property
    def decider(self) -> Decider:
        return Decider(self.bundle, self.policy, self.options.known, self.options.audit)

    def is_up_to_date(self, previous: bytes | None, sha256: str) -> bool:
        """Whether these bytes would give the row with this result key again, or cost a worker."""
        if previous is None:
            return False
        options = self.options
        model, policy = self.bundle.digest, self.policy.digest
        return any(
            previous == result_key(sha256, reason, model, policy, self.bundle.preprocessing)
            for reason in ((None,) if options.recheck else (None, *DEADLY))
        )

    def make_recognizer(self) -> Recognizer:
        named = {name: getattr(self.options, name) for name in ("provider", "limits", "whole")}
        return Recognizer(self.bundle, threads=1, **named)
