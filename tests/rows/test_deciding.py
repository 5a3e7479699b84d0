"""A new policy on the scores of a journal: the same as a scan with it, and much faster."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recognizer.rows.thumbnails import StoredThumbnail, ThumbnailStore, thumbnails_path

from recognizer.cli import ExitCode
from recognizer.decision import decide, with_listing
from recognizer.engine import Recognizer
from recognizer.errors import ScanFileError, UsageError
from recognizer.known import COPY_DISTANCE
from recognizer.listing_rules import AlwaysReview, Keywords, Reports
from recognizer.model.bundle import Bundle, load_bundle
from recognizer.policy import Decision, Effect, Finding, KnownMatch, KnownRule, Policy
from recognizer.prediction import Prediction
from recognizer.rows import EmbeddingStore, JournalReader, Row, deciding, embeddings_path
from recognizer.rows.deciding import decide_again
from recognizer.rows.row import ModelReference
from recognizer.status import Reason, Status
from tests.cli.test_scan import invoke
from tests.conftest import encoded, picture
from tests.rows.rows import as_schema_5, bare_row, row_of, write_rows
from tests.rules import of_family, of_label, rule


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    """Thresholds of each product and of the family: 0.4, 0.5 and 0.9 at 5, 1 and 0.1 %."""
    return load_bundle(tiny_bundle)


def read(path: Path) -> list[Row]:
    with JournalReader(path) as reader:
        return [row for _, row in reader.rows()]


def scored_row(source: str, worked: float, raw: float = 0.0, **changes: Any) -> Row:
    row = bare_row(source, worked, "clear")
    scores = {"ivory_worked": worked, "ivory_raw": raw, "ceramic": 0.6, "listing_other": 0.0}
    family = {"ivory": round(1 - (1 - worked) * (1 - raw), 6)}
    return replace(row, scores=scores, family=family, **changes)


def decided_one_by_one(row: Row, bundle: Bundle, policy: Policy) -> tuple[Any, ...]:
    prediction = Prediction(
        status=row.status, reason=row.reason, scores=row.scores or {}, families=row.family or {}
    )
    verdict = decide(
        prediction,
        bundle.candidates,
        bundle.any_product_thresholds,
        policy,
        row.known or (),
        animals=bundle.animals,
    )
    verdict = with_listing(verdict, policy, row.item)
    leads = tuple((one.kind, one.name, one.level) for one in verdict.leads)
    return verdict.decision, verdict.image_decision, leads, verdict.why, verdict.keywords


POLICIES = [
    Policy(),
    Policy(default=rule(0.05)),
    Policy(default=rule(0.3, 0.7, p=True)),
    Policy(default=rule(0.001, 0.001)),
    Policy(ignore=frozenset({"ivory_raw"})),
    Policy(ignore=frozenset({"ivory_raw", "ivory_worked"})),
    Policy(rules=of_family("ivory", rule(0.05))),
    Policy(rules=of_label("ivory_raw", rule(0.05))),
    Policy(keywords=Keywords(words=("ivory",))),
    Policy(reports=Reports(review=1, priority=3)),
    Policy(always_review=AlwaysReview(degraded=True, failed=True, animals=0.5)),
    Policy(known=KnownRule(product=Effect.PRIORITY, cleared=Effect.CLEAR)),
]
MATCH = KnownMatch(
    id="0" * 16,
    finding=Finding.CLEARED,
    label=None,
    note=None,
    origin=None,
    distance=COPY_DISTANCE,
    transform="identity",
)
SCORES = st.sampled_from([0.0, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.501, 0.9, 0.95])
ITEMS = st.sampled_from([None, {"id": 1, "title": "Ivory"}, {"reports": 2}, {"title": "\udcff"}])
ROWS = st.lists(
    st.one_of(
        st.builds(
            scored_row,
            st.sampled_from("abcde"),
            SCORES,
            SCORES,
            item=ITEMS,
            known=st.sampled_from([None, (), (MATCH,)]),
        ),
        st.builds(
            lambda source, score: scored_row(
                source, score, status=Status.DEGRADED, reason=Reason.TRUNCATED
            ),
            st.sampled_from("abcde"),
            SCORES,
        ),
        st.builds(
            lambda source, reason: bare_row(source, 0.0, "unscored", reason=reason),
            st.sampled_from("fgh"),
            st.sampled_from([Reason.NOT_FOUND, Reason.UNSUPPORTED_FORMAT, Reason.NO_IMAGE]),
        ),
    ),
    max_size=10,
)


@settings(deadline=None, max_examples=60)
@given(ROWS, st.sampled_from(POLICIES))
def test_whole_columns_decide_as_rows_one_by_one(
    tiny_bundle: Path, rows: list[Row], policy: Policy
) -> None:
    bundle = load_bundle(tiny_bundle)
    with tempfile.TemporaryDirectory() as folder:
        journal, output = Path(folder) / "a", Path(folder) / "b"
        write_rows(journal, rows, bundle)
        diff = decide_again(journal, output, policy, [bundle])
        found = read(output)
    last = {row.key: row for row in rows}
    assert {row.key for row in found} == {*last}
    assert diff.rows == len(found) == sum(diff.decisions.values())
    for row in found:
        before = last[row.key]
        leads = tuple((one.kind, one.name, one.level) for one in row.leads)
        new = (row.decision, row.image_decision, leads, row.why, row.keywords)
        assert new == decided_one_by_one(before, bundle, policy)
        assert (row.policy.digest, row.policy.name) == (policy.digest, policy.name)
        same = ("source", "item", "scores", "family", "sha256", "time", "status", "reason", "known")
        assert all(getattr(row, key) == getattr(before, key) for key in same)
    assert sum(diff.after.values()) == sum(len(row.leads) for row in found)
    for name in diff.products:
        change = diff.come[name] - diff.go[name]
        assert diff.after[name] - diff.before[name] == change


def test_it_comes_to_what_a_scan_with_the_policy_says(
    recognizer: Recognizer, tmp_path: Path
) -> None:
    images = {color: encoded(picture(color)) for color in ("red", "green", "blue")}
    rows = [row_of(recognizer, color, data) for color, data in images.items()]
    journal = write_rows(tmp_path / "a", rows)
    policy = Policy(name="mine", ignore=frozenset({"ivory_worked"}))
    diff = decide_again(journal, tmp_path / "b", policy, [recognizer.bundle])
    for row, data in zip(read(tmp_path / "b"), images.values(), strict=True):
        verdict = recognizer.decide(recognizer.predict(data), policy)
        assert (row.decision, row.why) == (verdict.decision, verdict.why)
    assert diff.to_json()["leads"]["ivory_worked"] == {"before": 1, "after": 0, "come": 0, "go": 1}
    assert diff.decisions["priority", "clear"] == 1
    # And back: nothing was lost but the regions.
    decide_again(tmp_path / "b", tmp_path / "c", Policy(), [recognizer.bundle])
    assert read(tmp_path / "c") == [replace(row, regions=()) for row in rows]


def test_rows_of_schema_5_and_odd_names_are_decided(bundle: Bundle, tmp_path: Path) -> None:
    reference = ModelReference(name=bundle.name, version=bundle.version, digest=bundle.digest)
    row = scored_row("\udcff.jpg", 0.1, item={"title": "\udcfe"}, model=reference)
    hot = scored_row("hot.jpg", 0.6, model=reference)
    (tmp_path / "a").write_bytes(as_schema_5(row) + as_schema_5(hot))
    decide_again(tmp_path / "a", tmp_path / "b", Policy(), [bundle])
    first, second = read(tmp_path / "b")
    assert first == replace(row, policy=first.policy)
    assert second.decision is Decision.REVIEW
    lines = (tmp_path / "b").read_bytes().splitlines()
    assert all([*json.loads(line)] == [*row.to_json()] for line in lines)


def test_what_is_clear_is_not_read_row_by_row(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [scored_row(f"{n}.jpg", 0.1 if n else 0.6) for n in range(9)]
    journal = write_rows(tmp_path / "a", rows, bundle)
    slow: list[bytes] = []
    read_row = Row.from_json_line

    def note(line: bytes) -> Row:
        slow.append(line)
        return read_row(line)

    schema_5 = b"".join(map(as_schema_5, read(journal)))
    monkeypatch.setattr(Row, "from_json_line", note)
    decide_again(journal, tmp_path / "b", Policy(), [bundle])
    journal.write_bytes(schema_5)
    decide_again(journal, tmp_path / "b", Policy(), [bundle])
    assert slow
    assert all(line.startswith(b'{"source":"0.jpg"') for line in slow)


@pytest.mark.parametrize("has_processes", [False, True])
def test_a_large_journal_is_decided_in_blocks(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_processes: bool
) -> None:
    """As one block; of an image in several of them, the last row counts; threads for processes."""
    item = {"listing_id": "L", "policy": {"name": "tiny", "digest": "0" * 64}}
    rows = [scored_row(f"{n % 20}.jpg", (n % 10) / 10, item=item) for n in range(60)]
    journal = write_rows(tmp_path / "a", rows, bundle)
    journal.write_bytes(journal.read_bytes() + b'{"source":"torn')
    policy = Policy(keywords=Keywords(words=("ivory",)))
    whole = decide_again(journal, tmp_path / "whole", policy, [bundle])
    monkeypatch.setattr(deciding, "BLOCK_BYTES", 3000)
    if has_processes:
        monkeypatch.setattr(deciding, "SMALL_BYTES", 0)
        monkeypatch.setattr(deciding, "_processors", lambda: 2)
        monkeypatch.setattr(
            deciding,
            "ProcessPoolExecutor",
            lambda count, _, prepare, values: ThreadPoolExecutor(count, "", prepare, values),
        )
    assert decide_again(journal, tmp_path / "blocks", policy, [bundle]) == whole
    assert whole.rows == 20
    assert (tmp_path / "blocks").read_bytes() == (tmp_path / "whole").read_bytes()
    for old, new in zip(rows[40:], read(tmp_path / "blocks"), strict=True):
        assert (new.source, new.item, new.policy.digest) == (old.source, item, policy.digest)


def test_thumbnails_and_embeddings_go_along(bundle: Bundle, tmp_path: Path) -> None:
    journal, output = tmp_path / "a", tmp_path / "b"
    row = scored_row("a.jpg", 0.6)
    write_rows(journal, [row], bundle)
    digest = str(row.sha256)
    thumbnail = StoredThumbnail(b"jpeg", 4, 3, 0)
    with ThumbnailStore(thumbnails_path(journal), create=True) as store:
        store.add([(digest, thumbnail)])
    with EmbeddingStore(embeddings_path(journal), bundle.digest) as vectors:
        vectors.add([(digest, np.array([1, 2], np.int8))])
    for _ in range(2):
        decide_again(journal, output, Policy(), [bundle])
    with ThumbnailStore(thumbnails_path(output), create=False) as store:
        assert store.get(digest) == thumbnail
    with EmbeddingStore(embeddings_path(output)) as vectors:
        assert vectors.model == bundle.digest
        assert vectors.get(digest) is not None


def test_what_cannot_be_decided_is_refused_and_left_as_it_is(
    bundle: Bundle, tmp_path: Path
) -> None:
    journal = write_rows(tmp_path / "a", [scored_row("a.jpg", 0.1)])  # of a model that nobody has
    before = journal.read_bytes()
    with pytest.raises(UsageError, match=r"made by tiny-v1 \(000000000000\).*--bundle"):
        decide_again(journal, tmp_path / "b", Policy(), [bundle])
    with pytest.raises(UsageError, match="is the journal itself"):
        decide_again(journal, journal, Policy(), [bundle])
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(UsageError, match="not a journal"):
        decide_again(journal, tmp_path / "notes", Policy(), [bundle])
    with pytest.raises(ScanFileError):
        decide_again(tmp_path / "gone", tmp_path / "b", Policy(), [bundle])
    line = write_rows(tmp_path / "c", [scored_row("a.jpg", 0.1)], bundle).read_bytes()
    (tmp_path / "c").write_bytes(line.replace(b'"ivory_raw":0.0,', b""))
    with pytest.raises(ScanFileError, match="ivory_raw"):
        decide_again(tmp_path / "c", tmp_path / "b", Policy(), [bundle])
    assert journal.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c", "notes"]


def test_the_command_prints_what_changes(tiny_bundle: Path, tmp_path: Path) -> None:
    rows = [scored_row("a.jpg", 0.45), scored_row("b.jpg", 0.1)]
    journal = write_rows(tmp_path / "a.jsonl", rows, load_bundle(tiny_bundle))
    policy = tmp_path / "p.toml"
    policy.write_text("review_rate = 0.05\n")
    arguments = ("decide", journal, "--policy", policy, "-o", tmp_path / "b.jsonl")
    refused = invoke(*arguments)
    assert refused.exit_code == ExitCode.USAGE
    done = invoke(*arguments, "--bundle", tiny_bundle)
    assert done.exit_code == ExitCode.DONE, done.output
    assert "clear to review: 1" in done.stdout
    assert "As before: 1" in done.stdout
    assert "2 rows, decided by 'p'" in done.stdout
    told = json.loads(invoke(*arguments, "--bundle", tiny_bundle, "--json").stdout)
    assert told["leads"]["ivory_worked"] == {"before": 0, "after": 1, "come": 1, "go": 0}
