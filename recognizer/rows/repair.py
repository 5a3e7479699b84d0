"""A damaged journal: what is damaged, and a journal of the rows that are whole.

A line may be torn, run into the next one, or have NULs in it: after a full disk, a loss of power, a
log rotation in mid-scan. Each row that can be read is kept as it was written.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from recognizer._atomic import check_place, free_name, replacing
from recognizer.errors import JournalError, UsageError
from recognizer.rows.chain import START, Link, chain_path, make_chain, verify_chain
from recognizer.rows.journal import lock_journal
from recognizer.rows.row import Row, RowSchemaError

_MAX_STARTS = 100  # of rows in a damaged line that are tried
_SHOWN = 60  # characters of what is dropped
_ROW = '{"source":'
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A damaged line.

    Attributes:
        line: its number, from 1.
        offset: of its first byte in the file.
        kept: the first byte of each whole row in it, and the one behind it.
        dropped: how many bytes do not belong to a row.
        words: what is wrong.
    """

    line: int
    offset: int
    kept: tuple[tuple[int, int], ...]
    dropped: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What a repair has found and done.

    Attributes:
        rows: those that can be read.
        damages: the damaged lines.
        chain: what does not fit the chain, in words.
        missing: how many rows more the chain has counted.
        backup: where the damaged journal is now; None where it was left in its place.
        link: the last link of the new chain.
    """

    rows: int
    damages: tuple[Damage, ...]
    chain: tuple[str, ...]
    missing: int
    backup: Path | None = None
    link: Link = START

    @property
    def is_needed(self) -> bool:
        """Whether anything was wrong."""
        return bool(self.damages or self.chain)

    @property
    def has_dropped(self) -> bool:
        """Whether anything is not in the new journal that was in the file, or once was."""
        return self.missing > 0 or any(damage.dropped for damage in self.damages)


def repair(
    journal: str | os.PathLike[str], output: str | os.PathLike[str] | None = None
) -> Repaired:
    """Write a journal of the rows of another that can be read, and its chain, if that is needed.

    Links of the old chain that hold for these rows stay; one more stands for those behind them, as
    they are now.

    Args:
        journal: the damaged one.
        output: the new one; None for the same name: the damaged one then gets another.

    Raises:
        JournalError: it cannot be read, it is in use, or no row can be kept.
        UsageError: the output exists, or it cannot be written.
    """
    path, target = Path(journal), Path(output or journal)
    check_place(target)
    if output is not None and target.exists():
        raise UsageError(f"{target} exists: name another --output")
    try:
        with path.open("rb+") as file:
            lock_journal(file, path)
            return _repair(file, path, target)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror or error}") from error


def _repair(file: BinaryIO, path: Path, target: Path) -> Repaired:
    damages: list[Damage] = []
    rows = sum(_count_rows(file, path, damages))
    if not rows:
        raise JournalError(f"{path} has no row of a scan that can be kept; it was left as it is")
    links: list[Link] = []
    problems: tuple[str, ...] = ()
    missing = 0
    if chain_path(path).exists():
        check = verify_chain(path)
        sound = damages[0].offset if damages else check.last.end
        links = [link for link in check.links if link.end <= sound]
        problems, missing = check.problems, max(0, check.written.rows - rows)
    found = Repaired(rows=rows, damages=tuple(damages), chain=problems, missing=missing)
    if not found.is_needed:
        return found
    backup = None
    with replacing(target) as partial:
        with partial.open("wb") as new:
            file.seek(0)
            new.writelines(_kept_lines(file, {damage.line: damage for damage in damages}))
        if target == path:
            backup = _set_aside(path)
    link = make_chain(target, links)
    return replace(found, backup=backup, link=link)


def _count_rows(file: BinaryIO, path: Path, damages: list[Damage]) -> Iterator[int]:
    """Yield the number of rows that can be read in each line; take note of those damaged."""
    offset = 0
    for number, line in enumerate(file, 1):
        try:
            Row.from_json_line(line)
            is_whole = line.endswith(b"\n")
        except RowSchemaError as error:
            raise JournalError(f"{path}, line {number}: {error}") from error
        except ValueError:
            is_whole = False
        if is_whole:
            yield 1
        else:
            damages.append(_damage(line, number, offset))
            yield len(damages[-1].kept)
        offset += len(line)


def _damage(line: bytes, number: int, offset: int) -> Damage:
    rows = [*_find_rows(line)]
    rest, place = b"", 0
    for first, behind in (*rows, (len(line), 0)):
        rest, place = rest + line[place:first], behind
    nuls = rest.count(b"\0")
    rest = rest.replace(b"\0", b"").strip()
    words = [f"{nuls:,} NUL bytes"] if nuls else []
    if rest:
        shown = rest[:_SHOWN].decode("ascii", "backslashreplace")
        words.append(f"{len(rest):,} bytes that are no whole row: {shown}")
    if len(rows) > 1:
        words.append(f"{len(rows)} rows in one line")
    return Damage(
        line=number,
        offset=offset,
        kept=tuple(rows),
        dropped=nuls + len(rest),
        words="; ".join(words) or ("a row whose line has no end" if rows else "an empty line"),
    )


def _find_rows(line: bytes) -> Iterator[tuple[int, int]]:
    """Yield the first byte of each whole row in a line, and the one behind it."""
    text = line.decode("latin-1")  # a character for each byte
    place = 0
    for _ in range(_MAX_STARTS):
        place = text.find(_ROW, place)
        if place < 0:
            return
        behind = place + 1
        with suppress(ValueError, RecursionError):
            _, end = _DECODER.raw_decode(text, place)
            Row.from_json_line(line[place:end])
            behind = end
            yield place, end
        place = behind


def _kept_lines(file: BinaryIO, damages: dict[int, Damage]) -> Iterator[bytes]:
    for number, line in enumerate(file, 1):
        if number in damages:
            yield from (line[first:behind] + b"\n" for first, behind in damages[number].kept)
        else:
            yield line


def _set_aside(path: Path) -> Path:
    """Give a journal a second name, and its chain the one that belongs to it."""
    backup = free_name(path, ".damaged")
    try:
        os.link(path, backup)
    except OSError:  # not all file systems have hard links
        shutil.copy2(path, backup)
    with suppress(FileNotFoundError):
        os.replace(chain_path(path), chain_path(backup))
    return backup
