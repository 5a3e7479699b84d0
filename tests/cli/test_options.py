"""Rules that the options of all verbs keep."""

import shlex

import pytest

from recognizer.commands import EXAMPLE_LINES, VERBS, load_verb
from tests.conftest import refuse, run_python, succeed


def commands():
    """Every verb, and every verb of a group, with its command."""
    for verb in VERBS:
        command = load_verb(verb)
        if not hasattr(command, "commands"):
            yield verb, command
            continue
        for name, inner in command.commands.items():
            yield f"{verb} {name}", inner


COMMANDS = dict(commands())
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


@pytest.mark.parametrize("verb", COMMANDS)
def test_the_help_that_people_see_has_every_text(verb):
    def bare(text):  # lines are broken at hyphens too
        return "".join(text.split())

    seen = bare(succeed(*verb.split(), "--help").stdout)
    assert bare(COMMANDS[verb].help) in seen
    for parameter in COMMANDS[verb].params:
        if not getattr(parameter, "hidden", False):
            assert parameter.help, parameter.name
            assert bare(parameter.help) in seen, parameter.name


@pytest.mark.parametrize("line", EXAMPLE_LINES)
def test_examples_have_the_options_of_their_verbs(line):
    words = shlex.split(line.partition("recognizer ")[2].partition(" > ")[0])
    verb = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
    known = {name for parameter in COMMANDS[verb].params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
