import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

from recognizer.cli import ExitCode
from recognizer.known.bank import Bank
from recognizer.taxonomy import load_taxonomy
from tests.conftest import encoded, invoke, picture, read_rows, refuse, succeed
from tests.pictures import scene
from tests.tiny import write_tiny_bundle

Scanned = Callable[..., list[dict]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(4):
        (folder / f"{seed}.jpg").write_bytes(encoded(scene(seed)))
    return folder


@pytest.fixture
def bank(photos: Path, tmp_path: Path) -> Path:
    path = tmp_path / "known.bank"
    said = {"label": "ivory_raw", "note": "seizure 12", "by": "desk 3", "origin": "customs"}
    options = [text for key, value in said.items() for text in (f"--{key}", value)]
    assert invoke("bank", "add", path, photos / "0.jpg", *options).exit_code == 0
    assert invoke("bank", "add", path, photos / "1.jpg", "--cleared").exit_code == 0
    return path


def items(bank: Path) -> list[dict]:
    with Bank(bank) as opened:
        return [{"id": item.id, **asdict(item)} for item in opened]


def test_a_bank_from_photos_to_a_partner_and_back(bank: Path, tmp_path: Path) -> None:
    listed = invoke("bank", "list", bank).stdout.splitlines()
    assert len(listed) == 2
    assert any("ivory_raw  customs, desk 3, seizure 12" in line for line in listed)
    assert len(invoke("bank", "list", bank, "--label", "ivory_raw").stdout.splitlines()) == 1
    file, other, merged = tmp_path / "out.csv", tmp_path / "partner.bank", tmp_path / "merged.bank"
    assert ": 2 items" in invoke("bank", "list", bank, "-o", file).stdout
    for new in (2, 0):
        done = invoke("bank", "import", other, file, "--origin", "us")
        assert f": {new} new, 2 in all" in done.stdout
    done = invoke("bank", "import", merged, bank, other)
    # What named its origin is the same item; the other one now comes from "us" too.
    assert done.stdout.splitlines()[-1].endswith(": 1 new, 3 in all")
    assert {item["origin"] for item in items(merged)} == {"customs", "us", None}


def test_what_was_removed_stays_out(bank: Path, tmp_path: Path) -> None:
    partner, file = tmp_path / "partner.bank", tmp_path / "items.csv"
    invoke("bank", "import", partner, bank)
    invoke("bank", "list", bank, "-o", file)
    second, first = sorted(items(bank), key=lambda item: item["origin"] is not None)
    refused = refuse("bank", "remove", bank, first["id"], "nothing")
    assert "no item 'nothing': `recognizer bank list` prints" in refused.stderr
    done = invoke("bank", "remove", bank, first["id"], first["id"])
    assert done.stdout.strip().endswith(": 1 removed, 1 in all")
    assert "0 new, 1 in all" in invoke("bank", "import", bank, partner).stdout
    assert "1 new, 2 in all" in invoke("bank", "import", bank, file).stdout  # by the file's name
    assert second in items(bank)
    assert first not in items(bank)


def test_what_cannot_be_known_is_told_and_the_rest_is_added(photos: Path, tmp_path: Path) -> None:
    (photos / "blank.png").write_bytes(encoded(Image.new("RGB", (300, 200), "white"), "PNG"))
    (photos / "broken.jpg").write_bytes(b"no photo")
    names = ("0.jpg", "blank.png", "broken.jpg", "missing.jpg")
    given = [*(photos / name for name in names), "--label", "ivory"]
    done = invoke("bank", "add", tmp_path / "b", *given, code=ExitCode.SOME_FAILED)
    reasons = ("too little to see for a hash", "not_an_image", "not_found")
    for name, reason in zip(names[1:], reasons, strict=True):
        assert f"{name}: not added: {reason}" in done.stderr
    assert "1 new, 1 in all" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("add b x.jpg --label gold", "unknown label or family 'gold' (see `recognizer"),
        ("add b x.jpg --label ivry", "did you mean ivory"),
        ("add b x.jpg", "say what the photos show: --label PRODUCT, or --cleared"),
        ("list b", "does not exist"),
        ("remove b 0", "does not exist"),
        ("list b -o x.csv", "does not exist"),
        ("import b x.xml", "does not exist"),
        ("import b x.csv", "x.csv does not exist"),
        ("import b /dev/zero", "/dev/zero is not a regular file"),
        ("list .", ". is not a regular file"),
    ],
)
def test_mistakes(
    arguments: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in refuse("bank", *arguments.split()).stderr
    assert list(tmp_path.iterdir()) == []


def test_a_label_of_ones_own_is_that_of_a_bundle(photos: Path, tmp_path: Path) -> None:
    own = {"label": {"whale_tooth": {"kind": "lookalike", "display_name": "Whale tooth"}}}
    bundle = write_tiny_bundle(tmp_path / "own-v1", taxonomy=load_taxonomy().extended(own, "own"))
    given = ("bank", "add", tmp_path / "b", photos / "0.jpg", "--label", "whale_tooth")
    refuse(*given)
    succeed(*given, "--model", bundle)


def test_a_copy_of_a_known_item_is_a_lead(bank: Path, scanned: Scanned, tmp_path: Path) -> None:
    folder = tmp_path / "listings"
    folder.mkdir()
    for seed in (0, 1, 2):  # slightly cropped, resized, gray
        (width, height), image = scene(seed).size, scene(seed)
        image = image.crop((width // 100, height // 100, width * 99 // 100, height * 99 // 100))
        image = image.resize((int(width * 0.8), int(height * 0.8)))
        (folder / f"{seed}.jpg").write_bytes(encoded(image.convert("L"), quality=60))
    (folder / "blank.jpg").write_bytes(encoded(picture("blue")))
    policy = tmp_path / "p.toml"
    policy.write_text("review_probability = 1.0\npriority_probability = 1.0\n")
    found = scanned(folder, "--known", bank, "--policy", policy)
    rows = {Path(row["source"]).stem: row for row in found}
    assert len(rows) == len(found) == 4
    (match,) = rows["0"]["known"]
    assert 0 <= match.pop("distance") <= 31
    assert len(match.pop("id")) == 16
    said = {"label": "ivory_raw", "note": "seizure 12", "origin": "customs"}
    assert match == {**said, "finding": "product", "transform": "identity"}
    assert rows["0"]["decision"] == "review"
    assert rows["0"]["why"][0].startswith("review: near the known item")
    assert [m["finding"] for m in rows["1"]["known"]] == ["cleared"]
    for name in ("1", "2", "blank"):
        assert rows[name]["decision"] == "clear"
    assert rows["2"]["known"] == rows["blank"]["known"] == []
    assert rows["blank"]["phash"] is None
    assert all(row["bank"]["name"] == "known.bank" for row in rows.values())


def test_rows_are_made_again_if_the_bank_has_changed(
    bank: Path, photos: Path, scan: Callable[..., Result], tmp_path: Path
) -> None:
    def count_new(*options: object) -> int:
        return int(json.loads(scan(photos, *options, "--json").stdout)["scanned"])

    assert count_new() == 4
    assert all(row["known"] is row["bank"] is None for row in read_rows(tmp_path / "scan.sqlite"))
    assert [count_new("--known", bank) for _ in range(2)] == [4, 0]
    with Bank(bank, create=True) as opened:
        opened.add([])
    assert count_new("--known", bank) == 0
    succeed("bank", "add", bank, photos / "2.jpg", "--cleared")
    assert count_new("--known", bank) == 4
    assert [bool(row["known"]) for row in read_rows(tmp_path / "scan.sqlite")].count(True) == 3


def test_turned_photos_and_what_is_no_bank(bank: Path, scanned: Scanned, tmp_path: Path) -> None:
    photo = tmp_path / "turned.jpg"
    photo.write_bytes(encoded(scene(0).transpose(Image.Transpose.ROTATE_90)))
    assert scanned(photo, "--known", bank)[-1]["known"] == []
    (match,) = scanned(photo, "--known", bank, "--match-rotations")[-1]["known"]
    assert match["transform"] == "rotate_270"
    for options in (("--known", photo), ("--match-rotations",)):
        refuse("scan", photo, "-o", tmp_path / "x", *options)
        assert not (tmp_path / "x").exists()
