"""Decided images become a dataset and known items."""

import errno
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from recognizer.cli import ExitCode
from recognizer.desk.decided import about_images
from recognizer.desk.outcomes import Judgement, Occasion, Outcomes
from recognizer.lab.dataset.manifest import load_data
from recognizer.rows import ScanFile
from tests.conftest import encoded, invoke, picture, refuse, succeed
from tests.desk.outcomes import outcome, store
from tests.desk.server.queues import listing, tusk_fish_and_broken
from tests.rows.rows import HASH, NOW, quick_folder, row_of, write_scan


@pytest.fixture
def rows(tmp_path, recognizer):
    rows = []
    for number, color in enumerate(["red", "red", "green", "red"]):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(encoded(picture(color, seed=number)))
        item = {"id": f"L{number}", "seller": "anna\ud800"} if number < 2 else None
        rows.append(row_of(recognizer, path, item=item, phash=HASH if number != 1 else None))
    return rows


@pytest.fixture
def scan(tmp_path, rows):
    """A scan in whose file people have said what they found out."""
    path = write_scan(tmp_path / "scan.sqlite", rows)
    said = [("confirmed", None), ("rejected", None), ("rejected", "ceramic"), ("unsure", None)]
    for row, (judgement, label) in zip(rows, said, strict=True):
        store(path, [outcome(judgement, sha256=row.sha256, label=label, note="a\nb")])
    return path


def test_decided_images_are_a_dataset(tmp_path, scan, rows):
    folder = tmp_path / "decided"
    said = succeed("outcomes", "dataset", scan, folder, "--rejected-as", "listing_other")
    assert "Left out" not in said.stderr
    photos = {photo.sha256: photo for photo in load_data([folder])}
    named = {(photos[row.sha256].label, photos[row.sha256].source) for row in rows[:3]}
    of_anna = {(label, "seller anna\\ud800") for label in ("ivory_worked", "listing_other")}
    assert named == {*of_anna, ("ceramic", str(tmp_path))}
    assert len(photos) == 3
    refuse("outcomes", "dataset", scan, folder)
    said = succeed("outcomes", "dataset", scan, tmp_path / "fewer")
    assert "Left out: 1 image rejected without a label" in said.stderr
    found = {photo.sha256: photo.label for photo in load_data([tmp_path / "fewer"])}
    assert found == {rows[0].sha256: "ivory_worked", rows[2].sha256: "ceramic"}
    wrong = {"listing_othr": "did you mean listing_other", "ivory_worked": "is a product"}
    for label, words in wrong.items():
        refused = refuse("outcomes", "dataset", scan, tmp_path / "x", "--rejected-as", label)
        assert words in " ".join(refused.stderr.split())


def test_listings_told_apart_by_a_column_of_their_own_are_sources(tmp_path, tiny_bundle):
    table, scan = tmp_path / "t.csv", tmp_path / "scan.sqlite"
    for name in "ab":
        (tmp_path / f"{name}.jpg").write_bytes(encoded(picture("red", seed=ord(name))))
    table.write_text("sku,image\nS1,a.jpg\nS2,b.jpg\n")
    succeed("scan", table, "--listing-column", "sku", "-m", tiny_bundle, "-o", scan)
    with ScanFile(scan) as file:
        store(scan, [outcome(sha256=row.sha256, label="ivory_worked") for row in file.rows()])
    succeed("outcomes", "dataset", scan, tmp_path / "decided")
    photos = load_data([tmp_path / "decided"])
    assert {photo.source for photo in photos} == {"listing S1", "listing S2"}


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (FULL, ExitCode.USAGE)])
def test_a_dataset_appears_whole_or_not_at_all(error, code, tmp_path, scan, monkeypatch):
    monkeypatch.setattr("recognizer.desk.decided._source_of", Mock(side_effect=error))
    before, folder = {*tmp_path.iterdir()}, tmp_path / "decided"
    done = invoke("outcomes", "dataset", scan, folder, code=code)
    assert (f"{folder} cannot be written: No space" in done.stderr) is (error is FULL)
    assert {*tmp_path.iterdir()} == before


LEADS = [replace(listing(name), source=one, sha256=one * 64) for name, one in ("La", "Lb", "Mc")]
KEYED = {"listing": "K"}  # of which no photo is a lead
ABOUT = [{"listing": "L"}, {"listing": "L", "sha256": "a" * 64}, {"sha256": "b" * 64}, KEYED]


def test_a_verdict_on_a_listing_confirms_its_leads_of_products_alone(tmp_path):
    tusk, fish, broken, horn = tusk_fish_and_broken()
    scan, said = tmp_path / "scan.sqlite", outcome(listing="a", label="rhino_horn")
    write_scan(scan, [tusk, fish, horn, broken])
    back = withdrawn(said)
    with Outcomes(scan, write=True) as stored:
        for _ in range(2):
            stored.add(about_images(stored.file, stored, [said]))
        labels = {one.sha256: one.label for one in stored}
        assert labels == {tusk.sha256: None, horn.sha256: "rhino_horn"}
        stored.add(about_images(stored.file, stored, [back]))
        assert stored.decided() == {}


