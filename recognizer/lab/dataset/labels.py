"""Custom labels: the file in a data folder that describes them, to be edited by people."""

import textwrap
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Template

from recognizer._files import replacing
from recognizer.errors import DatasetError, UsageError
from recognizer.lab.dataset.layouts import read_collection
from recognizer.lab.dataset.manifest import (
    LABELS,
    MANIFEST,
    folder_taxonomy,
    plain_label,
    read_rows,
)
from recognizer.taxonomy import NAME, Kind, Label, load_taxonomy

UNDECIDED = "?"  # the kind of a label of which nobody has said yet what it is


def count_labels(folder: Path) -> Counter[str]:
    """Return how many photos a folder has of each label, as labels are written."""
    if (folder / MANIFEST).exists():  # whose photos may lie elsewhere
        return Counter(row["label"] for _, row in read_rows(folder / MANIFEST, ("label",)))
    known = load_taxonomy().labels
    names = Counter(entry.label for entry in read_collection(folder).entries)
    counts: Counter[str] = Counter()
    for name, count in names.items():
        counts[name if name in known else plain_label(name) or name] += count
    return counts


def write_template(path: Path, kinds: Mapping[str, str], photos: Mapping[str, int]) -> None:
    """Write a file to edit, from label -> its kind, or :data:`UNDECIDED`, and label -> photos."""
    packaged = load_taxonomy()
    for name in kinds:
        if name in packaged.labels:
            raise UsageError(f"{name} is a label of the package: it needs no description")
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot be a label: use a-z, 0-9 and _, a letter first")
    indent = "#" + 18 * " "
    families = textwrap.fill(", ".join(packaged.families), 72, subsequent_indent=indent)
    template = Path(__file__).with_name("labels.toml.j2").read_text("utf-8")
    text = Template(template, trim_blocks=True).render(
        folder=path.parent,
        families=families,
        kinds=sorted(kinds.items()),
        photos=photos,
        undecided=UNDECIDED,
    )
    with replacing(path) as partial:
        partial.write_text(text.rstrip() + "\n", encoding="utf-8")


def check_labels(folder: Path, photos: Mapping[str, int]) -> tuple[list[Label], list[str]]:
    """Return the labels of a folder's file, which must have those of ``photos``, and warnings."""
    packaged, known = load_taxonomy().labels, folder_taxonomy(folder).labels
    if missing := sorted(photos.keys() - known.keys()):
        raise DatasetError(
            f"{folder}: labels that neither {LABELS} nor the package has: {', '.join(missing)}; "
            f"describe them in {LABELS}, or rename them with `recognizer dataset split --rename`"
        )
    labels = [label for name, label in known.items() if name not in packaged]
    warnings = []
    for label in labels:
        if photos and not photos.get(label.name):
            warnings.append(f"{label.name}: no photo here has this label")
        if label.kind is Kind.PRODUCT and not label.confused_with:
            warnings.append(
                f"{label.name}: confused_with is empty; with look-alikes to train on, the model "
                "learns what it is not"
            )
    return labels, warnings
