from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from benchmarks.speed import __main__ as command
from benchmarks.speed import measure, run
from benchmarks.speed.__main__ import main
from benchmarks.speed.goals import comparison
from benchmarks.speed.measure import Stages, Throughput, pipeline, scan_seconds, stages
from benchmarks.speed.photos import BYTES_PER_PIXEL, make_photos, mean_bytes
from benchmarks.speed.report import COLUMNS
from benchmarks.speed.run import Benchmark, Case, busy_cpus
from recognizer.errors import UsageError
from recognizer.model.bundle import load_bundle
from tests.conftest import encoded
from tests.pictures import scene
from tests.tiny import tiny_model

STAGES = Stages(
    read=0.001, decode=0.010, resize=0.001, infer=0.008, infer_single=0.012, infer_32=0.009,
    hash=0.001,
)  # fmt: skip
TWICE = Stages(**{name: 2 * seconds for name, seconds in asdict(STAGES).items()})


def case(workers: int = 2, **figures: object) -> Case:
    given = {
        "width": 1600, "height": 1200, "progressive": False, "precision": "int8",
        "bytes": 400_000, "workers": workers, "cpus": 2, "stages": STAGES, "busy_stages": TWICE,
        "pipeline": Throughput(90.0, 10**8), "pillow": Throughput(10.0, None), "torch": None,
    }  # fmt: skip
    return Case(**{**given, **figures})


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
    found = case()
    assert found.roofline == pytest.approx(100)  # two CPUs, 20 ms for a photo
    assert found.decode_limit == pytest.approx(200)
    assert found.decode_share == pytest.approx(0.45)
    assert found.share == pytest.approx(0.9)
    assert found.busy_roofline == pytest.approx(50)
    assert found.times_faster_than(found.pillow) == pytest.approx(9)
    assert found.times_faster_than(found.torch) is None
    assert found.to_dict()["share_of_roofline"] == pytest.approx(0.9)


def test_more_workers_than_cpus_do_not_raise_the_roofline() -> None:
    assert case(workers=16).roofline == pytest.approx(100)


