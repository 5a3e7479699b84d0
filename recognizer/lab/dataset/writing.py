"""Labelled photos written as other tools read them: a folder for each label, or COCO."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from recognizer._files import make_folder, new_folder
from recognizer.errors import DatasetError, UsageError
from recognizer.lab.dataset.manifest import Photo, taxonomy_of

_SPLIT_NAMES = {"train": "train", "validation": "val", "test": "test"}
_ORIENTATION = 0x0112  # of EXIF


def write_dataset(
    photos: Sequence[Photo],
    folder: Path,
    layout: str,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Write photos into a new folder as ``folders`` or ``coco``, with links to their files.

    The folder is there at the end, complete, or not at all. Links become copies where the file
    system has none. ``folders`` are ``train/LABEL/...``, ``val`` and ``test``, as torchvision's
    ImageFolder, ultralytics, timm and FiftyOne read them. Each split has a folder for each label,
    so that the numbers of classes agree, and ``classes.txt`` lists them. ``coco`` has the photos in
    ``images`` and a file for each split in ``annotations``; the box of a photo is all of it, since
    nobody has drawn one.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--output {folder} exists already: name a new folder")
    labels = sorted({p.label for p in photos})
    kinds = taxonomy_of(photos).labels
    categories = [
        {"id": number, "name": name, "supercategory": kinds[name].kind}
        for number, name in enumerate(labels, 1)
    ]
    coco: dict[str, dict[str, list[Any]]] = {
        p.split: {"images": [], "annotations": [], "categories": categories} for p in photos
    }
    make_folder(folder.parent)
    with new_folder(folder) as draft:
        for done, photo in enumerate(photos, 1):
            name = f"{photo.sha256[:20]}{photo.path.suffix}".lower()
            of_label = Path(_SPLIT_NAMES[photo.split], photo.label)
            place = draft / (of_label if layout == "folders" else "images") / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if layout == "coco":
                _add_to_coco(coco[photo.split], photo, name, labels.index(photo.label) + 1)
            try:
                place.symlink_to(photo.path.resolve(strict=True))
            except FileNotFoundError as error:
                raise DatasetError(f"{photo.path}: {error.strerror}") from error
            except OSError:  # Windows has links only for developers
                shutil.copyfile(photo.path, place)
            on_progress(done, len(photos))
        for split, content in coco.items():
            if layout == "folders":
                for label in labels:
                    (draft / _SPLIT_NAMES[split] / label).mkdir(exist_ok=True)
            else:
                (draft / "annotations").mkdir(exist_ok=True)
                path = draft / "annotations" / f"{_SPLIT_NAMES[split]}.json"
                path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        if layout == "folders":
            (draft / "classes.txt").write_text("".join(f"{n}\n" for n in labels), encoding="utf-8")


def _add_to_coco(content: dict[str, list[Any]], photo: Photo, name: str, category: int) -> None:
    try:
        with Image.open(photo.path) as opened:
            width, height = opened.size
            if opened.getexif().get(_ORIENTATION, 1) in {5, 6, 7, 8}:  # shown on its side
                width, height = height, width
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{photo.path}: {error}") from error
    number = len(content["images"]) + 1
    image = {"id": number, "file_name": name, "width": width, "height": height}
    content["images"].append({**image, "source": photo.source, "license": photo.license})
    box = {"id": number, "image_id": number, "category_id": category, "iscrowd": 0}
    box |= {"area": width * height}
    content["annotations"].append({**box, "bbox": [0, 0, width, height], "segmentation": []})
