"""Descriptors: which spool files have one open, and whose is parked when there are many.

Owns the count and the order. What may be parked is the file's to say. Trimmed only from the main
thread: a worker's file is in use, and says so.
"""

from itertools import islice
from typing import Generic, Protocol, TypeVar

MOST = 256
"""Open at a time, beside what cannot be parked: of the 1024 that a process has by default."""

_LOOKS = 32
"""Files looked at in one go, so that many that cannot be parked cost little."""


class Parkable(Protocol):
    """A file that can do without its descriptor for a while."""

    def park(self) -> bool:
        """Close the descriptor and return True, or return False."""
        ...


_F = TypeVar("_F", bound=Parkable)


class Descriptors(Generic[_F]):
    """The files with an open descriptor, the one opened first in front."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._open: dict[_F, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, file: _F) -> None:
        """Take account of a file that was opened."""
        self._open[file] = None

    def closed(self, file: _F) -> None:
        """Take account of a file that was closed."""
        self._open.pop(file, None)

    def trim(self) -> None:
        """Park until no more than `most` are open, or nothing more can be parked now."""
        for file in list(islice(self._open, _LOOKS)):
            if len(self._open) <= self.most:
                return
            del self._open[file]
            if not file.park():
                self._open[file] = None
