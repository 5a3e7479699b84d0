from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.listing import Role, as_time, as_url, find_columns, listing_of, value_of


def test_the_surest_name_counts():
    columns = ("ID", "name", "Listing ID", "Title", "Vendor", "sellerName", "Link", "createdAt")
    assert find_columns(columns) == {
        Role.ID: ("Listing ID", "ID"),
        Role.TITLE: ("Title", "name"),
        Role.SELLER: ("sellerName", "Vendor"),
        Role.URL: ("Link",),
        Role.TIME: ("createdAt",),
    }
    assert value_of({"title": "", "name": "vase"}, Role.TITLE) == "vase"
    assert value_of({"Flags": 3, "price": 0}, Role.REPORTS) == 3
    assert value_of({"price": 0}, Role.PRICE) == 0
    assert value_of({"price": 0}, Role.TITLE) is None


@pytest.mark.parametrize(
    ("columns", "wanted", "expected"),
    [
        ({"id": 1, "listing_id": 2}, None, "2"),
        ({"ID": " 1 ", "title": 2}, None, "1"),
        ({"id": 7.0}, None, "7"),  # a number in a column with gaps
        ({"listing_id": "", "id": 3}, None, "3"),
        ({"id": None, "url": "https://x.example/1"}, None, "https://x.example/1"),
        ({"id": 1, "sku": 2}, "sku", "2"),
        ({"id": 1, "sku": None}, "sku", None),
        ({"id": 1}, "sku", None),
        ({"id": True, "price": 3}, None, None),
        ({"price": 3}, None, None),
        ({}, None, None),
        (None, "id", None),
    ],
)
def test_what_tells_listings_apart(columns, wanted, expected):
    assert listing_of(columns, wanted) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("javascript:alert(1)", "JaVaScRiPt://x.example/%0aalert(1)", "java\nscript:alert(1)"),
        *("data:text/html,<script>", "https://", "https:///x", "//x.example", "x.example"),
        "https://x.example/\u202egpj.exe",  # turns the text around
        *("https://x.example/a b", "https://[::1", "https://x.example/" + "a" * 3000, 7, None),
    ],
)
def test_only_web_addresses_become_links(value):
    assert as_url(value) is None
    for url in ("https://x.example/1?a=b#c", " HTTP://x.example ", "https://x.example/\n"):
        assert as_url(url) == url.strip()


def test_times():
    for value in (
        *("2026-01-02", "2026-01-02T01:00:00+01:00", "2026-01-02T00:00:00Z"),
        *(1767312000, "1767312000", 1767312000000, 1767312000.0),
    ):
        assert as_time(value) == datetime(2026, 1, 2, tzinfo=UTC)
    for day in (20240131, "20240131", "20240131000000", 202401310000):
        assert as_time(day) == datetime(2024, 1, 31, tzinfo=UTC)
    # A year, a serial number of Excel, and digits that are neither a date nor seconds of an epoch.
    nan = float("nan")
    for wrong in ("2024", 45322, 0, -1, "20241345", "yesterday", nan, 1e300, True, {}, None):
        assert as_time(wrong) is None


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()))
def test_whatever_a_cell_holds_is_no_error(value):
    time = as_time(value)
    assert time is None or time.tzinfo is not None
    url = as_url(value)
    assert url is None or url.lower().startswith(("http://", "https://"))
