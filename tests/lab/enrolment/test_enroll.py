"""Blue pictures become rhino horn in a bundle for which red ones are ivory."""

import hashlib
import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recognizer.cli import ExitCode
from recognizer.desk.cards import ENVIRONMENT
from recognizer.engine import Recognizer
from recognizer.errors import UsageError
from recognizer.lab.enrolment.enroll import enroll
from recognizer.lab.enrolment.negatives import NegativeBank, read_negatives, write_negatives
from recognizer.model.bundle import load_bundle, write_bundle
from recognizer.model.description import Enrolled
from recognizer.model.numerics import logit
from recognizer.policy.values import Policy
from recognizer.taxonomy import Kind
from tests.conftest import encoded, invoke, picture, refuse, succeed
from tests.tiny import write_tiny_bundle

NEGATIVE_COLORS = {"red": "ivory_worked", "green": "ceramic", "gray": "listing_other"}


@pytest.fixture
def write_photos(tmp_path):
    """Writes photos of one color, each with noise of its own, and returns their paths."""

    def write(color, count, folder="photos", seed=0):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        paths = [place / f"{color}_{seed + i}.jpg" for i in range(count)]
        for i, path in enumerate(paths):
            # Sizes and quality differ, as in photos from different places.
            size = (64 + 4 * (i % 3), 48 + 8 * (i % 2))
            path.write_bytes(encoded(picture(color, size, seed + i), quality=80 + i % 10))
        return [str(path) for path in paths]

    return write


@pytest.fixture
def blue(write_photos):
    """Three blue photos: a product that the model does not know."""
    return write_photos("blue", 3)


@pytest.fixture(scope="session")
def banked_bundle(tmp_path_factory):
    """The tiny bundle with a bank: red is ivory, green and gray are no product; none is blue."""
    folder = write_tiny_bundle(tmp_path_factory.mktemp("banked") / "tiny-v1")
    recognizer = Recognizer.load(folder, threads=1)
    rng = np.random.default_rng(0)
    labels, pictures = np.repeat([*NEGATIVE_COLORS.values()], 60), []
    for color, seed in itertools.product(NEGATIVE_COLORS, range(1000, 1060)):
        shade = np.asarray(picture(color, (32, 32), seed)).astype(float)
        pictures.append(np.clip(shade * rng.uniform(0.7, 1.1), 0, 255).astype(np.uint8))
    log_odds, embeddings = recognizer.features(np.stack(pictures))
    count = len(labels)
    bank = NegativeBank(
        embeddings,
        log_odds,
        labels,
        np.arange(count, dtype=np.int32) // 4,
        np.arange(count) % 3 > 0,
        rng.integers(0, 1 << 63, count, np.uint64),
    )
    write_bundle(replace(recognizer.bundle, negatives=write_negatives(folder, bank)))
    return folder


RHINO = "rhino_horn"


@pytest.fixture
def parent(banked_bundle):
    return Recognizer.load(banked_bundle, threads=1)


@pytest.fixture
def enrolled(parent, write_photos, tmp_path):
    enroll(parent, RHINO, write_photos("blue", 4), tmp_path / "with-rhino-v3")
    return Recognizer.load(tmp_path / "with-rhino-v3", threads=1)


