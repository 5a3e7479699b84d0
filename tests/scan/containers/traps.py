"""Containers that play accidents in the process that opens them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

from recognizer.errors import MissingExtraError
from recognizer.scan.bounds import Progress
from recognizer.scan.containers import Opening
from recognizer.scan.items import FileLocation, Item, Skipped

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap(Opening):
    """Gives items with these names; some of them are accidents."""

    names: tuple[str, ...] = ()

    def items(self, progress: Progress, skipped: Skipped) -> Iterator[Item]:
        held = []
        for name in self.names:
            progress.begin()
            match name:
                case "exits":
                    os._exit(7)
                case "crashes":
                    os.kill(os.getpid(), signal.SIGSEGV)
                case "hangs":
                    time.sleep(3600)
                case "swells":
                    for _ in range(100):
                        held.append(b"x" * (5 * MIB))
                        time.sleep(0.01)
                case "raises":
                    raise MissingExtraError("pyarrow", "parquet")
                case "waits":
                    progress.waiting.append(Item.at("waiting"))
                    continue
            skipped.other_files += 1
            yield Item.at(name)
            progress.passed(f"member {progress.count}", name)


def trap(*names: str) -> Trap:
    return Trap(container=FileLocation("trap.tar"), names=names)
