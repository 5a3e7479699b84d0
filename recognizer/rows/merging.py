"""One journal of many: the shards of a scan, or scans that were made apart."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from recognizer._atomic import replacing
from recognizer.errors import JournalError, UsageError
from recognizer.rows.embeddings import EmbeddingStore, embeddings_path
from recognizer.rows.journal import Journal, last_rows
from recognizer.rows.journal_index import Newest
from recognizer.rows.row import Row, item_key, to_line
from recognizer.rows.thumbnails import ThumbnailStore, thumbnails_path

_ROWS_AT_A_TIME = 500  # whose thumbnails are held in memory
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to.

    Attributes:
        rows: images, each with one row.
        superseded: rows that were left out, because another journal has a later one.
        thumbnails: rows whose thumbnails went along.
        embeddings: rows whose embeddings went along.
    """

    rows: int
    superseded: int
    thumbnails: int
    embeddings: int


class _Kind(NamedTuple):
    """What makes rows comparable."""

    model: str
    model_digest: str
    policy: str
    policy_digest: str
    preprocessing: int
    bank: str
    bank_digest: str

    def __str__(self) -> str:
        bank = f", bank {self.bank} ({self.bank_digest[:12]})" if self.bank_digest else ""
        return (
            f"model {self.model} ({self.model_digest[:12]}), policy {self.policy} "
            f"({self.policy_digest[:12]}), preprocessing {self.preprocessing}{bank}"
        )


def merge(
    journals: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    allow_mixed: bool = False,
) -> Merged:
    """Merge journals into one, from which a scan can go on and a report be made.

    Within a journal the last row of an item counts, as everywhere. Between journals it is the one
    with the latest time; of two with the same time, that of the journal which is named last. The
    rows stand in the order of the journals. The output takes its place in one step, and it may be
    one of the journals. The thumbnails and embeddings of its rows are put beside it, where they are
    beside the journals under their names.

    Scores of two models, and decisions of two policies, cannot be compared, and a queue that is
    ranked by them would be wrong without a sign of it: so they are refused, and so are rows that
    were compared with several banks of known items. What is looked at are
    the rows that remain: journals that were begun with another model and finished with this one
    are merged.

    Args:
        journals: the files. A journal may be growing; what it holds now is merged.
        output: where the merged journal goes.
        allow_mixed: merge also what cannot be compared.

    Raises:
        JournalError: a journal cannot be read, or is none; the output is in use by a scan; rows or
            embeddings are of several models, or rows of several policies, banks or versions of
            the preprocessing.
        UsageError: the output exists and is none of the journals, or it cannot be written.
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
        newest = stack.enter_context(Newest())
        read = 0
        for number, path in enumerate(paths):
            for row in last_rows(path):
                newest.offer(item_key(row["source"], row["item"]), _time(row, path), number)
                read += 1
        merged = _write(paths, newest, target, allow_mixed)
    return replace(merged, superseded=read - merged.rows)


def _write(paths: Sequence[Path], newest: Newest, target: Path, allow_mixed: bool) -> Merged:
    kinds: Counter[_Kind] = Counter()
    with replacing(target) as partial:
        with partial.open("wb") as file:
            for number, path in enumerate(paths):
                for row in _remaining(path, number, newest):
                    file.write(to_line(row))
                    kinds[_kind(row)] += 1
        if len(kinds) > 1 and not allow_mixed:
            raise JournalError(
                "these journals cannot be compared: "
                + "; ".join(f"{count:,} rows of {kind}" for kind, count in kinds.most_common())
                + ". Scan the fewer ones again with the model and policy of the others, or merge "
                "them all the same with --allow-mixed"
            )
        # In place before the rows that they belong to.
        thumbnails = _copy_thumbnails(paths, newest, target)
        embeddings = _copy_embeddings(paths, newest, target)
    return Merged(kinds.total(), 0, thumbnails, embeddings)


def _copy_thumbnails(paths: Sequence[Path], newest: Newest, target: Path) -> int:
    if not any(thumbnails_path(path).is_file() for path in paths):
        return 0
    count = 0
    with (
        replacing(thumbnails_path(target)) as partial,
        ThumbnailStore(partial, create=True) as copies,
    ):
        for number, path in enumerate(paths):
            if not thumbnails_path(path).is_file():
                continue
            with ThumbnailStore(thumbnails_path(path), create=False) as store:
                for digests in _digests(path, number, newest):
                    found = [(d, t) for d in digests if (t := store.get(d)) is not None]
                    copies.add(found)
                    count += len(found)
    return count


def _copy_embeddings(paths: Sequence[Path], newest: Newest, target: Path) -> int:
    with ExitStack() as stack:
        stores = {
            number: stack.enter_context(EmbeddingStore(embeddings_path(path)))
            for number, path in enumerate(paths)
            if embeddings_path(path).is_file()
        }
        models = {store.model for store in stores.values()}
        if not models:
            return 0
        if len(models) > 1:
            raise JournalError(
                "the embeddings beside these journals are of several models, and cannot be "
                "compared: move away those of all but one (scan --embeddings makes them again)"
            )
        count = 0
        partial = stack.enter_context(replacing(embeddings_path(target)))
        with EmbeddingStore(partial, *models) as copies:
            for number, store in stores.items():
                for digests in _digests(paths[number], number, newest):
                    found = [(d, v) for d in digests if (v := store.get(d)) is not None]
                    copies.add(found)
                    count += len(found)
        return count


def _digests(path: Path, number: int, newest: Newest) -> Iterator[list[str]]:
    """Yield the digests of the images of a journal's remaining rows, some at a time."""
    rows = _remaining(path, number, newest)
    while some := list(itertools.islice(rows, _ROWS_AT_A_TIME)):
        yield [row["sha256"] for row in some if row["sha256"]]


def _remaining(path: Path, number: int, newest: Newest) -> Iterator[Row]:
    """Yield the rows of a journal that no other journal supersedes."""
    for row in last_rows(path):  # the journal may have grown meanwhile
        if newest.journal(item_key(row["source"], row["item"])) == number:
            yield row


def _kind(row: Row) -> _Kind:
    model, policy, bank = row["model"], row["policy"], row.get("bank") or {}
    return _Kind(
        f"{model.get('name')}-v{model.get('version')}",
        str(model["digest"]),
        str(policy.get("name")),
        str(policy["digest"]),
        row["preprocessing"],
        str(bank.get("name", "")),
        str(bank.get("digest", "")),
    )


def _time(row: Row, path: Path) -> int:
    """Return when a row was made, in microseconds: offsets of time zones differ."""
    try:
        time = datetime.fromisoformat(row["time"])
        return (time - _EPOCH) // timedelta(microseconds=1)
    except (KeyError, TypeError, ValueError) as error:
        raise JournalError(f"{path}: the row of {row['source']} has no time ({error})") from error
