"""Every example of docs/sources.md, run as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from recognizer.cli import ExitCode, app
from recognizer.scan import expand
from tests.conftest import encoded, picture, read_rows
from tests.scan.locations.conftest import GREEN, RED
from tests.scan.locations.test_archives import make_tar, make_zip
from tests.scan.locations.test_stores import put
from tests.scan.locations.web_server import LoopbackToo, serving

PAGE = (Path(__file__).parents[3] / "docs/sources.md").read_text(encoding="utf-8")
Rows = dict[str, dict[str, Any]]
Run = Callable[[str], Rows]


def example(heading: str, language: str = "console") -> str:
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    (block,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return str(block).strip()


@pytest.fixture
def run(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs an example in a folder with all that the page speaks of; returns source -> row."""
    monkeypatch.chdir(tmp_path)
    for folder in ("photos/sub", "more", "shards"):
        Path(folder).mkdir(parents=True)
    for name in ("photos/a.jpg", "photos/b.jpg", "photos/sub/f3a9", "one.jpg"):
        Path(name).write_bytes(RED if name == "photos/a.jpg" else GREEN)
    Path("more/c.png").write_bytes(encoded(picture("green"), "PNG"))
    Path("listings.csv").write_text(
        'id,title,photo\n7,tusk,photos/a.jpg\n7,tusk,photos/b.jpg\n8,mug,"[""gone.jpg""]"\n'
    )
    make_tar(Path("shards/shard-000.tar"), [("0001.jpg", RED), ("0001.json", b'{"id": 1}')])
    make_zip(Path("photos.zip"), [("x.jpg", GREEN)])

    def run(command: str) -> Rows:
        before, _, scan = command.rpartition(" | ")
        given = subprocess.check_output(shlex.split(before)) if before else None
        arguments = [*shlex.split(scan)[1:], "--bundle", str(tiny_bundle), "--workers", "1"]
        arguments += [] if "--output" in arguments else ["--output", "scan.sqlite"]
        result = CliRunner().invoke(app, arguments, input=given)
        assert result.exit_code in {ExitCode.DONE, ExitCode.SOME_FAILED}, result.output
        rows = read_rows(Path("scan.sqlite"))
        assert len({row["source"] for row in rows}) == len(rows)
        return {row["source"]: row for row in rows}

    return run


def decisions(rows: Rows) -> dict[str, str]:
    return {source: row["decision"] for source, row in rows.items()}


OF_PHOTOS = {"photos/a.jpg": "priority", "photos/b.jpg": "clear"}
OTHERS = {"photos/sub/f3a9": "clear", "more/c.png": "clear", "one.jpg": "clear"}
MEMBER = "shards/shard-000.tar!/0001.jpg"


@pytest.mark.skipif(shutil.which("find") is None, reason="needs find")
@pytest.mark.parametrize(
    ("heading", "expected", "items"),
    [
        ("Files, folders and patterns", OF_PHOTOS | OTHERS, {}),
        ("A list on standard input", OF_PHOTOS, {}),
        (
            "Tables of listings",
            OF_PHOTOS | {"gone.jpg": "unscored"},
            {"photos/a.jpg": {"id": "7", "title": "tusk"}},
        ),
        ("Archives", {MEMBER: "priority", "photos.zip!/x.jpg": "clear"}, {MEMBER: {"id": 1}}),
    ],
)
def test_sources_on_disk(
    run: Run, heading: str, expected: dict[str, str], items: dict[str, Any]
) -> None:
    rows = run(example(heading))
    assert decisions(rows) == expected
    assert {source: rows[source]["item"] for source in items} == items
    assert run(example(heading)) == rows, "the next scan writes nothing"


def test_object_stores(run: Run, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Forked, a process would have the environment from before the server.
    monkeypatch.setattr("recognizer._process.START_METHOD", "spawn")
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("s3").mkdir("s3://market")
    put("s3://market/photos/a.jpg", RED)
    put("s3://market/listings.csv", b"id,path\n1,one.jpg\n2,gone.jpg\n")
    put("s3://market/one.jpg", RED)
    assert decisions(run(example("Object stores"))) == {
        "s3://market/photos/a.jpg": "priority",
        "s3://market/one.jpg": "priority",
        "s3://market/gone.jpg": "unscored",
    }


def test_the_web(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    command = example("The web")
    assert "https://photos.example/1.jpg" in command
    with serving() as server, monkeypatch.context() as patch:
        patch.setattr("recognizer.scan.Access", LoopbackToo)
        url = f"{server.url}/1.jpg"
        rows = run(command.replace("https://photos.example/1.jpg", url))
        assert decisions(rows) == {url: "priority"}
    result = CliRunner().invoke(app, ["scan", "https://photos.example/1.jpg"])
    assert result.exit_code == ExitCode.USAGE
    assert "--allow-http" in result.stderr


def test_from_python(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    exec(example("From Python", "python"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "photos/a.jpg {'id': '7', 'title': 'tusk'}"
    assert printed[-1] == "shards/shard-000.tar!/0001.jpg {'id': 1}"
    assert len(printed) == len(list(expand(["listings.csv", "shards/"])))
