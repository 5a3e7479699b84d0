"""Rules that the options of all verbs keep."""

import shlex
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from recognizer.commands import EXAMPLES, VERBS, load_verb
from tests.conftest import refuse, run_python, succeed

OWN_WORDS = {
    "--output": "what is written there",
    "--model": "the released one, or that which made the rows",
    "--allow-host": "from which images are read, or under which browsers reach the desk",
    "--label": "of what is added, or of what is listed",
    "--top": "of what",
    "--precision": "of a file's numbers, or of leads",
    "--by": "by whom, or by what",
    "--split": "which there are",
    "--prevalence": "of families, too, or of all products",
    "--seed": "instead of that of a recipe",
}
"""Options whose help differs from verb to verb, and in what."""


def commands() -> Iterator[tuple[str, Any]]:
    """Every verb, and every verb of a group, with its command."""
    for verb in VERBS:
        command = load_verb(verb)
        if not hasattr(command, "commands"):
            yield verb, command
            continue
        for name, inner in command.commands.items():
            yield f"{verb} {name}", inner


COMMANDS = dict(commands())


def given_options() -> Iterator[tuple[str, str, Any]]:
    """The verb, the long name and the parameter of every option."""
    for verb, command in COMMANDS.items():
        for parameter in command.params:
            if parameter.param_type_name == "option" and "--help" not in parameter.opts:
                (long,) = [name for name in parameter.opts if name.startswith("--")]
                yield verb, long, parameter


HEAVY = ("numpy", "cv2", "PIL", "onnxruntime", "simplejpeg", "msgspec", "sqlite3", "jinja2", "rich")


def test_help_needs_no_extra_and_loads_nothing_heavy():
    script = (
        "import contextlib, sys; from recognizer.commands import VERBS, app, load_verb;"
        "from recognizer.cli.options import EXTRAS;"
        "sys.modules.update({name: None for _, modules in EXTRAS.values() for name in modules});"
        "[load_verb(verb) for verb in VERBS]\n"
        "with contextlib.suppress(SystemExit): app(['--help'])\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    *words, heavy = run_python("-c", script).stdout.splitlines()
    assert heavy == "[]"
    assert {*VERBS} <= {line.split()[0] for line in words if line.startswith("  ")}
    assert "A lead is not a verdict" in " ".join(" ".join(words).split())


def test_words_of_a_command_are_not_rewritten(tmp_path):
    for words in (("--bundle", "nowhere"), ("--bundle=nowhere",), ("-b", "nowhere")):
        assert "No such option" in refuse("policy", "strict", *words).stderr
    assert "-b: no such file or folder" in refuse("scan", "-o", tmp_path / "a", "--", "-b").stderr


def test_an_option_means_the_same_everywhere():
    helps: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    for verb, long, parameter in given_options():
        assert parameter.help, (verb, long)
        helps[long].setdefault(parameter.help, []).append(verb)
    several = {long: found for long, found in helps.items() if len(found) > 1}
    assert {long: found for long, found in several.items() if long not in OWN_WORDS} == {}
    assert [verb for verb, command in COMMANDS.items() if not command.help] == []


@pytest.mark.parametrize("verb", COMMANDS)
def test_the_help_that_people_see_has_every_text(verb):
    def bare(text: str) -> str:  # lines are broken at hyphens too
        return "".join(text.split())

    seen = bare(succeed(*verb.split(), "--help").stdout)
    assert bare(COMMANDS[verb].help) in seen
    for parameter in COMMANDS[verb].params:
        if not getattr(parameter, "hidden", False):
            assert parameter.help, parameter.name
            assert bare(parameter.help) in seen, parameter.name


@pytest.mark.parametrize("line", EXAMPLES)
def test_examples_have_the_options_of_their_verbs(line):
    words = shlex.split(line.partition("recognizer ")[2].partition(" > ")[0])
    verb = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
    known = {name for parameter in COMMANDS[verb].params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
