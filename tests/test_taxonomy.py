"""The taxonomy: the packaged file is complete, and a broken one is refused at the right line."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recognizer.errors import TaxonomyError
from recognizer.taxonomy import (
    Family,
    Kind,
    Label,
    Taxonomy,
    extend_taxonomy,
    load_taxonomy,
    parse_taxonomy,
)

LABELS = {
    Kind.PRODUCT: (
        "ivory_raw ivory_worked rhino_horn pangolin_scales big_cat_skin big_cat_parts turtle_shell "
        "reptile_leather coral hornbill_casque shark_fin seahorse antelope_horn bear_parts "
        "elephant_skin feather"
    ),
    Kind.LOOKALIKE: (
        "bone antler cow_horn wood ceramic plastic_resin stone_jade shell plain_leather faux_fur "
        "food_pile white_object scale_like animal_print jewellery metalwork statue"
    ),
    Kind.ANIMAL: "animal_elephant animal_rhino animal_pangolin animal_other",
    Kind.OTHER: "listing_other scene_other texture",
}

VALID = '''\
schema = 1

[family.ivory]
display_name = "Ivory"
note = "Tusks and teeth."

[label.tusk]
kind = "product"
family = "ivory"
display_name = "Tusk"
cites = "Appendix I."
hint = """
Look at the
[label.tusk]   cross section."""
confused_with = [
  "bone",
]

[label.bone]
kind = "lookalike"
display_name = "Bone"
'''
"""Lines count from 1: [family.ivory] is 3, [label.tusk] 7, its hint 12, [label.bone] 19."""

FAMILY = VALID[VALID.index("[family") : VALID.index("[label")]
HORN = '[family.horn]\ndisplay_name = "Horn"\nnote = "Horns."\n[label.bone]'
HINT = VALID[VALID.index("hint =") : VALID.index("confused_with")]

BROKEN = {
    "schema unknown": ("schema = 1", "schema = 2", 1, "schema must be 1, not 2"),
    "schema of a wrong type": ("schema = 1", "schema = true", 1, "schema must be 1, not True"),
    "schema missing": ("schema = 1", "# none", 1, "schema must be 1, not None"),
    "value that is no TOML": ('"lookalike"', "lookalike", 20, "Invalid value (at line 20"),
    "list without an end": ('  "bone",\n]', '  "bone",', 15, "(at line"),
    "text without an end": ('section."""', "section.", 12, "(at end of document)"),
    "family twice": ("[label.bone]", "[family.ivory]", 19, "twice"),
    "label twice": ("[label.bone]", "[label.tusk]", 19, "twice"),
    "key twice": ("note =", 'note = "x"\nnote =', 6, "Cannot overwrite a value"),
    "top key unknown": ("[label.bone]", "[labels.bone]", 19, "'labels'; did you mean label?"),
    "family key unknown": ("note =", "notes =", 5, "unknown key 'notes'; did you mean note?"),
    "label key unknown": ("cites =", "cite =", 11, "unknown key 'cite'; did you mean cites?"),
    "families in a list": ("[family.ivory]", "[[family]]", 3, "'family' must hold tables"),
    "families missing": (FAMILY, "", 1, "'family' must hold tables"),
    "family that is not a table": ("\n[family", "family.x = 3\n[family", 2, "'x' must be a table"),
    "label that is not a table": ("\n[family", "label.x = 3\n[family", 2, "'x' must be a table"),
    "family name": ("[family.ivory]", "[family.Ivory]", 3, "bad family name 'Ivory'"),
    "label name": ("[label.bone]", '["label".ox-bone]', 19, "bad label name 'ox-bone'"),
    "label name with a line break": ("[label.bone]", '[label."bone\\n"]', 19, "bad label name"),
    "family text missing": ('note = "Tusks and teeth."', "", 3, "family.ivory lacks 'note'"),
    "family text empty": ("Tusks and teeth.", " ", 5, "'note' must be text, and not empty"),
    "family text of a wrong type": ('"Ivory"', "7", 4, "'display_name' must be text"),
    "family without members": ("[label.bone]", HORN, 19, "family 'horn' has no product"),
    "kind missing": ('kind = "lookalike"', "", 19, "label.bone lacks 'kind'"),
    "kind unknown": ('"lookalike"', '"look-alike"', 20, "'look-alike'; did you mean lookalike?"),
    "kind of a wrong type": ('"lookalike"', "[]", 20, "'kind' must be text"),
    "display name missing": ('display_name = "Bone"', "", 19, "label.bone lacks 'display_name'"),
    "product without family": ('family = "ivory"', "", 7, "label.tusk lacks 'family'"),
    "product without cites": ('cites = "Appendix I."', "", 7, "label.tusk lacks 'cites'"),
    "product without hint": (HINT, "", 7, "label.tusk lacks 'hint'"),
    "cites empty": ("Appendix I.", "", 11, "'cites' must be text, and not empty"),
    "hint of a wrong type": (HINT, 'hint = [\n"x",\n]\n', 12, "'hint' must be text"),
    "family unknown": ('family = "ivory"', 'family = "ivry"', 9, "'ivry'; did you mean ivory?"),
    "family of a look-alike": ('"Bone"', '"Bone"\nfamily = "ivory"', 22, "only a product has a"),
    "confused with no list": ('[\n  "bone",\n]', '"bone"', 15, "must be a list of other labels"),
    "confused with itself": ('  "bone"', '  "tusk"', 15, "must be a list of other labels"),
    "confused with the unknown": ('  "bone"', '  "bones"', 15, "'bones'; did you mean bone?"),
    "confused with a wrong type": ('  "bone"', "  []", 15, "unknown label []"),
}


