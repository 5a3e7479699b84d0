"""One catalogue of words, in two languages that say the same."""

import re
from dataclasses import replace
from pathlib import Path

from recognizer.desk.texts import Texts, catalogue, language_of
from recognizer.status import Reason
from recognizer.taxonomy import load_taxonomy

REVIEW = Path(__file__).parents[2] / "recognizer" / "desk"


def test_both_languages_fill_in_the_same_and_every_label_and_reason_has_a_name() -> None:
    tables, taxonomy = catalogue(), load_taxonomy()
    for key, (english, chinese) in (tables["words"] | tables["script"] | tables["reasons"]).items():
        fields = [set(re.findall(r"{\w+}", text)) for text in (english, chinese)]
        assert fields[0] == fields[1], key
    assert tables["labels"].keys() == taxonomy.labels.keys()
    assert tables["families"].keys() == taxonomy.families.keys()
    assert tables["hints"].keys() == {label.name for label in taxonomy.products}
    coral = taxonomy.labels["coral"]
    assert Texts("zh").hint(coral) == tables["hints"]["coral"]
    assert Texts("zh").hint(replace(coral, hint="Red.")) == "Red."  # in the bundle's words
    assert tables["reasons"].keys() == {reason.value for reason in Reason}


def test_all_words_that_are_shown_are_there_and_none_is_left_over() -> None:
    of_script = catalogue()["script"]
    words = catalogue()["words"] | of_script
    templates = "".join(path.read_text() for path in (REVIEW / "templates").glob("*.j2"))
    script = (REVIEW / "static" / "app.js").read_text()
    python = "".join(path.read_text() for path in REVIEW.rglob("*.py"))
    shown = {*re.findall(r"\bt\(\s*[\"'](\w+)[\"'][,)]", templates)}
    assert shown <= words.keys()
    assert {*re.findall(r"\bsay\([\"'](\w+)[\"']", script)} <= of_script.keys()
    every = templates + script + python
    assert [key for key in words if not re.search(rf"[\"'`(]{key}[\"'`)]", every)] == []


def test_the_language_is_the_one_the_browser_wants_most() -> None:
    assert language_of("fr, zh-CN;q=0.8, en;q=0.5") == "zh"
    assert language_of("en;q=0.5, zh;q=x") == language_of("") == language_of("fr") == "en"
