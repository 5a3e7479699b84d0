"""What a service takes: memory by processes, and the time of plain, suspicious and crafted uploads.

    python -m benchmarks.service --markdown docs/service.md

The uploads are sample images of 1600x1200 pixels: the one that takes least, the one that takes most
(a suspicious one goes through all networks), and a collage of nine of the latter. Each process has
a client that waits for its answers.
"""

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.speed import SAMPLES, in_new_process, make_collage, make_photos, write_figures
from recognizer import GuardedRecognizer, Recognizer
from recognizer.scan.machine import available_cpus, cpu_name

PROCESSES = (1, 2, 4)
SIZE = (1600, 1200)


def make_uploads() -> dict[str, bytes]:
    """Return the uploads by their names."""
    recognizer, costs = Recognizer.load(threads=1), dict[float, bytes]()
    samples = sorted(SAMPLES.glob("*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        for path in make_photos(photos, samples, SIZE, len(samples)):
            recognizer.predict(data := path.read_bytes())
            began = time.process_time()
            recognizer.predict(data)
            costs[time.process_time() - began] = data
        (costliest := Path(folder) / "suspicious.jpg").write_bytes(costs[max(costs)])
        collage = make_collage(Path(folder) / "collage.jpg", [costliest]).read_bytes()
    return {"plain": costs[min(costs)], "suspicious": costs[max(costs)], "collage of nine": collage}


def serve(processes: int, uploads: dict[str, bytes], count: int) -> dict[str, str]:
    """Return the memory of all processes, and of each upload the times of answers."""
    found = {"memory, MB": ""}
    with (
        GuardedRecognizer.load(processes=processes) as recognizer,
        ThreadPoolExecutor(processes) as clients,
    ):

        def wait(upload: bytes) -> float:
            began = time.perf_counter()
            recognizer.predict(upload)
            return 1000 * (time.perf_counter() - began)

        for name, upload in uploads.items():
            [*clients.map(wait, [upload] * processes)]  # processes start, and models are loaded
            times = [*clients.map(wait, [upload] * count * processes)]
            most = statistics.quantiles(times, n=20)[-1]
            found[f"{name}, ms"] = f"{statistics.median(times):.0f} ({most:.0f})"
        found["memory, MB"] = f"{held():.0f}"
    return found


def held() -> float:
    """Return the memory of this process and its children, shared pages once, in MB (Linux)."""
    children = " ".join(
        path.read_text("ascii") for path in Path("/proc/self/task").glob("*/children")
    )
    maps = [Path(f"/proc/{pid}/smaps_rollup") for pid in ("self", *children.split())]
    found = (re.search(r"^Pss: +(\d+) kB", path.read_text("ascii"), re.MULTILINE) for path in maps)
    return sum(int(pss[1]) for pss in found if pss) * 1024 / 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure services of one, two and four processes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=main.__doc__)
    parser.add_argument("--count", type=int, default=40, help="uploads for each process and kind")
    parser.add_argument("--markdown", type=Path, help="also write the figures into a page")
    options = parser.parse_args(arguments)
    uploads = in_new_process(make_uploads)
    columns = [in_new_process(serve, number, uploads, options.count) for number in PROCESSES]
    lines = ["| processes | 1 | 2 | 4 |", "|---|--:|--:|--:|"]
    lines += [f"| {name} | {' | '.join(one[name] for one in columns)} |" for name in columns[0]]
    lines += ["", f"Median (95th percentile) on {available_cpus()} CPUs ({cpu_name()})."]
    if options.markdown:
        write_figures(options.markdown, ["Written by `python -m benchmarks.service`.", "", *lines])
    print("\n".join(lines))


if __name__ == "__main__":
    main()