def refusal(text: str) -> tuple[int, str]:
    """The line and the problem that the refusal of a text names."""
    with pytest.raises(TaxonomyError) as caught:
        parse_taxonomy(text, "some.toml")
    match = re.fullmatch(r"some\.toml:(\d+): (.+)", str(caught.value), flags=re.DOTALL)
    assert match, caught.value
    return int(match[1]), match[2]


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return load_taxonomy()


class TestPackagedFile:
    def test_has_exactly_the_labels_of_the_design(self, taxonomy: Taxonomy) -> None:
        expected = {name: kind for kind, names in LABELS.items() for name in names.split()}
        assert {name: label.kind for name, label in taxonomy.labels.items()} == expected
        assert list(taxonomy.labels) == list(expected), "in the order of the kinds"

    def test_every_product_has_family_and_cites_and_every_label_a_hint(
        self, taxonomy: Taxonomy
    ) -> None:
        assert len(taxonomy.products) == 16
        for label in taxonomy.products:
            assert label.family in taxonomy.families
            assert "Appendix" in (label.cites or "")
            assert len(label.hint or "") > 80
        assert [label.name for label in taxonomy.labels.values() if not label.hint] == []

    def test_families_roll_up(self, taxonomy: Taxonomy) -> None:
        def names(family: str) -> list[str]:
            return [label.name for label in taxonomy.members(family)]

        assert names("ivory") == ["ivory_raw", "ivory_worked"]
        assert names("big_cat") == ["big_cat_skin", "big_cat_parts"]
        alone = set(taxonomy.families) - {"ivory", "big_cat"}
        assert all(names(family) == [family] for family in alone)

    def test_confusion_goes_both_ways(self, taxonomy: Taxonomy) -> None:
        # Of these no test photo has the label, so the figures of ivory are not compared with them.
        one_way = {"jewellery", "metalwork", "statue"}
        pairs = [
            (a.name, b)
            for a in taxonomy.labels.values()
            for b in a.confused_with
            if a.name not in one_way
        ]
        assert len(set(pairs)) == len(pairs)
        assert {(b, a) for a, b in pairs} == set(pairs)

    def test_every_lookalike_is_like_a_product(self, taxonomy: Taxonomy) -> None:
        for label in taxonomy.labels.values():
            if label.kind is Kind.LOOKALIKE:
                assert any(taxonomy.label(x).kind is Kind.PRODUCT for x in label.confused_with)

    def test_no_text_claims_an_identification(self, taxonomy: Taxonomy) -> None:
        claim = re.compile(
            r"\b(prove[sdn]?|proof|confirm|certain|definite|guarantee|identif|always)"
        )
        labels, families = taxonomy.labels.values(), taxonomy.families.values()
        texts = [text for label in labels for text in (label.hint, label.cites) if text]
        texts += [family.note for family in families]
        assert [text for text in texts if claim.search(text.lower())] == []

    @pytest.mark.parametrize("name", ["ivory_raw", "ivory_worked"])
    def test_ivory_speaks_of_marine_ivory(self, taxonomy: Taxonomy, name: str) -> None:
        hint = taxonomy.label(name).hint or ""
        assert all(word in hint for word in ("marine ivory", "walrus", "narwhal", "whale tooth"))

    def test_is_read_once(self, taxonomy: Taxonomy) -> None:
        assert load_taxonomy() is taxonomy


