import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from recognizer.errors import DatasetError, UsageError
from recognizer.lab.dataset.layouts import Collection, read_collection
from recognizer.lab.dataset.new_manifest import find_origins

FILES = ("a/1.jpg", "a/2.jpg", "b/3.jpg")
LABELS = {"a/1.jpg": "bone", "a/2.jpg": "wood", "b/3.jpg": "bone"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with empty files: no layout opens an image."""
    write_files(tmp_path, dict.fromkeys(FILES, ""))
    return tmp_path


def read_labels(found: Collection) -> dict[str, str]:
    return {e.path.relative_to(found.root).as_posix(): e.label for e in found.entries}


def write_files(root: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def csv_of(header: str = "file,label,source", separator: str = ",", place: str = "{}") -> str:
    rows = [separator.join([place.format(f), LABELS[f], f[0]]) for f in FILES]
    return "\n".join([header.replace(",", separator), *rows]) + "\n"


LAYOUTS: dict[str, dict[str, str]] = {
    "csv": {"photos.csv": csv_of()},
    "csv with semicolons, a byte-order mark and names of their own": {
        "photos.csv": "\ufeff" + csv_of("Image Path,Category,Seller ID", ";")
    },
    "csv of another machine": {"photos.csv": csv_of(place="/home/ann/set/{}")},
    "csv of addresses": {"photos.csv": csv_of(place="https://a.example/{}?w=9")},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_are_found_and_read(root: Path, name: str) -> None:
    write_files(root, LAYOUTS[name])
    found = read_collection(root)
    assert found.layout == "a CSV table (photos.csv)"
    assert read_labels(found) == LABELS
    assert not found.left_out


def task(image: object, *chosen: object, **more: object) -> dict[str, object]:
    results = [{"type": "choices", "value": {"choices": list(chosen)}}] if chosen else []
    return {"id": 7, "data": {"image": image, **more}, "annotations": [{"result": results}]}


def test_an_export_of_label_studio(root: Path) -> None:
    """Photos of its disk, uploaded ones and addresses; skipped tasks and disagreement."""
    skipped = {"result": task("", "wood")["annotations"][0]["result"], "was_cancelled": True}
    first = task("/data/local-files/?d=set/a/1.jpg", "bone", seller="ann", meta={"x": 1})
    first["annotations"] += [skipped, *task("", "bone")["annotations"]]
    tasks = [first, task("/data/upload/3/0123abcd-2.jpg", "wood")]
    tasks += [task("s3://bucket/b/3.jpg", " bone ")]
    broken = [task("a/1.jpg", "bone", "wood"), task("a/1.jpg"), task("no.jpg", "bone"), task([])]
    broken += [{"data": {"image": "a/1.jpg"}, "annotations": wrong} for wrong in (None, [7], [{}])]
    (root / "project.json").write_text(json.dumps([*tasks, *broken]))
    found = read_collection(root)
    assert found.layout == "Label Studio (project.json)"
    assert read_labels(found) == LABELS
    assert found.entries[0].fields == {"seller": "ann"}
    assert [line.partition(": task ")[2] for line in found.left_out] == [
        "7: a/1.jpg: several labels: bone, wood",
        "7: a/1.jpg: no label",
        "7: 'no.jpg': no such file",
        "7: its data has no image",
        *(f"{number}: a/1.jpg: no label" for number in (8, 9, 10)),
    ]


def test_a_folder_for_each_label_with_one_for_each_source(tmp_path: Path) -> None:
    names = ("train/bone/shop/1.jpg", "test/wood/2.JPG", "train/bone/x.heic", "train/.a/b.jpg")
    write_files(tmp_path, dict.fromkeys(names, ""))
    found = read_collection(tmp_path)
    assert read_labels(found) == {"train/bone/shop/1.jpg": "bone", "test/wood/2.JPG": "wood"}
    assert [dict(e.fields) for e in found.entries] == [
        {"split": "test"},
        {"split": "train", "folder": "shop"},
    ]
    assert "Skipped 1 files" in found.notes[0]


HOSTILE: dict[str, tuple[dict[str, str | bytes], str]] = {
    "photos in no folder": ({"loose.jpg": ""}, r"1 photos lie in no folder"),
    "two tables": (
        {"a.csv": csv_of(), "b.csv": csv_of()},
        r"several files list photos \(a\.csv, b\.csv\): name one",
    ),
    "names that lead out": (
        {"p.csv": "file,label\n../../etc/passwd,bone\n"},
        r"no photo with a label: .*p\.csv:2: '\.\./\.\./etc/passwd': not in ",
    ),
    "an absolute path elsewhere": (
        {"p.csv": "file,label\n/etc/passwd,bone\n"},
        r"'/etc/passwd': not in .*; give the photos' folder with --photos",
    ),
    "files that are missing": (
        {"p.csv": "file,label\nno.jpg,bone\n"},
        r"p\.csv:2: 'no\.jpg': no such file",
    ),
    "a name for several files": (
        {"b/1.jpg": "", "p.csv": "file,label\n1.jpg,bone\n"},
        r"'1\.jpg': 2 files have this name",
    ),
    "rows without a file or a label": (
        {"p.csv": "file,label\n,bone\na/1.jpg,\n"},
        r"'': no file name; .*a/1\.jpg: no label",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_cannot_be_read_says_so(root: Path, case: str) -> None:
    files, words = HOSTILE[case]
    write_files(root, files)
    with pytest.raises(DatasetError, match=words):
        read_collection(root)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("p.csv", "none of the columns file, what is called label: rename the one that is"),
        ("p.json", r"p.json: neither a CSV table .* nor an export of Label Studio"),
        ("q.json", "q.json: neither"),
        ("r.json", "r.json: neither"),
    ],
)
def test_a_file_that_is_no_list_of_photos(root: Path, name: str, words: str) -> None:
    (root / "p.csv").write_text("file,what\na/1.jpg,bone\n")
    (root / "p.json").write_text('{"images": []}')
    (root / "q.json").write_text('[{"data": {}, "annotations": []}, 7]')
    (root / "r.json").write_text("[" * 100_000)
    with pytest.raises(DatasetError, match=words):
        read_collection(root / name)


def test_the_photos_may_be_in_another_folder(root: Path, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("lists") / "p.csv"
    path.write_text(csv_of())
    assert read_labels(read_collection(path, photos=root)) == LABELS
    with pytest.raises(DatasetError, match="no such file"):
        read_collection(path)


def sources(root: Path, asked: str | None = None) -> tuple[list[str | None], str]:
    found, words = find_origins(read_collection(root), asked)
    return [*found], words


def test_the_source_is_a_column_that_is_called_so(root: Path) -> None:
    (root / "p.csv").write_text(
        "file,label,platform,Seller ID,row\na/1.jpg,bone,p,s,1\na/2.jpg,bone,p,t,2\n"
        "b/3.jpg,wood,q,,3\n"
    )
    assert sources(root) == (["s", "t", None], "the column 'Seller ID'")
    assert sources(root, "platform")[0] == ["p", "p", "q"]
    assert sources(root, "row")[0] == ["1", "2", "3"]
    assert sources(root, "folder")[0] == ["a", "a", "b"]
    assert sources(root, "photo")[0] == [None, None, None]
    with pytest.raises(UsageError, match=r"no such column \(there are label, platform, Seller ID"):
        sources(root, "shop")


def test_otherwise_it_is_a_folder(root: Path) -> None:
    rows = "".join(f"{f},bone,scrape\n" for f in FILES)
    (root / "p.csv").write_text("file,label,source\n" + rows)
    words = "the folder that a photo lies in (the column 'source' says the same of all)"
    assert sources(root) == (["a", "a", "b"], words)
    names = [f"bone/{shop}/{i}.jpg" for shop in "ab" for i in range(2)]
    write_files(root / "labels", dict.fromkeys([*names, "wood/x.jpg"], ""))
    words = "the folder inside each label's folder"
    assert sources(root / "labels") == (["a", "a", "b", "b", None], words)
