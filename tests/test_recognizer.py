from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state
from PIL import Image

from recognizer.errors import (
    BundleDigestError,
    BundleNotFoundError,
    BundleSchemaError,
    PolicyError,
    ProviderError,
    RecognizerError,
    UsageError,
)
from recognizer.imaging import Limits, perceptual_hash
from recognizer.model.bundle import load_bundle, write_bundle
from recognizer.model.calibration import Calibration
from recognizer.model.description import InputFormat
from recognizer.model.session import PACKAGES, PROVIDERS
from recognizer.policy import CandidateKind, Decision, Policy, Probability, Rule
from recognizer.prediction import Prediction
from recognizer.recognizer import BATCH_SIZE, Recognizer, find_regions, local_probability
from recognizer.status import Reason, Status
from recognizer.taxonomy import Kind
from tests.conftest import encoded, picture
from tests.hostile import exif, gif, gif_frame
from tests.pictures import animated, scene
from tests.tiny import (
    KINDS,
    LABELS,
    SIZE,
    describe,
    edit_description,
    tiny_model,
    write_tiny_bundle,
)


def assert_same(one: Prediction, other: Prediction) -> None:
    assert replace(one, scores={}, families={}) == replace(other, scores={}, families={})
    for mine, theirs in ((one.scores, other.scores), (one.families, other.families)):
        assert list(mine) == list(theirs)
        assert np.allclose(list(mine.values()), list(theirs.values()), rtol=0, atol=1e-5)


def mixed() -> list[bytes]:
    """Photos with failed, damaged and animated images between them, more than one batch."""
    photos = [encoded(picture(c, seed=i)) for i, c in enumerate(("red", "green", "blue") * 5)]
    photos[2] = b""
    photos[4] = animated("blue", "blue", "red", "blue")
    photos[5] = b"<html>"
    photos[9] = photos[9][: len(photos[9]) * 9 // 10]
    photos[10] = animated(*["green"] * 12, "red")
    return photos


# --- what is predicted ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("color", "label"), [("red", "ivory_worked"), ("green", "ceramic"), ("blue", "listing_other")]
)
def test_a_photo(color: str, label: str, recognizer: Recognizer) -> None:
    data = encoded(picture(color))
    prediction = recognizer.predict(data)
    assert prediction.status is Status.OK
    assert tuple(prediction.scores) == LABELS == recognizer.labels
    assert max(prediction.scores, key=lambda name: prediction.scores[name]) == label
    assert all(isinstance(p, float) and 0 <= p <= 1 for p in prediction.scores.values())
    worked, raw = prediction.scores["ivory_worked"], prediction.scores["ivory_raw"]
    assert prediction.families == {"ivory": pytest.approx(1 - (1 - worked) * (1 - raw))}
    assert prediction.sha256 == hashlib.sha256(data).hexdigest()
    assert (prediction.format, prediction.width, prediction.height) == ("jpeg", 64, 48)
    assert (prediction.frame, prediction.frames, prediction.regions) == (0, 1, ())
    assert prediction.phash is None  # nothing to see but one colour


def test_the_hash_is_that_of_the_pixels_that_are_scored(recognizer: Recognizer) -> None:
    photo = encoded(scene(1))
    expected = perceptual_hash(recognizer.load_image(photo).frames[0].rgb)
    assert re.fullmatch("[0-9a-f]{64}", expected or "")
    assert recognizer.predict(photo).phash == expected


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_one_red_frame_is_enough_and_is_named(
    format: str,  # noqa: A002
    recognizer: Recognizer,
) -> None:
    prediction = recognizer.predict(animated("blue", "blue", "red", "blue", "blue", format=format))
    assert prediction.scores["ivory_worked"] > 0.9
    assert prediction.scores["listing_other"] > 0.9  # each score is the highest of all frames
    assert (prediction.frame, prediction.frames) == (2, 5)
    verdict = recognizer.decide(prediction, Policy())
    assert verdict.decision is Decision.PRIORITY
    assert "in frame 2" in verdict.why[0]


@pytest.mark.parametrize("data", [b"", b"<html>", encoded(picture())[:300]])
def test_failed_input_has_no_scores(data: bytes, recognizer: Recognizer) -> None:
    prediction = recognizer.predict(data)
    assert prediction.status is Status.FAILED
    assert prediction.reason is not None
    assert prediction.scores == prediction.families == {}
    assert prediction.frame is prediction.phash is None
    assert recognizer.decide(prediction, Policy()).decision is Decision.UNSCORED


