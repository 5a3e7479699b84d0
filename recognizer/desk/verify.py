"""Checking a case: that nothing was changed, and that the photos score the same."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from recognizer.desk.evidence import DIGITS, PHOTOS, ROWS_FILE, TAG_MANIFEST
from recognizer.engine import Recognizer
from recognizer.errors import UsageError
from recognizer.model.description import ModelReference
from recognizer.rows.row import ROW_SCHEMA, Row
from recognizer.status import Status

SCORE_TOLERANCE = 1e-3
"""Scores may differ by this much and be called the same: onnxruntime's kernels differ between
processors. On one machine they are equal in all six recorded digits."""

_MANIFEST = "manifest-sha256.txt"
_TAGS = ("bag-info.txt", "bagit.txt", _MANIFEST)
ENOUGH_DIGITS = 32  # that nobody can match by trying changes to a case
_MAX_BYTES = 64 << 20  # of a manifest, and of the rows


class Result(StrEnum):
    OK = "ok"
    FAILED = "failed"
    NOT_DONE = "not done"


class Check(NamedTuple):
    """One thing that was checked: the file or the part of the case, what came of it, in words."""

    subject: str
    result: Result
    detail: str


def verify_case(
    folder: Path, load: Callable[[ModelReference], Recognizer | None], digest: str | None = None
) -> Iterator[Check]:
    """Check a case, and yield what came of each check.

    ``load`` returns the model behind the scores, or None if it is not at hand; ``digest`` is the
    case digest that somebody wrote down, or its first eight digits or more.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    if digest is not None and not DIGITS.fullmatch(digest := digest.strip().lower()):
        raise UsageError(f"--digest {digest}: 8 to 64 hexadecimal digits, as `evidence` prints")
    present = {name: file for name, file in _walk(folder) if file}
    yield from _check_files(folder, present, digest)
    yield from _check_scores(folder, present, load)


