"""Which photos a run trains on, and which it holds out: the data's part of a recipe.

Training, export and evaluation of a run all start at :func:`prepare`, so that what is held out in
one is held out in all.

*Corrections* and *patches* are tables that name photos by their sha256; data sets stay as they are.
Corrections have ``sha256``, ``label`` (the right one, or ``exclude`` for a photo that cannot be
labelled) and ``reason``; patches have ``sha256``, ``part``, ``label`` (what the patch stands for)
and ``polygon`` (``x,y`` pairs as shares of width and height, separated by spaces).
"""

from __future__ import annotations

import dataclasses
import hashlib
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recognizer.dataset.folds import SourceFolds, leave_fold_out
from recognizer.dataset.manifest import PATCH_PREFIX, Photo, read_rows, taxonomy_of
from recognizer.errors import DatasetError, TrainingError
from recognizer.taxonomy import Taxonomy

EXCLUDE = "exclude"
CORRECTION_COLUMNS = ("sha256", "label", "reason")
PATCH_COLUMNS = ("sha256", "part", "label", "polygon")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecipe:
    """What a recipe says about its data. A training configuration is one, too.

    Attributes:
        exclude_sources: sources that are left out, to measure on them what the others teach;
            ``patch/PART`` leaves out the patches of a part.
        patches: a table of patches to train on, relative to the working folder.
        corrections: a table of corrected labels, relative to the working folder.
        validation_share: share of the training photos, and of their sources, that is held out.
        split_seed: seed of what is held out; runs of several seeds share it.
    """

    exclude_sources: list[str] = field(default_factory=list)
    patches: str = ""
    corrections: str = ""
    validation_share: float = 0.1
    split_seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.validation_share < 1:
            raise TrainingError(f"validation_share = {self.validation_share}: from 0 to below 1")

    @property
    def left_out_sources(self) -> list[str]:
        """The sources whose photos are left out; parts of patches are not among them."""
        return [s for s in self.exclude_sources if not s.startswith(PATCH_PREFIX)]

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str) -> DataRecipe:
        """Return the data's part of a recipe, which ``where`` names; other keys are ignored.

        Raises:
            TrainingError: a value is of a wrong type or out of range.
        """
        names = {part.name for part in dataclasses.fields(DataRecipe)}
        known = {key: value for key, value in values.items() if key in names}
        check_values(DataRecipe, known, where)
        return DataRecipe(**known)


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe's TOML file, or raise a TrainingError."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"{path}: {error}") from error


def check_values(cls: type, values: Mapping[str, Any], where: str) -> None:
    """Check the keys of a table against the fields of a dataclass, and the types of its values.

    Raises:
        TrainingError: a key is unknown, or a value is of a wrong type.
    """
    defaults = cls()
    known = {part.name for part in dataclasses.fields(cls)}
    for key, value in values.items():
        if key not in known:
            raise TrainingError(f"{where}: unknown key {key!r}; known: {', '.join(sorted(known))}")
        expected: type | tuple[type, ...] = type(getattr(defaults, key))
        if expected is float:
            expected = (int, float)
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise TrainingError(f"{where}: {key} = {value!r} is of the wrong type")


def prepare(
    photos: Sequence[Photo], recipe: DataRecipe, *, folds: tuple[SourceFolds, int] | None = None
) -> list[Photo]:
    """Return all photos with the labels and splits of a run, and the patches that it trains on.

    ``folds`` are those of the sources and the number of the one that is held out, and nothing else.

    Raises:
        DatasetError: an excluded source is unknown or in no fold, or a table (corrections, patches)
            is wrong.
    """
    if recipe.corrections:
        photos = corrected(photos, recipe.corrections)
    if folds is None:
        held = hold_out_validation(photos, recipe.validation_share, recipe.split_seed)
        held = exclude_sources(held, recipe.left_out_sources)
    else:
        held = leave_fold_out(exclude_sources(photos, recipe.left_out_sources), *folds)
    parts = set(recipe.exclude_sources) - set(recipe.left_out_sources)
    unknown = parts - (patch_sources(recipe.patches) if recipe.patches else set())
    if unknown:
        raise DatasetError(f"exclude_sources: no patches of {', '.join(sorted(unknown))}")
    found = patches(held, recipe.patches) if recipe.patches else []
    return held + [p for p in found if p.source not in parts]


