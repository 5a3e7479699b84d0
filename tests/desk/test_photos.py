"""What strangers have sent is decoded elsewhere, a few at a time."""

import hashlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from recognizer._process import DiedError, ProcessPool
from recognizer.desk.photos import Photos, Unavailable, heat_threshold, read_original
from recognizer.imaging.sources import Refused
from recognizer.policy.values import CandidateKind
from recognizer.rows import ScanFile
from recognizer.status import Reason, Status
from tests.conftest import encoded, picture
from tests.desk.server.queues import Client, served
from tests.rows.rows import bare_row, row_of, write_scan
from tests.work import Count


def test_a_heat_map_is_of_a_lead_against_its_threshold(tmp_path, recognizer):
    """A label of which the photo is no lead has none: its score may be nothing."""
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(picture("red")))
    row = row_of(recognizer, path)
    family = replace(row.leads[0], kind=CandidateKind.FAMILY, name="ivory", threshold=0.3)
    assert heat_threshold(row, row.lead_labels[0]) == row.leads[0].threshold
    assert heat_threshold(replace(row, leads=(family,)), row.lead_labels[0]) == 0.3
    scan = write_scan(tmp_path / "scan.sqlite", [row])
    with ScanFile(scan) as file, Photos(file, bundles=[recognizer.bundle]) as photos:
        assert photos.picture(1, row, "heat", row.lead_labels[0])[1] == "image/jpeg"
        with pytest.raises(Unavailable, match="no lead of the label"):
            photos.picture(1, row, "heat", "rhino_horn")


def test_a_decoder_that_dies_costs_one_picture_at_most(tmp_path, monkeypatch):
    (path := tmp_path / "a.jpg").write_bytes(data := encoded(picture("red")))
    row = bare_row(str(path), 0.9, "review", sha256=hashlib.sha256(data).hexdigest())
    with ScanFile(write_scan(tmp_path / "scan.sqlite", [row])) as file, Photos(file) as photos:
        with monkeypatch.context() as patch:  # one that has died twice: see tests/test_process.py
            died = Future[Any]()
            died.set_exception(DiedError(Reason.DECODER_CRASH, "died"))
            patch.setattr(ProcessPool, "submit", lambda *_: died)
            with pytest.raises(Unavailable, match="could not be decoded"):
                photos.picture(1, row, "large")
        assert photos.picture(1, row, "large")[0].startswith(b"\xff\xd8")
        failed = bare_row(str(path), 0, "unscored", sha256=row.sha256)
        assert failed.status is Status.FAILED
        with pytest.raises(Unavailable, match="could not be decoded"):  # is never tried again
            photos.picture(3, failed, "original")


@pytest.mark.parametrize("allow_hosts", [(), ("shop.example",)])
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8420/photo/1/original",
        "http://127.0.0.1#@shop.example/",
        "https://127.0.0.1%2f@shop.example/",
    ],
)
def test_no_address_in_a_row_leads_the_desk_to_this_machine(url, allow_hosts):
    with pytest.raises(Refused):
        read_original(bare_row(url, 0.9, "review"), allow_hosts)


def test_photos_that_wait_for_a_decoder_keep_no_page_waiting(tmp_path, monkeypatch):
    """Of forty requests for large photos three are at work, and all others are answered."""
    scan = write_scan(tmp_path / "scan.sqlite", [bare_row("a.jpg", 0.9, "review")])
    at_work, most = threading.Semaphore(3), Count()

    def make(*_):
        assert at_work.acquire(blocking=False)
        most.number += 1
        if most.number == 3:
            assert httpx.get(f"{base}/login", timeout=60).status_code == 200
        at_work.release()
        return b"a picture", "image/jpeg"

    monkeypatch.setattr(Photos, "picture", make)
    with ScanFile(scan) as file:
        ((key,),) = file.select("SELECT printf('%016x', key) FROM image")
    with served(scan) as base, ThreadPoolExecutor(40) as threads:
        get = Client(base, "Anna").http.get
        answers = [*threads.map(lambda _: get(f"/photo/{key}/large"), range(40))]
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "a picture")}
