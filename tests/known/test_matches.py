from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from recognizer.imaging import perceptual_hash
from recognizer.known.bank import Bank, KnownItem
from recognizer.known.matches import KnownItems, share_bank
from tests.known.items import HASH, item, random_hashes, with_flips
from tests.pictures import scene

Share = Callable[..., AbstractContextManager[KnownItems]]


def hash_of(seed: int) -> str:
    found = perceptual_hash(np.asarray(scene(seed)))
    assert found is not None
    return found


@pytest.fixture
def share(tmp_path: Path) -> Share:
    """Adds items to a bank and shares it."""

    def share(items: Iterable[KnownItem], **options: bool) -> AbstractContextManager[KnownItems]:
        with Bank(tmp_path / "bank", create=True) as bank:
            bank.add(items)
        return share_bank(tmp_path / "bank", **options)

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


def test_thousands_of_findings_of_one_picture_do_not_swell_the_rows(share: Share) -> None:
    with share(item(note=str(number)) for number in range(3000)) as known:
        assert len(known.match(HASH)) == 20


@pytest.mark.parametrize("seed", range(5))
def test_mirrored_and_turned_pictures_are_found_where_asked_for(seed: int, share: Share) -> None:
    mirrored = perceptual_hash(np.asarray(scene(seed))[:, ::-1].copy())
    with share([item(hash_of(seed))], match_rotations=True) as known:
        (match,) = known.match(mirrored)
        assert match.transform == "flip_left_right"
        assert known.match(hash_of(seed))[0].transform == "identity"
        every_way = known.digest
    with share([]) as known:
        assert known.match(mirrored) == ()
        assert known.digest != every_way
