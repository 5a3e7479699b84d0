"""A recognizer in processes: what an image does to one of them costs one answer."""

import asyncio
import io
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from recognizer import GuardedRecognizer, Policy, Recognizer
from recognizer._process import LOG
from recognizer.errors import BundleNotFoundError, ProviderError, RecognizerError, UsageError
from recognizer.imaging import Limits
from recognizer.prediction import Prediction
from recognizer.status import Reason, Status
from tests.conftest import encoded, picture, run_python
from tests.scan import engines

RED, GREEN = (encoded(picture(color)) for color in ("red", "green"))
LIMIT = 600 << 20 if sys.platform == "linux" else None


@pytest.fixture(scope="module")
def guarded(tiny_bundle):
    limits = Limits(max_bytes=100_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recognizer.guarded.Recognizer", engines.Fragile)
        made = GuardedRecognizer.load(
            tiny_bundle, processes=2, timeout=300, memory_limit=LIMIT, limits=limits
        )
    with made as guarded:
        yield guarded


def test_answers_are_those_of_a_recognizer(guarded, tiny_bundle, tmp_path):
    plain = Recognizer.load(tiny_bundle, limits=Limits(max_bytes=100_000))
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(guarded.predict, [RED, GREEN, b"no image", b""] * 5))
    assert found == [plain.predict(image) for image in (RED, GREEN, b"no image", b"")] * 5
    assert guarded.decide(found[0], Policy()) == plain.decide(found[0], Policy())
    assert guarded.labels == plain.labels
    (tmp_path / "a.jpg").write_bytes(RED)
    for image in (tmp_path / "a.jpg", bytearray(RED), memoryview(RED), io.BytesIO(RED)):
        assert guarded.predict(image) == found[0]
    assert guarded.predict(np.zeros((32, 32, 3), np.uint8)).scores
    assert guarded.predict(io.BytesIO(bytes(200_000))).reason is Reason.TOO_MANY_BYTES
    for wrong in ("a.jpg", Image.new("RGB", (8, 8)), np.zeros(3, np.uint8), 7):
        with pytest.raises(UsageError):
            guarded.predict(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("accident", "reason"),
    [
        (engines.EXITS, Reason.DECODER_CRASH),
        (engines.SEGFAULTS, Reason.DECODER_CRASH),
        (engines.RAISES, Reason.INTERNAL_ERROR),
        (engines.SWELLS, Reason.OUT_OF_MEMORY),
    ],
)
def test_an_accident_costs_one_answer(guarded, accident, reason):
    if accident == engines.SWELLS and sys.platform != "linux":
        pytest.skip("the memory limit needs Linux")
    with ThreadPoolExecutor(3) as threads:
        first, bad, last = threads.map(guarded.predict, [RED, RED + accident, RED])
    assert first.status is last.status is Status.OK
    assert (bad.status, bad.reason) == (Status.FAILED, reason)
    assert guarded.decide(bad, Policy()).decision == "unscored"


def test_a_score_is_explained_and_a_thumbnail_is_made_elsewhere(guarded, tiny_bundle):
    plain = Recognizer.load(tiny_bundle)
    for image, label in ((RED, None), (io.BytesIO(RED), "ivory_worked"), (b"no image", None)):
        found, expected = guarded.explain(image, label), plain.explain(RED, label)
        if image == b"no image":
            expected = plain.explain(image)
        assert (found.label, found.regions) == (expected.label, expected.regions)
        assert found.prediction == expected.prediction
        np.testing.assert_array_equal(found.heatmap, expected.heatmap)
        np.testing.assert_array_equal(found.rgb, expected.rgb)
    with pytest.raises(UsageError, match="no label 'tusk'"):
        guarded.explain(RED, "tusk")
    frames = [picture("blue"), picture("red")]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    made = guarded.thumbnail(gif, 32, 1)
    assert (made.frame, max(made.width, made.height)) == (1, 32)
    assert guarded.thumbnail(RED, 32).frame == 0
    for bad in (b"no image", b"", io.BytesIO(bytes(200_000))):
        assert guarded.thumbnail(bad, 32) is None
    assert guarded.explain(io.BytesIO(bytes(200_000))).prediction.reason is Reason.TOO_MANY_BYTES


