import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.errors import UsageError
from recognizer.rows.identity import item_key
from recognizer.scan.items import Item, Shard

columns = st.none() | st.dictionaries(st.text(), st.integers() | st.text() | st.none(), max_size=3)
items = st.builds(Item.at, st.text(), columns)


def key_of(item):
    return item_key(item.source, item.columns)


@given(st.lists(items, max_size=40), st.integers(1, 12), st.randoms())
def test_shards_are_disjoint_and_complete_whatever_the_order(everything, count, random):
    shards = [Shard(number, count) for number in range(1, count + 1)]
    parts = [list(shard.of(everything)) for shard in shards]
    keys = [{key_of(item) for item in part} for part in parts]
    given = sorted(map(key_of, everything))
    assert sorted(key_of(item) for part in parts for item in part) == given
    assert sum(map(len, keys)) == len({*given})
    shuffled = random.sample(everything, len(everything))  # type: ignore[attr-defined]
    again = [list(shard.of(shuffled)) for shard in shards]
    assert [{key_of(item) for item in part} for part in again] == keys


listings = st.fixed_dictionaries({"id": st.integers(0, 5) | st.sampled_from("abc")})


@given(st.lists(st.tuples(st.text(max_size=3), listings), max_size=40), st.integers(1, 12))
def test_no_listing_is_split(named, count):
    everything = [Item.at(name, columns) for name, columns in named]
    for column in (None, "id"):
        shards = [[*Shard(n, count).of(everything, column)] for n in range(1, count + 1)]
        assert sum(map(len, shards)) == len(everything)
        ids = [{str((item.columns or {})["id"]) for item in shard} for shard in shards]
        assert sum(map(len, ids)) == len(set().union(*ids))


@pytest.mark.parametrize(
    "text",
    ["", "1", "/", "0/4", "5/4", "1/0", "-1/4", "1/-4", "1.0/4", "1/4/2", "a/b", " 1/4", "²/3"],
)
def test_what_is_no_shard(text):
    with pytest.raises(UsageError, match="shard"):
        Shard.parse(text)
