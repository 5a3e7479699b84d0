"""One catalogue of words, all of which are shown."""

import re
from pathlib import Path

from recognizer.desk.texts import catalogue
from recognizer.status import Reason

REVIEW = Path(__file__).parents[2] / "recognizer" / "desk"


def test_all_words_that_are_shown_are_there_and_none_is_left_over() -> None:
    of_script = catalogue()["script"]
    words = catalogue()["words"] | of_script
    templates = "".join(path.read_text() for path in (REVIEW / "templates").glob("*.j2"))
    script = (REVIEW / "static" / "app.js").read_text()
    python = "".join(path.read_text() for path in REVIEW.rglob("*.py"))
    assert {*re.findall(r"\bt\(\s*[\"'](\w+)[\"'][,)]", templates)} <= words.keys()
    assert {*re.findall(r"\bsay\([\"'](\w+)[\"']", script)} <= of_script.keys()
    every = templates + script + python
    assert [key for key in words if not re.search(rf"[\"'`(]{key}[\"'`)]", every)] == []
    assert catalogue()["reasons"].keys() == {reason.value for reason in Reason}
