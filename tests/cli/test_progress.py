"""Commands that take seconds show progress, and end without a pause."""

import itertools
from pathlib import Path

import pytest
from rich.progress import Progress

from recognizer.cli.progress import show_progress
from tests.conftest import encoded, invoke, picture, run_python


@pytest.mark.parametrize(
    ("step", "command"),
    [
        ("recognizer.cli.model.versions", "doctor {bundle}"),
        ("recognizer.model.self_test.self_test", "doctor {bundle}"),
        ("recognizer.rows.listings.read_outcomes", "scan a.jpg -m {bundle} --known a.jsonl"),
        ("bagit.Bag.validate", "verify case"),
        ("recognizer.desk.queue.Queue", "review a.sqlite"),
        ("recognizer.lab.dataset.manifest.load_data", "train --data ."),
    ],
)
def test_a_spinner_turns_meanwhile(
    step: str, command: str, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, turning = [], []

    def enter(progress: Progress) -> Progress:
        turning.append(1)
        return progress

    def leave(*_: object) -> None:
        turning.clear()

    def begun(*_: object, **__: object) -> None:
        seen.append(bool(turning))
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    Path("a.jpg").write_bytes(encoded(picture("red")))
    invoke("scan", "a.jpg", "-m", tiny_bundle, "-o", "a.sqlite", "--workers", 1, code=0)
    invoke("evidence", "a.sqlite", "--lead", "a.jpg", "-m", tiny_bundle)
    monkeypatch.setattr(Progress, "__enter__", enter)
    monkeypatch.setattr(Progress, "__exit__", leave)
    monkeypatch.setattr(step, begun)
    invoke(*command.format(bundle=tiny_bundle).split())
    assert seen == [True]


def test_the_time_left_is_of_what_is_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = itertools.count(0, 5)  # five seconds pass whenever somebody looks
    monkeypatch.setattr("rich.console.monotonic", lambda: next(now))
    with show_progress(every=0) as report:
        for done in (10, 20, 30):
            report("decoding", done, 40)
        report("training", 1, 9)
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert [" left" in line for line in lines] == [False, True, True, False]
    assert lines[0] == "decoding: 10/40"


def test_the_end_looks_through_nothing() -> None:
    code = "import atexit, gc, sys; atexit.register(lambda: print(gc.get_freeze_count() > 9999))\n"
    done = run_python(
        "-c", f"{code}sys.argv[1:] = ['--version']\nimport recognizer.commands as c\nc.main()"
    )
    assert done.stdout.split()[-1] == "True"
