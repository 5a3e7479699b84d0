from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recognizer.model.protobuf import read_fields, write_field

NUMBERS = st.integers(1, (1 << 29) - 1)
VALUES = st.one_of(st.integers(0, (1 << 63) - 1), st.binary(max_size=300))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(NUMBERS, VALUES), max_size=8))
def test_what_was_written_is_read(fields: list[tuple[int, int | bytes]]) -> None:
    message = b"".join(write_field(*field) for field in fields)
    found = list(read_fields(memoryview(message)))
    values = [f.value if isinstance(f.value, int) else bytes(f.value) for f in found]
    assert list(zip([f.number for f in found], values, strict=True)) == fields
    assert b"".join(f.raw for f in found) == message


def test_text_is_utf_8() -> None:
    (field,) = read_fields(memoryview(write_field(3, "Löwe")))
    assert isinstance(field.value, memoryview)
    assert bytes(field.value).decode() == "Löwe"


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        write_field(1, -1)


@given(st.binary(max_size=64))
def test_any_bytes_are_fields_or_a_value_error(data: bytes) -> None:
    try:
        fields = list(read_fields(memoryview(data)))
    except ValueError:
        return
    assert b"".join(f.raw for f in fields) == data