def withdrawn(said):
    occasion, time = Occasion.WITHDRAWAL, said.time + timedelta(days=1)
    return replace(said, time=time, occasion=occasion, withdraws=said.id)


@given(st.data())
@settings(max_examples=25, deadline=None, phases=[Phase.generate])
def test_outcomes_say_the_same_in_whichever_order_they_are_imported(data):
    about = st.tuples(st.sampled_from([*Judgement]), st.sampled_from(ABOUT), st.integers(0, 99))
    drawn = data.draw(st.lists(about, min_size=1, max_size=5, unique_by=lambda one: one[2]))
    said = [
        outcome(judgement, time=NOW + timedelta(minutes=at), **named)
        for judgement, named, at in drawn
    ]
    back = data.draw(st.lists(st.sampled_from(said), max_size=3))
    every, states = [*said, *map(withdrawn, back)], []
    for order in (every, data.draw(st.permutations(every)) + said):
        with (
            quick_folder() as folder,
            Outcomes(write_scan(Path(folder) / "x", LEADS), write=True) as stored,
        ):
            for some in [order] if order is every else [[one] for one in order]:
                stored.add(about_images(stored.file, stored, some))
            images = stored.decided()
            queue = stored.file.select("SELECT name, state FROM queue")
            assert {one.time for one in images.values()}.isdisjoint(one.time for one in back)
            states.append(({*stored}, images, queue))
    assert states[0] == states[1]


def test_an_original_that_is_gone_or_changed_is_said_to_be_missing(tmp_path, scan, rows):
    Path(rows[0].source).unlink()
    Path(rows[1].source).write_bytes(b"another")
    store(scan, [outcome(sha256=rows[3].sha256, label="../outside")])
    done = invoke("outcomes", "dataset", scan, tmp_path / "decided", "--rejected-as", "bone")
    assert done.exit_code == ExitCode.SOME_FAILED
    assert "not_found: " in done.stderr
    assert "has changed since the scan" in done.stderr
    assert "'../outside' is not a label" in done.stderr
    assert len(load_data([tmp_path / "decided"])) == 1
    Path(rows[2].source).unlink()
    empty = " ".join(refuse("outcomes", "dataset", scan, tmp_path / "empty").output.split())
    assert f"was not made: {rows[0].source}: not_found: " in empty
    assert not (tmp_path / "empty").exists()
    nothing = refuse("outcomes", "dataset", write_scan(tmp_path / "x", rows), tmp_path / "empty")
    assert "no image was confirmed" in " ".join(nothing.output.split())


def test_outcomes_go_out_and_come_in(tmp_path, scan):
    """Into the team's file, too, which is made for them; where they come from is not made up."""
    printed = invoke("outcomes", "export", scan, "-").stdout
    assert [json.loads(line)["origin"] for line in printed.splitlines()] == [None] * 4
    for name in ("x.csv", "x.jsonl"):
        succeed("outcomes", "export", scan, tmp_path / name)
        team = ("--outcomes", tmp_path / f"{name}.sqlite")
        for new in (4, 0):
            done = invoke("outcomes", "import", scan, tmp_path / name, *team)
            assert f"{new} new, 4 in all" in done.stdout
            assert done.stderr == ""
        assert invoke("outcomes", "export", scan, "-", *team).stdout == printed
    gone = [outcome(listing="gone").to_json_line(), outcome(sha256="0" * 64).to_json_line()]
    (tmp_path / "o.jsonl").write_bytes(b"".join(gone))
    strange = succeed("outcomes", "import", scan, tmp_path / "o.jsonl").stderr
    assert strange == f"2 of the new ones are about no image or listing of {scan}\n"
    (bad := tmp_path / "bad.csv").write_text("x")
    refuse("outcomes", "export", tmp_path / "none", bad)


def test_the_figures_are_printed(tmp_path, scan, rows):
    audited = [*rows[:2], replace(rows[2], audit=0.5)]
    of_another = ("measure", write_scan(tmp_path / "x.sqlite", audited), "--outcomes", scan)
    done = succeed(*of_another)
    assert "2 distinct leads of 3 distinct images, 2 decided" in done.stdout
    assert "Misses: 0 of 1 audited images" in done.stdout
    written = json.loads(invoke(*of_another, "--json").stdout)
    assert written["precision"][0]["precision"]["value"] == 0.5
    assert written["misses"]["audited"] == 1
    assert "Misses: unknown; scan with --audit-rate.\n" in succeed("measure", scan).stdout
    with ScanFile(scan, write=True) as file:
        file.set_setting("audit_rate", "0.01")
    assert "--audit-rate over 0.01, which drew nothing.\n" in succeed("measure", scan).stdout
    assert "decide some of the audit sample" in succeed("measure", of_another[1]).stdout
    for row in reversed(audited):
        store(of_another[1], [outcome("rejected", sha256=row.sha256)])
        assert "Recall: unknown; it needs verdicts" in succeed("measure", of_another[1]).stdout
