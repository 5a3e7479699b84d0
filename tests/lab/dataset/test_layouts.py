import pytest

from recognizer.errors import DatasetError
from recognizer.lab.dataset.layouts import read_collection


def write_files(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def entries(found):
    return [(e.path.relative_to(found.root).as_posix(), e.label, e.source) for e in found.photos]


def test_a_table_lists_photos_with_their_sources(tmp_path):
    elsewhere = tmp_path / "elsewhere.jpg"
    rows = f"a/1.jpg,bone,x,s,CC0\n{elsewhere},wood,y,,\na/3.jpg,,z,t,\n,bone,z,t,\n"
    path = tmp_path / "manifest.csv"
    path.write_text(f"\ufefffile,label,other,source,license\n{rows}")
    found = read_collection(tmp_path)  # by the manifest in it
    assert entries(found) == [("a/1.jpg", "bone", "s"), ("elsewhere.jpg", "wood", "")]
    assert [e.license for e in found.photos] == ["CC0", ""]
    assert found.left_out == [f"{path}:4: no label", f"{path}:5: no file"]
    assert read_collection(path) == found
    path.write_text("file,label\na/1.jpg,bone\n")
    assert entries(read_collection(path)) == [("a/1.jpg", "bone", "")]


def test_a_folder_for_each_label_with_one_for_each_source(tmp_path):
    write_files(tmp_path, "train/bone/shop/1.jpg", "test/wood/2.JPG")
    write_files(tmp_path, "train/bone/x.heic", "train/.a/b.jpg")
    found = read_collection(tmp_path)
    assert entries(found) == [
        ("test/wood/2.JPG", "wood", ""),
        ("train/bone/shop/1.jpg", "bone", "shop"),
    ]
    assert "Splits that the data came with were not used" in found.notes[1]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("loose.jpg", "", "each belongs into a folder named after it"),
        ("manifest.csv", "file,what\na.jpg,bone\n", "no column label"),
        ("manifest.csv", "file,label\na.jpg,\n", r"no photo with a label: .*csv:2: no label"),
        ("manifest.csv", "\0\xff", "manifest.csv"),
        ("bone/x.txt", "", "no photo with a label"),
    ],
)
def test_what_cannot_be_read_says_so(tmp_path, name, content, words):
    write_files(tmp_path, name)
    (tmp_path / name).write_text(content, "latin-1")
    with pytest.raises(DatasetError, match=words):
        read_collection(tmp_path)
    with pytest.raises(DatasetError, match="No such file"):
        read_collection(tmp_path / "nowhere")
