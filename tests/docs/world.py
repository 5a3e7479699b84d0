"""A folder with everything that the pages speak of, made by code and from the sample images."""

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import read_rows, succeed
from tests.docs.blocks import ROOT
from tests.pictures import encoded, scene

SAMPLES = ROOT / "datasets" / "samples"
TINTS = {"whale_tooth": (235, 225, 190), "wood": (120, 70, 30), "listing_other": (60, 90, 200)}
LISTINGS = """\
id,title,seller,price,reports,image_1,image_2
7,old ivory,ann,90,2,backlog/ivory-bangles.jpg,backlog/mug.jpg
8,horn,bob,40,,backlog/cow-horn.jpg,
9,ivory,bob,10,1,,
"""


def write_photo(path, tint, seed):
    """Write a scene of shapes, seen through a tint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tinted = 0.3 * np.asarray(scene(seed, (128, 96)), np.float64) + 0.7 * np.array(tint)
    Image.fromarray(tinted.astype(np.uint8)).save(path)


def write_world(folder):
    """Fill the current folder, which is ``folder``: photos, listings, and a finished scan."""
    for number, (label, tint) in enumerate(TINTS.items()):
        for i in range(15):
            inside = Path("photos") / label / f"shop-{i // 2}"
            write_photo(folder / inside / f"{i}.jpg", tint, 100 * number + i)
        write_photo(folder / "more-photos" / f"{label}.jpg", tint, 1000 + number)
    for name, samples in {
        "backlog": ("ivory-bangles", "cow-horn", "mug", "bananas"),
        "seized": ("pangolin-few", "pangolin-heap", "rhino-horn"),
        "listings": ("jade-bangles", "wooden-bowl"),
    }.items():
        (folder / name).mkdir()
        for sample in samples:
            # Small, so that a page takes milliseconds.
            image = Image.open(SAMPLES / f"{sample}.jpg").convert("RGB")
            image.thumbnail((320, 320))
            (folder / name / f"{sample}.jpg").write_bytes(encoded(image))
    for name in ("photo.jpg", "upload.jpg", "tusk.jpg", "mammoth.jpg", "one.jpg"):
        shutil.copy(folder / "backlog" / "ivory-bangles.jpg", folder / name)
    (folder / "corrections.csv").write_text("sha256,label,reason\nab,wood,a turned bowl\n")
    (folder / "more").mkdir()
    (folder / "more" / "bowl.png").write_bytes(encoded(scene(7), "PNG"))
    (folder / "listings.csv").write_text(LISTINGS)
    _write_scans(folder)


def _write_scans(folder):
    """Scan the listings, and say of each lead what somebody found out."""
    succeed("scan", "listings.csv", "--output", "scan.sqlite", "--quiet")
    outcomes = [
        {
            "time": "2026-03-01T12:00:00Z",
            "reviewer": "Ama",
            "judgement": "confirmed" if row["leads"] else "rejected",
            "occasion": "review",
            "sha256": row["sha256"],
        }
        for row in read_rows(folder / "scan.sqlite")
        if row["sha256"]
    ]
    (folder / "queue.jsonl").write_text("\n".join(map(json.dumps, outcomes)))
    succeed("outcomes", "import", "scan.sqlite", "queue.jsonl")