def test_the_new_product_is_found_and_others_stay(parent, enrolled):
    assert enrolled.labels == (*parent.labels, "rhino_horn")
    for seed, color in enumerate(("red", "green", "gray", "blue")):
        photo = encoded(picture(color, seed=500 + seed))
        before, after = parent.predict(photo), enrolled.predict(photo)
        for label, score in before.scores.items():
            assert after.scores[label] == pytest.approx(score, abs=1e-6)
        triage = enrolled.decide(after, Policy())
        assert ("rhino_horn" in {lead.name for lead in triage.leads}) == (color == "blue")
        assert after.families["rhino_horn"] == pytest.approx(after.scores["rhino_horn"])
    pixels = np.asarray(picture("green", (64, 64))).copy()
    pixels[:32, 32:] = (20, 20, 230)
    explanation = enrolled.explain(pixels, "rhino_horn")
    (region, *_) = explanation.regions
    high, wide = explanation.heatmap.shape
    assert explanation.heatmap[0, wide * 3 // 4] > 0.5 > explanation.heatmap[high * 3 // 4, 0]
    assert (region.box[0] >= 20, region.box[3] <= 44) == (True, True)


def test_the_bundle_says_what_it_is_made_of(parent, enrolled, write_photos):
    bundle = enrolled.bundle
    assert (bundle.name, bundle.version, bundle.not_recognized) == ("with-rhino", 3, ())
    assert bundle.digest not in {parent.bundle.digest, bundle.model.sha256}
    (step,) = bundle.lineage
    assert isinstance(step, Enrolled)
    assert (step.parent, step.label) == (parent.bundle.reference, "rhino_horn")
    photos = write_photos("blue", 4)
    assert step.photos == tuple(hashlib.sha256(Path(p).read_bytes()).hexdigest() for p in photos)
    assert bundle.enrolled_photos() == bundle.enrolled_photos("rhino_horn") == set(step.photos)
    assert bundle.enrolled_photos("ivory_raw") == set()
    label = bundle.labels[-1]
    assert (label.kind, label.evidence.test.photos) == (Kind.PRODUCT, 0)
    assert "enrolled from 4 photos of 1 source" in label.evidence.enrolment.words
    parts = ENVIRONMENT.get_template("parts.html.j2").module
    assert "enrolled from 4 photos" in parts.evidence(bundle, "rhino_horn")
    assert "rhino_horn was enrolled from 4 photos" in (bundle.path / "MODEL_CARD.md").read_text()


def test_thresholds_hold_on_held_out_negatives(parent, enrolled):
    bundle = enrolled.bundle
    bank = read_negatives(bundle)
    counted = bank.held_out & ~np.isin(bank.labels, ["ivory_worked", "rhino_horn"])
    scores = bundle.calibrate(bank.log_odds[counted])
    highest = bundle.family_scores(scores).max(axis=1)
    for rate in bundle.any_product_thresholds:
        # float16 in the bank moves a score by a thousandth.
        assert (scores[:, -1] > bundle.labels[-1].thresholds[rate] + 1e-3).mean() <= rate
        assert (highest > bundle.any_product_thresholds[rate] + 1e-3).mean() <= rate
        assert bundle.any_product_thresholds[rate] >= parent.bundle.any_product_thresholds[rate]
    assert bundle.families[0] == parent.bundle.families[0]
    # The new label takes little of what all may take: there are two products beside it.
    assert (scores[:, -1] > parent.bundle.any_product_thresholds[0.01] + 1e-3).mean() <= 0.01 / 3


def test_augmentation_raises_the_thresholds_that_it_reaches(
    parent, enrolled, write_photos, tmp_path
):
    before = enrolled.bundle.labels[-1].thresholds
    near = (before[0.01] + before[0.001]) / 2
    looking = replace(parent.bundle, tta_threshold=near, tta_raise=0.5)
    enroll(Recognizer(looking), RHINO, write_photos("blue", 4), tmp_path / "looking-v1")
    (*_, label) = load_bundle(tmp_path / "looking-v1").labels
    for rate, once in before.items():
        rise = logit(label.thresholds[rate]) - logit(once)
        assert rise == pytest.approx(0.5 if once > near else 0, abs=0.01)


def with_bank(folder, output, bank):
    """Load a copy of a bundle with another bank."""
    shutil.copytree(folder, output)
    negatives = None if bank is None else write_negatives(output, bank)
    write_bundle(replace(load_bundle(output), negatives=negatives))
    return Recognizer.load(output, threads=1)


def test_an_enrolled_bundle_remembers_its_photos_and_takes_another_product(
    enrolled, write_photos, tmp_path
):
    assert (read_negatives(enrolled.bundle).labels == RHINO).sum() == 4
    enroll(enrolled, "seahorse", write_photos("yellow", 3), tmp_path / "again-v1")
    again = Recognizer.load(tmp_path / "again-v1", threads=1)
    assert again.labels == (*enrolled.labels, "seahorse")
    assert (again.bundle.title, len(again.bundle.lineage)) == ("again-v1", 2)
    with pytest.raises(UsageError, match="with-rhino-v3 knows rhino_horn: enroll it in a bundle"):
        enroll(enrolled, RHINO, write_photos("blue", 3, seed=50))


@pytest.mark.parametrize("family", ["ivory", None])
def test_a_new_name_brings_its_entry_of_the_taxonomy(parent, blue, tmp_path, family):
    new = {"family": family, "hint": "Look at the blue."}
    enroll(parent, "blue_ivory", blue, tmp_path / "out-v1", **new)
    bundle = load_bundle(tmp_path / "out-v1")
    assert bundle.taxonomy.labels["blue_ivory"].family == (family or "blue_ivory")
    assert bundle.taxonomy.display_name("blue_ivory") == "Blue ivory"
    own = next(found for found in bundle.families if found.name == (family or "blue_ivory"))
    assert own.members == (*(("ivory_worked", "ivory_raw") if family else ()), "blue_ivory")
    assert bundle.taxonomy.labels["blue_ivory"].hint == "Look at the blue."


@pytest.mark.parametrize("count", [0, 49, 50])
def test_a_bank_needs_fifty_negatives(banked_bundle, blue, tmp_path, count):
    bank = read_negatives(load_bundle(banked_bundle))
    too_many = np.flatnonzero(bank.held_out & (bank.labels != "ivory_worked"))[count:]
    few = bank[np.delete(np.arange(len(bank)), too_many)] if count else None
    folder = with_bank(banked_bundle, tmp_path / "few-v1", few).bundle.path
    printed = succeed("info", folder).stdout
    assert "measured on:            nothing yet, with these scores" in printed
    assert f"enrolment:              {'against' if count else 'not possible'}" in printed
    if count == 50:
        enroll(Recognizer.load(folder), RHINO, blue)
        return
    with pytest.raises(UsageError, match=f"{count} held-out negatives, at least 50 are needed"):
        enroll(Recognizer.load(folder), RHINO, blue)


def test_sources_are_left_out_where_there_are_several(parent, write_photos):
    both = [*write_photos("blue", 4, "shop"), *write_photos("yellow", 4, "museum")]
    mixed = [*write_photos("blue", 4, "one"), *write_photos("yellow", 4, "one")]
    alike, apart = (enroll(parent, RHINO, photos) for photos in (mixed, both))
    assert alike.evidence.recall[0.01].count > 4  # another of the same color was learned from
    assert apart.evidence.by_source
    assert apart.evidence.recall[0.01].count <= 4
    assert "photos left out in turn" in alike.evidence.words
    assert "sources left out in turn" in apart.evidence.words
    assert any("had not seen its source" in line for line in apart.lines())
    # Photos of one source say nothing of others: there is no interval.
    assert ["%; false" in one.lines()[1] for one in (alike, apart)] == [True, False]
    assert ["% (" in one.evidence.words for one in (alike, apart)] == [False, True]
    few = [*write_photos("blue", 4, "most"), *write_photos("blue", 1, "few", seed=9)]
    assert not enroll(parent, RHINO, few).evidence.by_source  # one photo would be left


def test_a_negative_is_judged_by_a_threshold_of_other_sources(parent, write_photos, tmp_path):
    bank = read_negatives(parent.bundle)
    gray = bank.labels == "listing_other"  # these come from one source, and are what is enrolled
    bank = replace(bank, sources=np.where(gray, 0, bank.sources).astype(np.int32))
    like = with_bank(parent.bundle.path, tmp_path / "like-v1", bank)
    wrong = enroll(like, RHINO, write_photos("gray", 4)).evidence.false_positives[0.01]
    assert wrong.count == int((gray & bank.held_out).sum())  # "1 %" of 80 would have been none
    assert wrong.high > 0.5


def test_a_check_writes_nothing(parent, blue, write_photos, tmp_path):
    found = enroll(parent, RHINO, blue)
    assert found.path is None
    assert not [p for p in tmp_path.iterdir() if p.name != "photos"]
    first, five, one, *rest = found.lines()
    assert first == "rhino_horn: 3 photos of 1 source; 180 negatives, 80 of them held out"
    assert one.startswith("recall 3 of 3 at 1 %; false positives 0 of 80 (0.00-4.51 %)")
    assert five.startswith("recall 3 of 3 at 5 %")
    for words in ("one source", "with the default policy 3 of 3 are leads:", "review_rate = 0.01"):
        assert any(words in line for line in rest)
    # What cannot be told from negatives promises nothing.
    assert enroll(parent, RHINO, write_photos("gray", 4)).evidence.recall[0.01].count <= 1


def test_the_command_skips_a_page(banked_bundle, blue, tmp_path):
    page, output = tmp_path / "page.jpg", tmp_path / "mine-v2"
    page.write_bytes(b"<html>")
    given = ("enroll", RHINO, *blue, page, "--model", banked_bundle)
    for options in ((), ("--check", "--output", output)):
        assert "give either --output, the folder of the new" in refuse(*given, *options).stderr
    for options in (("--check",), ("--output", output)):
        done = invoke(*given, *options, code=ExitCode.SOME_FAILED)
        assert f"Skipped {page}: not_an_image" in done.stderr
        assert ("Wrote" in done.stdout) == output.exists() == (output in options)


def test_copies_count_once(parent, tmp_path):
    photos = []
    for seed in range(3):
        blocks = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        photos.append(str(tmp_path / f"{seed}.png"))
        Image.fromarray(blocks).resize((48, 48), Image.Resampling.NEAREST).save(photos[-1])
    photos += [photos[1], str(tmp_path / "copy.jpg")]
    with Image.open(photos[0]) as photo:  # in another format, with a loss
        photo.save(photos[-1], quality=90, subsampling=0)
    found = enroll(parent, RHINO, photos, tmp_path / "out-v1")
    assert found.evidence.photos == 3
    assert sum("near-copy" in note for note in found.notes) == 2
    card = (tmp_path / "out-v1" / "MODEL_CARD.md").read_text()
    assert all(f"- {note}\n" in card for note in found.notes)
    with pytest.raises(UsageError, match=r"2 usable photos of 4.*\n.*1.png is a near-copy .*\nx "):
        enroll(parent, RHINO, [*photos[:2], photos[1], "x"])
    with pytest.raises(UsageError, match="0 usable photos of 0: at least 3"):
        enroll(parent, RHINO, [])


@pytest.mark.parametrize(
    ("name", "family", "hint", "words"),
    [
        ("ceramic", None, None, "kind lookalike"),
        ("rhino_hron", None, None, "did you mean rhino_horn"),
        ("new_thing", None, None, "--hint"),
        ("New Thing", None, "x", "snake_case"),
        ("new_thing", "ivry", "x", "unknown family 'ivry' .did you mean ivory"),
        ("ivory_raw", None, None, "tiny-v1 knows ivory_raw"),
        ("new_thing", None, " ", "must be text"),
    ],
)
def test_names_that_cannot_be_enrolled(parent, blue, name, family, hint, words):
    with pytest.raises(UsageError, match=words):
        enroll(parent, name, blue, family=family, hint=hint)