class TestTaxonomy:
    def test_white_space_is_one_space_and_optional_values_are_none(self) -> None:
        read = parse_taxonomy(VALID, "some.toml")
        assert read.label("tusk").hint == "Look at the [label.tusk] cross section."
        bone = Label(name="bone", kind=Kind.LOOKALIKE, display_name="Bone")
        assert read.label("bone") == bone

    @pytest.mark.parametrize(
        ("find", "words"),
        [
            (lambda t: t.label("ivory_row"), r"unknown label 'ivory_row'.*ivory_raw"),
            (lambda t: t.members("big_cats"), r"unknown family 'big_cats'.*big_cat"),
            (lambda t: t.label("xyz"), r"^unknown label 'xyz'$"),
        ],
    )
    def test_an_unknown_name_names_the_closest(
        self, taxonomy: Taxonomy, find: Callable[[Taxonomy], object], words: str
    ) -> None:
        with pytest.raises(TaxonomyError, match=words):
            find(taxonomy)

    def test_mappings_are_read_only(self, taxonomy: Taxonomy) -> None:
        with pytest.raises(TypeError):
            taxonomy.labels["x"] = taxonomy.label("bone")
        with pytest.raises(TypeError):
            del taxonomy.families["ivory"]

    def test_survives_a_pickle(self, taxonomy: Taxonomy) -> None:
        assert pickle.loads(pickle.dumps(taxonomy)) == taxonomy


class TestLoadTaxonomy:
    @pytest.mark.parametrize("kind", [str, Path])
    def test_reads_a_file(self, tmp_path: Path, kind: type[str] | type[Path]) -> None:
        path = tmp_path / "own.toml"
        path.write_text(VALID, encoding="utf-8")
        assert load_taxonomy(kind(path)) == parse_taxonomy(VALID, "some.toml")

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"schema = 2\n", r"own\.toml:1: schema must be 1"),
            (None, r"own\.toml"),
            (VALID.replace("Bone", "Knöchel").encode("latin-1"), r"own\.toml: 'utf-8' codec can't"),
        ],
    )
    def test_a_bad_file_is_named(self, tmp_path: Path, content: bytes | None, words: str) -> None:
        if content is not None:
            (tmp_path / "own.toml").write_bytes(content)
        with pytest.raises(
            TaxonomyError, match=f"^{re.escape(str(tmp_path))}.{words}" if content else words
        ):
            load_taxonomy(tmp_path / "own.toml")


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_broken_file_is_refused_at_its_line(case: str, newline: str) -> None:
    old, new, line, fragment = BROKEN[case]
    assert VALID.count(old) == 1
    found, problem = refusal(VALID.replace(old, new).replace("\n", newline))
    assert found == line
    assert fragment in problem


@given(st.sampled_from(sorted(BROKEN)), st.lists(st.sampled_from(["", "# [label.bone]", "\t"])))
def test_lines_above_move_the_line_named(case: str, above: list[str]) -> None:
    old, new, line, _ = BROKEN[case]
    if case in {"schema missing", "families missing"}:
        line = 1 - len(above)  # what the file lacks is missed on line 1
    found, _ = refusal("".join(f"{x}\n" for x in above) + VALID.replace(old, new))
    assert found == line + len(above)


