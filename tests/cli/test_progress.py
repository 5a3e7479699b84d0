"""Commands that take seconds show progress, and end without a pause."""

from pathlib import Path

import pytest
from rich.progress import Progress

from tests.conftest import encoded, invoke, picture


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
def test_a_spinner_turns_meanwhile(step, command, tiny_bundle, tmp_path, monkeypatch):
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
