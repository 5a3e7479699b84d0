from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from recognizer.known import Bank, KnownItem, KnownItems, share_bank
from tests.known.items import HASH, item, random_hashes, with_flips

Share = Callable[..., AbstractContextManager[KnownItems]]


@pytest.fixture
def share(tmp_path: Path) -> Share:
    """Adds items to a bank and shares it."""

    def share(items: Iterable[KnownItem]) -> AbstractContextManager[KnownItems]:
        with Bank(tmp_path / "bank", create=True) as bank:
            bank.add(items)
        return share_bank(tmp_path / "bank")

    return share


def test_matches_are_the_nearest_first_and_each_item_once(share: Share) -> None:
    hashes = random_hashes(100)
    sought = hashes[3].tobytes().hex()
    near = {flips: with_flips(hashes[3], flips).tobytes().hex() for flips in (0, 7, 31, 32)}
    items = [item(hash_.tobytes().hex()) for hash_ in hashes[4:]]
    items += [item(pdq, note=f"{flips} bits") for flips, pdq in near.items()]
    items.append(item(near[7], note="another finding", finding="cleared"))
    with share(items) as known:
        found = known.match(sought)
        assert [m.distance for m in found] == [0, 7, 7, 31]
        assert {m.transform for m in found} == {"identity"}
        assert {m.note for m in found} == {"0 bits", "7 bits", "another finding", "31 bits"}
        assert [m.distance for m in known.match(sought, 10)] == [0, 7, 7]
        assert known.match(None) == known.match("5" * 64) == ()


def test_a_bank_with_thousands_of_findings_of_one_picture_does_not_swell_the_rows(
    share: Share,
) -> None:
    with share(item(note=str(number)) for number in range(3000)) as known:
        assert len(known.match(HASH)) == 20
