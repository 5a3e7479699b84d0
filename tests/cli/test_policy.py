from pathlib import Path

import pytest

from recognizer.policy.values import EXAMPLES, Decision, Policy
from tests.conftest import invoke, refuse, succeed


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_shown_and_copied(name: str, tmp_path: Path) -> None:
    shown = succeed("policy", name)
    assert f"Policy '{name}'" in shown.stdout
    assert "ivory (family)" in shown.stdout
    copy = tmp_path / "mine.toml"
    copy.write_text(invoke("policy", name, "--toml").stdout, encoding="utf-8")
    assert Policy.load(copy).digest == Policy.load(name).digest
    assert {*Policy.load(name).actions} == {*Decision}
    succeed("policy", copy)


def test_a_policy_is_checked_against_the_model(tiny_bundle: Path, tmp_path: Path) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text(
        "[keywords]\nwords = ['象牙', 'งาช้าง', 'ivory']\n[always_review]\nanimals = 0.5\n"
        "[rules.label.rhino_horn]\nreview_rate = 0.05\n"
        "[rules.family.ivory]\nreview_probability = 0.3\n"
    )
    checked = succeed("policy", policy, "--model", tiny_bundle)
    assert "of ivory" in checked.stdout
    assert "0.300" in checked.stdout
    for words in (
        "rules.label.rhino_horn: tiny-v1 does not recognise it",
        "tiny-v1 knows no living animals",
        "need substrings: 象牙, งาช้าง",
    ):
        assert words in checked.stderr
    policy.write_text("review_rate = 0.02")
    assert "p.toml: review_rate" in refuse("policy", policy).stderr
    refuse("policy", tmp_path / "gone.toml")