@given(st.integers(0, len(VALID)), st.integers(0, 40), st.text(max_size=20))
@example(0, len(VALID), "")
def test_any_damage_is_read_or_refused_at_a_line_of_the_file(at: int, cut: int, junk: str) -> None:
    text = VALID[:at] + junk + VALID[at + cut :]
    try:
        parse_taxonomy(text, "some.toml")
    except TaxonomyError:
        line, _ = refusal(text)
        assert 1 <= line <= text.count("\n") + 1


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}(_[a-z0-9]{1,3})?", fullmatch=True)
TEXTS = (
    st.text(st.characters(exclude_categories=["C"]), min_size=1)
    .map(lambda text: " ".join(text.split()))
    .filter(bool)
)


@st.composite
def taxonomies(draw: st.DrawFn) -> Taxonomy:
    families = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    names = draw(st.lists(NAMES, min_size=len(families), max_size=8, unique=True))
    labels = []
    for index, name in enumerate(names):
        # The first labels give each family its product.
        kind = Kind.PRODUCT if index < len(families) else draw(st.sampled_from(Kind))
        product = kind is Kind.PRODUCT
        others = st.sampled_from([other for other in names if other != name] or [""])
        labels.append(
            Label(
                name=name,
                kind=kind,
                display_name=draw(TEXTS),
                family=families[index % len(families)] if product else None,
                cites=draw(TEXTS if product else st.none() | TEXTS),
                hint=draw(TEXTS if product else st.none() | TEXTS),
                confused_with=tuple(draw(st.lists(others, max_size=3))) if len(names) > 1 else (),
            )
        )
    return Taxonomy(
        labels={label.name: label for label in labels},
        families={
            name: Family(name=name, display_name=draw(TEXTS), note=draw(TEXTS)) for name in families
        },
    )


def written(taxonomy: Taxonomy) -> str:
    """The taxonomy as TOML, whose strings are written as JSON writes them."""

    def table(path: str, entry: Family | Label) -> str:
        values = [(field.name, getattr(entry, field.name)) for field in fields(entry)][1:]
        lines = [
            f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values if value
        ]
        return "\n".join([f"[{path}.{entry.name}]", *lines])

    families = [table("family", family) for family in taxonomy.families.values()]
    labels = [table("label", label) for label in taxonomy.labels.values()]
    return "\n".join(["schema = 1", *families, *labels])


@given(taxonomies())
def test_what_is_written_is_read(taxonomy: Taxonomy) -> None:
    read = parse_taxonomy(written(taxonomy), "some.toml")
    assert read == taxonomy
    assert list(read.labels) == list(taxonomy.labels)
    members = [label for family in read.families for label in read.members(family)]
    assert sorted(members, key=list(read.labels.values()).index) == list(read.products)


def test_a_bundle_adds_names_and_changes_none() -> None:
    base = load_taxonomy()
    entry = {"kind": "product", "display_name": "Blue", "cites": "-", "hint": "-", "family": "blue"}
    family = {"display_name": "Blue things", "note": "-"}
    own = {"label": {"blue": entry, "coral": entry}, "family": {"blue": family, "ivory": family}}
    found = extend_taxonomy(base, own, "bundle.json")
    assert [*found.labels] == [*base.labels, "blue"]
    assert found.labels["coral"] == base.labels["coral"]
    assert found.families["ivory"] == base.families["ivory"]
    assert found.display_name("blue", family=True) == "Blue things"
    assert found.display_name("never heard of") == "never heard of"


@pytest.mark.parametrize(
    "own",
    [{"x": {}}, {"label": {"blue": {"kind": "product"}}}, {"label": []}, {"label": {"Blue": {}}}],
)
def test_a_bundle_with_a_bad_entry_is_refused(own: dict[str, object]) -> None:
    with pytest.raises(TaxonomyError, match=r"bundle\.json"):
        extend_taxonomy(load_taxonomy(), own, "bundle.json")
