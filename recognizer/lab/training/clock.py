"""The work of a recipe that is under way, and the time that is left."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from recognizer.lab.training.config import TrainingConfig
from recognizer.lab.training.fit import Progress


@dataclass(frozen=True, slots=True)
class Stage:
    """The work under way, how long the rest will take, and the folder and numbers of a run."""

    words: str
    seconds_left: float | None = None
    run: str | None = None
    progress: Progress | None = None


class Clock:
    """Tells what the runs of a recipe are at: each seed as often as ``times``."""

    def __init__(
        self,
        config: TrainingConfig,
        times: int,
        on_stage: Callable[[Stage], None] = lambda _: None,
    ) -> None:
        self._runs = config.seeds * times
        self._photos, self._on_stage = config.photos + config.finish.photos, on_stage
        self._begun = 0
        self._trained, self._seconds = 0, 0.0  # of this process alone

    def on_photos(self, words: str, done: int, of: int) -> None:
        self._on_stage(Stage(f"{words}: {done} of {of} photos"))

    def on_features(self, network: str, done: int, of: int) -> None:
        self.on_photos(f"computing features of {network}", done, of)

    def skip(self, runs: int) -> None:
        """Count runs that need not be looked at again."""
        self._begun += runs

    def begin(self, name: str, words: str) -> Callable[[int, Progress], None]:
        """Return what is called with the photos of earlier phases, and how far this one is."""
        self._begun += 1
        words = f"run {self._begun} of {self._runs} ({words})"
        last: Progress | None = None
        reported = 0.0

        def report(before: int, progress: Progress) -> None:
            nonlocal last, reported
            seen = min(before + progress.photos, self._photos)  # the last batch may be cut
            progress = replace(progress, photos=seen, of=self._photos)
            now, text = time.monotonic(), f"{seen} of {progress.of} photos"
            if last:  # the first report also counts what a run needs to begin
                self._trained += progress.photos - last.photos
                self._seconds += now - reported
            last, reported, left = progress, now, None
            if self._trained:
                rest = (self._runs - self._begun) * self._photos + progress.of - progress.photos
                left = rest * self._seconds / self._trained
            loss = progress.loss
            text = f"resuming at {text}" if loss is None else f"{text}, loss {loss:.3f}"
            self._on_stage(Stage(f"{words}: {text}", left, name, progress))

        return report
