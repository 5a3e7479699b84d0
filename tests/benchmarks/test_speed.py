import re
from pathlib import Path

from benchmarks import service, speed
from benchmarks.speed import SAMPLES, make_groups, make_photos, scan_seconds
from recognizer.model.bundle import load_bundle
from tests.labelled import write_split_photos


def test_a_marketplace_has_few_products_and_no_test_photos(tmp_path, monkeypatch):
    given = list[Path]()
    monkeypatch.setattr(
        speed, "make_photos", lambda folder, here, size, n: given.extend(here) or here[:n]
    )
    data = write_split_photos(tmp_path / "data")
    monkeypatch.setattr(speed, "make_collage", lambda path, _: path)
    mix, kinds = make_groups(data, tmp_path, 10)
    train = {photo.path for photo in speed.load_data([data]) if photo.split == "train"}
    assert {*given} <= train
    assert len({*mix}) == len(mix) == 11  # of each kind at least one
    assert len(kinds["products"]) >= sum(path in kinds["products"] for path in mix) == 1


def test_a_scan_is_timed(tiny_bundle, tmp_path):
    photos = make_photos(tmp_path / "photos", [next(SAMPLES.glob("*.jpg"))], (64, 48), 1)
    assert min(scan_seconds(load_bundle(tiny_bundle), photos, 20, 1)) > 0


def test_a_service_is_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(service, "PROCESSES", (1,))
    monkeypatch.setattr(service, "make_uploads", lambda: {"empty": b""})
    monkeypatch.setattr(service, "in_new_process", lambda function, *given: function(*given))
    service.main(["--count", "2", "--markdown", str(tmp_path / "page.md")])
    page = (tmp_path / "page.md").read_text()
    (memory,) = re.findall(r"\| memory, MB \| (\d+) ", page)
    assert int(memory) > 50
    assert re.search(r"\| empty, ms \| \d+ \(\d+\) \|", page)