def test_limits_are_those_of_the_recognizer(tiny_bundle: Path) -> None:
    strict = Recognizer.load(tiny_bundle, limits=Limits(max_pixels=100))
    assert strict.predict(encoded(picture())).reason is Reason.TOO_MANY_PIXELS


def test_a_mistake_of_the_caller_raises(recognizer: Recognizer) -> None:
    with pytest.raises(UsageError):
        recognizer.predict(None)  # type: ignore[arg-type]


# --- many -------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, BATCH_SIZE, 100])
def test_a_batch_gives_what_single_calls_give(batch_size: int, recognizer: Recognizer) -> None:
    images = mixed()
    together = list(recognizer.predict_many(images, batch_size=batch_size))
    assert len(together) == len(images)
    for image, prediction in zip(images, together, strict=True):
        assert_same(prediction, recognizer.predict(image))
        assert prediction.sha256 == (hashlib.sha256(image).hexdigest())
    assert [p.status for p in together].count(Status.FAILED) == 2
    assert together[9].status is Status.DEGRADED
    assert (together[10].frame, together[10].frames) == (12, 13)


def test_images_are_read_as_predictions_are_taken(recognizer: Recognizer) -> None:
    read: list[int] = []

    def source() -> Iterator[bytes]:
        for i in range(1000):
            read.append(i)
            yield encoded(picture(seed=i))

    predictions = recognizer.predict_many(source(), batch_size=4)
    assert read == []
    first = next(predictions)
    assert len(read) == 4
    assert first.sha256 == hashlib.sha256(encoded(picture(seed=0))).hexdigest()
    for _ in range(4):
        next(predictions)
    assert len(read) == 8


def test_nothing_gives_nothing(recognizer: Recognizer) -> None:
    assert list(recognizer.predict_many([])) == []
    assert recognizer.predict_loaded([]) == []


def test_a_batch_of_none_is_a_mistake(recognizer: Recognizer) -> None:
    with pytest.raises(UsageError, match="batch_size"):
        next(recognizer.predict_many([b""], batch_size=0))


def test_eight_threads(recognizer: Recognizer) -> None:
    images = mixed() * 4
    alone = [recognizer.predict(image) for image in images]
    with ThreadPoolExecutor(8) as threads:
        for mine, theirs in zip(threads.map(recognizer.predict, images), alone, strict=True):
            assert_same(mine, theirs)


# --- where ------------------------------------------------------------------------------------


def red_at(box: tuple[int, int, int, int], size: tuple[int, int] = (64, 64)) -> Image.Image:
    """A blue picture with a red object."""
    image = Image.new("RGB", size, (20, 20, 230))
    image.paste((230, 20, 20), box)
    return image


def hit(box: tuple[int, int, int, int], point: tuple[float, float]) -> bool:
    return box[0] <= point[0] < box[2] and box[1] <= point[1] < box[3]