@pytest.mark.parametrize("accident", [engines.EXITS, engines.RAISES])
def test_an_accident_costs_one_explanation(guarded, accident):
    bad, known = guarded.explain(RED + accident), guarded.predict(RED + accident)
    assert (bad.prediction, bad.heatmap.size, bad.rgb.size) == (known, 0, 0)
    assert guarded.explain(RED).heatmap.size


def test_an_image_is_not_blamed_for_a_process_that_died_before(guarded):
    before = guarded.predict(RED)
    guarded._pool.start()
    children = [*guarded._pool._children]
    assert len(children) > 1, "the second attempt finds a dead process, too"
    for child in children:
        child.process.kill()
        child.process.join()
    assert [guarded.predict(RED) for _ in range(3)] == [before] * 3


def test_a_hanging_image_is_logged_not_shown_and_the_end(tiny_bundle, monkeypatch, caplog):
    monkeypatch.setattr("recognizer.guarded.Recognizer", engines.Fragile)
    with GuardedRecognizer.load(tiny_bundle, timeout=1) as guarded:
        found = guarded.predict(RED + engines.HANGS)
        assert (found.reason, found.sha256 is None) == (Reason.TIMEOUT, False)
        assert found.detail == "the process that worked on it was killed after 1 s"
    with pytest.raises(UsageError, match="closed"):
        guarded.predict(RED)
    (line,) = caplog.records
    assert (line.name, line.levelname) == ("recognizer", "WARNING")
    assert "was killed after 1 s (timeout)" in line.getMessage()
    assert any(isinstance(one, logging.NullHandler) for one in LOG.handlers)


def test_an_interrupted_call_does_not_give_its_answer_to_the_next(guarded, monkeypatch):
    red, green = guarded.predict(RED), guarded.predict(GREEN)
    with monkeypatch.context() as patch:
        # By Ctrl-C, or the time limit of a task queue.
        patch.setattr("concurrent.futures.Future.result", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            guarded.predict(RED)
    assert [guarded.predict(image) for image in (GREEN, RED)] == [green, red]


def test_many_tasks_of_an_event_loop(guarded):
    async def ask():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        images = [RED, GREEN, RED + engines.EXITS, 7] * 5
        calls = (guarded.predict_async(image) for image in images)  # type: ignore[arg-type]
        found = await asyncio.gather(*calls, return_exceptions=True)
        ticking.cancel()
        return found, ticks

    before = guarded.stats()
    found, ticks = asyncio.run(ask())
    red, green = guarded.predict(RED), guarded.predict(GREEN)
    for start in range(0, 20, 4):
        assert found[start : start + 2] == [red, green]
        assert isinstance(dead := found[start + 2], Prediction)
        assert dead.reason is Reason.DECODER_CRASH
        assert dead.sha256
        assert dead.bundle_digest == guarded.bundle.digest
        assert isinstance(found[start + 3], UsageError)
    assert ticks > 10
    after = guarded.stats()
    assert {type(key) for key in after} == {str}
    changes = {key: after[key] - before.get(key, 0) for key in after}
    expected = {"ok": 12, "failed": 5, "decoder_crash": 5, "replaced": 10}
    assert {key: changes[key] for key in expected} == expected
    assert after["waiting"] == 0
    assert after["processes"] in {1, 2}


def test_what_keeps_it_from_starting(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("recognizer._process.MAX_FAILED_STARTS", 1)
    with pytest.raises(BundleNotFoundError):
        GuardedRecognizer.load(tmp_path / "none")
    with pytest.raises(UsageError, match="processes"):
        GuardedRecognizer.load(tiny_bundle, processes=0)
    for engine, error, words in (
        (engines.without_provider, ProviderError, "no such accelerator"),
        (engines.stillborn, RecognizerError, "cannot be started.*exit code 9"),
    ):
        monkeypatch.setattr("recognizer.guarded.Recognizer", engine)
        with pytest.raises(error, match=words):
            GuardedRecognizer.load(tiny_bundle)


def test_a_script_without_its_guard_says_so(tiny_bundle, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"from recognizer import GuardedRecognizer\nGuardedRecognizer.load({str(tiny_bundle)!r})\n"
    )
    done = run_python(script)
    assert 'a script needs `if __name__ == "__main__":`' in done.stderr.splitlines()[-1]
