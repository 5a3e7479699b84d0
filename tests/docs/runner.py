"""Runs the blocks of a page in the current folder: commands in this process, Python by ``exec``."""

import os
import re
import shlex
import subprocess
from pathlib import Path

from typer.testing import CliRunner

from recognizer.cli import ExitCode
from recognizer.commands import app
from tests.docs.blocks import ROOT, is_ours, words

# Programs that any machine has and that need nothing else.
_PROGRAMS = {"find", "mkdir"}
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


class Runner:
    """Runs blocks one after the other; Python blocks share their names, as on a page.

    ``printed`` is by the line of a command; ``skip`` has those that ran before in this folder.
    """

    def __init__(self, skip=None):
        self.printed = {}
        self.skip = skip or set()
        self._names = {"__name__": "__main__"}
        self._digest = ""

    def run(self, block):
        """Run a block; whatever does not succeed raises."""
        if block.language == "python":
            exec(compile(block.text, str(block.page), "exec"), self._names)
        for line in block.lines:
            if line not in self.skip:
                self._run_line(line)

    def _run_line(self, line):
        program = shlex.split(line)[0]
        if name := re.fullmatch(r"export (\w+)=(\S+)", line):
            os.environ[name[1]] = name[2]
        elif is_ours(line):
            self._run_ours(line)
        elif program in _PROGRAMS:
            subprocess.run(["sh", "-c", line], check=True, capture_output=True)
        else:
            check_without_running(line)

    def _run_ours(self, line):
        before, _, command = line.rpartition(" | ")
        given = subprocess.check_output(["sh", "-c", before]) if before else None
        command, _, output = command.partition(" > ")
        # A digest that the page cuts short is the last one that a command printed.
        arguments = [
            re.sub(r"^[0-9a-f]{8}\.{3}$", self._digest, word) for word in words(command)[1:]
        ]
        done = CliRunner().invoke(app, arguments, input=given)
        assert done.exit_code == ExitCode.DONE, (line, done.output, done.exception)
        if output:
            Path(output.strip()).write_text(done.stdout, encoding="utf-8")
        self.printed[line] = done.output
        self._digest = (_DIGEST.findall(done.output) or [self._digest])[-1]


def check_without_running(line):
    """Check that what a command names is there: an extra, a target of make, a module, a test."""
    program, *arguments = shlex.split(line)
    program = program.rpartition("/")[2]
    if program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert {a for a in arguments if "=" not in a} <= set(targets), line
    elif program == "pip":
        declared = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
        for extras in re.findall(r"\.\[([\w,]+)\]", line):
            assert {*extras.split(",")} <= {*declared}, line
    elif program == "pytest" or arguments[:2] == ["-m", "pytest"]:
        paths = [a for a in arguments if a.startswith(("tests/", "datasets/"))]
        assert all((ROOT / path).exists() for path in paths), line
    elif program.startswith("python") and arguments[0] == "-m":
        path = ROOT / arguments[1].replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").exists() or arguments[1] == "venv", line
    else:
        known = {"cd", "mv", "ssh-keygen", "git", "jupyter", "source"}
        assert program in known or line.startswith("RECOGNIZER_"), line
