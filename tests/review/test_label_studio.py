from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recognizer.cli import ExitCode
from recognizer.errors import UsageError
from recognizer.model.bundle import load_bundle
from recognizer.prediction import Region
from recognizer.review.label_studio import labelling_config, read_export, write_tasks
from recognizer.review.outcomes import Judgement, Outcomes
from tests.conftest import invoke
from tests.rows.rows import bare_row, digest, write_scan


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    item = {"listing_id": 7, "title": "<b>Old carving"}
    regions = (
        Region(label="ivory_worked", score=0.5, box=(20, 10, 60, 40)),
        Region(label="ivory_raw", score=0.5, box=(0, 0, 9, 9), frame=2),
    )
    rows = [
        bare_row("a.jpg", 0.6, "review", item=item, width=200, height=100, regions=regions),
        bare_row("https://photos.example/b.jpg", 0.9, "priority"),
        bare_row("c.jpg", 0.1, "clear"),
    ]
    return write_scan(tmp_path / "scan.sqlite", rows)


@pytest.fixture
def tasks(scan: Path, tmp_path: Path) -> list[Any]:
    output, config = tmp_path / "tasks.json", tmp_path / "config.xml"
    command = ("rows", scan, "-o", output)
    without = invoke(*command)
    assert without.exit_code == ExitCode.SOME_FAILED
    assert "a.jpg: no URL" in without.stderr
    whole = invoke(*command, "--photo-url", "/data/local-files/?d={source}", "--config", config)
    assert whole.exit_code == ExitCode.DONE, whole.output
    assert config.read_text() == labelling_config(load_bundle())
    return json.loads(output.read_bytes())


def test_leads_become_tasks_with_pre_annotations(tasks: list[Any]) -> None:
    first, second = tasks
    assert first["data"]["image"] == "/data/local-files/?d=a.jpg"
    assert first["data"]["title"] == "<b>Old carving"
    assert first["data"]["listing"] == "7"
    (prediction,) = first["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("tiny-v1", 0.6)
    box, choice = prediction["result"]
    place = {"x": 10.0, "y": 10.0, "width": 20.0, "height": 30.0, "rotation": 0}
    assert box["value"] == place | {"rectanglelabels": ["ivory_worked"]}
    assert choice["value"] == {"choices": ["ivory_worked"]}
    assert second["data"]["image"] == "https://photos.example/b.jpg"


def test_label_studio_itself_takes_the_tasks(tasks: list[Any]) -> None:
    """Its own checks of what is imported; they are a package of their own."""
    interfaces = pytest.importorskip("label_studio_sdk.label_interface")
    interface = interfaces.LabelInterface(labelling_config(load_bundle()))
    interface.validate()
    for task in tasks:
        assert interface.validate_task({"data": task["data"]})
        assert all(interface.validate_prediction(one) for one in task["predictions"])


def annotation(**values: Any) -> dict[str, Any]:
    result = [
        {"from_name": "judgement", "type": "choices", "value": {"choices": ["confirmed"]}},
        {"from_name": "label", "type": "choices", "value": {"choices": ["ivory_raw"]}},
        {"from_name": "note", "type": "textarea", "value": {"text": ["a tusk", " tip "]}},
    ]
    return {
        "id": 1,
        "completed_by": {"id": 3, "email": "ama@platform.example"},
        "result": result,
        "was_cancelled": False,
        "created_at": "2026-03-09T21:52:49.513742Z",
        "updated_at": "2026-03-09T22:16:08.746926Z",
        **values,
    }


def test_its_export_becomes_outcomes(tasks: list[Any], scan: Path, tmp_path: Path) -> None:
    tasks[0]["annotations"] = [annotation(), annotation(completed_by=4, was_cancelled=True)]
    tasks[1]["annotations"] = [annotation(completed_by=4), annotation(result=[])]
    export = tmp_path / "export.json"
    export.write_text(json.dumps(tasks))
    for new in (2, 0):  # the same export adds nothing
        done = invoke("outcomes", "import", scan, "--from", "label-studio", export)
        assert done.exit_code == ExitCode.DONE, done.output
        assert f"{new} new, 2 in all" in " ".join(done.stdout.split())
        assert "Skipped 2 annotations" in done.stderr
    with Outcomes(scan) as opened:
        first, second = opened
    assert (first.judgement, first.label) == (Judgement.CONFIRMED, "ivory_raw")
    assert (first.reviewer, first.note) == ("ama@platform.example", "a tusk\n tip")
    assert (first.sha256, first.listing) == (digest("a.jpg"), "7")
    assert first.time.isoformat() == "2026-03-09T22:16:08.746926+00:00"
    assert second.reviewer == "Label Studio user 4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("{}", "not a list"),
        ('[{"id": 1, "image": "x"}]', "task 1: no 'annotations'"),  # the export JSON-MIN
        ('[{"annotations": 1, "data": {}}]', "task 1"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "export.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_export(path)


@pytest.mark.parametrize("template", ["https://a.example/", "https://a.example/{id}", "{"])
def test_a_template_names_what_there_is(tmp_path: Path, template: str) -> None:
    with pytest.raises(UsageError, match="photo URL"):
        write_tasks([], tmp_path / "tasks.json", template)
