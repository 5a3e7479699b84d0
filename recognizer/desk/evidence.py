"""A case, a BagIt bag with the original bytes of leads and all that was said of them; its check."""

import base64
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path, PurePath, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

import cv2

from recognizer._files import new_folder
from recognizer.desk.cards import describe_evidence
from recognizer.desk.outcomes import Outcome
from recognizer.desk.photos import Unavailable, heat_threshold, read_scored
from recognizer.desk.texts import ENVIRONMENT
from recognizer.engine import Recognizer
from recognizer.errors import MissingExtraError, UsageError
from recognizer.imaging.thumbnail import Thumbnail, draw_heatmap, shrink
from recognizer.model.description import ModelReference
from recognizer.rows.queue import IMAGE_ORDER
from recognizer.rows.records import as_name
from recognizer.rows.row import Row
from recognizer.rows.scanfile import ScanFile
from recognizer.status import Status

TAG_MANIFEST = "tagmanifest-sha256.txt"
"""Its sha256 is the *case digest*, and so stands for every byte of the case."""

PHOTOS, HEATMAPS = "photos", "heatmaps"
PAGE_FILE, ROWS_FILE, OUTCOMES_FILE = "index.html", "rows.jsonl", "outcomes.jsonl"

SCORE_TOLERANCE = 1e-3
"""Scores may differ by this much and be called the same: onnxruntime's kernels differ between
processors. On one machine they are equal in all six recorded digits."""

ENOUGH_DIGITS = 32  # that nobody can match by trying changes to a case

_MANIFEST = "manifest-sha256.txt"
_TAGS = ("bag-info.txt", "bagit.txt", _MANIFEST)
_MAX_BYTES = 64 << 20  # of a manifest, and of the rows
_CLOCK = "the clock of the computer that made this case; nobody else attests to it"
_PREVIEW_SIDE = 720  # pixels, of the pictures on the page
_SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "gif": ".gif", "tiff": ".tif"}
DIGITS = re.compile(r"[0-9a-f]{8,64}")


def find_leads(scan: ScanFile, leads: Sequence[str], listings: Sequence[str] = ()) -> list[Row]:
    """Return the rows of the images that are named, in this order; of a listing, leads come first.

    ``leads`` are digests (sha256, or their first 8 digits or more) or sources. A name that fits no
    image, or images with different content, is a :class:`UsageError`.
    """
    if not leads and not listings:
        raise UsageError("name at least one image (--lead) or listing (--listing)")
    found: dict[int, Row] = {}
    for name in leads:
        named = (as_name(name), *((name, f"{name}g") if DIGITS.fullmatch(name) else ("", "")))
        images = dict(scan.numbered_rows("source = ? OR sha256 BETWEEN ? AND ?", named))
        if not images:
            raise UsageError(f"--lead {name}: no image of the scan has this sha256 or source")
        if len({row.sha256 for row in images.values()}) > 1:
            raise UsageError(
                f"--lead {name}: several images; name one by its sha256, or more digits of it"
            )
        found |= images
    for name in listings:
        of_listing = ("listing = ? AND status != 'failed'", (as_name(name),), IMAGE_ORDER)
        if not (images := dict(scan.numbered_rows(*of_listing))):
            raise UsageError(f"--listing {name}: no scored image of the scan is in this listing")
        found |= images
    return [*{(row.sha256, repr(row.item)): row for row in found.values()}.values()]


