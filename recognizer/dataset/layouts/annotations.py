"""The exports of labelling tools: COCO, Label Studio, FiftyOne.

Where a photo has boxes of several labels, the label that covers the largest area counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from recognizer.dataset.layouts.files import Collection, Entry, Files
from recognizer.dataset.layouts.folders import SPLIT_FOLDERS
from recognizer.dataset.layouts.tables import text_fields

_IMAGE_KEYS = ("image", "img", "photo", "url")
_FIFTYONE_LABELS = ("Classification", "Classifications", "Detections")


def tool_of(content: Any) -> str | None:
    """Return which tool's export the content of a JSON file is, if it is one."""
    if isinstance(content, dict):
        if {"images", "annotations", "categories"} <= content.keys():
            return "coco"
        if isinstance(content.get("samples"), list) or {"classes", "labels"} <= content.keys():
            return "fiftyone"
    if isinstance(content, list) and content and isinstance(content[0], dict):
        first = content[0]
        if "data" in first and {"annotations", "completions"} & first.keys():
            return "label-studio"
        if set(_IMAGE_KEYS) & first.keys() and {"choice", "label"} & first.keys():
            return "label-studio"  # its shorter form, JSON-MIN
    return None


class _Adding:
    """Adds photos to a collection, and counts those with several labels or none."""

    def __init__(self, path: Path, files: Files, found: Collection) -> None:
        self._path, self._files, self._found = path, files, found
        self._bases = [path.parent, path.parent / "data", path.parent / "images"]
        # instances_train.json lies beside the folder train
        self._bases += [found.root / "images", found.root / path.stem.rpartition("_")[2]]
        self._several = self._none = 0

    def add(self, name: object, areas: Mapping[str, float], fields: Mapping[str, str]) -> None:
        """Add a photo with the area of each of its labels."""
        path = self._files.find(name if isinstance(name, str) else "", *self._bases)
        if isinstance(path, str):
            self._found.left_out.append(f"{self._path}: {name!r}: {path}")
        elif not areas:
            self._none += 1
        else:
            self._several += len(areas) > 1
            label = max(areas, key=lambda name: (areas[name], name))
            self._found.entries.append(Entry(path=path, label=label, fields=fields))

    def close(self) -> None:
        """Note what was counted."""
        if self._several:
            self._found.notes.append(
                f"{self._several} photos have several labels; the one with the largest area counts"
            )
        if self._none:
            self._found.notes.append(f"Skipped {self._none} photos without a label")


def read_coco(content: Any, path: Path, files: Files, found: Collection) -> None:
    """Add the photos of COCO annotations; the category with the largest boxes is the label."""
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    areas: dict[Any, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for annotation in content["annotations"]:
        label = names[annotation["category_id"]]
        areas[annotation["image_id"]][label] += _area(annotation)
    licenses = {
        one["id"]: str(one.get("name", ""))
        for one in content.get("licenses") or []
        if isinstance(one, dict) and "id" in one
    }
    split = {word for word in path.stem.lower().split("_") if word in SPLIT_FOLDERS}
    split |= {path.parent.name.lower()} & SPLIT_FOLDERS
    adding = _Adding(path, files, found)
    for image in content["images"]:
        fields = text_fields(image)
        if image.get("license") in licenses:
            fields["license"] = licenses[image["license"]]
        if split:
            fields["split"] = min(split)
        adding.add(image["file_name"], areas.get(image["id"], {}), fields)
    adding.close()


def _area(annotation: Mapping[str, Any]) -> float:
    area = annotation.get("area")
    if isinstance(area, int | float) and area > 0:
        return float(area)
    box = annotation.get("bbox") or annotation.get("bounding_box") or [0, 0, 1, 1]
    return max(float(box[2]) * float(box[3]), 0.0)


def read_label_studio(content: Any, path: Path, files: Files, found: Collection) -> None:
    """Add the photos of a Label Studio export, JSON or JSON-MIN.

    Of several annotators the majority counts; where there is none, the photo is left out.
    """
    adding = _Adding(path, files, found)
    undecided = 0
    for task in content:
        data = task.get("data", task)
        name = next((data[key] for key in _IMAGE_KEYS if key in data), None)
        if "data" in task:
            votes = Counter(filter(None, map(_vote, task.get("annotations") or [])))
        else:
            votes = Counter(filter(None, [_value(task.get("choice", task.get("label")))]))
        best = votes.most_common(2)
        if len(best) == 2 and best[0][1] == best[1][1]:
            undecided += 1
            continue
        adding.add(name, {best[0][0]: 1.0} if best else {}, text_fields(data))
    adding.close()
    if undecided:
        found.notes.append(f"Skipped {undecided} photos on whose label annotators disagree")


def _vote(annotation: Mapping[str, Any]) -> str | None:
    """Return the label that one annotator gave."""
    if annotation.get("was_cancelled"):
        return None
    areas: dict[str, float] = defaultdict(float)
    for result in annotation.get("result") or []:
        value = result.get("value") or {}
        label = _value(value.get(result.get("type", "")))
        if label:
            areas[label] += float(value.get("width") or 1) * float(value.get("height") or 1)
    return max(areas, key=lambda name: (areas[name], name)) if areas else None


def _value(given: Any) -> str | None:
    """Return a label: a text, the first of a list, or that of the first box of JSON-MIN."""
    if isinstance(given, Mapping):
        given = given.get("choices") or next(
            (value for key, value in given.items() if key.endswith("labels")), None
        )
    if isinstance(given, list):
        return _value(given[0]) if given else None
    return given if isinstance(given, str) and given else None


def read_fiftyone(content: Any, path: Path, files: Files, found: Collection) -> None:
    """Add the photos of a FiftyOne dataset (``samples.json``) or classification export."""
    adding = _Adding(path, files, found)
    split = {"split": path.parent.name.lower()} if path.parent != found.root else {}
    if "samples" in content:
        for sample in content["samples"]:
            tags = [tag for tag in sample.get("tags") or [] if tag in SPLIT_FOLDERS]
            fields = {**split, **({"split": tags[0]} if tags else {}), **text_fields(sample)}
            adding.add(sample["filepath"], _sample_areas(sample), fields)
    else:
        classes = content["classes"]
        stems = {p.stem: p.name for p in sorted((path.parent / "data").glob("*"))}
        for stem, target in content["labels"].items():
            areas = _target_areas(target, classes)
            adding.add(stems.get(stem, stem), areas, split)
    adding.close()


def _sample_areas(sample: Mapping[str, Any]) -> dict[str, float]:
    """Return the labels of a sample: of ``ground_truth``, or else of the first field with some."""
    fields = [sample.get("ground_truth"), *sample.values()]
    for value in fields:
        if isinstance(value, Mapping) and value.get("_cls") in _FIFTYONE_LABELS:
            single = [value] if "label" in value else []
            many = value.get("detections") or value.get("classifications") or single
            return _sum_areas((str(one["label"]), _area(one)) for one in many if one.get("label"))
    return {}


def _target_areas(target: Any, classes: Any) -> dict[str, float]:
    """Return the labels of a target: a name, the number of a class, or a list of boxes."""
    every = target if isinstance(target, list) else [target]
    pairs = []
    for one in every:
        label = one["label"] if isinstance(one, Mapping) else one
        if label is None:
            continue
        name = classes[label] if isinstance(label, int) and classes else str(label)
        pairs.append((str(name), _area(one) if isinstance(one, Mapping) else 1.0))
    return _sum_areas(pairs)


def _sum_areas(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    areas: dict[str, float] = defaultdict(float)
    for name, area in pairs:
        areas[name] += area
    return areas
