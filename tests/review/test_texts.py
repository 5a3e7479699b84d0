"""One catalogue of words, in two languages that say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recognizer.review.server.language import language_of
from recognizer.review.texts import Pages, Texts, catalogue, texts_of
from recognizer.status import Reason
from recognizer.taxonomy import load_taxonomy

REVIEW = Path(__file__).parents[2] / "recognizer" / "review"


@pytest.mark.parametrize("pages", ["page", "server"])
def test_both_languages_fill_in_the_same(pages: Pages) -> None:
    for key, (english, chinese) in texts_of(pages).items():
        fields = [set(re.findall(r"{\w+}", text)) for text in (english, chinese)]
        assert fields[0] == fields[1], key


def test_nothing_is_said_twice_and_nothing_is_left_over() -> None:
    tables = catalogue()
    both = tables["page"].keys() & tables["server"].keys()
    assert [key for key in both if tables["page"][key] == tables["server"][key]] == []
    assert not tables["shared"].keys() & (tables["page"].keys() | tables["server"].keys())
    taxonomy = load_taxonomy()
    assert tables["labels"].keys() == taxonomy.labels.keys()
    assert tables["families"].keys() == taxonomy.families.keys()
    assert tables["reasons"].keys() == {reason.value for reason in Reason}


def test_times_are_said_in_the_largest_unit() -> None:
    chinese = Texts("zh", "server")
    assert chinese("days_ago", n=3) == "3 天前"
    assert chinese.label("ivory", load_taxonomy(), family=True, mark=True) == "象牙（类）"  # noqa: RUF001
    assert language_of("fr, zh-CN;q=0.8, en;q=0.5") == "zh"
