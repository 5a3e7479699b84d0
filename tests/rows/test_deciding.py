"""A new policy on the scores of a scan, as a scan with it; and the policy that a file keeps."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.cli import ExitCode
from recognizer.errors import BundleNotFoundError, ScanFileError, UsageError
from recognizer.imaging.near_copies import COPY_DISTANCE
from recognizer.imaging.thumbnail import Thumbnail
from recognizer.model.bundle import load_bundle
from recognizer.policy import AlwaysReview, Keywords
from recognizer.policy.decide import decide
from recognizer.policy.values import CandidateKind, Decision, Policy, Rule
from recognizer.prediction import Prediction
from recognizer.rows import NewRow, Ranking, ScanFile, ScanWriter, decide_again
from recognizer.status import Reason, Status
from tests.conftest import invoke, read_rows, refuse, succeed
from tests.rows.rows import bare_row, execute, known_match, quick_folder, read_scan, write_scan
from tests.rules import of_family, of_label, rule


def again(path, policy, *bundles, dry_run=False):
    with ScanFile(path, write=not dry_run) as file:
        return decide_again(file, policy, bundles, dry_run=dry_run)


def scored_row(source, worked, raw=0.0, **changes):
    row = bare_row(source, worked, "clear")
    scores = {"ivory_worked": worked, "ivory_raw": raw, "ceramic": 0.6, "listing_other": 0.0}
    family = {"ivory": round(1 - (1 - worked) * (1 - raw), 6)}
    return replace(row, scores=scores, family=family, **changes)


def decided_one_by_one(row, bundle, policy):
    prediction = Prediction(
        status=row.status, reason=row.reason, scores=row.scores or {}, families=row.family or {}
    )
    triage = decide(prediction, bundle, policy, row.known or (), row.item)
    leads = tuple((one.kind, one.name, one.level) for one in triage.leads)
    return triage.decision, leads, triage.why, triage.keywords


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
    Policy(always_review=AlwaysReview(failed=True, animals=0.5)),
]
MATCH = known_match(distance=COPY_DISTANCE)
SCORES = st.sampled_from([0.0, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.501, 0.9, 0.95])
ITEMS = st.sampled_from([None, {"id": 1, "title": "Ivory"}, {"reports": 2}, {"title": "\udcff"}])
KNOWN = st.sampled_from([None, (), (MATCH,)])
DAMAGED = {"status": Status.DEGRADED, "reason": Reason.TRUNCATED, "decision": Decision.UNSCORED}
REASONS = st.sampled_from([Reason.NOT_FOUND, Reason.UNSUPPORTED_FORMAT, Reason.NO_IMAGE])
ROWS = st.lists(
    st.one_of(
        st.builds(scored_row, st.sampled_from("abcde"), SCORES, SCORES, item=ITEMS, known=KNOWN),
        st.builds(partial(scored_row, **DAMAGED), st.sampled_from("abcde"), SCORES),
        st.builds(bare_row, st.sampled_from("fg"), st.just(0), st.just("unscored"), reason=REASONS),
    ),
    max_size=10,
)


@settings(max_examples=40)
@given(ROWS, st.sampled_from(POLICIES))
def test_a_file_is_decided_as_its_rows_one_by_one(tiny_bundle, rows, policy):
    bundle = load_bundle(tiny_bundle)
    with quick_folder() as folder:
        path = write_scan(Path(folder) / "a", rows, bundle)
        written = read_scan(path)
        expected = again(path, policy, bundle, dry_run=True)
        assert read_scan(path) == written
        diff = again(path, policy, bundle)
        found = read_scan(path)
    assert diff == expected
    assert diff.rows == len(found) == len(written) == sum(diff.decisions.values())
    for before, row in zip(written, found, strict=True):
        leads = tuple((one.kind, one.name, one.level) for one in row.leads)
        new = (row.decision, leads, row.why, row.keywords)
        assert new == decided_one_by_one(before, bundle, policy)
        assert (row.policy.digest, row.policy.name) == (policy.digest, policy.name)
        same = ("source", "item", "scores", "family", "sha256", "time", "status", "reason", "known")
        assert all(getattr(row, key) == getattr(before, key) for key in same)
    assert sum(one["after"] for one in diff.leads.values()) == sum(len(row.leads) for row in found)
    for one in diff.leads.values():
        assert one["after"] - one["before"] == one["added"] - one["removed"]


def test_rows_point_at_one_policy_and_keep_what_they_have(bundle, tmp_path):
    other = replace(bare_row("x", 0, "clear").policy, name="other")
    thumbnail = Thumbnail(b"jpeg", 4, 3, 0)
    rows = [
        NewRow(row=scored_row("a.jpg", 0.6), thumbnail=thumbnail),
        scored_row("b.jpg", 0.1, policy=other),
        bare_row("c.jpg", 0, "unscored"),
    ]
    path = write_scan(tmp_path / "a", rows, bundle)
    policy = Policy(name="mine", ignore=frozenset({"ivory_worked"}))
    for _ in range(2):
        again(path, policy, bundle)
        with ScanFile(path) as file:
            assert file.select("SELECT name, digest FROM policy") == [("mine", policy.digest)]
            assert {row.policy.digest for row in file.rows()} == {policy.digest}
            assert file.thumbnail(1) == thumbnail


def test_what_a_scan_writes_is_not_decided_meanwhile(tiny_bundle, tmp_path):
    model = (bundle := load_bundle(tiny_bundle)).reference
    rows = [scored_row(f"{n}.jpg", 0.45, model=model) for n in range(2)]
    path = tmp_path / "a"
    command = ("decide", path, "--policy", "strict", "--model", tiny_bundle)
    assert "does not exist" in refuse(*command).stderr
    assert not path.exists()
    with ScanWriter(path, Ranking([bundle])) as scan:
        scan.append([NewRow(row=rows[0])])
        assert "in use by another scan" in refuse(*command).stderr
        succeed(*command, "--dry-run")
        scan.append([NewRow(row=rows[1])])
    assert [row.policy.name for row in read_scan(path)] == ["default", "default"]
    with ScanFile(path):  # a desk
        succeed(*command)
    assert [row.policy.name for row in read_scan(path)] == ["strict", "strict"]


def test_rows_of_each_model_are_decided_by_its_thresholds(bundle, tmp_path):
    looser = {0.05: 0.1, 0.01: 0.2, 0.001: 0.3}
    bundles = bundle, replace(bundle, version=2, any_product_thresholds=looser)
    models = [one.reference for one in bundles]
    assert models[0].digest != models[1].digest
    rows = [scored_row(f"{n}.jpg", 0.25, model=model) for n, model in enumerate(models)]
    path = write_scan(tmp_path / "a", rows)
    again(path, Policy(), *bundles)
    assert [row.decision for row in read_scan(path)] == ["clear", "review"]
    for missing in bundles:
        with pytest.raises(BundleNotFoundError, match=r"by tiny-v\d .* not by tiny.*--model"):
            again(path, Policy(name="p", default=rule(0.001)), missing)
    assert [row.policy.name for row in read_scan(path)] == ["default", "default"]


def test_what_cannot_be_decided_is_left_as_it_is(bundle, tmp_path):
    path = write_scan(tmp_path / "a", [scored_row("a.jpg", 0.1)])  # of a model that nobody has
    before = read_scan(path)
    with pytest.raises(BundleNotFoundError, match=r"000000000000\), and not by tiny-v1 .*--model"):
        again(path, Policy(), bundle)
    with pytest.raises(ScanFileError, match="for reading only"), ScanFile(path) as file:
        decide_again(file, Policy(), [bundle])
    assert read_scan(path) == before
    broken = replace(scored_row("b.jpg", 0.1), scores={"ceramic": 0.1})
    path = write_scan(tmp_path / "b", [scored_row("a.jpg", 0.6), broken], bundle)
    with pytest.raises(ScanFileError, match=r"is damaged.*ivory_raw"):
        again(path, Policy(ignore=frozenset({"ivory_worked"})), bundle)
    assert [row.policy.name for row in read_scan(path)] == ["default", "default"]
    for edit in (
        "family = '[]', item = '\"x\"'",
        "item = '[[' || hex(zeroblob(60000))",
        "scores = NULL",
    ):
        execute(path, f"UPDATE image SET {edit}")
        with pytest.raises(ScanFileError, match="is damaged"):
            again(path, Policy(keywords=Keywords(words=("ivory",))), bundle)


def test_the_command_prints_what_changes(tiny_bundle, tmp_path):
    rows = [scored_row("a.jpg", 0.45), scored_row("b.jpg", 0.1)]
    path = write_scan(tmp_path / "a.sqlite", rows, load_bundle(tiny_bundle))
    (policy := tmp_path / "p.toml").write_text("review_rate = 0.05\n")
    arguments = ("decide", path, "--policy", policy, "--model", tiny_bundle)
    invoke(*arguments[:4], code=ExitCode.MODEL)
    for options, done in [(("--dry-run",), "would be decided"), ((), "decided")]:
        result = succeed(*arguments, *options)
        assert {"clear to review: 1", "As before: 1"} <= set(result.stdout.splitlines())
        for words in (f"2 rows {done} by 'p'", "Images that are leads, by product"):
            assert words in result.stdout
    assert [row.decision for row in read_scan(path)] == ["review", "clear"]


OWN = "name = 'own'\nreview_probability = 0.9999\npriority_probability = 0.99999\n"


def names(scan):
    return {row["policy"]["name"] for row in read_rows(scan)}


def test_a_scan_without_a_policy_uses_that_of_its_file(scan, photo_folder, tiny_bundle, tmp_path):
    folder, file = photo_folder("red", "green"), tmp_path / "scan.sqlite"
    (own := tmp_path / "own.toml").write_text(OWN)
    assert "as before" not in scan(folder, "--policy", own).stderr
    own.unlink()
    before = read_rows(file)
    assert "Policy 'own', as before" in scan(folder).stderr
    assert read_rows(file) == before
    assert scan(folder, "--quiet").stderr == ""
    assert names(file) == {"own"}
    succeed("decide", file, "--policy", "strict", "--model", tiny_bundle)
    assert "Policy 'strict', as before" in scan(folder).stderr
    assert names(file) == {"strict"}
    other = "Policy 'default'; recognizer decide applies it to what is not scanned now"
    assert scan(folder, "--policy", "default").stderr.startswith(other)
    assert "as before" not in scan(folder).stderr
    assert names(file) == {"default"}


def test_a_file_that_keeps_no_policy_asks_for_it(tmp_path):
    path = write_scan(tmp_path / "scan.sqlite", [bare_row("a.jpg", 0.6, "review")])
    with ScanFile(path) as file, pytest.raises(UsageError, match="policy 'default', of which"):
        file.policy()
    assert "--policy default" in refuse("scan", path, "-o", path).stderr
    own = Policy(name="own", default=Rule())
    with ScanFile(path, write=True) as file:
        file.use_policy(own)
        assert file.policy() == own


def test_a_policy_with_labels_of_another_model_is_no_damage(tmp_path):
    with ScanFile(tmp_path / "scan.sqlite", create=True) as file:
        file.use_policy(Policy(name="own", rules={(CandidateKind.LABEL, "narwhal_tusk"): Rule()}))
        with pytest.raises(UsageError, match=r"'own' .*model.*narwhal_tusk.*--policy"):
            file.policy()
        with file.transaction() as database:
            database.execute("UPDATE policy SET toml = '='")
        with pytest.raises(ScanFileError, match="is damaged"):
            file.policy()


def test_what_is_merged_keeps_its_policy(tmp_path):
    parts = []
    for name in "ab":
        path = write_scan(tmp_path / f"{name}.sqlite", [bare_row(f"{name}.jpg", 0.6, "review")])
        with ScanFile(path, write=True) as file:
            file.use_policy(Policy(actions={}))
        parts.append(path)
    succeed("merge", *parts, "--output", tmp_path / "both.sqlite")
    with ScanFile(tmp_path / "both.sqlite") as file:
        assert file.policy() == Policy(actions={})
