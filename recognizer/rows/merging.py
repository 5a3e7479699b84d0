"""One journal of many: the shards of a scan, or scans that were made apart."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from recognizer._atomic import replacing
from recognizer.errors import JournalError, UsageError
from recognizer.rows.chain import replacing_journal
from recognizer.rows.embeddings import EmbeddingStore, embeddings_path
from recognizer.rows.journal import ItemTable, Journal, last_rows
from recognizer.rows.row import Row
from recognizer.rows.thumbnails import ThumbnailStore, thumbnails_path

_Kept = TypeVar("_Kept", ThumbnailStore, EmbeddingStore)
_ROWS_AT_A_TIME = 500  # whose thumbnails are held in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The numbers of a merge; ``superseded`` rows had a later one in another journal."""

    rows: int
    superseded: int
    thumbnails: int
    embeddings: int


class _Newest(ItemTable):
    """Map an item's key to the number of the journal that has its latest row."""

    def __init__(self) -> None:
        super().__init__(", time INTEGER, journal INTEGER")

    def offer(self, key: int, time: int, journal: int) -> None:
        # Of two that are equally late, the one that is offered last counts.
        self._run(
            "INSERT INTO items VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " time = excluded.time, journal = excluded.journal WHERE excluded.time >= time",
            key,
            time,
            journal,
        )

    def journal(self, key: int) -> int | None:
        row = self._run("SELECT journal FROM items WHERE key = ?", key).fetchone()
        return None if row is None else int(row[0])


def merge(
    journals: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    allow_mixed: bool = False,
) -> Merged:
    """Merge journals into one, from which a scan can go on and a report be made.

    Of an item the row with the latest time counts; of two with the same time, that of the journal
    which is named last. The rows keep the order of the journals. The output takes its place in one
    step, and it may be one of the journals; thumbnails and embeddings are merged beside it.

    Scores of two models, and decisions of two policies, cannot be compared, and a queue that is
    ranked by them would be wrong without a sign of it: so they are refused, as are rows that were
    compared with several banks of known items. Only the rows that remain count: journals that were
    begun with another model and finished with this one are merged.
    """
    paths = [Path(journal) for journal in journals]
    target = Path(output)
    for path in paths:
        if not path.is_file():
            raise JournalError(f"{path}: no such journal")
    if target.exists() and not any(target.samefile(path) for path in paths):
        raise UsageError(
            f"{target} exists: name it among the journals too, so that its rows are kept, or name "
            "another --output"
        )
    with ExitStack() as stack:
        if target.exists():
            stack.enter_context(Journal(target))  # no scan may write what would be replaced
        newest = stack.enter_context(_Newest())
        read = 0
        for number, path in enumerate(paths):
            for row in last_rows(path):
                newest.offer(row.key, round(row.time.timestamp() * 1e6), number)
                read += 1
        merged = _write(paths, newest, target, allow_mixed)
    return replace(merged, superseded=read - merged.rows)


def _write(paths: Sequence[Path], newest: _Newest, target: Path, allow_mixed: bool) -> Merged:
    kinds: Counter[tuple[object, ...]] = Counter()
    titles: dict[tuple[object, ...], str] = {}
    with replacing_journal(target) as partial:
        with partial.open("wb") as file:
            for number, path in enumerate(paths):
                for row in _remaining(path, number, newest):
                    file.write(row.to_json_line())
                    kind = _kind(row)
                    kinds[kind] += 1
                    if kind not in titles:
                        titles[kind] = _title(row)
        if len(kinds) > 1 and not allow_mixed:
            raise JournalError(
                "these journals cannot be compared: "
                + "; ".join(
                    f"{count:,} rows of {titles[kind]}" for kind, count in kinds.most_common()
                )
                + ". Scan the fewer ones again with the model and policy of the others, or merge "
                "them all the same with --allow-mixed"
            )
        # In place before the rows that they belong to.
        thumbnails = _copy_beside(
            paths,
            newest,
            target,
            thumbnails_path,
            lambda path: ThumbnailStore(path, create=False),
            lambda path, _: ThumbnailStore(path, create=True),
        )
        embeddings = _copy_beside(
            paths, newest, target, embeddings_path, EmbeddingStore, _same_model
        )
    return Merged(rows=kinds.total(), superseded=0, thumbnails=thumbnails, embeddings=embeddings)


def _kind(row: Row) -> tuple[object, ...]:
    """Return what makes rows comparable: where it is equal, they are."""
    bank = row.bank and row.bank.digest
    return row.model.digest, row.policy.digest, row.preprocessing, bank


def _title(row: Row) -> str:
    model, policy, bank = row.model, row.policy, row.bank
    title = (
        f"model {model.title} ({model.digest[:12]}), policy {policy.name} "
        f"({policy.digest[:12]}), preprocessing {row.preprocessing}"
    )
    return title if bank is None else f"{title}, bank {bank.name} ({bank.digest[:12]})"


def _copy_beside(
    paths: Sequence[Path],
    newest: _Newest,
    target: Path,
    place: Callable[[Path], Path],
    open_store: Callable[[Path], _Kept],
    create: Callable[[Path, Sequence[_Kept]], _Kept],
) -> int:
    """Copy what is kept beside the journals for the remaining rows; return how much that is."""
    count = 0
    with ExitStack() as stack:
        stores: dict[int, _Kept] = {
            number: stack.enter_context(open_store(place(path)))
            for number, path in enumerate(paths)
            if place(path).is_file()
        }
        if not stores:
            return 0
        partial = stack.enter_context(replacing(place(target)))
        with create(partial, list(stores.values())) as copies:
            for number, store in stores.items():
                rows = _remaining(paths[number], number, newest)
                while some := list(itertools.islice(rows, _ROWS_AT_A_TIME)):
                    digests = [row.sha256 for row in some if row.sha256]
                    found = [(d, kept) for d in digests if (kept := store.get(d)) is not None]
                    copies.add(found)
                    count += len(found)
    return count


def _same_model(partial: Path, stores: Sequence[EmbeddingStore]) -> EmbeddingStore:
    models = {store.model for store in stores}
    if len(models) > 1:
        raise JournalError(
            "the embeddings beside these journals are of several models, and cannot be "
            "compared: move away those of all but one (scan --embeddings makes them again)"
        )
    return EmbeddingStore(partial, *models)


def _remaining(path: Path, number: int, newest: _Newest) -> Iterator[Row]:
    """Yield the rows of a journal that no other journal supersedes."""
    for row in last_rows(path):  # the journal may have grown meanwhile
        if newest.journal(row.key) == number:
            yield row
