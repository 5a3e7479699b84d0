"""A recognizer in processes: what an image does to one of them costs one answer."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recognizer import GuardedRecognizer, Policy, Recognizer, UsageError, _guard, load_bundle
from recognizer._guard import Guarded
from recognizer.errors import BundleNotFoundError, ProviderError, RecognizerError
from recognizer.guarded import FairPool
from recognizer.imaging import Limits
from recognizer.status import Reason, Status
from tests.conftest import encoded, picture
from tests.scan import engines

RED, GREEN = (encoded(picture(color)) for color in ("red", "green"))
LIMIT = 600 << 20 if sys.platform == "linux" else None


@pytest.fixture(scope="module")
def guarded(tiny_bundle: Path) -> Iterator[GuardedRecognizer]:
    bundle = load_bundle(tiny_bundle)
    made = GuardedRecognizer(
        bundle,
        processes=2,
        timeout=20,
        memory_limit=LIMIT,
        limits=Limits(max_bytes=100_000),
        recognizer=engines.Fragile,
    )
    with made as guarded:
        yield guarded


def test_answers_are_those_of_a_recognizer(guarded: GuardedRecognizer, tiny_bundle: Path) -> None:
    plain = Recognizer.load(tiny_bundle, limits=Limits(max_bytes=100_000))
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(guarded.predict, [RED, GREEN, b"no image", b""] * 5))
    assert found == [plain.predict(image) for image in (RED, GREEN, b"no image", b"")] * 5
    verdict = guarded.decide(found[0], Policy())
    assert verdict == plain.decide(found[0], Policy())
    assert guarded.labels == plain.labels


def test_what_may_be_given(guarded: GuardedRecognizer, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(RED)
    wanted = guarded.predict(RED)
    for image in (path, bytearray(RED), memoryview(RED), io.BytesIO(RED)):
        assert guarded.predict(image) == wanted
    assert guarded.predict(np.zeros((32, 32, 3), np.uint8)).scores
    assert guarded.predict(io.BytesIO(bytes(200_000))).reason is Reason.TOO_MANY_BYTES
    for wrong in (str(path), Image.new("RGB", (8, 8)), np.zeros(3, np.uint8), 7):
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
def test_an_accident_costs_one_answer(
    guarded: GuardedRecognizer, accident: bytes, reason: Reason
) -> None:
    if accident == engines.SWELLS and sys.platform != "linux":
        pytest.skip("the memory limit needs Linux")
    with ThreadPoolExecutor(3) as threads:
        first, bad, last = threads.map(guarded.predict, [RED, RED + accident, RED])
    assert first.status is last.status is Status.OK
    assert (bad.status, bad.reason) == (Status.FAILED, reason)
    assert guarded.decide(bad, Policy()).decision == "unscored"


def test_a_hanging_image_and_the_end(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    with GuardedRecognizer(bundle, timeout=1, recognizer=engines.Fragile) as guarded:
        found = guarded.predict(RED + engines.HANGS)
        assert (found.reason, found.sha256 is None) == (Reason.TIMEOUT, False)
        assert found.detail == "the process that worked on it was killed after 1 s"
    with pytest.raises(UsageError, match="closed"):
        guarded.predict(RED)


def test_an_interrupted_call_does_not_give_its_answer_to_the_next(
    guarded: GuardedRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    red, green = guarded.predict(RED), guarded.predict(GREEN)
    with monkeypatch.context() as patch:

        def interrupted(*_: object) -> None:  # by Ctrl-C, or the time limit of a task queue
            raise KeyboardInterrupt

        patch.setattr(Guarded, "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            guarded.predict(RED)
    assert [guarded.predict(image) for image in (GREEN, RED)] == [green, red]


def test_who_has_waited_longest_comes_next() -> None:
    pool, order = FairPool([0]), []

    def take(name: str) -> None:
        thing = pool.get()
        order.append(name)
        pool.put(thing)

    held = pool.get()
    threads = [threading.Thread(target=take, args=(name,)) for name in ("first", "second")]
    for number, thread in enumerate(threads, 1):
        thread.start()
        while pool.waiting < number:
            time.sleep(0.001)
    pool.put(held)
    take("last")  # it comes at the very moment, and waits all the same
    for thread in threads:
        thread.join()
    assert order == ["first", "second", "last"]


def test_who_stops_waiting_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pool: FairPool[int] = FairPool([])

    def interrupted(place: Future[int], *, is_given: bool) -> int:
        if not is_given:
            raise KeyboardInterrupt
        monkeypatch.undo()
        pool.put(7)
        raise KeyboardInterrupt

    for is_given in (False, True):
        monkeypatch.setattr(Future, "result", partialmethod(interrupted, is_given=is_given))
        with pytest.raises(KeyboardInterrupt):
            pool.get()
    assert (pool.get(), pool.waiting) == (7, 0)


def test_a_closed_one_scores_nothing(tiny_bundle: Path) -> None:
    guarded = GuardedRecognizer.load(tiny_bundle)
    guarded.close()
    with pytest.raises(UsageError, match="closed"):
        guarded.predict(RED)


def test_what_keeps_it_from_starting(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_guard, "MAX_FAILED_STARTS", 1)
    with pytest.raises(BundleNotFoundError):
        GuardedRecognizer.load(tmp_path / "none")
    with pytest.raises(UsageError, match="processes"):
        GuardedRecognizer.load(tiny_bundle, processes=0)
    bundle = load_bundle(tiny_bundle)
    with pytest.raises(ProviderError, match="no such accelerator"):
        GuardedRecognizer(bundle, recognizer=engines.without_provider)
    with pytest.raises(RecognizerError, match=r"cannot be started.*exit code 9"):
        GuardedRecognizer(bundle, recognizer=engines.stillborn)
