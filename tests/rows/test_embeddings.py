from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recognizer import Recognizer
from recognizer.cli import ExitCode
from recognizer.errors import ScanFileError, UsageError
from recognizer.rows import EmbeddingStore, Row, embeddings_path, similar_images
from recognizer.rows.embeddings import quantize
from tests.conftest import encoded, invoke, picture
from tests.rows.rows import bare_row, digest, write_rows

MODEL = "a" * 64
Scanned = Callable[..., list[dict]]


@settings(max_examples=100, deadline=None)
@given(arrays.arrays(np.float32, (2, 64), elements=st.floats(-100, 100, width=32)))
def test_eight_bits_keep_the_cosine(vectors: np.ndarray) -> None:
    def cosine(one: np.ndarray, other: np.ndarray) -> float:
        one, other = one.astype(np.float64), other.astype(np.float64)
        return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))

    if (np.abs(vectors).max(axis=1) < 1e-3).any():
        assert quantize(np.zeros(3, np.float32)).tolist() == [0, 0, 0]
        return
    stored = quantize(vectors[1])
    # Half a step in each of 64 channels, at worst, against the one that has 127 of them.
    assert cosine(vectors[0], stored) == pytest.approx(cosine(*vectors), abs=8 * 0.5 / 127 * 2)


def test_a_store_tells_what_it_holds_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "e"
    vectors = {name: np.array([i + 1, 1, 0], np.int8) for i, name in enumerate("abc")}
    with EmbeddingStore(path, MODEL) as store:
        assert digest("a") not in store
        store.add([(digest(name), vectors[name]) for name in "ab"])
    with EmbeddingStore(path, MODEL) as store:
        store.add([(digest(name), vectors[name]) for name in "bc"])
        assert all(digest(name) in store for name in "abc")
    with EmbeddingStore(path) as store:
        assert store.model == MODEL
        found = store.cosines(np.array([2, 1, 0], np.float32))
    assert found.keys() == {digest(name) for name in "abc"}
    assert found[digest("b")] == pytest.approx(1)
    assert found[digest("a")] == pytest.approx(3 / np.sqrt(10), abs=1e-6)


def test_embeddings_of_another_model_are_refused(tmp_path: Path) -> None:
    EmbeddingStore(tmp_path / "mine", MODEL).close()
    with pytest.raises(ScanFileError, match="another model"):
        EmbeddingStore(tmp_path / "mine", "b" * 64)


def test_similar_images_are_ranked_and_of_what_the_journal_has_now(tmp_path: Path) -> None:
    def row(source: str, content: str) -> Row:
        return bare_row(source, 0.5, "review", sha256=digest(content))

    rows = [row("new", "x"), row("a", "a"), row("b", "b"), row("b again", "b"), row("new", "c")]
    journal = write_rows(tmp_path / "x.jsonl", rows)
    vectors = {"x": [9, 0], "a": [1, 3], "b": [2, 1], "c": [0, 1], "gone": [9, 0]}
    with EmbeddingStore(tmp_path / "e", MODEL) as store:
        store.add((digest(name), np.array(vector, np.int8)) for name, vector in vectors.items())

        def sources(top: int) -> list[str]:
            found = similar_images(np.array([1, 0], np.float32), journal, store, top)
            assert [one.cosine for one in found] == sorted((o.cosine for o in found), reverse=True)
            return [one.row.source for one in found]

        assert sources(1) == ["b"]  # though "x" and "gone" are nearer
        assert sources(9) == ["b", "b again", "a", "new"]
        with pytest.raises(UsageError):
            sources(0)


# --- scan --embeddings and similar ----------------------------------------------------------------


def test_a_scan_keeps_embeddings_and_goes_on_where_they_are_missing(
    scanned: Scanned,
    photo_folder: Callable[..., Path],
    recognizer: Recognizer,
    tmp_path: Path,
) -> None:
    folder = photo_folder("red", "green", "blue")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    file = embeddings_path(tmp_path / "scan.jsonl")
    assert len(scanned(folder)) == 4
    rows = scanned(folder, "--embeddings", file)
    assert len(rows) == 7  # the embeddings of three photos were missing
    assert len(scanned(folder, "--embeddings", file)) == 7
    assert len(scanned(folder)) == 7
    with EmbeddingStore(file) as store:
        for row in rows[4:]:
            assert row["sha256"] in store
            vector = recognizer.embed(Path(row["source"])).vector
            best = max((cosine, sha256) for sha256, cosine in store.cosines(vector).items())
            assert best == (pytest.approx(1, abs=1e-3), row["sha256"])


def test_similar_photos(
    scanned: Scanned,
    photo_folder: Callable[..., Path],
    tiny_bundle: Path,
    tmp_path: Path,
) -> None:
    journal = tmp_path / "scan.jsonl"
    scanned(photo_folder("red", "green", "red"), "--embeddings", embeddings_path(journal))
    photo = tmp_path / "mine.png"
    photo.write_bytes(encoded(picture("green", seed=9), "PNG"))
    always = ("similar", photo, "--journal", journal, "--bundle", tiny_bundle)
    lines = invoke(*always, "--top", 2).stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("001_green.jpg")
    assert " clear " in lines[0]
    found = [json.loads(line) for line in invoke(*always, "--json").stdout.splitlines()]
    assert Path(found[0]["row"]["source"]).name == "001_green.jpg"
    assert found[0]["cosine"] > 0.99 > found[1]["cosine"] >= found[2]["cosine"]
    assert "clear" in found[0]["row"]["decision"]


def test_a_journal_without_embeddings_says_what_to_do(
    scanned: Scanned, photo_folder: Callable[..., Path], tmp_path: Path
) -> None:
    scanned(photo_folder("red"))
    journal = tmp_path / "scan.jsonl"
    done = invoke("similar", tmp_path / "photos" / "000_red.jpg", "--journal", journal)
    assert done.exit_code == ExitCode.USAGE
    assert f"again with --embeddings {journal}.embeddings" in done.stderr


def test_another_model_or_no_photo_is_told(tiny_bundle: Path, tmp_path: Path) -> None:
    EmbeddingStore(tmp_path / "x.embeddings", MODEL).close()
    always = ("similar", tmp_path / "p.jpg", "-b", tiny_bundle, "-j")
    assert "another model" in invoke(*always, tmp_path / "x").stderr
    model = Recognizer.load(tiny_bundle).bundle.digest
    EmbeddingStore(tmp_path / "y.embeddings", model).close()
    done = invoke(*always, tmp_path / "y")
    assert done.exit_code == ExitCode.USAGE
    assert "not_found" in done.stderr
