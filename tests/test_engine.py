import hashlib
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recognizer.engine import Recognizer
from recognizer.errors import BundleError, PolicyError, UsageError
from recognizer.imaging import Limits
from recognizer.imaging.thumbnail import draw_heatmap
from recognizer.model.bundle import load_bundle
from recognizer.model.description import Calibration
from recognizer.model.numerics import logit, sigmoid
from recognizer.policy.values import CandidateKind, Decision, Policy, Probability, Rule
from recognizer.status import Status
from tests.conftest import encoded, picture
from tests.hostile import exif
from tests.pictures import animated
from tests.tiny import LABELS, edit_description, write_second_look, write_tiny_bundle


def assert_same(one, other):
    assert replace(one, scores={}, families={}) == replace(other, scores={}, families={})
    for mine, theirs in ((one.scores, other.scores), (one.families, other.families)):
        assert list(mine) == list(theirs)
        assert np.allclose(list(mine.values()), list(theirs.values()), rtol=0, atol=1e-5)


def mixed():
    """Photos with failed, damaged and animated images between them, more than one batch."""
    photos = [encoded(picture(c, seed=i)) for i, c in enumerate(("red", "green", "blue") * 5)]
    photos[2] = b""
    photos[4] = animated("blue", "blue", "red", "blue")
    photos[5] = b"<html>"
    photos[9] = photos[9][: len(photos[9]) * 9 // 10]
    photos[10] = animated(*["green"] * 12, "red")
    return photos


@pytest.mark.parametrize(
    ("color", "label"), [("red", "ivory_worked"), ("green", "ceramic"), ("blue", "listing_other")]
)
def test_a_photo(color, label, recognizer):
    prediction = recognizer.predict(encoded(picture(color)))
    assert prediction.status is Status.OK
    assert tuple(prediction.scores) == LABELS == recognizer.labels
    assert max(prediction.scores, key=lambda name: prediction.scores[name]) == label
    assert all(isinstance(p, float) and 0 <= p <= 1 for p in prediction.scores.values())
    worked, raw = prediction.scores["ivory_worked"], prediction.scores["ivory_raw"]
    assert prediction.families == {"ivory": pytest.approx(1 - (1 - worked) * (1 - raw))}
    assert (prediction.format, prediction.width, prediction.height) == ("jpeg", 64, 48)
    assert (prediction.frame, prediction.frames, prediction.regions) == (0, 1, ())
    assert prediction.phash is None  # nothing to see but one color


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_one_red_frame_is_enough_and_is_named(kind, recognizer):
    prediction = recognizer.predict(animated("blue", "blue", "red", "blue", "blue", format=kind))
    assert prediction.scores["ivory_worked"] > 0.9
    assert prediction.scores["listing_other"] > 0.9  # each score is the highest of all frames
    assert (prediction.frame, prediction.frames) == (2, 5)
    triage = recognizer.decide(prediction, Policy())
    assert triage.decision is Decision.PRIORITY
    assert "in frame 2" in triage.why[0]


@pytest.mark.parametrize("threads", [None, 1, 3, 100])
def test_a_batch_and_eight_threads_give_what_single_calls_give(threads, recognizer):
    images = mixed()
    together = list(recognizer.predict_many(images, threads=threads))
    with ThreadPoolExecutor(8) as pool:
        at_once = pool.map(recognizer.predict, images)
    for image, prediction, other in zip(images, together, at_once, strict=True):
        assert_same(prediction, alone := recognizer.predict(image))
        assert_same(other, alone)
        assert prediction.sha256 == hashlib.sha256(image).hexdigest()
    assert [p.status for p in together].count(Status.FAILED) == 2
    assert together[9].status is Status.DEGRADED
    assert (together[10].frame, together[10].frames) == (12, 13)


def test_images_are_read_as_predictions_are_taken(recognizer):
    read = []

    def source():
        for i in range(1000):
            read.append(i)
            yield encoded(picture(seed=i))

    predictions = recognizer.predict_many(source(), threads=2)
    assert read == []
    for count in (5, 6, 7):  # two for each thread, and the one that is taken
        next(predictions)
        assert len(read) == count


def test_the_embedding_is_that_of_the_frame_that_scored(recognizer):
    found = recognizer.embed(encoded(picture("red", seed=3), "PNG"))
    assert found.dtype == np.float32
    assert found == pytest.approx((230, 20, 20), abs=4)
    assert recognizer.embed(animated("blue", "blue", "red", "blue"))[0] > 200


@pytest.mark.parametrize(
    "image", [b"", b"<html>", encoded(picture())[:300], Path("no/such/file.jpg"), Path()]
)
def test_bad_input_is_a_status_of_every_call(image, recognizer):
    prediction, embedded = recognizer.predict(image), recognizer.embed(image)
    explanation = recognizer.explain(image)
    assert prediction.status is Status.FAILED
    assert prediction.reason is not None
    assert prediction.scores == prediction.families == {}
    assert prediction.frame is prediction.phash is None
    assert recognizer.decide(prediction, Policy()).decision is Decision.UNSCORED
    assert embedded is None
    assert explanation.prediction == prediction
    assert explanation.label is None
    assert explanation.heatmap.size == explanation.rgb.size == 0
    assert explanation.regions == ()


@pytest.mark.parametrize("call", ["predict", "embed", "explain"])
@pytest.mark.parametrize("image", ["/etc/passwd", "photo.jpg", "", None, np.zeros((4, 4, 3))])
def test_a_mistake_of_the_caller_raises_in_every_call(call, image, recognizer):
    with pytest.raises(UsageError):
        getattr(recognizer, call)(image)


def test_a_prediction_of_another_model_is_refused(recognizer, tmp_path):
    strict = Calibration(1.0, -5.0)
    labels = (replace(label, calibration=strict) for label in recognizer.bundle.labels)
    other = Recognizer.load(write_tiny_bundle(tmp_path, labels=tuple(labels)))
    for image in (encoded(picture()), b""):
        with pytest.raises(UsageError, match="another model than tiny-v1"):
            recognizer.decide(other.predict(image), Policy())
    # One that was made by hand needs the labels.
    whole = recognizer.predict(encoded(picture()))
    by_hand = replace(whole, bundle_digest=None)
    assert recognizer.decide(by_hand, Policy()) == recognizer.decide(whole, Policy())
    for wrong in ({"scores": {"ivory_worked": 0.9}}, {"scores": {}}, {"families": {}}):
        with pytest.raises(UsageError, match="another model"):
            recognizer.decide(replace(by_hand, **wrong), Policy())
    with pytest.raises(UsageError, match="prediction = None: give what predict returns"):
        recognizer.decide(None)


@pytest.mark.parametrize("name", ["ivory_raw", "ivory_worked"])
def test_a_family_with_the_name_of_a_label_is_a_lead_of_its_own(name, tmp_path):
    """As of `enroll pangolin_skin --family pangolin_scales`, where both names are labels too."""

    def rename(description):
        (family,) = description["families"]
        family["name"] = name
        description["taxonomy"] = {"family": {name: {"display_name": "Ivory", "note": "-"}}}

    engine = Recognizer.load(edit_description(write_tiny_bundle(tmp_path), rename))
    prediction = engine.predict(encoded(picture("red")))
    assert prediction.scores["ivory_raw"] < 0.4
    assert prediction.scores["ivory_worked"] > 0.9
    leads = engine.decide(prediction, Policy()).leads
    assert {(one.kind, one.name) for one in leads} == {("label", "ivory_worked"), ("family", name)}
    never = Rule(review=Probability(1), priority=Probability(1))
    silent = {kind: Policy(rules={(kind, name): never}) for kind in CandidateKind}
    assert engine.decide(prediction, silent[CandidateKind.FAMILY]).leads == ()  # and its products
    leads = engine.decide(prediction, silent[CandidateKind.LABEL]).leads
    assert ("family", name) in {(one.kind, one.name) for one in leads}


def test_a_policy_is_a_name_a_path_or_the_default(recognizer, tmp_path):
    (tmp_path / "own.toml").write_text("review_probability = 1.0\npriority_probability = 1.0\n")
    prediction = recognizer.predict(picture("red"))
    assert recognizer.decide(prediction) == recognizer.decide(prediction, Policy())
    assert recognizer.decide(prediction, tmp_path / "own.toml").decision is Decision.CLEAR
    strict = Policy.load("strict", recognizer.bundle.taxonomy)
    assert recognizer.decide(prediction, "strict") == recognizer.decide(prediction, strict)
    with pytest.raises(PolicyError, match="stric: no such file, nor a policy of this package"):
        recognizer.decide(prediction, "stric")
    with pytest.raises(UsageError, match=r"give a Policy.* or a name: default, small-"):
        recognizer.decide(prediction, {"name": "strict"})  # type: ignore[arg-type]


def test_a_recognizer_is_named_and_pickled(recognizer, tmp_path):
    assert repr(recognizer) == "Recognizer('tiny-v1', provider='cpu')"
    again = pickle.loads(pickle.dumps(recognizer))
    assert again.predict(picture("red")) == recognizer.predict(picture("red"))
    pickled = pickle.dumps(Recognizer.load(write_tiny_bundle(tmp_path / "tiny-v1")))
    (tmp_path / "tiny-v1").rename(tmp_path / "other")
    with pytest.raises(BundleError, match="tiny-v1"):
        pickle.loads(pickled)


SHAPES = [(1, 1), (1, 65_535), (65_535, 1), (2, 33_000), (33_000, 2), (7, 7), (16, 5_000)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_no_error_of_opencv_escapes(shape, channels, recognizer):
    image = np.random.default_rng(0).integers(0, 256, (*shape, *channels), np.uint8)
    assert recognizer.predict(image).status is not Status.FAILED
    assert recognizer.embed(image) is not None
    assert recognizer.explain(image).heatmap.size


def red_at(box, size=(64, 64)):
    """A blue picture, unevenly lit, with a red object."""
    light = Image.linear_gradient("L").rotate(45).resize(size).point(lambda value: value // 3)
    image = Image.merge("RGB", (Image.new("L", size, 20), light, Image.new("L", size, 230)))
    image.paste((230, 20, 20), box)
    return image


TURN, MIRROR = Image.Transpose.ROTATE_90, Image.Transpose.FLIP_LEFT_RIGHT
CASES = {
    "png": lambda im: encoded(im, "PNG"),
    "jpeg": lambda im: encoded(im, "JPEG", quality=95),
    "turned": lambda im: encoded(im.transpose(TURN), "JPEG", quality=95, exif=exif(6)),
    "mirrored": lambda im: encoded(im.transpose(MIRROR), "PNG", exif=exif(2)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((64, 64), (32, 0, 64, 32)),
        ((640, 320), (0, 160, 320, 320)),  # reduced
        ((300, 1200), (150, 600, 300, 900)),
    ],
)
def test_the_box_is_around_the_red_object(case, size, box, recognizer):
    explanation = recognizer.explain(CASES[case](red_at(box, size)))
    prediction = explanation.prediction
    assert ((prediction.width, prediction.height), explanation.label) == (size, "ivory_worked")
    assert (explanation.heatmap.shape, explanation.heatmap.dtype) == ((4, 4), np.float32)
    row, column = np.unravel_index(explanation.heatmap.argmax(), (4, 4))
    assert box[0] <= (column + 0.5) * size[0] / 4 < box[2]
    assert box[1] <= (row + 0.5) * size[1] / 4 < box[3]
    (region,) = explanation.regions
    assert prediction.regions == explanation.regions
    assert region.score > 0.9
    # It covers the object, and goes no further than a cell of the map beyond.
    for side, (found, true) in enumerate(zip(region.box, box, strict=True)):
        assert abs(found - true) <= size[side % 2] / 8 + 1
    assert 0 <= region.box[0] < region.box[2] <= size[0]
    assert 0 <= region.box[1] < region.box[3] <= size[1]
    # The picture with it has the same proportions, upright.
    high, wide = explanation.rgb.shape[:2]
    assert wide / high == pytest.approx(size[0] / size[1], rel=0.02)
    middle = explanation.rgb[
        (box[1] + box[3]) * high // (2 * size[1]), (box[0] + box[2]) * wide // (2 * size[0])
    ]
    assert middle[0] > 200 > middle[2]


def collage(*colors):
    """Four pictures of 400 x 300 pixels in one of 808 x 608."""
    page = Image.new("RGB", (808, 608), "white")
    for number, color in enumerate(colors or ("green", "blue", "green", "red")):
        page.paste(picture(color, (400, 300), number), (408 * (number % 2), 308 * (number // 2)))
    return page


def test_a_product_in_a_collage_is_a_lead_and_its_part_is_named(recognizer):
    scored = recognizer.explain(encoded(collage()))
    prediction = scored.prediction
    assert prediction.part == pytest.approx((408, 308, 808, 608), abs=16)
    whole = recognizer.features([np.asarray(collage())])[0]
    alone = recognizer.predict(encoded(picture("red", (400, 300), 3))).scores["ivory_worked"]
    assert prediction.scores["ivory_worked"] == pytest.approx(alone, abs=0.05)
    assert prediction.scores["ivory_worked"] > 0.9 > sigmoid(whole[0, 0])
    (lead, *_) = recognizer.decide(prediction).why
    assert "in the part from {},{} to {},{}".format(*prediction.part) in lead
    assert prediction.part is not None
    for region in scored.regions:
        assert region.part == prediction.part
        assert region.box[0] >= prediction.part[0]
        assert region.box[3] <= prediction.part[3]
    # The heat-map is over the whole.
    half = scored.heatmap.shape[0] // 2
    assert scored.heatmap[half + 1 :, half + 1 :].max() > 0.9
    assert scored.heatmap[: half - 1].max() == 0 == scored.heatmap[:, : half - 1].max()
    assert scored.rgb.shape[1] / scored.rgb.shape[0] == pytest.approx(808 / 608, rel=0.02)
    assert recognizer.embed(encoded(collage())) is not None


def test_what_might_be_a_lead_is_decoded_and_scored_whole(tiny_bundle, monkeypatch):
    """So is what is explained; the rest is scored by a fraction, and much the same."""
    auto, whole = Recognizer.load(tiny_bundle), Recognizer.load(tiny_bundle, whole=True)
    lead, clear = (encoded(picture(color, (640, 480))) for color in ("red", "blue"))
    assert auto.predict(lead) == whole.predict(lead)
    (scored,) = auto.score_loaded([auto.load_image(lead)])
    assert scored.image.encoded is None
    (scored,) = auto.score_loaded([auto.load_image(clear)])
    assert scored.image.encoded == clear
    assert auto.predict(clear).scores == pytest.approx(whole.predict(clear).scores, abs=0.02)
    np.testing.assert_array_equal(auto.explain(clear).heatmap, whole.explain(clear).heatmap)
    failed = replace(scored.image, status=Status.FAILED)
    loaded = auto.load_image(lead)
    monkeypatch.setattr(auto, "load_image", lambda *_, **__: failed)
    (scored,) = auto.score_loaded([loaded])  # the whole cannot be had: the first look counts
    assert scored.image is loaded
    assert scored.prediction.scores["ivory_worked"] > 0.9


@pytest.mark.parametrize("bias", [-9.0, 0.0])
def test_what_might_be_a_lead_is_looked_at_by_a_second_network(bias, recognizer, tmp_path):
    """Of the log-odds the mean counts, higher or lower; nothing else costs a second pass."""
    twice = Recognizer.load(write_second_look(tmp_path, bias))
    assert twice.bundle.digest != recognizer.bundle.digest
    red, blue = encoded(picture("red")), encoded(picture("blue"))
    before, after = (logit(one.predict(red).scores["ivory_worked"]) for one in (recognizer, twice))
    assert after - before == pytest.approx((bias + 3) / 2, abs=0.01)
    again = Recognizer.load(tmp_path)
    assert again.predict(blue).scores == recognizer.predict(blue).scores
    assert "_second_session" not in vars(again)


def test_a_second_look_that_is_another_file_is_refused(tmp_path):
    folder = write_second_look(tmp_path, 0.0)
    (folder / "second_look.onnx").write_bytes(b"another")
    for call in (Recognizer.load(folder).predict, lambda _: load_bundle(folder).verify()):
        with pytest.raises(BundleError, match=r"second_look\.onnx"):
            call(encoded(picture("red")))


def test_parts_have_a_threshold_of_their_own(recognizer, tmp_path):
    shifted = Recognizer.load(write_tiny_bundle(tmp_path, part_shift=2.0))
    assert shifted.bundle.digest != recognizer.bundle.digest
    both = [one.predict(encoded(collage())) for one in (recognizer, shifted)]
    before, after = (one.scores["ivory_worked"] for one in both)
    assert logit(before) - logit(after) == pytest.approx(2.0, abs=0.01)
    photo = encoded(picture("red"))
    assert shifted.predict(photo).scores == recognizer.predict(photo).scores


@pytest.mark.parametrize(
    ("red", "lead", "max_views", "passes"),
    [
        (255, 0.7, 6, [1, 3, 2]),
        (255, 0.6, 6, [1, 3]),  # a lead by its turned copies
        (255, 0.45, 6, [1]),  # a lead already
        (180, 0.7, 6, [1]),  # not near
        (255, 0.7, 5, [1]),
        ((255, 255), 0.7, 11, [2, 3, 2]),  # the highest view of several
        ((255, 255), 0.7, 12, [2, 6, 4]),
    ],
)
def test_near_leads_are_rescored_with_augmentation(
    tmp_path, monkeypatch, red, lead, max_views, passes
):
    """Here by a network that sees red at the top alone, and images that have it on the left."""
    asked, at_once = list[int](), list[bool]()

    def run(_, images):
        at_once.append(isinstance(images, list))
        images = list(images)
        asked.append(len(images))
        red = np.array([image[0, :, 0].mean(dtype=np.float32) / 255 for image in images])
        return [np.stack([6 * red - 1.5, red - 9, red - 9, red - 9], axis=1)]

    thresholds = {0.05: 0.4, 0.01: lead, 0.001: 0.9}
    folder = write_tiny_bundle(tmp_path, tta_threshold=0.4, any_product_thresholds=thresholds)
    recognizer = Recognizer.load(folder, limits=Limits(max_views=max_views))
    monkeypatch.setattr(recognizer, "_run", run)
    rgb = np.zeros((32, 32, 3), np.uint8)
    rgb[:, :8, 0] = np.max(red)
    loaded = recognizer.load_image(rgb)
    views = tuple(replace(loaded.views[0], index=at) for at in range(np.size(red)))
    (scored,) = recognizer.score_loaded([replace(loaded, frames=views, views=views)])
    once = 1.5 * np.max(red) / 255 - 1.5
    score = scored.prediction.scores["ivory_worked"]
    assert score == pytest.approx(sigmoid(0.75 if len(passes) > 1 else once))
    assert asked == passes
    assert at_once == [True] + [False] * (len(passes) - 1)  # copies are made as they are needed


def test_a_heat_map_is_on_the_scale_of_the_score(tmp_path, bundle):
    """A score of nothing has no hot place, however sure the model was before calibration."""
    image = np.full((64, 64, 3), (220, 30, 30), np.uint8)
    for intercept in (0.0, -9.0):
        calibration = Calibration(1.0, intercept)
        labels = tuple(replace(label, calibration=calibration) for label in bundle.labels)
        folder = write_tiny_bundle(tmp_path / f"tiny-v{int(1 - intercept)}", labels=labels)
        explanation = Recognizer.load(folder).explain(image, "ivory_worked")
        score = explanation.prediction.scores["ivory_worked"]
        assert explanation.heatmap == pytest.approx(score, abs=0.02)
    assert score < 0.1


def test_the_line_is_at_half_of_the_maximum_and_not_under_the_threshold():
    heat = np.full((10, 10), 0.3, np.float32)
    heat[:5, :5] = 1  # a hot place in a corner
    shown, low = (
        draw_heatmap(np.full((200, 400, 3), 200, np.uint8), peak * heat, threshold)
        for peak, threshold in ((0.9, 0.1), (0.5, 0.6))  # all of it is over the threshold, or none
    )
    bright, line = (shown == 200).all(axis=2), (shown == (255, 214, 0)).all(axis=2)
    assert bright[20:80, 20:160].all()
    assert not bright[120:].any()
    assert not bright[:, 240:].any()
    assert line[:, 160:240].any(axis=1)[20:80].all()  # between the hot place and the rest
    assert not np.any((low == 200).all(axis=2) | (low == (255, 214, 0)).all(axis=2))
