"""A station: where another program deals out the work, this scores what it is given.

It is what a scan's own processes are, behind one call: the same workers, with the same guard
against decoders that crash or hang, so that the rows are the same too. The model is loaded once
for each station. Ray's actors are stations (:mod:`recognizer.scan.ray_engine`); so may be the tasks
of Spark, Dask or Beam.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from recognizer._closing import Closes
from recognizer.model.bundle import load_bundle
from recognizer.model.folders import CARD_FILE, DESCRIPTION_FILE, MODEL_FILE
from recognizer.rows.row import Row
from recognizer.scan.items import Item
from recognizer.scan.machine import BATCH_ITEMS
from recognizer.scan.pool import Crew, Guard
from recognizer.scan.worker import Result, Setup, Task


@dataclass(frozen=True, slots=True)
class Luggage:
    """What a station on another machine needs, with the files that are not there.

    Attributes:
        setup: of the workers; its folders are those of the machine that packed.
        guard: what ends a worker.
        bundle: name -> content of the model's files.
        known: the same of the known items; empty where there are none.
    """

    setup: Setup
    guard: Guard
    bundle: Mapping[str, bytes]
    known: Mapping[str, bytes]

    @classmethod
    def pack(cls, setup: Setup, guard: Guard) -> Self:
        """Take along all files that the setup names."""
        bundle = {
            name: (setup.bundle.path / name).read_bytes()
            for name in (DESCRIPTION_FILE, MODEL_FILE, CARD_FILE)
            if (setup.bundle.path / name).is_file()
        }
        known = {} if setup.known is None else _content(setup.known.folder)
        return cls(setup, guard, bundle, known)

    def unpack(self, folder: Path) -> Setup:
        """Write the files into a folder, and return the setup that names them there."""
        for name, files in (("bundle", self.bundle), ("known", self.known)):
            (folder / name).mkdir()
            for file, content in files.items():
                (folder / name / file).write_bytes(content)
        setup = replace(self.setup, bundle=load_bundle(folder / "bundle"))
        if setup.known is not None:
            setup = replace(setup, known=replace(setup.known, folder=folder / "known"))
        return setup


class Station(Closes):
    """Scores images that it is given, with worker processes of its own.

    Args:
        setup: what the workers need, as this machine has it.
        guard: what ends a worker; None for the defaults.
        workers: processes; 0 for as many as the machine carries.
    """

    def __init__(self, setup: Setup, guard: Guard | None = None, *, workers: int = 1) -> None:
        self._crew = Crew(setup, workers, guard or Guard())
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def open(cls, luggage: Luggage) -> Self:
        """Make a station with one worker of what was packed elsewhere."""
        folder = tempfile.TemporaryDirectory(prefix="station-", ignore_cleanup_errors=True)
        station = cls(luggage.unpack(Path(folder.name)), luggage.guard)
        station._folder = folder  # it lives as long as the station
        return station

    def close(self) -> None:
        """End the workers."""
        self._crew.end()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def provider(self) -> str | None:
        """Where onnxruntime really computes; None before the first image."""
        return self._crew.provider

    def score(self, items: Iterable[Item]) -> list[Row]:
        """Return a row for each item, in their order, whatever happens to it.

        Raises:
            BundleError: the model cannot be used.
            ProviderError: the provider is not there.
            RecognizerError: worker processes cannot be started.
        """
        tasks = [Task(index, item, None) for index, item in enumerate(items)]
        rows = [result.row for result in self.work(tasks)]
        return [row for row in rows if row is not None]  # without earlier rows there are no others

    def work(self, tasks: Sequence[Task]) -> list[Result]:
        """Return the result of each task, in order. Raises as :meth:`score` does."""
        waiting = iter(tasks)
        batches = iter(lambda: list(itertools.islice(waiting, BATCH_ITEMS)), [])
        done = {t.index: result for part in self._crew.work(batches) for t, result in part}
        return [done[task.index] for task in tasks]


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
