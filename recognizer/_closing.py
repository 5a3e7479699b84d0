"""Classes that hold files or processes are used in a ``with`` block."""

from abc import ABC, abstractmethod
from typing import Self


class Closes(ABC):
    """Base of classes that are closed at the end of a ``with`` block, however it ends."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
