from __future__ import annotations

from pathlib import Path

import pytest

from recognizer.imaging.sources import MEBIBYTE
from recognizer.scan import machine
from recognizer.scan.machine import (
    WORKER_BYTES,
    available_cpus,
    available_memory,
    worker_count,
    worker_memory,
)

GIBIBYTE = 1024 * MEBIBYTE
AVAILABLE = "MemAvailable:  4194304 kB"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of four CPUs, with empty folders for the two file systems."""
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_PROC", tmp_path / "proc")
    return tmp_path


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 4),
        ({"cgroup/cpu.max": "max 100000\n"}, 4),
        ({"cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"cgroup/cpu.max": "10000 100000\n"}, 1),
        ({"cgroup/cpu.max": "900000 100000\n"}, 4),
        ({"cgroup/cpu.max": "nonsense"}, 4),
        ({"cgroup/cpu.max": "1 2 3"}, 4),
        ({"cgroup/cpu.max": b"\xff\xfe".decode("latin-1")}, 4),
        # A service of systemd: the quota is its own, or its slice's; the root has no such file.
        (
            {
                "proc/self/cgroup": "0::/system.slice/scan.service\n",
                "cgroup/system.slice/scan.service/cpu.max": "300000 100000",
                "cgroup/system.slice/cpu.max": "max 100000",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": "0::/jobs/42/task\n",
                "cgroup/jobs/42/task/cpu.max": "max 100000",
                "cgroup/jobs/cpu.max": "100000 100000",
            },
            1,
        ),
        # In a container the name may be that of the host, which leads nowhere here.
        (
            {"proc/self/cgroup": "0::/../../kubepods/pod9\n", "cgroup/cpu.max": "200000 100000"},
            2,
        ),
        ({"proc/self/cgroup": "nonsense\n\n::"}, 4),
    ],
)
def test_cpus(place: Path, files: dict[str, str], expected: int) -> None:
    write(place, files)
    assert available_cpus() == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/meminfo": f"MemTotal:  8 kB\n{AVAILABLE}\n"}, 4 * GIBIBYTE),
        ({"proc/meminfo": "MemTotal:  8 kB\n"}, None),
        ({"cgroup/memory.max": "1073741824\n", "proc/meminfo": AVAILABLE}, GIBIBYTE),
        ({"cgroup/memory.max": "9073741824\n", "proc/meminfo": AVAILABLE}, 4 * GIBIBYTE),
        ({"cgroup/memory.max": "max\n"}, None),
        (
            {
                "proc/self/cgroup": "0::/jobs/42\n",
                "cgroup/jobs/42/memory.max": "max",
                "cgroup/jobs/memory.max": "1073741824",
            },
            GIBIBYTE,
        ),
    ],
)
def test_memory(place: Path, files: dict[str, str], expected: int | None) -> None:
    write(place, files)
    assert available_memory() == expected


@pytest.mark.parametrize(
    ("asked", "memory", "expected"),
    [
        (0, None, 4),
        (0, 100 * WORKER_BYTES, 4),
        (0, 4 * WORKER_BYTES, 4),
        (0, 4 * WORKER_BYTES - 1, 3),
        (0, WORKER_BYTES, 1),
        (0, 1, 1),
        # Who asks for a number gets it.
        (7, None, 7),
        (4, 2 * WORKER_BYTES, 4),
    ],
)
def test_the_number_of_workers(place: Path, asked: int, memory: int | None, expected: int) -> None:
    if memory is not None:
        write(place, {"cgroup/memory.max": str(memory)})
    assert worker_count(asked) == expected


@pytest.mark.parametrize(
    ("workers", "expected"),
    [(1, 4096 - 256), (2, 2048 - 128), (100, 768)],  # never so little that no photo is decoded
)
def test_the_memory_of_each_worker(place: Path, workers: int, expected: int) -> None:
    assert worker_memory(workers) is None
    write(place, {"proc/meminfo": AVAILABLE})
    assert worker_memory(workers) == expected * MEBIBYTE
