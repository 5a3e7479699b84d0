"""The taxonomy: the packaged file is complete, and a broken one is refused."""

import re

import pytest

from recognizer.errors import TaxonomyError
from recognizer.taxonomy import Kind, Label, load_taxonomy

TAXONOMY = load_taxonomy()
BLUE = {"kind": "product", "family": "ivory", "cites": "Appendix I.", "hint": " Look at\nit. "}
THING = {"kind": "lookalike", "display_name": "Thing"}

BROKEN = {
    "schema": ({"schema": 2}, "schema must be 1, not 2"),
    "top key": ({"labels": {}}, "unknown key 'labels' .did you mean label?"),
    "label key": (
        {"label": {"x": {**BLUE, "cite": ""}}},
        "x: unknown .* 'cite' .did you mean cites",
    ),
    "family key": ({"family": {"x": {"notes": ""}}}, "x: unknown key 'notes' .did you mean note"),
    "families in a list": ({"family": [{}]}, "'family' must hold tables"),
    "label that is no table": ({"label": {"x": 3}}, "label.x: Expected `table`, got `int`"),
    "family name": ({"family": {"Ivory": {}}}, "bad family name 'Ivory'"),
    "label name": ({"label": {"ox-bone": THING}}, "bad label name 'ox-bone'"),
    "label name with a line break": ({"label": {"bone\n": THING}}, "bad label name"),
    "family text missing": ({"family": {"x": {"display_name": "X"}}}, "family.x: .*`note`"),
    "family text empty": ({"family": {"x": {"display_name": " ", "note": "x"}}}, "not empty"),
    "kind missing": ({"label": {"x": {}}}, "label.x: .*`kind`"),
    "kind unknown": ({"label": {"x": {"kind": "look-alike"}}}, "did you mean lookalike"),
    "hint empty": ({"label": {"x": {**THING, "hint": " "}}}, "label.x: hint must be text"),
    "family unknown": ({"label": {"x": {**BLUE, "family": "ivry"}}}, "'ivry' .did you mean ivory"),
    "family of a look-alike": ({"label": {"x": {**THING, "family": "ivory"}}}, "only a product"),
    "confused with itself": ({"label": {"x": {**THING, "confused_with": ["x"]}}}, "label 'x'"),
    "confused with the unknown": (
        {"label": {"x": {**THING, "confused_with": ["bones"]}}},
        "mean bone",
    ),
    "another kind": ({"label": {"bone": BLUE}}, "label.bone is a label of the package, a lookal"),
}


def test_the_packaged_names():
    assert len(TAXONOMY.products) == 16
    for label in TAXONOMY.products:
        assert label.family in TAXONOMY.families
        assert "Appendix" in (label.cites or "")
    names = TAXONOMY.labels
    for label in names.values():
        assert label.hint
        if label.kind is Kind.LOOKALIKE:
            assert any(names[other].kind is Kind.PRODUCT for other in label.confused_with)
    # Of these no test photo has the label, so the figures of ivory are not compared with them.
    compared = names.keys() - {"jewellery", "metalwork", "statue"}
    pairs = [(name, other) for name in compared for other in names[name].confused_with]
    assert sorted(pairs) == sorted((b, a) for a, b in pairs)


def test_no_text_claims_an_identification():
    claim = re.compile(r"\b(prove[sdn]?|proof|confirm|certain|definite|guarantee|identif|always)")
    labels, families = TAXONOMY.labels.values(), TAXONOMY.families.values()
    texts = [text or "" for label in labels for text in (label.hint, label.cites)]
    texts += [family.note for family in families]
    assert [text for text in texts if claim.search(text.lower())] == []


def test_white_space_is_one_space_and_what_is_missing_has_a_default():
    read = TAXONOMY.extended({"label": {"blue": BLUE, "x": {"kind": "product"}}}, "here")
    assert read.labels["blue"].hint == "Look at it."
    assert read.labels["blue"].display_name == "Blue"
    assert read.labels["x"].family == "x"
    assert "Not stated" in (read.labels["x"].cites or "")
    assert [label.name for label in read.members("x")] == ["x"]
    thing = TAXONOMY.extended({"label": {"thing": THING}}, "here").labels["thing"]
    assert thing == Label(name="thing", kind=Kind.LOOKALIKE, display_name="Thing")


def test_a_file_adds_names_and_a_bad_one_is_named(tmp_path):
    path = tmp_path / "own.toml"
    for content, words in (
        (None, "No such file"),
        (b"schema = 2\n", "schema must be 1"),
        ("x = 'Kn\u00f6chel'".encode("latin-1"), "'utf-8' codec can't"),
        (b"[label.x\n", r"\(at line 1, column 9\)"),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(TaxonomyError, match=rf"own\.toml.*{words}"):
            load_taxonomy(path)
    path.write_text('[label.blue]\nkind = "other"\n', encoding="utf-8")
    for place in (path, str(path)):
        assert [*load_taxonomy(place).labels] == [*TAXONOMY.labels, "blue"]


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_a_rule_is_refused(case):
    own, words = BROKEN[case]
    with pytest.raises(TaxonomyError, match=f"^bundle.json: .*{words}"):
        TAXONOMY.extended(own, "bundle.json")


def test_a_bundle_adds_names_and_changes_none():
    entry = {"kind": "product", "display_name": "Blue", "cites": "-", "hint": "-", "family": "blue"}
    family = {"display_name": "Blue things", "note": "-"}
    own = {"label": {"blue": entry, "coral": entry}, "family": {"blue": family, "ivory": family}}
    found = TAXONOMY.extended(own, "bundle.json")
    assert [*found.labels] == [*TAXONOMY.labels, "blue"]
    assert found.labels["coral"] == TAXONOMY.labels["coral"]
    assert found.families["ivory"] == TAXONOMY.families["ivory"]
    assert found.display_name("blue", family=True) == "Blue things"
    assert found.display_name("never heard of") == "never heard of"