CASES: dict[str, Callable[[Image.Image], bytes]] = {
    "png": lambda im: encoded(im, "PNG"),
    "jpeg": lambda im: encoded(im, "JPEG", quality=95),
    "turned": lambda im: encoded(
        im.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif(6)
    ),
    "mirrored": lambda im: encoded(
        im.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "PNG", exif=exif(2)
    ),
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
def test_the_box_is_around_the_red_object(
    case: str,
    size: tuple[int, int],
    box: tuple[int, int, int, int],
    recognizer: Recognizer,
) -> None:
    explanation = recognizer.explain(CASES[case](red_at(box, size)))
    prediction = explanation.prediction
    assert (prediction.width, prediction.height) == size
    assert explanation.label == "ivory_worked"
    assert explanation.heatmap.shape == (4, 4)
    assert explanation.heatmap.dtype == np.float32
    row, column = np.unravel_index(explanation.heatmap.argmax(), (4, 4))
    assert hit(box, ((column + 0.5) * size[0] / 4, (row + 0.5) * size[1] / 4))
    (region,) = explanation.regions
    assert prediction.regions == explanation.regions
    assert region.score > 0.9
    # It covers the object, and goes no further than a cell of the map beyond.
    for side, (found, true) in enumerate(zip(region.box, box, strict=True)):
        assert abs(found - true) <= size[side % 2] / 8 + 1
    assert 0 <= region.box[0] < region.box[2] <= size[0]
    assert 0 <= region.box[1] < region.box[3] <= size[1]
    # The picture that comes along has the same proportions, upright.
    high, wide = explanation.rgb.shape[:2]
    assert wide / high == pytest.approx(size[0] / size[1], rel=0.02)
    middle = explanation.rgb[
        (box[1] + box[3]) * high // (2 * size[1]), (box[0] + box[2]) * wide // (2 * size[0])
    ]
    assert middle[0] > 200 > middle[2]


def test_two_objects_are_two_regions(recognizer: Recognizer) -> None:
    image = red_at((0, 0, 16, 16))
    image.paste((230, 20, 20), (48, 48, 64, 64))
    regions = recognizer.explain(encoded(image, "PNG")).regions
    assert len(regions) == 2
    assert [r.score for r in regions] == sorted((r.score for r in regions), reverse=True)


def test_any_label_can_be_explained(recognizer: Recognizer) -> None:
    explanation = recognizer.explain(encoded(red_at((32, 0, 64, 64)), "PNG"), "listing_other")
    assert explanation.label == "listing_other"
    assert explanation.regions[0].box[0] == 0
    with pytest.raises(UsageError, match="ceramic"):
        recognizer.explain(b"", "unicorn_horn")


def test_the_frame_is_the_one_that_scored(recognizer: Recognizer) -> None:
    explanation = recognizer.explain(animated("blue", "blue", "red", "blue"))
    assert explanation.regions[0].frame == 2
    assert explanation.rgb[5, 5, 0] > 200


def test_what_failed_explains_nothing(recognizer: Recognizer) -> None:
    explanation = recognizer.explain(b"")
    assert explanation.prediction.status is Status.FAILED
    assert explanation.heatmap.size == explanation.rgb.size == 0
    assert explanation.regions == ()


def test_regions_come_from_the_same_pass(recognizer: Recognizer) -> None:
    images = [recognizer.load_image(image) for image in mixed()]
    asked: list[Prediction] = []

    def leads(prediction: Prediction) -> list[str]:
        asked.append(prediction)
        return ["ivory_worked"] if prediction.scores["ivory_worked"] > 0.5 else []

    predictions = recognizer.predict_loaded(images, regions_for=leads)
    for prediction, plain in zip(predictions, recognizer.predict_loaded(images), strict=True):
        assert_same(replace(prediction, regions=()), plain)
        lead = prediction.scores.get("ivory_worked", 0) > 0.5
        assert bool(prediction.regions) == lead
        assert all(region.frame == prediction.frame for region in prediction.regions)
    assert all(prediction.scores for prediction in asked)


def test_a_flat_map_has_no_end_of_regions() -> None:
    assert find_regions(np.zeros((4, 4), np.float32), "x", (10, 10), 0) == ()
    (region,) = find_regions(np.ones((4, 4), np.float32), "x", (10, 7), 3)
    assert (region.box, region.frame, region.score) == ((0, 0, 10, 7), 3, 1.0)


def test_a_softmax_map_is_a_probability_at_each_place(tiny_bundle: Path) -> None:
    bundle = replace(load_bundle(tiny_bundle), activation="softmax")
    maps = np.random.default_rng(0).normal(0, 50, (4, 3, 5)).astype(np.float32)
    found = local_probability(maps, bundle)
    assert found.dtype == np.float32
    assert np.allclose(found.sum(axis=0), 1)


def test_embedding(recognizer: Recognizer) -> None:
    found = recognizer.embed(encoded(picture("red", seed=3), "PNG"))
    assert (found.status, found.reason, found.frame) == (Status.OK, None, 0)
    assert found.vector is not None
    assert found.vector.dtype == np.float32
    assert found.vector.shape == (3,)
    assert np.allclose(found.vector, (230, 20, 20), atol=4)


def test_the_embedding_is_that_of_the_frame_that_scored(recognizer: Recognizer) -> None:
    image = animated("blue", "blue", "red", "blue")
    found = recognizer.embed(image)
    assert found.frame == recognizer.predict(image).frame == 2
    assert found.vector is not None
    assert found.vector[0] > 200


BAD = {
    "nothing": b"",
    "a page": b"<html>",
    "half of a header": encoded(picture())[:300],
    "no such file": Path("no/such/file.jpg"),
    "a folder": Path(),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_status_of_every_call(name: str, recognizer: Recognizer) -> None:
    prediction = recognizer.predict(BAD[name])
    embedding, explanation = recognizer.embed(BAD[name]), recognizer.explain(BAD[name])
    assert prediction.status is embedding.status is Status.FAILED
    assert prediction.reason is embedding.reason is not None
    assert prediction.detail == embedding.detail
    assert embedding.vector is embedding.frame is None
    assert explanation.prediction == prediction
    assert explanation.label is None


@pytest.mark.parametrize("call", ["predict", "embed", "explain"])
@pytest.mark.parametrize("image", ["/etc/passwd", "photo.jpg", "", None, np.zeros((4, 4, 3))])
def test_a_mistake_of_the_caller_raises_in_every_call(
    call: str, image: object, recognizer: Recognizer
) -> None:
    with pytest.raises(UsageError):
        getattr(recognizer, call)(image)


# --- decisions --------------------------------------------------------------------------------


def test_a_prediction_of_another_model_is_refused(recognizer: Recognizer, tmp_path: Path) -> None:
    strict = Calibration.line(1.0, -5.0)
    labels = (replace(label, calibration=strict) for label in recognizer.bundle.labels)
    other = Recognizer.load(write_tiny_bundle(tmp_path, labels=tuple(labels)))
    prediction = other.predict(encoded(picture()))
    assert other.decide(prediction, Policy()).decision is not Decision.CLEAR
    with pytest.raises(UsageError, match="another model than tiny-v1"):
        recognizer.decide(prediction, Policy())
    with pytest.raises(UsageError, match="another model than tiny-v1"):
        recognizer.decide(other.predict(b""), Policy())


def test_a_prediction_made_by_hand_needs_the_labels(recognizer: Recognizer) -> None:
    whole = recognizer.predict(encoded(picture()))
    by_hand = replace(whole, bundle_digest=None)
    assert recognizer.decide(by_hand, Policy()) == recognizer.decide(whole, Policy())
    for wrong in ({"scores": {"ivory_worked": 0.9}}, {"scores": {}}, {"families": {}}):
        with pytest.raises(UsageError, match="another model"):
            recognizer.decide(replace(by_hand, **wrong), Policy())


@pytest.mark.parametrize("name", ["ivory_raw", "ivory_worked"])
def test_a_family_that_bears_the_name_of_a_label_is_a_lead_of_its_own(
    name: str, tmp_path: Path
) -> None:
    """As of `enroll pangolin_skin --family pangolin_scales`, where both names are labels too."""

    def rename(description: dict[str, Any]) -> None:
        (family,) = description["families"]
        family["name"] = name
        description["taxonomy"] = {"family": {name: {"display_name": "Ivory", "note": "-"}}}

    engine = Recognizer.load(edit_description(write_tiny_bundle(tmp_path), rename))
    prediction = engine.predict(encoded(picture("red")))
    assert prediction.scores["ivory_raw"] < 0.4
    assert prediction.scores["ivory_worked"] > 0.9
    leads = engine.decide(prediction, Policy()).leads
    assert {(lead.kind, lead.name) for lead in leads} == {
        ("label", "ivory_worked"),
        ("family", name),
    }
    never = Rule(review=Probability(1), priority=Probability(1))
    for kind in CandidateKind:
        silent = Policy(rules={(kind, name): never})
        found = {(lead.kind, lead.name) for lead in engine.decide(prediction, silent).leads}
        if kind is CandidateKind.FAMILY:  # holds for its products too
            assert found == set()
        else:
            assert found == {("label", "ivory_worked"), ("family", name)} - {(kind, name)}


def test_a_policy_is_checked_against_the_names_of_the_model(recognizer: Recognizer) -> None:
    policy = Policy(ignore=frozenset({"ivory_wroked"}))
    for image in (encoded(picture()), b""):
        with pytest.raises(PolicyError, match="did you mean ivory_worked"):
            recognizer.decide(recognizer.predict(image), policy)


# --- providers --------------------------------------------------------------------------------


def test_an_unknown_provider_is_a_mistake(tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="quantum"):
        Recognizer.load(tiny_bundle, provider="quantum")
    with pytest.raises(UsageError, match="threads"):
        Recognizer.load(tiny_bundle, threads=0)


def test_a_missing_provider_is_an_error_unless_a_fallback_is_allowed(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ProviderError, match="cuda"):
        Recognizer.load(tiny_bundle, provider="cuda")
    fallback = Recognizer.load(tiny_bundle, provider="cuda", allow_fallback=True)
    assert fallback.provider == "cpu"
    assert fallback.predict(encoded(picture())).status is Status.OK


@pytest.mark.parametrize(("provider", "package"), [*PACKAGES.items()])
def test_a_missing_provider_is_told_with_its_package(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, provider: str, package: str
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ProviderError, match=f"Install {re.escape(package)} in place of it"):
        Recognizer.load(tiny_bundle, provider=provider)


@pytest.mark.skipif(
    PROVIDERS["openvino"] not in onnxruntime.get_available_providers(),
    reason="needs onnxruntime-openvino in place of onnxruntime",
)
def test_openvino_scores_as_the_cpu_does(tiny_bundle: Path, recognizer: Recognizer) -> None:
    other = Recognizer.load(tiny_bundle, provider="openvino", threads=1)
    assert other.provider == "openvino"
    for color in ("red", "green", "blue"):
        found, expected = other.predict(picture(color)), recognizer.predict(picture(color))
        assert found.scores == pytest.approx(expected.scores, abs=1e-3)


def test_a_provider_that_does_not_start_is_told(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime lists a provider that it then silently replaces (no driver, for one)."""
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    make = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda model, options, providers: make(model, options, ["CPUExecutionProvider"]),
    )
    with pytest.raises(ProviderError, match="would use"):
        Recognizer.load(tiny_bundle, provider="cuda")
    assert Recognizer.load(tiny_bundle, provider="cuda", allow_fallback=True).provider == "cpu"


# --- bundles that are refused -----------------------------------------------------------------


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a session was made of a model that was not verified")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)


@pytest.mark.usefixtures("no_session")
class TestBeforeAnySession:
    def test_a_wrong_digest(self, tmp_path: Path) -> None:
        folder = write_tiny_bundle(tmp_path)
        with (folder / "model.onnx").open("ab") as file:
            file.write(b"\0")
        with pytest.raises(BundleDigestError):
            Recognizer.load(folder)

    def test_external_data(self, tmp_path: Path) -> None:
        model = tiny_model()
        external_data_helper.convert_model_to_external_data(
            model, location="weights.bin", size_threshold=0
        )
        write_tiny_bundle(tmp_path)
        onnx.save(model, tmp_path / "model.onnx")
        assert (tmp_path / "weights.bin").exists()
        content = (tmp_path / "model.onnx").read_bytes()
        write_bundle(describe(content, tmp_path))
        with pytest.raises(BundleSchemaError, match="other files"):
            Recognizer.load(tmp_path)

    def test_what_is_no_model(self, tmp_path: Path) -> None:
        write_tiny_bundle(tmp_path)
        content = b"<html>404</html>"
        (tmp_path / "model.onnx").write_bytes(content)
        write_bundle(describe(content, tmp_path))
        with pytest.raises(BundleSchemaError, match="not an ONNX model"):
            Recognizer.load(tmp_path)

    @pytest.mark.parametrize("name", ["../x", "no-such-bundle", ".."])
    def test_no_such_bundle(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(BundleNotFoundError):
            Recognizer.load(name)


def _renamed_output(model: onnx.ModelProto) -> None:
    model.graph.output[2].name = "features"
    model.graph.node[5].output[0] = "features"


def _fewer_outputs(model: onnx.ModelProto) -> None:
    del model.graph.output[1]


def _float_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def _renamed_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "pictures"
    model.graph.node[0].input[0] = "pictures"


def _one_at_a_time(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _flat_scores(model: onnx.ModelProto) -> None:
    model.graph.node[4].input[1] = "all"
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2, 3], np.int64), "all"))
    del model.graph.output[0].type.tensor_type.shape.dim[1]


def _unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "Teleport"


@pytest.mark.parametrize(
    "spoil",
    [
        _renamed_output,
        _fewer_outputs,
        _float_input,
        _renamed_input,
        _one_at_a_time,
        _flat_scores,
        _unknown_operator,
    ],
)
def test_a_model_of_another_interface(
    spoil: Callable[[onnx.ModelProto], None], tmp_path: Path
) -> None:
    model = tiny_model()
    spoil(model)
    with pytest.raises(BundleSchemaError):
        Recognizer.load(write_tiny_bundle(tmp_path, model.SerializeToString()))


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": describe(b"", Path()).labels[:3]},
        {"input": InputFormat(size=2 * SIZE, preprocessing=1)},
    ],
)
def test_a_description_of_another_model(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BundleSchemaError):
        Recognizer.load(write_tiny_bundle(tmp_path, **changes))


def test_a_bundle_without_products_predicts(tmp_path: Path) -> None:
    labels = describe(b"", Path()).labels
    others = tuple(replace(label, kind=Kind.OTHER) for label in labels)
    plain = Recognizer.load(write_tiny_bundle(tmp_path, labels=others, families=()))
    assert plain.predict(encoded(picture())).families == {}
    assert plain.explain(encoded(picture())).prediction.status is Status.OK
    assert len(KINDS) == len(LABELS)


# --- nothing escapes --------------------------------------------------------------------------


def broken(bundle: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> Recognizer:
    """A recognizer whose every pass raises an error."""

    class Session:
        def run(self, *_: object) -> None:
            raise error

    loaded = Recognizer.load(bundle)
    monkeypatch.setattr(loaded, "_session", Session())
    return loaded


ONNXRUNTIME_ERRORS = [
    value
    for value in vars(onnxruntime_pybind11_state).values()
    if isinstance(value, type) and issubclass(value, Exception)
]


@pytest.mark.parametrize("error", [RuntimeError, *ONNXRUNTIME_ERRORS])
@pytest.mark.parametrize("call", ["predict", "embed", "explain"])
def test_no_error_of_onnxruntime_escapes(
    error: type[Exception], call: str, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = broken(tiny_bundle, error("CUDA out of memory"), monkeypatch)
    with pytest.raises(ProviderError, match="'cpu' failed: CUDA out of memory"):
        getattr(engine, call)(encoded(picture()))


@pytest.mark.parametrize("error", ONNXRUNTIME_ERRORS)
def test_a_model_that_onnxruntime_refuses_is_a_bundle_error(
    error: type[Exception], tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error("no")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(BundleSchemaError, match="cannot load"):
        Recognizer.load(tiny_bundle)


@pytest.mark.parametrize("error", [MemoryError, TypeError, ValueError, RecursionError, OSError])
def test_memory_and_defects_are_not_dressed_up(
    error: type[Exception], tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(error, match=r"^as it is$"):
        broken(tiny_bundle, error("as it is"), monkeypatch).predict(encoded(picture()))

    def refuse(*_: object, **__: object) -> None:
        raise error("as it is")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(error, match=r"^as it is$"):
        Recognizer.load(tiny_bundle)


def test_onnxruntime_without_memory_is_a_memory_error(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = onnxruntime_pybind11_state.Fail("... Failed to allocate memory for requested buffer")
    with pytest.raises(MemoryError, match="onnxruntime"):
        broken(tiny_bundle, error, monkeypatch).predict(encoded(picture()))


SHAPES = [(1, 1), (1, 70_000), (70_000, 1), (2, 33_000), (33_000, 2), (7, 7), (16, 5_000)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_no_error_of_opencv_escapes(
    shape: tuple[int, int], channels: tuple[int, ...], recognizer: Recognizer
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, *channels), np.uint8)
    assert recognizer.predict(image).status is not Status.FAILED
    assert recognizer.embed(image).vector is not None
    assert recognizer.explain(image).heatmap.size


def test_a_model_that_refuses_at_run_time_is_mapped(tmp_path: Path) -> None:
    model = tiny_model()  # says (N, 4) for what it reshapes to (1, 4): only a batch shows it
    model.graph.node[4].output[0] = "means"
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 4], np.int64), "shape"))
    model.graph.node.append(helper.make_node("Reshape", ["means", "shape"], ["scores"]))
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "M"
    loaded = Recognizer.load(write_tiny_bundle(tmp_path, model.SerializeToString()))
    assert loaded.predict(encoded(picture())).status is Status.OK
    with pytest.raises(RecognizerError):
        list(loaded.predict_many([encoded(picture())] * 2))


def test_a_score_that_is_no_number_is_never_clear(tmp_path: Path) -> None:
    model = tiny_model()
    for tensor in model.graph.initializer:
        if tensor.name == "bias":
            tensor.CopyFrom(numpy_helper.from_array(np.full(4, np.nan, np.float32), "bias"))
    engine = Recognizer.load(write_tiny_bundle(tmp_path, model.SerializeToString()))
    prediction = engine.predict(encoded(picture()))
    assert (prediction.status, prediction.reason) == (Status.FAILED, Reason.INTERNAL_ERROR)
    assert prediction.scores == {}
    assert engine.decide(prediction, Policy()).decision is Decision.UNSCORED
    assert engine.explain(encoded(picture())).regions == ()


def test_a_frame_of_one_pixel_is_scored(recognizer: Recognizer) -> None:
    prediction = recognizer.predict(gif((1, 1), gif_frame()))
    assert (prediction.status, prediction.reason) == (Status.DEGRADED, Reason.TOO_SMALL)
    assert prediction.scores["ivory_worked"] > 0.9
