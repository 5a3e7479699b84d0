"""How long a search among known items takes, and what it costs in memory.

    python -m benchmarks.known_items [--items 1000000] [--hashes HASHES.npy]
    python -m benchmarks.known_items --groups [--items 100000]

One thread; hashes that differ from a known one in 0 to 40 bits are looked up one at a time, as
a scan does. Each method runs in a process of its own, so that its memory is its own. Those
of faiss need ``pip install faiss-cpu`` and are left out where it is missing.

Random hashes flatter an index that relies on chunks of bits, since neighbouring bits of real
photos' hashes are alike. ``--hashes`` takes real ones (uint8, (n, 32), as .npy): the items are
then made of them, each with some random bits flipped so that no two are equal.

``--groups`` measures instead how long it takes to group that many photos, a tenth of them copies.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

QUERIES = 500
DISTANCE = 31
MEBIBYTE = 1 << 20

Search = Callable[[np.ndarray], set[int]]


def _ours(hashes: np.ndarray) -> Search:
    from recognizer.known import HashIndex  # noqa: PLC0415

    index = HashIndex(hashes)
    return lambda sought: set(index.search(sought[None], DISTANCE)[1].tolist())


def _numpy_flat(hashes: np.ndarray) -> Search:
    words = hashes.view(np.uint64)

    def search(sought: np.ndarray) -> set[int]:
        apart = np.bitwise_count(words ^ sought.view(np.uint64)).sum(axis=1, dtype=np.uint16)
        return set(np.flatnonzero(apart <= DISTANCE).tolist())

    return search


def _faiss(hashes: np.ndarray, index: Any) -> Search:
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(1)
    index.add(hashes)
    # faiss finds what is nearer than the radius, not what is as near.
    return lambda sought: set(index.range_search(sought[None], DISTANCE + 1)[2].tolist())


def _faiss_flat(hashes: np.ndarray) -> Search:
    return _faiss(hashes, importlib.import_module("faiss").IndexBinaryFlat(256))


def _faiss_multihash(hashes: np.ndarray) -> Search:
    index = importlib.import_module("faiss").IndexBinaryMultiHash(256, 16, 16)
    index.nflip = 1  # 16 chunks with one difference each: exact up to 31
    return _faiss(hashes, index)


METHODS: dict[str, tuple[Callable[[np.ndarray], Search], str, str]] = {
    "ours": (_ours, "HashIndex (multi-index, numpy)", "recognizer"),
    "numpy_flat": (_numpy_flat, "numpy, all compared", "numpy"),
    "faiss_flat": (_faiss_flat, "faiss IndexBinaryFlat", "faiss"),
    "faiss_multihash": (_faiss_multihash, "faiss IndexBinaryMultiHash 16 x 16", "faiss"),
}


def make_hashes(items: int, real: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the items and what is sought among them."""
    rng = np.random.default_rng(0)
    if real is None:
        hashes = rng.integers(0, 256, (items, 32), dtype=np.uint8)
    else:
        base = np.load(real)
        hashes = base[rng.integers(0, len(base), items)]
        for first in range(0, items, 1 << 16):  # 48 bits of each: beyond any search
            block = hashes[first : first + (1 << 16)]
            places = rng.permuted(np.tile(np.arange(256), (len(block), 1)), axis=1)[:, :48]
            turned = np.zeros((len(block), 256), np.uint8)
            np.put_along_axis(turned, places, 1, axis=1)
            block ^= np.packbits(turned, axis=1)
    sought = hashes[rng.integers(0, items, QUERIES)].copy()
    for hash_ in sought:
        bits = np.unpackbits(hash_)
        bits[rng.choice(256, rng.integers(0, 41), replace=False)] ^= 1
        hash_[:] = np.packbits(bits)
    return hashes, sought


def measure(method: str, items: int, real: Path | None) -> dict[str, float]:
    """Run one method, and compare what it finds with what comparing all finds."""
    build = METHODS[method][0]
    hashes, sought = make_hashes(items, real)
    borrowed = hashes.nbytes if method == "numpy_flat" else 0  # the others keep a copy
    before = resident()
    began = time.perf_counter()
    search = build(hashes)
    built = time.perf_counter() - began
    search(sought[0])
    queries = sought if method == "ours" else sought[:100]
    began = time.process_time()
    found = [search(hash_) for hash_ in queries]
    milliseconds = 1000 * (time.process_time() - began) / len(queries)
    held = (resident() - before + borrowed) / MEBIBYTE
    # Not before: memory that it frees would be taken again, and not be seen.
    reference = _numpy_flat(hashes)
    expected = [reference(hash_) for hash_ in sought[:100]]
    wanted = sum(map(len, expected))
    hit = sum(len(a & b) for a, b in zip(expected, found, strict=False))
    return {"built": built, "ms": milliseconds, "mib": held, "recall": hit / max(1, wanted)}


def group(items: int) -> None:
    """Time the grouping of near-copies."""
    from recognizer.known import near_copies  # noqa: PLC0415

    hashes, _ = make_hashes(items, None)
    rng = np.random.default_rng(1)
    for copy in range(0, items, 10):
        hashes[copy] = hashes[(copy + 7 * 10 + 1) % items]
        hashes[copy, rng.integers(32)] ^= 1 << rng.integers(8)
    texts = [hash_.tobytes().hex() for hash_ in hashes]
    began = time.process_time()
    groups = near_copies(texts, [None] * items)
    seconds = time.process_time() - began
    copies = items - len(set(groups.tolist()))
    print(f"{items:,} photos, {copies:,} copies of others, grouped in {seconds:.1f} s")


def resident() -> int:
    """Return what this process holds in memory, in bytes (Linux)."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--hashes", type=Path)
    parser.add_argument("--groups", action="store_true", help="time the grouping of near-copies")
    parser.add_argument("--method", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.method:
        print(json.dumps(measure(options.method, options.items, options.hashes)))
        return
    if options.groups:
        group(options.items)
        return
    print(f"{options.items:,} items, {DISTANCE} of 256 bits, one thread")
    print(f"{'':36} {'build s':>8} {'ms/query':>9} {'MiB':>6} {'recall':>7}")
    for method, (_, title, module) in METHODS.items():
        if importlib.util.find_spec(module) is None:
            print(f"{title:36} {module} is not installed")
            continue
        command = [sys.executable, __file__, "--method", method, "--items", str(options.items)]
        if options.hashes:
            command += ["--hashes", str(options.hashes)]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        done = subprocess.run(  # noqa: S603 - this very script
            command, check=True, capture_output=True, text=True, env={**os.environ, **threads}
        )
        said = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{title:36} {said['built']:8.1f} {said['ms']:9.2f} {said['mib']:6.0f} "
            f"{said['recall']:7.3f}"
        )


if __name__ == "__main__":
    main()
