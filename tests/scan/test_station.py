from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from recognizer.errors import ProviderError
from recognizer.known import Bank, KnownItem, share_bank
from recognizer.model.bundle import load_bundle
from recognizer.policy import Finding, Policy
from recognizer.scan import Access, Guard, Item, Luggage, Setup, Station
from tests.conftest import encoded, picture
from tests.pictures import scene
from tests.scan import engines
from tests.scan.locations.web_server import loopback_too, serving


def test_a_row_for_each_item_in_order(tiny_bundle: Path, tmp_path: Path) -> None:
    good, deadly = tmp_path / "good.jpg", tmp_path / "deadly.jpg"
    good.write_bytes(encoded(picture("red")))
    deadly.write_bytes(encoded(picture("red")) + engines.EXITS)
    items = [
        Item(str(deadly), {"id": 1}),
        *[Item(str(good), {"id": number}) for number in range(2, 20)],
        Item(str(tmp_path / "gone.jpg")),
        Item("inside", data=good.read_bytes()),
    ]
    setup = Setup(load_bundle(tiny_bundle), Policy(), engine=engines.Fragile)
    with Station(setup) as station:
        assert station.score([]) == []
        rows = station.score(items)
        assert station.provider == "cpu"
        again = station.score(items[1:3])
    assert [row["source"] for row in rows] == [item.source for item in items]
    assert [row["item"] for row in rows] == [item.columns for item in items]
    assert [row["reason"] for row in rows] == ["decoder_crash", *[None] * 18, "not_found", None]
    assert {row["decision"] for row in rows[1:-2]} == {"priority"}
    assert [row["scores"] for row in again] == [row["scores"] for row in rows[1:3]]


def test_luggage_needs_nothing_of_the_machine_that_packed(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    photo = encoded(scene(3))
    setup = Setup(load_bundle(tiny_bundle), Policy())
    with Station(setup) as station:
        (alone,) = station.score([Item("photo", data=photo)])
    item = KnownItem(alone["phash"], Finding.PRODUCT, "2026-03-01T10:00:00+00:00")
    with Bank(tmp_path / "bank", create=True) as bank:
        bank.add([item])
    with share_bank(tmp_path / "bank") as known:
        packed = pickle.dumps(Luggage.pack(Setup(setup.bundle, Policy(), known=known), Guard()))
    # The folder of the known items is gone by now, as it would be elsewhere.
    station = Station.open(pickle.loads(packed))
    with station:
        (row,) = station.score([Item("photo", data=photo)])
    assert row["scores"] == alone["scores"]
    assert row["model"] == alone["model"]
    assert [match["distance"] for match in row["known"]] == [0]


def test_luggage_takes_along_which_places_may_be_read(tiny_bundle: Path) -> None:
    access = Access(allow_http=True, gate=loopback_too)
    bundle = load_bundle(tiny_bundle)
    for setup, reason in (
        (Setup(bundle, Policy(), access=access), None),
        (Setup(bundle, Policy()), "source_refused"),
    ):
        packed = pickle.dumps(Luggage.pack(setup, Guard()))
        with serving() as server, Station.open(pickle.loads(packed)) as station:
            (row,) = station.score([Item(f"{server.url}/1.jpg")])
        assert row["reason"] == reason


def test_a_model_that_cannot_be_used(tiny_bundle: Path) -> None:
    setup = Setup(load_bundle(tiny_bundle), Policy(), engine=engines.without_provider)
    with Station(setup) as station, pytest.raises(ProviderError, match="no such accelerator"):
        station.score([Item("photo")])
