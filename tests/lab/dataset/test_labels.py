import shutil
import tomllib
from pathlib import Path

import pytest

from recognizer.lab.dataset.manifest import load_data
from tests.conftest import invoke, refuse, succeed, write_pictures


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos of a label of the package and of two others, each of four sources."""
    for number, label in enumerate(("bone", "whale_tooth", "Resin tooth")):
        for shop in range(4):
            folder = tmp_path / "photos" / label / f"shop-{shop}"
            write_pictures(folder, "red", "red", seed=100 * number + 10 * shop)
    return tmp_path / "photos"


def test_the_file_lists_what_the_package_does_not_know(photos: Path, tmp_path: Path) -> None:
    done = succeed("dataset", "labels", photos)
    assert "Say in it what these are: resin_tooth, whale_tooth" in done.stdout
    text = (photos / "taxonomy.toml").read_text()
    assert tomllib.loads(text)["label"].keys() == {"whale_tooth", "resin_tooth"}
    assert "[label.whale_tooth]  # photos here: 8" in text
    again = refuse("dataset", "labels", photos, "whale_tooth=product")
    assert "exists already: edit it" in again.stderr
    # Until somebody says what a label is, nothing uses the file.
    for verb in (("dataset", "labels"), ("dataset", "split", "-o", tmp_path / "data")):
        done = refuse(*verb, photos)
        assert "taxonomy.toml: label.resin_tooth: unknown kind '?' (one of product" in done.stderr


def test_labels_with_kinds_go_into_the_manifest(photos: Path, tmp_path: Path) -> None:
    kinds = ("whale_tooth=product", "resin_tooth=lookalike", "yak_horn=other")
    done = succeed("dataset", "labels", photos, *kinds)
    assert "Warning: yak_horn: no photo here has this label" in done.stdout
    assert "Say in it" not in done.stdout
    checked = succeed("dataset", "labels", photos)
    assert "Warning: whale_tooth: confused_with is empty" in checked.stdout
    assert checked.stdout.splitlines()[:2] == [
        "resin_tooth: lookalike, 8 photos",
        "whale_tooth: product (whale_tooth), 8 photos",
    ]
    # The manifest takes the description with it, wherever it is.
    succeed("dataset", "split", photos, "-o", tmp_path / "data")
    labels = {"bone", "whale_tooth", "resin_tooth"}
    assert {p.label for p in load_data([tmp_path / "data"])} == labels
    counted = invoke("dataset", "labels", tmp_path / "data")
    assert "whale_tooth: product (whale_tooth), 8 photos" in counted.stdout
    (photos / "taxonomy.toml").write_text('[label.whale_tooth]\nkind = "product"\n')
    done = refuse("dataset", "labels", photos)
    assert "labels that neither taxonomy.toml nor the package has: resin_tooth" in done.stderr


def test_a_folder_without_photos_gets_an_example(tmp_path: Path) -> None:
    succeed("dataset", "labels", tmp_path)
    text = (tmp_path / "taxonomy.toml").read_text()
    assert tomllib.loads(text) == {}
    example = "\n".join(line[2:] for line in text.splitlines()[-3:])
    (tmp_path / "taxonomy.toml").write_text(example)
    succeed("dataset", "labels", tmp_path)


def test_labels_that_the_package_knows_need_no_file(photos: Path) -> None:
    for label in ("whale_tooth", "Resin tooth"):
        shutil.rmtree(photos / label)
    assert "knows all labels of these photos" in succeed("dataset", "labels", photos).stdout
    assert not (photos / "taxonomy.toml").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[label.x]\nkind = "produkt"\n', "label.x: unknown kind 'produkt'; did you mean"),
        ("\ufeff\0", "taxonomy.toml is not TOML"),
        ("a = " + "[" * 5000, "taxonomy.toml"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "taxonomy.toml").write_text(text)
    assert words in refuse("dataset", "labels", tmp_path).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("{folder}/nowhere",), "no such folder"),
        (("{folder}", "x"), "'x': write LABEL=KIND, the kind one of product, lookalike"),
        (("{folder}", "x=y"), "'x=y': write LABEL=KIND"),
        (("{folder}", "X=other"), "'X' cannot be a label"),
        (("{folder}", "../x=other"), "'../x' cannot be a label"),
        (("{folder}", "bone=other"), "bone is a label of the package"),
    ],
)
def test_mistakes(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = refuse("dataset", "labels", *(a.format(folder=tmp_path) for a in arguments))
    assert words.format(folder=tmp_path) in done.stderr
    assert not any(tmp_path.iterdir())