def test_the_steady_rate_is_free_of_the_start(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def seconds(_: object, __: object, count: int, *___: object) -> float:
        asked.append(count)
        return 5 + count / 80

    monkeypatch.setattr(measure, "scan_seconds", seconds)
    rate = pipeline(load_bundle(tiny_bundle), [], 1000, 2, "local")
    assert rate.photos_per_second == pytest.approx(80)
    assert asked == [256, 1024]  # whole shares for each worker
    monkeypatch.setattr(measure, "scan_seconds", lambda *_: 5.0)
    with pytest.raises(UsageError, match="--images"):
        pipeline(load_bundle(tiny_bundle), [], 1000, 2, "local")


def test_a_scan_is_timed(samples: Path, tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    assert scan_seconds(bundle, [samples / "0.jpg"], 20, 1) > 0
    with pytest.raises(UsageError, match="ended with 3"):
        scan_seconds(bundle, [samples / "gone.jpg"], 1, 1)


def test_the_command(
    samples: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Whether so short a scan can be timed depends on the machine; all else is measured.
    monkeypatch.setattr(measure, "scan_seconds", lambda *asked: 5 + asked[2] / 80)
    monkeypatch.setattr(run, "second_scan", lambda *_: 3000.0)
    monkeypatch.setattr(run, "in_new_process", lambda function, *given: function(*given))
    monkeypatch.setattr(run, "stages_at_once", lambda _, *given: stages(*given))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures -->\nold\n<!-- end of figures -->\nafter\n")
    other = tiny_model()
    other.doc_string = "another file than the bundle's"
    onnx.save(other, tmp_path / "fp32.onnx")
    main(
        [
            *("--samples", str(samples), "--bundle", str(tiny_bundle)),
            *("--size", "160x120", "--photos", "2", "--workers", "1"),
            *("--fp32", str(tmp_path / "fp32.onnx"), "--no-peers", "--json"),
            *("--markdown", str(page), "--rounds", "1"),
        ],
    )
    printed = capsys.readouterr().out
    (found,) = json.loads(printed)
    kinds = [(case["progressive"], case["precision"]) for case in found["cases"]]
    assert kinds == [(p, k) for p in (False, True) for k in ("unknown", "fp32")]
    for case in found["cases"]:
        assert min(case["stages"].values()) > 0
        assert case["pipeline"]["photos_per_second"] == pytest.approx(80)
        assert case["pillow"] is None
    assert found["engine"] == "local"
    assert found["first_prediction"] > found["single"] > 0
    machine = found["machine"]
    assert f"({machine['cpu']}, products of bytes by {machine['kernel']})" in page.read_text()
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1], "old" in lines) == ("before", "after", False)
    header = lines.index(f"| {' | '.join(COLUMNS)} |")
    assert lines[header + 2].startswith("| 160x120 baseline, unknown |")
    assert all(line.count("|") == len(COLUMNS) + 1 for line in lines[header : header + 6])
    (row,) = (line for line in lines if line.startswith("| 160x120 progressive, fp32 |") and
              line.count("|") == 5)  # fmt: skip
    rate, hours, _ = (float(cell) for cell in row.split("|")[2:5])
    assert rate * hours * 3600 == pytest.approx(1e6, rel=0.5)  # both are rounded
    (stored := tmp_path / "rounds.json").write_text(printed)
    main(["--stored", str(stored), str(stored), "--against", str(stored)])
    told = capsys.readouterr().out
    assert "| second scan of unchanged files, photos/s | 3000 | 3000 to 3000 | ≥2000 |" in told
    assert "second scan of unchanged files, photos/s: 3000 -> 3000 (within the spread)" in told
    assert "rounds: 2" in told


def test_what_is_no_stored_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path := tmp_path / "x.json").write_text('[{"cases": 3}]')
    with pytest.raises(SystemExit):
        main(["--stored", str(path)])
    assert "holds no rounds" in capsys.readouterr().err


def result(rate: float | None) -> Benchmark:
    return Benchmark(
        machine={"cpu": "c", "cpus": 2, "kernel": "k"}, versions={}, model="m", engine="local",
        time="", first_prediction=0.3, single=0.01, second_scan=rate, cases=(case(),),
    )  # fmt: skip


@pytest.mark.parametrize("lost", [1, 2])
def test_a_round_that_is_lost_takes_no_other_with_it(
    lost: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = []

    def benchmark(*_: object, **__: object) -> Benchmark:
        begun.append(1)
        if len(begun) == lost:
            raise UsageError("too few to measure")
        return result(None)

    monkeypatch.setattr(command, "benchmark", benchmark)
    if lost == 1:
        with pytest.raises(SystemExit):
            main(["--rounds", "3"])
        return
    main(["--rounds", "3"])
    told = capsys.readouterr()
    assert "a round was lost, the others count: too few to measure" in told.err
    assert "rounds: 1" in told.out


def test_rounds_that_do_not_overlap_are_a_change() -> None:
    before, now = [result(1000), result(1100)], [result(2200), result(2000)]
    lines = list(comparison(now, before))
    assert "second scan of unchanged files, photos/s: 1050 -> 2100 (+100.0%)" in lines
    assert "one photo from bytes, one CPU: 0.0100 s -> 0.0100 s (within the spread)" in lines
    assert not any("timm" in line for line in lines), "not measured"


def test_a_busy_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu 100 0 100 1000 0 0 0 0 0 0\ncpu0 1 1")
    later = "cpu 150 0 100 1100 50 0 0 50 0 0\n"
    monkeypatch.setattr(run.time, "sleep", lambda _: stat.write_text(later))
    monkeypatch.setattr(run.os, "cpu_count", lambda: 2)
    assert busy_cpus(1.0, stat) == pytest.approx(2 * 100 / 250)
    assert busy_cpus(0.0, tmp_path / "none") is None


def test_a_size_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--size", "big"])
    assert ended.value.code == 2
    assert "1600x1200" in capsys.readouterr().err
