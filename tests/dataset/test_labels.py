from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from recognizer.cli import ExitCode
from recognizer.dataset.manifest import load_photos
from tests.conftest import encoded, invoke, picture


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos of a label of the package and of two others, each of four sources."""
    for number, label in enumerate(("bone", "whale_tooth", "Resin tooth")):
        for shop in range(4):
            folder = tmp_path / "photos" / label / f"shop-{shop}"
            folder.mkdir(parents=True)
            for i in range(2):
                image = encoded(picture("red", seed=100 * number + 10 * shop + i))
                (folder / f"{i}.jpg").write_bytes(image)
    return tmp_path / "photos"


def test_the_file_lists_what_the_package_does_not_know(photos: Path, tmp_path: Path) -> None:
    done = invoke("dataset", "labels", photos)
    assert done.exit_code == ExitCode.DONE, done.stderr
    assert "Say in it what these are: resin_tooth, whale_tooth" in done.stdout
    text = (photos / "taxonomy.toml").read_text()
    assert tomllib.loads(text)["label"].keys() == {"whale_tooth", "resin_tooth"}
    assert "[label.whale_tooth]  # photos here: 8" in text
    again = invoke("dataset", "labels", photos, "whale_tooth=product")
    assert (again.exit_code, "exists already: edit it" in again.stderr) == (ExitCode.USAGE, True)
    # Until somebody says what a label is, nothing uses the file.
    for verb in (("dataset", "labels"), ("dataset", "split", "-o", tmp_path / "data")):
        done = invoke(*verb, photos)
        assert done.exit_code == ExitCode.USAGE
        assert "taxonomy.toml: label.resin_tooth: unknown kind '?' (one of product" in done.stderr


def test_labels_with_kinds_go_into_the_manifest(photos: Path, tmp_path: Path) -> None:
    done = invoke("dataset", "labels", photos, "whale_tooth=product", "resin_tooth=lookalike")
    assert done.exit_code == ExitCode.DONE, done.stderr
    assert "Say in it" not in done.stdout
    checked = invoke("dataset", "labels", photos)
    assert checked.exit_code == ExitCode.DONE, checked.stderr
    assert "Warning: whale_tooth: confused_with is empty" in checked.stdout
    assert checked.stdout.splitlines()[:2] == [
        "resin_tooth: lookalike, 8 photos",
        "whale_tooth: product (whale_tooth), 8 photos",
    ]
    # The manifest takes the description with it, wherever it is.
    split = invoke("dataset", "split", photos, "-o", tmp_path / "data")
    assert split.exit_code == ExitCode.DONE, split.stderr
    labels = {"bone", "whale_tooth", "resin_tooth"}
    assert {p.label for p in load_photos(tmp_path / "data")} == labels
    counted = invoke("dataset", "labels", tmp_path / "data")
    assert "whale_tooth: product (whale_tooth), 8 photos" in counted.stdout
    (photos / "taxonomy.toml").write_text('[label.whale_tooth]\nkind = "product"\n')
    done = invoke("dataset", "labels", photos)
    assert done.exit_code == ExitCode.USAGE
    assert "labels that neither taxonomy.toml nor the package has: resin_tooth" in done.stderr


def test_a_folder_without_photos_gets_an_example(tmp_path: Path) -> None:
    assert invoke("dataset", "labels", tmp_path).exit_code == ExitCode.DONE
    text = (tmp_path / "taxonomy.toml").read_text()
    assert tomllib.loads(text) == {}
    example = "\n".join(line[2:] for line in text.splitlines()[-3:])
    (tmp_path / "taxonomy.toml").write_text(example)
    assert invoke("dataset", "labels", tmp_path).exit_code == ExitCode.DONE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[label.x]\nkind = "produkt"\n', "label.x: unknown kind 'produkt'; did you mean"),
        ("\ufeff\0", "taxonomy.toml: "),
        ("a = " + "[" * 5000, "taxonomy.toml"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "taxonomy.toml").write_text(text)
    done = invoke("dataset", "labels", tmp_path)
    assert done.exit_code == ExitCode.USAGE, done.exception
    assert words in done.stderr


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
    done = invoke("dataset", "labels", *(a.format(folder=tmp_path) for a in arguments))
    assert done.exit_code == ExitCode.USAGE
    assert words.format(folder=tmp_path) in done.stderr
    assert not any(tmp_path.iterdir())
