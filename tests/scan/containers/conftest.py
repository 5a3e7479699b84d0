import sys
from collections.abc import Iterator

import pytest

from recognizer.scan import expand
from recognizer.scan.expansion import Containers


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    """One process that opens what all tests of a module expand."""
    with (
        Containers(timeout=300, memory_limit=MEMORY_LIMIT) as containers,
        pytest.MonkeyPatch.context() as patch,
    ):
        shared = Shared(containers)
        patch.setattr(sys.modules[expand.__module__], "Containers", lambda *_: shared)
        yield containers


MEMORY_LIMIT = 2 << 30 if sys.platform == "linux" else None


class Shared:
    def __init__(self, containers: Containers) -> None:
        self.items = containers.items

    def close(self) -> None:
        """Stay open for the next expansion."""