def write_case(
    rows: Sequence[Row],
    output: Path,
    *,
    recognizer: Recognizer,
    read: Callable[[Row], bytes],
    outcomes_of: Callable[[Row], Iterable[Outcome]] = lambda _: (),
    thumbnail_of: Callable[[Row], Thumbnail | None] = lambda _: None,
    scan: str = "",
    title: str | None = None,
    made_with: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, dict[str, str]]:
    """Write a case into a new folder, which appears whole or not at all.

    All rows must be of the ``recognizer``'s model and of one policy. Bytes that are not those of
    the row are left out, and the case shows the thumbnail that the scan kept. ``made_with`` are the
    versions of software. Returns the case digest, and the sources of missing images with reasons.
    """
    try:
        import bagit  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("bagit", "desk") from error
    logging.getLogger("bagit").addHandler(logging.NullHandler())  # errors are raised, too
    bundle = recognizer.bundle
    made_by = {(row.model.digest, row.preprocessing) for row in rows}
    if made_by != {(bundle.digest, rows[0].preprocessing)}:
        raise UsageError(
            f"the rows were made by {rows[0].model.title} ({rows[0].model.digest[:12]}), or by "
            f"several models, and not by {bundle.title}: name leads of one model, and its bundle"
        )
    if len(policies := {row.policy: row.policy.name for row in rows}) > 1:
        raise UsageError(
            f"the rows were decided by several policies ({', '.join(policies.values())}): apply "
            "one to the whole scan (recognizer decide), or make a case for each, of other images "
            "(--lead) or listings (--listing)"
        )
    if any(row.sha256 is None or row.status is Status.FAILED for row in rows):
        raise UsageError("an image that failed is not evidence of anything: name others")
    if output.exists() or not output.absolute().parent.is_dir():
        raise UsageError(f"{output}: name a new folder, inside one that exists")
    title = (title or output.name).encode("utf-8", "backslashreplace").decode()
    try:
        with new_folder(output) as partial:
            photos = [*_write_photos(rows, partial, recognizer, read, outcomes_of, thumbnail_of)]
            (partial / ROWS_FILE).write_bytes(b"".join(row.to_json_line() for row in rows))
            if outcomes := dict.fromkeys(outcome for one in photos for outcome in one["outcomes"]):
                (partial / OUTCOMES_FILE).write_bytes(b"".join(o.to_json_line() for o in outcomes))
            page = ENVIRONMENT.get_template("case.html.j2").render(
                title=title,
                made=datetime.now(UTC).replace(microsecond=0),
                clock=_CLOCK,
                scan=scan,
                versions=made_with,
                photos=photos,
                bundle=bundle,
                evidence=describe_evidence,
                name=lambda source: PurePath(source).name or source,
            )
            (partial / PAGE_FILE).write_text(page, "utf-8", "xmlcharrefreplace")
            model = rows[0].model
            about = {
                "External-Description": title,
                "Bagging-Clock": _CLOCK,
                "Model": f"{model.title} {model.digest}",
                "Policy": f"{rows[0].policy.name} {rows[0].policy.digest}",
                "Made-With": [f"{name} {version}" for name, version in made_with.items()],
            }
            bagit.make_bag(str(partial), about, checksums=["sha256"])
            tags = partial / TAG_MANIFEST
            entries = sorted(tags.read_text("ascii").splitlines(), key=lambda line: line.split()[1])
            tags.write_text("".join(f"{line}\n" for line in entries), "ascii", newline="\n")
            digest = hashlib.sha256(tags.read_bytes()).hexdigest()
    except bagit.BagError as error:
        raise UsageError(f"{output} cannot be written: {error}") from error
    return digest, {one["row"].source: one["missing"] for one in photos if one["missing"]}


def _write_photos(
    rows: Sequence[Row],
    folder: Path,
    recognizer: Recognizer,
    read: Callable[[Row], bytes],
    outcomes_of: Callable[[Row], Iterable[Outcome]],
    thumbnail_of: Callable[[Row], Thumbnail | None],
) -> Iterator[dict[str, Any]]:
    for row in rows:
        file = f"{PHOTOS}/{row.sha256}{_SUFFIXES.get(row.format or '', '')}"
        missing = preview = drawn = explained = None
        try:
            data = read_scored(row, read)
        except Unavailable as error:
            missing, stored = str(error), thumbnail_of(row)
            preview = stored and _address_of(stored)
        else:
            for name in (PHOTOS, HEATMAPS):  # never empty: BagIt lists no folders
                (folder / name).mkdir(exist_ok=True)
            (folder / file).write_bytes(data)
            explanation = recognizer.explain(folder / file, next(iter(row.lead_labels), None))
            threshold = heat_threshold(row, recognizer.bundle, explanation.label or "")
            overlay = draw_heatmap(explanation.rgb, explanation.heatmap, threshold)
            explained = explanation.label
            preview, drawn = (
                _address_of(shrink(rgb, _PREVIEW_SIDE, 0)) for rgb in (explanation.rgb, overlay)
            )
            _, png = cv2.imencode(".png", cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR))
            (folder / HEATMAPS / f"{row.sha256}.png").write_bytes(png.tobytes())
        yield {  # for case.html.j2
            "row": row,
            "file": file,
            "missing": missing,
            "preview": preview,
            "heatmap": drawn,
            "explained": explained,
            "outcomes": [*outcomes_of(row)],
        }


def _address_of(thumbnail: Thumbnail) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(thumbnail.jpeg).decode("ascii")


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
            rows.append(Row.from_json(json.loads(line)))
        except ValueError as error:
            raise ValueError(f"line {number} is not a row: {error}") from error
        written = rows[-1].to_json()
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
    if prediction.sha256 != row.sha256:
        return Result.FAILED, f"its sha256 is {prediction.sha256}, not that of its name and row"
    difference = max(abs(round(prediction.scores[one], 6) - scores[one]) for one in scores)
    detail = f"scored again: scores differ by at most {difference:.6f}"
    return Result.OK if difference <= SCORE_TOLERANCE else Result.FAILED, detail