def _walk(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each entry with the sha256 of a file, or with what it is, in words with blanks."""
    for path in (folder, *folder.rglob("*")):
        name, what = path.relative_to(folder).as_posix(), ""
        try:
            if path.is_symlink():
                what = "a link"
            elif path.is_dir():
                what = "" if any(path.iterdir()) or path == folder else "an empty folder"
            elif not path.is_file():
                what = "no regular file"
            else:
                with path.open("rb") as file:
                    what = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            what = f"unreadable: {error.strerror}"
        yield name, what


def _check_files(folder: Path, present: Mapping[str, str], digest: str | None) -> Iterator[Check]:
    files = {name: what for name, what in present.items() if " " not in what}
    payload = [name for name in files if name.startswith("data/")]
    # A manifest may be written in one way only, that of the library bagit.
    for manifest, between, covered in ((_MANIFEST, "  ", payload), (TAG_MANIFEST, " ", [*_TAGS])):
        try:
            text = _read(folder, manifest, present).decode("utf-8")
        except ValueError as error:
            yield Check(manifest, Result.FAILED, str(error))
            continue
        lines = [line.partition(between) for line in text.split("\n")[:-1]]
        listed = {name: sha256 for sha256, _, name in lines}
        for name in dict.fromkeys([*listed, *covered]):
            found, expected = present.get(name, "missing"), listed.get(name, "none: added later")
            if files.get(name) == expected:
                yield Check(name, Result.OK, f"sha256 {found}")
            else:
                yield Check(name, Result.FAILED, f"it is {found}; in the case was {expected}")
        is_own = [*listed] == covered if manifest == TAG_MANIFEST else {*listed} == {*covered}
        if not is_own or "".join(f"{d}{between}{name}\n" for name, d in listed.items()) != text:
            detail = "it has lines that are not entries, in another order, or twice"
            yield Check(manifest, Result.FAILED, detail)
    for name in sorted(present.keys() - {*payload, *_TAGS, TAG_MANIFEST}):
        what = present[name] if " " in present[name] else "a file"
        what += " that was added later" * (not what.startswith("unreadable"))
        yield Check(name, Result.FAILED, what)
    if (own := files.get(TAG_MANIFEST)) is None:
        yield Check("digest", Result.FAILED, f"{TAG_MANIFEST}, of which it is, is missing")
    elif digest is not None and not own.startswith(digest):
        yield Check("digest", Result.FAILED, f"it is {own}, not {digest}: something was changed")
    else:
        known = "as expected" if digest else "compare it with the one that was written down"
        if digest and len(digest) < ENOUGH_DIGITS:
            known = f"its first {len(digest)} digits are as expected, which a forger can arrange"
        yield Check("digest", Result.OK, f"{own}; {known}")


def _read(folder: Path, name: str, present: Mapping[str, str]) -> bytes:
    """Return what is in a file; raise a ValueError if it is none, or too large."""
    if " " in (what := present.get(name, " missing")):
        raise ValueError(f"it is {what.strip()}")
    if (folder / name).stat().st_size > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES >> 20} MiB")
    return (folder / name).read_bytes()


def _check_scores(
    folder: Path, present: Mapping[str, str], load: Callable[[ModelReference], Recognizer | None]
) -> Iterator[Check]:
    try:
        rows = _read_rows(folder, present)
    except (ValueError, RecursionError) as error:
        yield Check(f"data/{ROWS_FILE}", Result.FAILED, str(error))
        return
    model = rows[0].model
    if (recognizer := load(model)) is None:
        detail = f"give the bundle {model.title} ({model.digest[:12]})"
        yield Check("scores", Result.NOT_DONE, detail)
        return
    files = [name for name in present if name.startswith(f"data/{PHOTOS}/")]
    regular = [name for name in files if " " not in present[name]]
    originals = {PurePosixPath(name).name.partition(".")[0]: name for name in regular}
    if len(files) != len(originals):
        yield Check(f"data/{PHOTOS}", Result.FAILED, "two files of one name, or one is not a file")
    for row in rows:
        if (name := originals.get(row.sha256 or "")) is None:
            yield Check(row.sha256 or "a row", Result.NOT_DONE, "the original is not in the case")
        else:
            yield Check(name, *_score_again(folder / name, row, recognizer))
    for sha256 in originals.keys() - {row.sha256 for row in rows}:
        yield Check(originals[sha256], Result.FAILED, f"{ROWS_FILE} has no row of it")


def _read_rows(folder: Path, present: Mapping[str, str]) -> list[Row]:
    content = _read(folder, f"data/{ROWS_FILE}", present)
    rows: list[Row] = []
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        try:
            rows.append(Row.from_json(values := json.loads(line)))
        except ValueError as error:
            raise ValueError(f"line {number} is not a row: {error}") from error
        written = rows[-1].to_json()
        if values["schema"] < ROW_SCHEMA:  # that of 0.3 has fewer keys
            written = {k: v for k, v in written.items() if k in values}
            written["schema"] = values["schema"]
        if json.dumps(written, allow_nan=False, separators=(",", ":")).encode() + b"\n" != line:
            raise ValueError(f"line {number} is not as a scan writes it")
    if not rows:
        raise ValueError("it has no rows")
    return rows


def _score_again(path: Path, row: Row, recognizer: Recognizer) -> tuple[Result, str]:
    if row.model.digest != recognizer.bundle.digest:
        return Result.FAILED, f"{recognizer.bundle.title} is not the model behind the scores"
    if row.preprocessing != (own := recognizer.bundle.preprocessing):
        return Result.NOT_DONE, f"it needs preprocessing {row.preprocessing}; {own} is here"
    prediction, scores = recognizer.predict(path), row.scores or {}
    if prediction.status is Status.FAILED or prediction.scores.keys() != scores.keys():
        return Result.FAILED, f"it cannot be scored again: {prediction.reason or 'other labels'}"
    difference = max(abs(round(prediction.scores[one], 6) - scores[one]) for one in scores)
    is_same = difference <= SCORE_TOLERANCE and prediction.sha256 == row.sha256
    detail = f"scored again: the largest difference of a score is {difference:.6f}"
    return Result.OK if is_same else Result.FAILED, detail