def hold_out_validation(photos: Sequence[Photo], share: float, seed: int) -> list[Photo]:
    """Move some of the training photos to the split ``validation``; the order stays.

    If the data have photos of that split already, nothing is moved. Otherwise these are
    ``share`` of the photos, chosen by content hash, and, for each label that is not a product,
    whole sources up to ``share`` of its photos, since thresholds must hold for false positives
    from sources that training never saw. Products come from too few sources to hold one out. A
    label keeps at least half of its photos for training, and at least one source. The choice
    depends on hashes, sources and the seed, not on the order.
    """
    if any(p.split == "validation" and p.is_evidence for p in photos):
        return list(photos)
    train = [p for p in photos if p.split == "train" and p.is_evidence]
    held = {p.sha256 for p in train if _draw(p.sha256, seed) < share}
    by_label: dict[str, list[Photo]] = {}
    for photo in train:
        by_label.setdefault(photo.label, []).append(photo)
    for label, members in by_label.items():
        counts = Counter(p.source for p in members)
        budget = share * len(members)
        for source in sorted(counts, key=lambda s: _draw(f"{label}/{s}", seed)):
            if not members[0].is_product and len(counts) > 1 and counts[source] <= budget:
                budget -= counts[source]
                held.update(p.sha256 for p in members if p.source == source)
        given = sorted(
            (p.sha256 for p in members if p.sha256 in held), key=lambda s: _draw(s, seed)
        )
        held.difference_update(given[len(members) // 2 :])
    return [
        replace(p, split="validation") if p.split == "train" and p.sha256 in held else p
        for p in photos
    ]


def _draw(text: str, seed: int) -> float:
    """Return a number from 0 to 1 that depends on nothing but the text and the seed."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def exclude_sources(photos: Sequence[Photo], sources: Sequence[str]) -> list[Photo]:
    """Move the training photos of some sources to the split ``excluded``.

    Raises:
        DatasetError: a source has no training photo.
    """
    unknown = set(sources) - {p.source for p in photos if p.split == "train"}
    if unknown:
        raise DatasetError(f"exclude_sources: no training photos of {', '.join(sorted(unknown))}")
    return [
        replace(p, split="excluded") if p.split == "train" and p.source in sources else p
        for p in photos
    ]


# --- corrections and patches ----------------------------------------------------------------------


def load_corrections(path: str | Path, taxonomy: Taxonomy) -> dict[str, str]:
    """Read a table of corrections: sha256 -> a label of the taxonomy, or :data:`EXCLUDE`.

    Raises:
        DatasetError: the table cannot be read, or a row breaks a rule; the message names it.
    """
    found: dict[str, str] = {}
    for where, row in read_rows(path, CORRECTION_COLUMNS):
        if row["label"] != EXCLUDE and row["label"] not in taxonomy.labels:
            raise DatasetError(f"{where}: unknown label {row['label']!r}")
        if not row["reason"]:
            raise DatasetError(f"{where}: no reason; write what the photo shows")
        if row["sha256"] in found:
            raise DatasetError(f"{where}: {row['sha256'][:12]}... is corrected twice")
        found[row["sha256"]] = row["label"]
    return found


def corrected(photos: Sequence[Photo], table: str | Path) -> list[Photo]:
    """Return the photos with the labels of a table of corrections, without the excluded ones.

    Raises:
        DatasetError: the table cannot be read, or a row breaks a rule.
    """
    right = load_corrections(table, taxonomy_of(photos))
    return [
        replace(photo, label=right.get(photo.sha256, photo.label))
        for photo in photos
        if right.get(photo.sha256) != EXCLUDE
    ]


def patches(photos: Sequence[Photo], table: str | Path) -> list[Photo]:
    """Return the patches of training photos that a table outlines.

    The horn of a living rhino is rhino horn once it is cut off; the photo itself stays a living
    rhino. Rows of photos outside the training split give nothing.

    Raises:
        DatasetError: the table cannot be read, or a row breaks a rule; the message names it.
    """
    known = taxonomy_of(photos).labels
    train = {p.sha256: p for p in photos if p.split == "train" and p.is_evidence}
    found = []
    for where, row in read_rows(table, PATCH_COLUMNS):
        if row["label"] not in known:
            raise DatasetError(f"{where}: unknown label {row['label']!r}")
        outline = _outline(row["polygon"], where)
        photo = train.get(row["sha256"])
        if photo is not None:
            patch = replace(photo, label=row["label"], subtype=row["part"], outline=outline)
            found.append(replace(patch, source=f"{PATCH_PREFIX}{row['part']}"))
    return found


def _outline(text: str, where: str) -> tuple[tuple[float, float], ...]:
    try:
        points = tuple((float(x), float(y)) for x, y in (pair.split(",") for pair in text.split()))
    except ValueError as error:
        raise DatasetError(f"{where}: polygon: pairs x,y separated by spaces") from error
    if len(points) < 3 or not all(0 <= v <= 1 for point in points for v in point):
        raise DatasetError(f"{where}: polygon: at least three points, shares from 0 to 1")
    return points


def patch_sources(table: str | Path) -> set[str]:
    """Return the sources of all patches of a table, also of those whose photo is held out."""
    return {f"{PATCH_PREFIX}{row['part']}" for _, row in read_rows(table, PATCH_COLUMNS)}
