"""ExtentMap: which byte ranges of a file we hold. Pure; owns no bytes.

INVARIANT: extents are half open, not empty, sorted, and never touch each other
(neighbours are merged), so equal maps have equal lists.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Extent:
    """Bytes [start, stop)."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.stop - self.start


class ExtentMap:
    """A set of byte offsets, kept as merged ranges."""

    __slots__ = ("_starts", "_stops", "_total")

    def __init__(self, extents: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._total = 0
        for start, stop in extents:
            self.add(start, stop)

    def __iter__(self) -> Iterator[Extent]:
        return map(Extent, self._starts, self._stops)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExtentMap):
            return NotImplemented
        return self._starts == other._starts and self._stops == other._stops

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"ExtentMap({list(zip(self._starts, self._stops, strict=True))})"

    def copy(self) -> "ExtentMap":
        """Return an independent map of the same ranges."""
        twin = ExtentMap()
        twin._starts, twin._stops = self._starts.copy(), self._stops.copy()
        twin._total = self._total
        return twin

    def total(self) -> int:
        """Return how many bytes are held."""
        return self._total

    def add(self, start: int, stop: int) -> None:
        """Hold [start, stop) too."""
        if start >= stop:
            return
        first = bisect_left(self._stops, start)  # touching counts: neighbours merge
        last = bisect_right(self._starts, stop)
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._stops[last - 1])
        self._total += stop - start - self._sum(first, last)
        self._starts[first:last] = [start]
        self._stops[first:last] = [stop]

    def discard(self, start: int, stop: int) -> None:
        """Hold [start, stop) no more."""
        if start >= stop:
            return
        first = bisect_right(self._stops, start)
        last = bisect_left(self._starts, stop)
        if first >= last:
            return
        left = (self._starts[first], start)
        right = (stop, self._stops[last - 1])
        kept = [(a, b) for a, b in (left, right) if a < b]
        self._total += sum(b - a for a, b in kept) - self._sum(first, last)
        self._starts[first:last] = [a for a, _ in kept]
        self._stops[first:last] = [b for _, b in kept]

    def _sum(self, first: int, last: int) -> int:
        return sum(self._stops[first:last]) - sum(self._starts[first:last])

    def covers(self, start: int, stop: int) -> bool:
        """Tell whether every byte of [start, stop) is held; True for an empty range."""
        if start >= stop:
            return True
        index = bisect_right(self._starts, start) - 1
        return index >= 0 and self._stops[index] >= stop

    def overlaps(self, start: int, stop: int) -> bool:
        """Tell whether any byte of [start, stop) is held."""
        index = bisect_right(self._stops, start)
        return start < stop and index < len(self._starts) and self._starts[index] < stop

    def within(self, start: int, stop: int) -> list[Extent]:
        """Return the held ranges inside [start, stop), clipped to it."""
        found: list[Extent] = []
        index = bisect_right(self._stops, start)
        while index < len(self._starts) and self._starts[index] < stop:
            found.append(Extent(max(start, self._starts[index]), min(stop, self._stops[index])))
            index += 1
        return found

    def gaps(self, start: int, stop: int) -> list[Extent]:
        """Return the ranges inside [start, stop) that are not held."""
        found: list[Extent] = []
        at = start
        for held in self.within(start, stop):
            if at < held.start:
                found.append(Extent(at, held.start))
            at = held.stop
        if at < stop:
            found.append(Extent(at, stop))
        return found
