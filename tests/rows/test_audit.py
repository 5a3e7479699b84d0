from dataclasses import replace
from datetime import timedelta

import pytest

from recognizer.errors import UsageError
from recognizer.rows.row import AuditSample
from tests.conftest import succeed
from tests.rows.rows import NOW, bare_row


def test_clear_images_are_drawn_and_no_others() -> None:
    sample = AuditSample(rate=1.0, products=["ivory_worked"])
    clear = bare_row("a", 0.001, "clear")
    assert sample.drawn(clear).audit == 1.0
    for row in (
        bare_row("a", 0.9, "review"),
        bare_row("a", 0, "unscored"),
        replace(clear, sha256=None),
    ):
        assert sample.drawn(row) is row


def test_the_sample_is_that_of_the_digest_and_the_highest_product_score() -> None:
    rows = [bare_row(str(number), 0.02, "clear") for number in range(3000)]
    sample = AuditSample(rate=0.005, products=["ivory_worked"])
    drawn = [row for row in rows if sample.drawn(row).audit is not None]
    assert 0.03 < len(drawn) / len(rows) < 0.07  # ten times the rate
    assert {row.audit for row in map(sample.drawn, rows)} == {None, 0.05}
    again = [replace(row, source="other", time=NOW + timedelta(1)) for row in drawn]
    assert all(sample.drawn(row).audit for row in again)


def test_the_help_says_what_a_rate_of_5_percent_draws() -> None:
    sample = AuditSample(rate=0.05, products=["ivory_worked"])
    for score, share in ((0.0099, 0.05), (0.01, 0.5), (0.0999, 0.5), (0.1, 1.0)):
        rows = [bare_row(str(number), score, "clear") for number in range(200)]
        assert {row.audit for row in map(sample.drawn, rows)} - {None} == {share}
    said = " ".join(succeed("scan", "--help").stdout.replace("│", "").split())
    assert "score from 0.01, 100 times it from 0.1. So 0.05 draws 5 %, 50 % and all" in said


@pytest.mark.parametrize("rate", [0, -1, 1.1, float("nan")])
def test_a_rate_is_a_share(rate: float) -> None:
    with pytest.raises(UsageError, match="audit rate"):
        AuditSample(rate=rate, products=[])
