"""A recognizer in processes: what an image does to one of them costs one answer."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recognizer import GuardedRecognizer, Policy, Recognizer, UsageError, load_bundle
from recognizer.errors import BundleNotFoundError, ProviderError, RecognizerError
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


def test_what_keeps_it_from_starting(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleNotFoundError):
        GuardedRecognizer.load(tmp_path / "none")
    with pytest.raises(UsageError, match="processes"):
        GuardedRecognizer.load(tiny_bundle, processes=0)
    bundle = load_bundle(tiny_bundle)
    with pytest.raises(ProviderError, match="no such accelerator"):
        GuardedRecognizer(bundle, recognizer=engines.without_provider)
    with pytest.raises(RecognizerError, match=r"cannot be started.*exit code 9"):
        GuardedRecognizer(bundle, recognizer=engines.stillborn)
