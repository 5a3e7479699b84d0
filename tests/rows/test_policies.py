"""The file of a scan keeps its policy; another one must be asked for."""

from pathlib import Path

import pytest

from recognizer.errors import ScanFileError, UsageError
from recognizer.policy.values import CandidateKind, Policy, Rule
from recognizer.rows import ScanFile
from tests.conftest import read_rows, refuse, succeed
from tests.rows.rows import bare_row, write_scan

OWN = "name = 'own'\nreview_probability = 0.9999\npriority_probability = 0.99999\n"


def names(scan: Path) -> set[str]:
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
