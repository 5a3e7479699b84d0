import pytest

from recognizer.imaging.sources import MEBIBYTE
from recognizer.model import machine
from recognizer.model.machine import available_cpus, available_memory
from recognizer.scan.pool import WORKER_BYTES, worker_count, worker_memory

GIBIBYTE = 1024 * MEBIBYTE
AVAILABLE = "MemTotal:  8 kB\nMemAvailable:  4194304 kB\n"
GROUP = "proc/self/cgroup"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A machine of four CPUs, with empty folders for the two file systems."""
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_PROC", tmp_path / "proc")
    return tmp_path


def write(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        ({}, 4),
        *(({"": text}, 4) for text in ("max 100000", "900000 100000", "nonsense", "1 2 3", "ÿþ")),
        *(({"": f"{quota}0000 100000\n"}, cpus) for quota, cpus in ((20, 2), (15, 2), (1, 1))),
        # A service of systemd: the quota is its own, or its slice's; the root has no such file.
        ({"a/b.service": "300000 100000", "a": "max 100000"}, 3),
        ({"jobs/42/task": "max 100000", "jobs": "100000 100000"}, 1),
        # In a container the name may be that of the host, which leads nowhere here.
        ({"../../kubepods/pod9": None, "": "200000 100000"}, 2),
        ({"nonsense\n\n::": None}, 4),
    ],
)
def test_cpus(place, quotas, expected):
    files = {f"cgroup/{name}/cpu.max": text for name, text in quotas.items() if text is not None}
    write(place, files | {GROUP: f"0::/{next(iter(quotas), '')}\n"})
    assert available_cpus() == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/meminfo": AVAILABLE}, 4 * GIBIBYTE),
        ({"proc/meminfo": "MemTotal:  8 kB\n"}, None),
        ({"cgroup/memory.max": "1073741824\n", "proc/meminfo": AVAILABLE}, GIBIBYTE),
        ({"cgroup/memory.max": "9073741824\n", "proc/meminfo": AVAILABLE}, 4 * GIBIBYTE),
        ({"cgroup/memory.max": "max\n"}, None),
        ({GROUP: "0::/jobs/42\n", "cgroup/jobs/memory.max": "1073741824"}, GIBIBYTE),
    ],
)
def test_memory(place, files, expected):
    write(place, files)
    assert available_memory() == expected


@pytest.mark.parametrize(
    ("asked", "memory", "expected"),
    [(0, 100, 4), (0, 4, 4), (0, 3.9, 3), (0, 0.1, 1), (7, 0.1, 7), (4, 2, 4)],
)
def test_the_number_of_workers(place, asked, memory, expected):
    """Who asks for a number gets it."""
    write(place, {"cgroup/memory.max": str(int(memory * WORKER_BYTES))})
    assert worker_count(asked) == expected


def test_the_memory_of_each_worker(place):
    assert worker_memory(1) is None
    write(place, {"proc/meminfo": AVAILABLE})
    assert worker_memory(2) == (2048 - 128) * MEBIBYTE
    assert worker_memory(100) == 768 * MEBIBYTE  # never so little that no photo is decoded
