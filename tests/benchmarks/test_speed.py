import json
import re
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import service, speed
from benchmarks.speed import BYTES_PER_PIXEL, SAMPLES, main, make_photos, scan_seconds
from recognizer.model.bundle import load_bundle
from tests.labelled import write_split_photos


@pytest.mark.parametrize("progressive", [False, True])
def test_photos_are_as_large_as_photos_are(tmp_path: Path, progressive: bool) -> None:
    samples = sorted(SAMPLES.glob("*.jpg"))
    made = make_photos(tmp_path / "a", samples, (400, 300), 4, progressive=progressive)
    again = make_photos(tmp_path / "b", samples, (400, 300), 4, progressive=progressive)
    assert [path.read_bytes() for path in made] == [path.read_bytes() for path in again]
    assert len({path.read_bytes() for path in made}) == 4
    for path in made:
        with Image.open(path) as image:
            assert (image.size, image.format) == ((400, 300), "JPEG")
            assert bool(image.info.get("progressive")) == progressive
        assert 1 <= path.stat().st_size / (BYTES_PER_PIXEL * 400 * 300) < 2


def test_a_scan_is_timed(tiny_bundle: Path, tmp_path: Path) -> None:
    sample = next(SAMPLES.glob("*.jpg"))
    (photo,) = make_photos(tmp_path / "photos", [sample], (64, 48), 1, progressive=False)
    assert scan_seconds(load_bundle(tiny_bundle), [photo], 20, 1, {}) > 0


def test_the_command(
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Whether so short a scan can be timed depends on the machine; all else is measured.
    monkeypatch.setattr(speed, "scan_seconds", lambda *asked: 5 + asked[2] / 80)
    monkeypatch.setattr(speed, "in_new_process", lambda function, *given: function(*given))
    (page := tmp_path / "page.md").write_text(
        "before\n<!-- figures -->\nold\n<!-- end of figures -->\nafter\n"
    )
    data = write_split_photos(tmp_path / "data")
    given = ["--bundle", str(tiny_bundle), "--size", "160x120", "--photos", "2", "--workers", "1"]
    given += ["--data", str(data), "--no-peers", "--json", "--rounds", "2"]
    main([*given, "--markdown", str(page)])
    rounds = json.loads(capsys.readouterr().out)
    assert len(rounds) == 2
    for figures in rounds[0].values():
        spent = [figures[f"{name}, ms"] for name in ("decode", "resize", "infer", "hash")]
        assert min(spent) > 0
        assert figures["scan, photos/s"] == pytest.approx(80)
        assert figures["scan / decoding alone"] == pytest.approx(80 * spent[0] / 1000)
        assert figures["CPU-hours for a million photos"] == pytest.approx(1e6 / 80 / 3600)
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1], "old" in lines) == ("before", "after", False)
    assert "| scan, photos/s | 80 | 80 |" in lines


def test_a_service_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(service, "PROCESSES", (1,))
    monkeypatch.setattr(service, "make_uploads", lambda: {"empty": b""})
    monkeypatch.setattr(service, "in_new_process", lambda function, *given: function(*given))
    service.main(["--count", "2", "--markdown", str(tmp_path / "page.md")])
    page = (tmp_path / "page.md").read_text()
    (memory,) = re.findall(r"\| memory, MB \| (\d+) ", page)
    assert int(memory) > 50
    assert re.search(r"\| empty, ms \| \d+ \(\d+\) \|", page)
