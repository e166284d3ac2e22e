"""The ways to leave a mount, in all their combinations, and the cloud that they are left from.

A `Cell` is one combination. `in_order` puts them so that the first few dozen already meet every
pair of two properties; which ones they are is decided by the seed.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import combinations, product
from pathlib import Path

from tests.mount.faults import FaultGate
from tests.mount.gate import Request
from tests.mount.mounted import MIB


@dataclass(frozen=True, slots=True)
class Load:
    """So many files of one size in bytes."""

    files: int
    size: int


LOADS = (
    Load(1, 0),
    Load(1, 1),
    Load(1, 5 * MIB),
    Load(1, 64 * MIB),
    Load(30, 0),
    Load(30, 1),
    Load(30, 5 * MIB),
)
LARGE_LOADS = (Load(1, 256 * MIB), Load(1000, 0), Load(1000, 1), Load(30, 64 * MIB))
"""Of the long run only."""

LEVELS = ("close", "fsync", "local")
CLOUDS = ("online", "offline", "signed out")
COMMANDS = {
    "fusermount3 -u": ("fusermount3", "-u"),
    "fusermount3 -uz": ("fusermount3", "-uz"),
    "umount -l": ("umount", "-l"),
}
KILLED = "fusermount3 -u, SIGKILL"
UMOUNT = "cognitofs umount"
WAYS = (*COMMANDS, "SIGTERM", "SIGINT", UMOUNT, KILLED)
LAZY = ("fusermount3 -uz", "umount -l")


@dataclass(frozen=True, slots=True)
class Cell:
    """One situation to leave a mount in."""

    load: Load
    cloud: str
    way: str
    level: str

    @property
    def is_killed(self) -> bool:
        """Whether the process dies before it could send everything."""
        return self.way == KILLED


def in_order(cells: Iterable[Cell], seed: int) -> list[Cell]:
    """Return *cells* so that each next one meets most pairs of properties that none before it met.

    From where all pairs were met the order is that of the seed.
    """
    left = list(cells)
    random.Random(seed).shuffle(left)
    unmet = {pair for cell in left for pair in _pairs(cell)}
    ordered: list[Cell] = []
    while unmet:
        best = max(left, key=lambda cell: len(unmet & _pairs(cell)))
        left.remove(best)
        unmet -= _pairs(best)
        ordered.append(best)
    return ordered + left


def all_cells(loads: Sequence[Load], ways: Sequence[str]) -> list[Cell]:
    """Return every combination."""
    return [Cell(*each) for each in product(loads, CLOUDS, ways, LEVELS)]


def _pairs(cell: Cell) -> set[tuple[tuple[str, object], ...]]:
    properties = [(field.name, getattr(cell, field.name)) for field in fields(cell)]
    return set(combinations(properties, 2))


class Cloud(FaultGate):
    """S3 as one machine sees it: there, away, or refusing keys that ended.

    *keys* is what the machine's credential process prints; without it no new keys are to be had.
    """

    def __init__(self, endpoint: str, keys: Path) -> None:
        self._keys, self._aside = keys, keys.with_suffix(".aside")
        self._are_ended = False
        super().__init__(endpoint)

    def become(self, cloud: str) -> None:
        """Change to one of `CLOUDS`."""
        changes: dict[str, Callable[[], None]] = {
            "online": self._heal,
            "offline": self.shut,
            "signed out": self._end_keys,
        }
        changes[cloud]()

    def _end_keys(self) -> None:
        self._keys.rename(self._aside)
        self._are_ended = True

    def _heal(self) -> None:
        if self._are_ended:
            self._aside.rename(self._keys)
            self._are_ended = False
        self.open()

    def _take(self, request: Request, head: bytes) -> str:
        return "ExpiredToken" if self._are_ended else super()._take(request, head)
