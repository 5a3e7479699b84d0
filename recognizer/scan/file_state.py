"""The states of files: by which a later scan knows, without reading a file, that it is the same.

As git does, a file is taken to be unchanged if its size, times and inode are those with which it
was read. The state only stands for the bytes: whether a row still holds is for the scan to say.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from typing import NamedTuple, Self

RACY_NS = 2_000_000_000
"""A file that changed so shortly before it was read is read again by the next scan: it may have
changed once more within the same tick of its file system's clock, which is 2 s on FAT."""

_STATE_BYTES = 16


class FileState(NamedTuple):
    """What changes with a file: its size in bytes, its times in ns since 1970, and its inode."""

    size: int
    modified: int
    changed: int  # of anything, the name and the other times included; nobody can set it
    inode: int

    @classmethod
    def of(cls, path: str) -> Self | None:
        """Return the state of a file now; None where there is none."""
        with suppress(OSError, ValueError):
            status = os.stat(path)
            return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        return None

    def is_settled(self) -> bool:
        """Whether any later change shows."""
        return max(self.modified, self.changed) < time.time_ns() - RACY_NS

    @property
    def digest(self) -> bytes:
        """16 bytes that differ where any of it differs."""
        text = " ".join(map(str, self))
        return hashlib.blake2b(text.encode(), digest_size=_STATE_BYTES).digest()
