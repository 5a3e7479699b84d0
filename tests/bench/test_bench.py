from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import CliRunner

from recognizer.bench import measure
from recognizer.bench.measure import Rate, Stages, pipeline, scan_seconds
from recognizer.bench.photos import BYTES_PER_PIXEL, make_photos, mean_bytes
from recognizer.bench.report import COLUMNS
from recognizer.bench.run import Case
from recognizer.cli import ExitCode, app
from recognizer.errors import UsageError
from recognizer.model.bundle import load_bundle
from recognizer.scan.pool import Crew
from tests.conftest import encoded
from tests.pictures import scene
from tests.tiny import tiny_model

STAGES = Stages(0.001, 0.010, 0.001, 0.009, 0.012, 0.009, 0.001)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(encoded(scene(number)))
    return folder


@pytest.mark.parametrize("progressive", [False, True])
def test_photos_are_as_large_as_photos_are(
    samples: Path, tmp_path: Path, progressive: bool
) -> None:
    made = make_photos(samples, tmp_path / "a", (400, 300), 4, progressive=progressive)
    again = make_photos(samples, tmp_path / "b", (400, 300), 4, progressive=progressive)
    assert [path.read_bytes() for path in made] == [path.read_bytes() for path in again]
    assert len({path.read_bytes() for path in made}) == 4  # the fourth differs from the first
    for path in made:
        with Image.open(path) as image:
            assert (image.size, image.format) == ((400, 300), "JPEG")
            assert bool(image.info.get("progressive")) == progressive
    assert 1 <= mean_bytes(made) / (BYTES_PER_PIXEL * 400 * 300) < 2


def test_photos_show_what_the_samples_show(samples: Path, tmp_path: Path) -> None:
    (made,) = make_photos(samples, tmp_path, (360, 280), 1, progressive=False)
    # Its noise is averaged away, and what is left is the sample.
    found, sample = (
        np.asarray(Image.open(path).reduce(20), np.float32) for path in (made, samples / "0.jpg")
    )
    assert np.abs(found - sample).mean() < 4


def test_no_samples(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--samples"):
        make_photos(tmp_path, tmp_path / "made", (400, 300), 1, progressive=False)


def test_the_arithmetic() -> None:
    case = Case(
        1600, 1200, False, "int8", 400_000, 2, 2, STAGES,
        Stages(*(2 * v for v in (0.001, 0.010, 0.001, 0.009, 0.012, 0.009, 0.001))),
        Rate(90.0, 10**8), Rate(10.0, None), None,
    )  # fmt: skip
    assert case.roofline == pytest.approx(100)  # two CPUs, 20 ms for a photo
    assert case.share == pytest.approx(0.9)
    assert case.busy_roofline == pytest.approx(50)
    assert case.times_faster_than(case.pillow) == pytest.approx(9)
    assert case.times_faster_than(case.torch) is None
    assert case.to_dict()["share_of_roofline"] == pytest.approx(0.9)


def test_more_workers_than_cpus_raise_no_roof() -> None:
    rate = Rate(1.0, None)
    assert Case(8, 8, False, "", 1, 16, 2, STAGES, STAGES, rate, None, None).roofline == (
        pytest.approx(100)
    )


def test_the_steady_rate_is_free_of_the_start(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def seconds(_: object, __: object, count: int, *___: object) -> float:
        asked.append(count)
        return 5 + count / 80

    monkeypatch.setattr(measure, "scan_seconds", seconds)
    rate = pipeline(load_bundle(tiny_bundle), [], 1000, 2)
    assert rate.photos_per_second == pytest.approx(80)
    assert asked == [256, 1024]  # whole shares for each worker
    monkeypatch.setattr(measure, "scan_seconds", lambda *_: 5.0)
    with pytest.raises(UsageError, match="--images"):
        pipeline(load_bundle(tiny_bundle), [], 1000, 2)


def test_a_scan_is_timed(samples: Path, tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    assert scan_seconds(bundle, [samples / "0.jpg"], 20, 1, Crew) > 0
    with pytest.raises(UsageError, match="not_found"):
        scan_seconds(bundle, [samples / "gone.jpg"], 1, 1, Crew)


def test_the_command(
    samples: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whether so short a scan can be timed is up to the machine; all else is measured.
    monkeypatch.setattr(measure, "scan_seconds", lambda *asked: 5 + asked[2] / 80)
    monkeypatch.setattr("recognizer.bench.run.alone", lambda function, *given: function(*given))
    page = tmp_path / "page.md"
    other = tiny_model()
    other.doc_string = "another file than the bundle's"
    onnx.save(other, tmp_path / "fp32.onnx")
    done = CliRunner().invoke(
        app,
        [
            *("bench", "--samples", str(samples), "--bundle", str(tiny_bundle)),
            *("--size", "160x120", "--photos", "2", "--workers", "1"),
            *("--fp32", str(tmp_path / "fp32.onnx"), "--no-peers", "--json"),
            *("--markdown", str(page)),
        ],
    )
    assert done.exit_code == ExitCode.DONE, done.stderr
    found = json.loads(done.stdout)
    kinds = [(case["progressive"], case["precision"]) for case in found["cases"]]
    assert kinds == [(p, k) for p in (False, True) for k in ("unknown", "fp32")]
    for case in found["cases"]:
        assert min(case["stages"].values()) > 0
        assert case["pipeline"]["photos_per_second"] == pytest.approx(80)
        assert case["pipeline"]["memory"] > 10**7
        assert case["pillow"] is None
    assert found["engine"] == "local"
    assert found["first_prediction"] > found["single"] > 0
    machine = found["machine"]
    assert f"({', '.join([machine['cpu'], *machine['instructions']])})" in page.read_text()
    lines = page.read_text().splitlines()
    header = lines.index(f"| {' | '.join(COLUMNS)} |")
    assert lines[header + 2].startswith("| 160x120 baseline, unknown |")
    assert all(line.count("|") == len(COLUMNS) + 1 for line in lines[header : header + 6])
    (row,) = (line for line in lines if line.startswith("| 160x120 progressive, fp32 |") and
              line.count("|") == 5)  # fmt: skip
    rate, hours, _ = (float(cell) for cell in row.split("|")[2:5])
    assert rate * hours * 3600 == pytest.approx(1e6, rel=0.5)  # both are rounded


def test_a_size_that_is_none(samples: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "--samples", str(samples), "--size", "big"])
    assert done.exit_code == ExitCode.USAGE
    assert "1600x1200" in done.stderr
