"""Confirmed images, and leads near them: values, files of outcomes, scans."""

import json

import numpy as np
import pytest
from PIL import Image

from recognizer.errors import UsageError
from recognizer.known import KnownItem, KnownItems
from recognizer.rows import load_known
from tests.conftest import encoded, read_rows, refuse, succeed
from tests.desk.outcomes import outcome, store
from tests.hashes import random_hashes, with_flips
from tests.pictures import scene
from tests.rows.rows import HASH, bare_row, digest, write_scan


def item(phash, **changes):
    return KnownItem(**{"phash": phash, "outcome": "0" * 32} | changes)


def test_matches_are_the_nearest_first_and_within_31_bits():
    hashes = random_hashes(100)
    near = {flips: with_flips(hashes[3], flips).tobytes().hex() for flips in (32, 7, 0, 31)}
    known = KnownItems(
        [item(hash_.tobytes().hex()) for hash_ in hashes[4:]]
        + [item(phash, note=f"{flips} bits", label="ivory_raw") for flips, phash in near.items()]
    )
    matches = known.match(hashes[3].tobytes().hex())
    assert [(m.distance, m.note, m.label) for m in matches] == [
        (bits, f"{bits} bits", "ivory_raw") for bits in (0, 7, 31)
    ]
    assert len(known) == 100
    assert known.match(None) == known.match("5" * 64) == KnownItems([]).match(HASH) == ()
    assert len(KnownItems([item(HASH)] * 3000).match(HASH)) == 20  # rows stay small


def line(number, judgement="confirmed", **more):
    given = {"id": f"{number:032}", "time": f"2026-01-01T00:00:{number:02}Z", "sha256": "a" * 64}
    return json.dumps(given | {"judgement": judgement, "phash": HASH, "reviewer": "Ama"} | more)


@pytest.mark.parametrize(
    ("lines", "outcomes"),
    [
        ([line(1)], [1]),
        ([line(1, "rejected")], []),
        ([line(1), line(2, "rejected")], []),
        ([line(2), line(1, "rejected")], [2]),  # by time, not by the order of the lines
        ([line(1), line(2, "rejected", time="2999-01-01T00:00:00Z")], [1]),  # by a wrong clock
        ([line(1), line(2, withdraws=f"{1:032}", occasion="withdrawal")], []),
        ([line(1), line(3, "rejected"), line(4, "rejected", withdraws=f"{3:032}")], [1]),
        ([line(1), line(2, sha256="b" * 64)], [1, 2]),
        ([line(1, phash=None)], []),  # an image without pixels
        ([line(1, sha256=None, listing="L1", phash=None)], []),
        (["", line(1), ""], [1]),
    ],
)
def test_the_latest_outcome_counts_and_only_a_confirmation(lines, outcomes, tmp_path):
    file = tmp_path / "outcomes.jsonl"
    file.write_text("\n".join(lines))
    found = load_known(file).match(HASH)
    assert sorted(match.outcome for match in found) == [f"{number:032}" for number in outcomes]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "line 1: Expected `object`, got `array`"),
        (line(1) + "\n" + line(2)[:40], "line 2: Input data was truncated"),
        (line(1, phash="beef"), "line 1: Expected `str` matching regex"),
        (json.dumps({"sha256": "a" * 64, "judgement": "confirmed"}), "missing required field `id`"),
        (None, "no such file"),
    ],
)
def test_a_file_of_anything_else_is_refused(text, words, tmp_path):
    file = tmp_path / "other.jsonl"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=r"other\.jsonl") as caught:
        load_known(file)
    assert words in str(caught.value)


def test_confirmed_images_of_a_scan_are_known_items(tmp_path):
    rows = [bare_row(name, 0.6, "review", phash=HASH) for name in ("a", "b", "c")]
    rows.append(bare_row("empty", 0, "unscored"))
    scan = write_scan(tmp_path / "scan.sqlite", rows)
    said = [
        outcome(sha256=digest("a"), note="seizure 12"),
        outcome("rejected", sha256=digest("b")),
        outcome(sha256=digest("empty")),
    ]
    store(scan, said)
    succeed("outcomes", "export", scan, tmp_path / "out.jsonl")
    for file in (scan, tmp_path / "out.jsonl"):
        (match,) = load_known(file).match(HASH)
        assert (match.outcome, match.note, match.distance) == (said[0].id, "seizure 12", 0)
        assert match.label is None  # of the verdict, whatever its lead was
        assert load_known(file).match(HASH, digest("a")) == ()  # itself


def test_a_copy_of_a_confirmed_image_is_a_lead(scan, tmp_path):
    """A small, gray copy in which the model sees nothing, in the next scan of a platform."""
    (folder := tmp_path / "photos").mkdir()
    small = Image.fromarray(np.asarray(scene(0, (640, 480)))).convert("L").resize((320, 240))
    (folder / "copy.png").write_bytes(encoded(small, "PNG"))
    (folder / "other.png").write_bytes(encoded(scene(1), "PNG"))

    def scanned(*options):
        scan(folder, *options)
        return sorted(read_rows(tmp_path / "scan.sqlite"), key=lambda row: row["source"])

    before, other = scanned()
    assert {before["decision"], other["decision"]} == {"clear"}
    file = tmp_path / "outcomes.jsonl"
    file.write_text(line(7, phash=before["phash"], label="ivory_raw"))
    copy, other = scanned("--known", file)  # nothing is scored again
    (lead,) = copy["leads"]
    assert (copy["decision"], lead["kind"], lead["name"]) == ("review", "known", "ivory_raw")
    assert copy["time"] == before["time"]
    assert f"(known): near the image of outcome {7:032}, 0 of 256 bits apart" in copy["why"][0]
    assert copy["known"][0]["outcome"] == f"{7:032}"
    assert (other["decision"], other["known"]) == ("clear", [])
    assert scanned()[0]["decision"] == "clear"  # without known items
    assert scanned("--known", file)[0]["decision"] == "review"
    file.write_text(line(7) + "\n" + line(8, "rejected"))
    assert {row["decision"] for row in scanned("--known", file)} == {"clear"}
    assert "no such file" in refuse("scan", folder, "--known", tmp_path / "gone.jsonl").stderr


def test_what_an_audit_found_is_not_known_to_itself(scan, tmp_path):
    """Else the miss would be a lead of the next scan, and recall 100 %."""
    (folder := tmp_path / "photos").mkdir()
    file = tmp_path / "scan.sqlite"
    for number in range(2):
        (folder / f"{number}.png").write_bytes(encoded(scene(number), "PNG"))
    scan(folder, "--audit-rate", 1)
    store(file, [outcome(sha256=read_rows(file)[0]["sha256"], occasion="audit")])
    before = json.loads(succeed("measure", file, "--json").stdout)
    scan(folder, "--known", file, "--recheck")
    assert {row["decision"] for row in read_rows(file)} == {"clear"}
    assert json.loads(succeed("measure", file, "--json").stdout) == before
    succeed("outcomes", "export", file, exported := tmp_path / "said.jsonl")
    for known in (file, exported):  # offered again, to another scan, it is a lead
        scan(folder, "--known", known, "--output", other := tmp_path / f"{known.stem}-other.sqlite")
        assert {row["decision"] for row in read_rows(other)} == {"clear", "review"}
