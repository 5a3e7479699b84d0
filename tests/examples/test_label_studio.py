"""The example that exchanges leads with Label Studio."""

import json
from xml.etree import ElementTree

import pytest

from examples import label_studio
from recognizer.desk.outcomes import Judgement, Outcomes
from recognizer.prediction import Region
from tests.conftest import succeed
from tests.rows.rows import bare_row, digest, write_scan

HOSTILE = 'a"</View>{sha256}.jpg'


@pytest.fixture
def scan(tmp_path):
    regions = (
        Region(label="ivory_worked", score=0.5, box=(20, 10, 60, 40)),
        Region(label="ivory_raw", score=0.5, box=(0, 0, 9, 9), frame=2),
    )
    more = {"item": {"listing_id": 7, "title": "<b>Old carving"}, "width": 200, "height": 100}
    rows = [
        bare_row(HOSTILE, 0.6, "review", regions=regions, **more),
        bare_row("https://photos.example/b.jpg", 0.9, "priority"),
        bare_row("c.jpg", 0.1, "clear"),
    ]
    return write_scan(tmp_path / "scan.sqlite", rows)


@pytest.fixture
def tasks(scan, tmp_path, capsys):
    label_studio.main(["tasks", str(scan)])
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)) == 1
    assert f"{HOSTILE!r}: no URL" in printed.err
    config = tmp_path / "interface.xml"
    url = ("--photo-url", "/data/local-files/?d={source}")
    label_studio.main(["tasks", str(scan), *url, "--interface", str(config)])
    assert {"judgement", "label", "note"} < {
        tag.get("name") for tag in ElementTree.parse(config).iter()
    }
    return json.loads(capsys.readouterr().out)


def test_leads_become_tasks_with_pre_annotations(tasks):
    first, second = tasks
    data, (prediction,) = first["data"], first["predictions"]
    assert data["image"] == "/data/local-files/?d=a%22%3C/View%3E%7Bsha256%7D.jpg"
    assert (data["title"], data["listing"]) == ("<b>Old carving", "7")
    assert (prediction["model_version"], prediction["score"]) == ("tiny-v1", 0.6)
    box, choice = prediction["result"]
    place = {"x": 10.0, "y": 10.0, "width": 20.0, "height": 30.0, "rotation": 0}
    assert box["value"] == place | {"rectanglelabels": ["ivory_worked"]}
    assert choice["value"] == {"choices": ["ivory_worked"]}
    assert second["data"]["image"] == "https://photos.example/b.jpg"


def annotation(**values):
    result = [
        {"from_name": "judgement", "type": "choices", "value": {"choices": ["confirmed"]}},
        {"from_name": "label", "type": "choices", "value": {"choices": ["ivory_raw"]}},
        {"from_name": "note", "type": "textarea", "value": {"text": ["a tusk", " tip\x07"]}},
    ]
    who = {"id": 3, "email": "ama@platform.example"}
    times = {"created_at": "2026-03-09T21:52:49Z", "updated_at": "2026-03-09T22:16:08.746926Z"}
    return {"completed_by": who, "result": result, "was_cancelled": False} | times | values


def test_its_export_becomes_outcomes(tasks, scan, tmp_path, capsys):
    tasks[0]["annotations"] = [annotation(), annotation(completed_by=4, was_cancelled=True)]
    tasks[1]["annotations"] = [annotation(completed_by=4), annotation(result=[])]
    export, lines = tmp_path / "export.json", tmp_path / "outcomes.jsonl"
    export.write_text(json.dumps(tasks))
    label_studio.main(["outcomes", str(export)])
    lines.write_text(capsys.readouterr().out)
    for new in (2, 0):  # the same export adds nothing
        done = succeed("outcomes", "import", scan, lines)
        assert f"{new} new, 2 in all" in " ".join(done.stdout.split())
    with Outcomes(scan) as opened:
        first, second = opened
    assert (first.judgement, first.label) == (Judgement.CONFIRMED, "ivory_raw")
    assert (first.reviewer, first.note) == ("ama@platform.example", "a tusk\n tip")
    assert (first.sha256, first.listing) == (digest(HOSTILE), "7")
    assert first.time.isoformat() == "2026-03-09T22:16:08.746926+00:00"
    assert second.reviewer == "Label Studio 4"
