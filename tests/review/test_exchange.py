"""From platform A's confirmed listing to platform B's scan: hashes travel, and no photo does."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from recognizer.cli import ExitCode
from tests.conftest import encoded, invoke, read_rows
from tests.pictures import scene
from tests.review.outcomes import outcome, store


def scan(folder: Path, bundle: Path, *more: Any) -> list[dict[str, Any]]:
    output = folder / "scan.sqlite"
    command = ("scan", folder / "listings.csv", "--output", output, "--bundle", bundle)
    done = invoke(*command, *more)
    assert done.exit_code == ExitCode.DONE, done.output
    return read_rows(output)


def write_listing(folder: Path, name: str, image: Image.Image, **columns: str) -> None:
    folder.mkdir()
    (folder / name).write_bytes(encoded(image, quality=80))
    with (folder / "listings.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["image", *columns], [name, *columns.values()]])


def test_what_one_platform_confirmed_another_finds(tmp_path: Path, tiny_bundle: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    photo = Image.blend(scene(5), Image.new("RGB", (360, 280), (255, 0, 0)), 0.5)
    write_listing(a, "carving.jpg", photo, listing_id="L7", title="Old carving", seller="s1")
    (found,) = scan(a, tiny_bundle)
    assert found["decision"] != "clear"

    # Platform A: somebody confirms it, and it becomes a known item.
    bank = a / "known.bank"
    about = {"sha256": found["sha256"], "listing": "L7", "label": "ivory_worked"}
    store(a / "scan.sqlite", [outcome(**about, note="handed to customs")])
    made = invoke("bank", "import", bank, "--scan", a / "scan.sqlite", "--origin", "A")
    assert made.exit_code == ExitCode.DONE

    # What travels is one small file: a hash and what A says of it.
    travels = tmp_path / "from-a.csv"
    assert invoke("bank", "list", bank, "--output", travels).exit_code == ExitCode.DONE
    with travels.open(newline="") as file:
        (item,) = csv.DictReader(file)
    assert item["signal_value"] == found["phash"]
    assert len(travels.read_bytes()) < 1000
    shutil.rmtree(a)

    # Platform B: a smaller grey copy, in which the model alone sees nothing.
    copy = photo.convert("L").convert("RGB").resize((250, 194))
    write_listing(b, "item 1.jpg", copy, id="B1", title="Figure")
    (alone,) = scan(b, tiny_bundle)
    assert (alone["decision"], alone["leads"]) == ("clear", [])
    known = b / "known.bank"
    taken = invoke("bank", "import", known, travels, "--origin", "A")
    assert "1 new" in taken.stdout
    (row,) = scan(b, tiny_bundle, "--known", known)  # the bank has changed: it is made again
    assert row["decision"] == "review"
    (match,) = row["known"]
    assert (match["origin"], match["label"], match["finding"]) == ("A", "ivory_worked", "product")
    assert (match["note"], row["sha256"] == found["sha256"]) == ("handed to customs", False)
