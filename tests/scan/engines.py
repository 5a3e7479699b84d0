"""Recognizers with accidents, for workers that are spawned; and a pool without processes."""

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from recognizer.engine import Recognizer
from recognizer.errors import ProviderError
from recognizer.model.bundle import load_bundle
from recognizer.policy.values import Policy
from recognizer.rows import Ranking, ScanSummary, ScanWriter
from recognizer.scan import ScanOptions, scan
from recognizer.scan.options import WorkerPayload
from recognizer.scan.worker import TaskResult, Worker

# Behind the end of a JPEG, where no decoder looks.
EXITS, SEGFAULTS, RAISES = b"<exits>", b"<segfaults>", b"<raises>"
HANGS, SWELLS = b"<hangs>", b"<swells>"
EXITS_ONCE = b"<exits once>"  # as one that the system kills; a file that tells it follows
DEADLY_WIDTH, BROKEN_WIDTH, ENDLESS_WIDTH = 77, 78, 79
MEBIBYTES = 700  # of what swells

Run = Callable[..., ScanSummary]


def scan_into(path, items, bundle, *, policy=None, on_rows=None, **options):
    """Scan with one worker and the default policy, unless the options name others."""
    model = load_bundle(bundle)
    given = ScanOptions(**{"workers": 1} | options)
    with ScanWriter(path, Ranking([model])) as file:
        return scan(items, model, policy or Policy(), file, given, on_rows=on_rows)


def scan_command(bundle, output, *arguments):
    """A scan on the command line, as a process of its own."""
    given = ["scan", *arguments, "--model", bundle, "--output", output]
    return [sys.executable, "-m", "recognizer", *map(str, given)]


def count_rows(path):
    """How many images are in a file that another process may be making or writing."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    # Until it is made there is an error.
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(uri, uri=True)) as database:
        ((last,),) = database.execute("SELECT max(id) FROM image")  # a scan removes none
        return last or 0
    return 0


_MEASURED = """if True:
    import resource
    import sys
    from recognizer.commands import main
    try:
        main()
    finally:  # of this program alone: getrusage also counts what was forked
        line = next(line for line in open("/proc/self/status") if "VmHWM" in line)
        others = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print("peak", int(line.split()[1]) // 1024, others // 1024, file=sys.stderr)
    """


@dataclass(frozen=True)
class Measured:
    """The cost of a command: its peak of resident memory, and that of the largest child."""

    code: int
    errors: str
    parent_mebibytes: int
    child_mebibytes: int


def run_measured(command, **options):
    """Run a command of the recognizer (see :func:`scan_command`) on Linux."""
    command = [sys.executable, "-c", _MEASURED, *command[3:]]
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False, **options)
    *errors, last = done.stderr.decode("utf-8", "replace").splitlines()
    _, parent, child = last.split()
    return Measured(done.returncode, "\n".join(errors), int(parent), int(child))


class Fragile(Recognizer):
    def load_image(self, image, *, sha256=None, whole=False):
        data = image if isinstance(image, bytes) else b""
        if data.endswith(EXITS):
            os._exit(7)
        _, once, name = data.rpartition(EXITS_ONCE)
        if once and not (sign := Path(name.decode())).exists():
            sign.touch()
            os._exit(7)
        if data.endswith(SEGFAULTS):
            os.kill(os.getpid(), signal.SIGSEGV)
        if data.endswith(RAISES):
            raise RuntimeError("boom")
        if data.endswith(HANGS):
            time.sleep(3600)
        if data.endswith(SWELLS):
            self.held = b"x" * (MEBIBYTES << 20)
            time.sleep(3600)
        return super().load_image(image, sha256=sha256, whole=whole)

    def score_loaded(self, images, outputs=("scores",)):
        widths = [image.width for image in images]
        if DEADLY_WIDTH in widths:
            os._exit(8)
        if ENDLESS_WIDTH in widths:
            time.sleep(3600)
        if BROKEN_WIDTH in widths:
            raise RuntimeError("the model broke")
        return super().score_loaded(images, outputs)


class Leaky(Recognizer):
    """Keeps some memory for every image."""

    def load_image(self, image, *, sha256=None, whole=False):
        self.held = (getattr(self, "held", None), b"x" * (100 << 20))
        time.sleep(0.2)
        return super().load_image(image, sha256=sha256, whole=whole)


class Slow(Recognizer):
    """Scores eight images, then takes its time; the file that the environment names tells when."""

    images = 0

    def score_loaded(self, images, outputs=("scores",)):
        self.images += len(images)
        if self.images > 8:
            Path(os.environ["RECOGNIZER_TEST_SLOW"]).touch()
            time.sleep(3600)
        return super().score_loaded(images, outputs)


def stillborn(*_, **__):
    os._exit(9)


def without_provider(*_, **__):
    raise ProviderError("no such accelerator")


class FragilePayload(WorkerPayload):
    engine: ClassVar[Callable[..., Recognizer]] = Fragile

    def make_recognizer(self):
        return type(self).engine(self.bundle, threads=1, limits=self.options.limits)


class LeakyPayload(FragilePayload):
    engine = Leaky


class SlowPayload(FragilePayload):
    engine = Slow


class InProcessPool:
    """A worker in this process: quick to start, for tests in which no worker dies."""

    def __init__(self, payload):
        self._worker = Worker(payload)
        self._batch = payload.options.batch_size

    def work(self, tasks):
        while batch := list(itertools.islice(tasks, self._batch)):
            sent = []
            self._worker.work(batch, sent.append)
            yield [message for message in sent if isinstance(message, TaskResult)]

    def close(self): ...
