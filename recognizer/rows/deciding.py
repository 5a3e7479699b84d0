"""Decide again: a new policy applied to the scores in a journal, without a photo or a model.

A journal is read twice, in blocks of whole lines: for the last row of each image, and to decide. On
a large one all processors do so, each on blocks of its own.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from recognizer._atomic import replacing, require_own
from recognizer.errors import JournalError, UsageError
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.policy import Policy
from recognizer.rows.chain import replacing_journal
from recognizer.rows.deciding_lines import DecisionDiff, LineDecider
from recognizer.rows.embeddings import EmbeddingStore, embeddings_path
from recognizer.rows.journal import JournalReader, is_journal
from recognizer.rows.row import ROW_SCHEMA, Outline
from recognizer.rows.thumbnails import ThumbnailStore, thumbnails_path

BLOCK_BYTES = 8 << 20
"""Bytes of a journal that are decided together."""

SMALL_BYTES = 64 << 20
"""Up to this size, processes of their own would take longer to start than they save."""

MAX_PROCESSES = 16

R = TypeVar("R")


def decide_again(
    journal: str | os.PathLike[str],
    output: str | os.PathLike[str],
    policy: Policy,
    bundles: Sequence[Bundle],
) -> DecisionDiff:
    """Write a journal with the decisions of another policy; of each image, its last row.

    The scores, and the times of the scan, stay as they were. Leads that are new have no regions.
    Scores have six digits in a row: one that is as near to a threshold may come out otherwise than
    in a scan. Thumbnails and embeddings beside the journal are copied. Of a journal larger than
    :data:`SMALL_BYTES`, all processors decide: a script that calls this needs the usual
    ``if __name__ == "__main__":``.

    Args:
        journal: the rows of a scan (JSONL).
        output: the new journal; it takes its place in one step.
        policy: decides.
        bundles: the models that may be behind the rows: thresholds are theirs.

    Raises:
        JournalError: the journal cannot be read.
        PolicyError: the policy names what a model does not know.
        UsageError: the output is the journal itself, another file, or cannot be written; or rows
            were made by a model that is not among the bundles.
    """
    source, target = Path(journal), Path(output)
    if target.exists() and target.resolve() == source.resolve():
        raise UsageError(f"{target} is the journal itself: name another --output")
    require_own(target, "journal", is_journal)
    diff = DecisionDiff()
    with JournalReader(source) as reader:
        next(reader.outlines(), None)  # or it is no journal
        blocks = _blocks(source)
        with _workers(_Work(source, policy, tuple(bundles)), blocks) as run:
            try:
                lasts = _last_rows([*run(_read_keys, ((block,) for block in blocks))])
            except (msgspec.DecodeError, ValueError):
                for _ in reader.outlines():  # which says where
                    pass
                raise
            with replacing_journal(target) as partial:
                with partial.open("wb") as file:
                    try:
                        for lines, changes in run(_decide_block, zip(blocks, lasts, strict=True)):
                            file.write(lines)
                            diff.merge(changes)
                    except (msgspec.DecodeError, ValueError) as error:
                        detail = f"a line is not a row of a scan ({error})"
                        raise JournalError(f"{source}: {detail}") from error
                _copy_stores(source, target)
    return diff


def _copy_stores(source: Path, target: Path) -> None:
    for path, store in ((thumbnails_path, ThumbnailStore), (embeddings_path, EmbeddingStore)):
        if path(source).is_file():
            with replacing(path(target)) as copy, _opened(store, path(source)) as opened:
                opened.copy_to(copy)


def _opened(store: type[ThumbnailStore | EmbeddingStore], path: Path) -> Any:
    return store(path) if store is EmbeddingStore else ThumbnailStore(path, create=False)


# --- blocks of whole lines ------------------------------------------------------------------------


class _Block(NamedTuple):
    begin: int
    end: int


class _Work(NamedTuple):
    """What a process needs to work on blocks."""

    journal: Path
    policy: Policy
    bundles: tuple[Bundle, ...]


def _blocks(path: Path) -> list[_Block]:
    """Return blocks of whole lines, up to a line that has no end."""
    found: list[_Block] = []
    begin = 0
    with path.open("rb") as file:
        while True:
            file.seek(begin + BLOCK_BYTES)
            file.readline()
            end = file.tell()
            size = os.fstat(file.fileno()).st_size
            if end >= size:
                file.seek(begin)
                end = begin + file.read(size - begin).rfind(b"\n") + 1
                return [*found, _Block(begin, end)] if end > begin else found
            found.append(_Block(begin, end))
            begin = end


def _lines_of(path: Path, block: _Block) -> list[bytes]:
    with path.open("rb") as file:
        file.seek(block.begin)
        return [line + b"\n" for line in file.read(block.end - block.begin).split(b"\n")[:-1]]


def _last_rows(keys: Sequence[bytes]) -> list[NDArray[np.bool_]]:
    """Return, by block, which rows are the last ones of their items, from the keys of all rows."""
    found = np.frombuffer(b"".join(keys), np.uint64)
    _, last = np.unique(found[::-1], return_index=True)
    is_last = np.zeros(len(found), np.bool_)
    is_last[len(found) - 1 - last] = True
    ends = np.cumsum([len(block) // 8 for block in keys], dtype=np.intp)
    return np.split(is_last, ends)[: len(keys)]


class _Key(msgspec.Struct):
    source: str
    item: msgspec.Raw
    schema: int


_KEY_DECODER = msgspec.json.Decoder(_Key)
_ITEMS = msgspec.json.Decoder(dict[str, Any])


def _read_keys(work: _Work, block: _Block) -> bytes:
    """Return 8 bytes for each row of a block, which tell its item from others."""
    keys, raw, columns = [], b"null", b""
    for line in _lines_of(work.journal, block):
        try:
            row = _KEY_DECODER.decode(line)
        except msgspec.DecodeError:
            row = None
        if row is None or row.schema != ROW_SCHEMA:
            outline = Outline.from_json_line(line)
            source, own = outline.source, outline.item
            raw, columns = b"", b"" if own is None else _canonical(own)
        else:
            source = row.source
            if bytes(row.item) != raw:  # the images of a listing come together
                raw = bytes(row.item)
                columns = b"" if raw == b"null" else _canonical(_ITEMS.decode(raw))
        text = source.encode("utf-8", "surrogatepass") + b"\0" + columns
        keys.append(hashlib.blake2b(text, digest_size=8).digest())
    return b"".join(keys)


def _canonical(item: Mapping[str, Any]) -> bytes:
    with suppress(UnicodeEncodeError):  # lone surrogates
        return msgspec.json.encode(item, order="sorted")
    return json.dumps(item, sort_keys=True).encode()


def _decide_block(
    work: _Work, block: _Block, is_last: NDArray[np.bool_]
) -> tuple[bytes, DecisionDiff]:
    """Return the new lines of a block, and what changes."""
    lines = [
        line
        for line, last in zip(_lines_of(work.journal, block), is_last.tolist(), strict=True)
        if last
    ]
    found, diff = LineDecider(work.policy, work.bundles, work.journal).decide(lines)
    return b"".join(found), diff


# --- processes ------------------------------------------------------------------------------------

_work: _Work | None = None  # of this process


def _prepare(journal: Path, policy: Policy, bundles: Sequence[Path]) -> None:
    global _work  # noqa: PLW0603 - once, when the process starts
    _work = _Work(journal, policy, tuple(map(load_bundle, bundles)))


def _in_process(function: Callable[..., R], *values: Any) -> R:
    assert _work is not None  # noqa: S101 - as _prepare() leaves it
    return function(_work, *values)


Run = Callable[[Callable[..., R], Iterable[tuple[Any, ...]]], Iterator[R]]


@contextmanager
def _workers(work: _Work, blocks: Sequence[_Block]) -> Iterator[Run[Any]]:
    """Yield what applies a function to each block, in order: here, or in several processes."""
    count = min(_processors(), MAX_PROCESSES, len(blocks))
    if count < 2 or blocks[-1].end <= SMALL_BYTES:
        yield lambda function, values: (function(work, *one) for one in values)
        return
    with ProcessPoolExecutor(
        count,
        multiprocessing.get_context("spawn"),
        _prepare,
        (work.journal, work.policy, [bundle.path for bundle in work.bundles]),
    ) as pool:

        def run(function: Callable[..., Any], values: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
            waiting: deque[Future[Any]] = deque()  # no more than are worked on, for their memory
            for one in values:
                waiting.append(pool.submit(_in_process, function, *one))
                if len(waiting) > 2 * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

        try:
            yield run
        except BrokenExecutor as error:
            detail = "a process that worked on it was ended, as where memory runs out"
            raise JournalError(f"{work.journal}: {detail}") from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
