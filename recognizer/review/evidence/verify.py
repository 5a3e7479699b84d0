"""Checking a case: that nothing was changed, who signed it, and that the photos score the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from recognizer.engine import Recognizer
from recognizer.errors import MissingExtraError
from recognizer.imaging import PREPROCESSING_VERSION
from recognizer.review.evidence.case import ROWS_FILE
from recognizer.review.evidence.manifest import (
    KEY_FILE,
    OUTSIDE,
    SIGNATURE_FILE,
    Manifest,
    digest_of,
    links,
    read_manifest,
)
from recognizer.rows.row import Row
from recognizer.status import Status

SCORE_TOLERANCE = 1e-3
"""Scores may differ by this much and be called the same: onnxruntime's kernels differ between
processors. On one machine they are equal in all six recorded digits."""


class Result(StrEnum):
    """What came of a check."""

    OK = "ok"
    FAILED = "failed"
    NOT_DONE = "not done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was checked: the file or the part of the case, what came of it, in words."""

    subject: str
    result: Result
    detail: str


def verify_case(
    folder: Path,
    *,
    recognizer: Recognizer | None,
    public_key: Path | None = None,
    digest: str | None = None,
) -> Iterator[Check]:
    """Check a case, and yield what came of each check.

    Args:
        folder: the case.
        recognizer: the model behind the scores; None where the photos cannot be scored again.
        public_key: the key of those who are said to have signed it; None for the one in the
            folder, which proves only that all was signed by the same.
        digest: the case digest that somebody wrote down; None for none.

    Raises:
        UsageError: it is not a case, or the key cannot be read.
        MissingExtraError: there is a signature, and ``cryptography`` is not installed.
    """
    manifest, content = read_manifest(folder)
    yield from _check_files(folder, manifest)
    yield _check_chain(manifest, digest)
    yield _check_signature(folder, content, public_key)
    yield from _check_scores(folder, manifest, recognizer)


def _check_files(folder: Path, manifest: Manifest) -> Iterator[Check]:
    listed = {file.path: file for file in manifest.files}
    present = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    for name, file in listed.items():
        path = present.pop(name, None)
        if path is None or path.is_symlink() or not path.is_file():
            yield Check(subject=name, result=Result.FAILED, detail="it is missing")
            continue
        try:
            size, sha256 = digest_of(path)
        except OSError as error:
            yield Check(subject=name, result=Result.FAILED, detail=f"cannot be read: {error}")
            continue
        if (size, sha256) == (file.bytes, file.sha256):
            yield Check(subject=name, result=Result.OK, detail=f"sha256 {sha256}")
        else:
            words = f"it was changed: {size} bytes, sha256 {sha256}; when the case was made, "
            words += f"{file.bytes} bytes, sha256 {file.sha256}"
            yield Check(subject=name, result=Result.FAILED, detail=words)
    for name in sorted(present.keys() - OUTSIDE):
        yield Check(subject=name, result=Result.FAILED, detail="it was added later")


def _check_chain(manifest: Manifest, digest: str | None) -> Check:
    files = [(file.path, file.bytes, file.sha256) for file in manifest.files]
    for file, link in zip(manifest.files, links(manifest, files), strict=True):
        if file.link != link:
            detail = f"it breaks at {file.path}: manifest.json was changed there or before it"
            return Check(subject="chain", result=Result.FAILED, detail=detail)
    if digest is not None and digest.lower() != manifest.digest:
        detail = f"the case digest is {manifest.digest}, not {digest}: this is another case"
        return Check(subject="chain", result=Result.FAILED, detail=detail)
    known = "as expected" if digest else "compare it with the one that was written down"
    return Check(
        subject="chain", result=Result.OK, detail=f"case digest {manifest.digest}; {known}"
    )


def _check_signature(folder: Path, content: bytes, public_key: Path | None) -> Check:
    signature = folder / SIGNATURE_FILE
    if not signature.is_file():
        result = Result.NOT_DONE if public_key is None else Result.FAILED
        return Check(subject="signature", result=result, detail="the case is not signed")
    try:
        from recognizer.review.evidence.signing import is_signed, load_public_key  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("cryptography", "evidence") from error
    key, fingerprint = load_public_key(public_key or folder / KEY_FILE)
    if not is_signed(content, signature.read_bytes(), key):
        detail = f"it is not the signature of manifest.json by the key {fingerprint}"
        return Check(subject="signature", result=Result.FAILED, detail=detail)
    whose = "the key that you gave" if public_key else "the key in the case: ask whose it is"
    return Check(subject="signature", result=Result.OK, detail=f"by key {fingerprint} ({whose})")


def _check_scores(
    folder: Path, manifest: Manifest, recognizer: Recognizer | None
) -> Iterator[Check]:
    if recognizer is None:
        detail = f"give the bundle {manifest.model['name']}-v{manifest.model['version']} "
        detail += f"({str(manifest.model['digest'])[:12]})"
        yield Check(subject="scores", result=Result.NOT_DONE, detail=detail)
        return
    if manifest.model["digest"] != recognizer.bundle.digest:
        detail = f"{recognizer.bundle.title} is not the model behind the scores"
        yield Check(subject="scores", result=Result.FAILED, detail=detail)
        return
    if manifest.preprocessing != PREPROCESSING_VERSION:
        detail = f"preprocessing {manifest.preprocessing} is needed, this program has "
        detail += f"{PREPROCESSING_VERSION}"
        yield Check(subject="scores", result=Result.NOT_DONE, detail=detail)
        return
    rows = _rows(folder)
    for photo in manifest.photos:
        if photo.file is None:
            yield Check(
                subject=photo.sha256,
                result=Result.NOT_DONE,
                detail=f"the original is not in the case: {photo.missing}",
            )
        else:
            yield _check_score(folder / photo.file, photo.file, rows.get(photo.sha256), recognizer)


def _rows(folder: Path) -> dict[str, Row]:
    try:
        lines = (folder / ROWS_FILE).read_bytes().splitlines()
        rows: Sequence[Row] = [Row.from_json_line(line) for line in lines]
    except (OSError, ValueError):
        return {}
    return {row.sha256: row for row in rows if row.sha256 is not None}


def _check_score(path: Path, name: str, row: Row | None, recognizer: Recognizer) -> Check:
    if row is None or row.scores is None:
        return Check(subject=name, result=Result.FAILED, detail=f"{ROWS_FILE} has no row of it")
    prediction = recognizer.predict(path)
    if prediction.status is Status.FAILED or prediction.scores.keys() != row.scores.keys():
        detail = f"it cannot be scored again: {prediction.reason or 'other labels'}"
        return Check(subject=name, result=Result.FAILED, detail=detail)
    difference = max(
        abs(round(prediction.scores[label], 6) - score) for label, score in row.scores.items()
    )
    is_same = difference <= SCORE_TOLERANCE and prediction.sha256 == row.sha256
    return Check(
        subject=name,
        result=Result.OK if is_same else Result.FAILED,
        detail=f"scored again: the largest difference of a score is {difference:.6f}",
    )
