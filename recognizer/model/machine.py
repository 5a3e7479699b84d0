"""The CPU, and the CPUs and the memory that control groups let this process use."""

import math
import os
import platform
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
_PROC = Path("/proc")


def available_cpus() -> int:
    """Return the number of CPUs by affinity and by quota, at least 1."""
    known = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    count = len(known) or os.cpu_count() or 1
    return math.ceil(max(1, min(count, *(_number(folder / "cpu.max") for folder in _groups()))))


def available_memory() -> int | None:
    """Return the bytes that are free, within the limit of the control group; None if unknown."""
    free = _fields("meminfo").get("MemAvailable", "inf kB").split()[0]
    memory = min(1024 * float(free), *(_number(folder / "memory.max") for folder in _groups()))
    return None if math.isinf(memory) else int(memory)


def cpu_name() -> str:
    return _fields("cpuinfo").get("model name") or platform.processor() or platform.machine()


def _groups() -> Iterator[Path]:
    # In a container the name in /proc may be that of the host; the group is then the root.
    for line in ("0::/", *_text(_PROC / "self" / "cgroup").splitlines()):
        inner = PurePosixPath(line.removeprefix("0::").lstrip("/"))
        yield from (_CGROUPS / group for group in (inner, *inner.parents))


def _number(path: Path) -> float:
    """Return the limit in a file of a group, by the period that may follow it; infinite if none."""
    limit, _, period = _text(path).partition(" ")
    try:
        number = int(limit) / int(period or 1)
    except (ValueError, ZeroDivisionError):  # "max"
        return math.inf
    return number if number > 0 else math.inf


def _fields(name: str) -> dict[str, str]:
    lines = (line.partition(":") for line in _text(_PROC / name).splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
