"""WrittenSums: checksums of what was written to a file and that no sync has seen onto the disk.

A disk that refuses an fdatasync may have dropped the pages and show older bytes, or zeros, as if
they had been written: only a sum that was taken on the way in tells. Pure but for the *read*
it is given. Owns the ranges and their sums; what follows from a difference is `spoolfile.py`'s.

INVARIANT: ranges do not overlap and lie in one block of `BLOCK` bytes each; what has no sum was
synced, or was never written.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from cognitofs.errors import SpoolError
from cognitofs.spool.extents import Extent, ExtentMap
from cognitofs.store.checksums import running_sum

BLOCK = 1024 * 1024
"""Bytes. A write into a summed range reads the rest of it: no more than this, from memory."""

Read = Callable[[int, int], bytes]


@dataclass(slots=True)
class _Piece:
    stop: int
    total: int
    era: int
    is_known: bool = True


class WrittenSums:
    """The sums of one file."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: dict[int, _Piece] = {}
        self._era = 0

    def __bool__(self) -> bool:
        return bool(self._starts)

    def copy(self) -> "WrittenSums":
        """Return independent sums of the same ranges."""
        twin = WrittenSums()
        twin._starts, twin._era = self._starts.copy(), self._era
        twin._pieces = {
            start: _Piece(piece.stop, piece.total, piece.era, piece.is_known)
            for start, piece in self._pieces.items()
        }
        return twin

    def begin_sync(self) -> int:
        """Return the era that ends now: what is written from here on a sync may not see."""
        self._era += 1
        return self._era - 1

    def synced(self, era: int) -> None:
        """Forget what was written up to the end of *era*: it is on the disk."""
        self._starts = [start for start in self._starts if self._pieces[start].era > era]
        self._pieces = {start: self._pieces[start] for start in self._starts}

    def add(self, start: int, data: bytes) -> None:
        """Note that *data* was written at *start*, where `cut` has made room."""
        view, at = memoryview(data), start
        while view:
            stop = min(at + len(view), (at // BLOCK + 1) * BLOCK)
            self._add(at, view[: stop - at])
            view, at = view[stop - at :], stop

    def _add(self, start: int, data: memoryview) -> None:
        index = bisect_left(self._starts, start)
        stop = start + len(data)
        if index and start % BLOCK:
            before = self._pieces[self._starts[index - 1]]
            if before.stop == start and before.is_known:
                before.total, before.stop = running_sum(data, before.total), stop
                before.era = self._era
                return
        self._starts.insert(index, start)
        self._pieces[start] = _Piece(stop, running_sum(data), self._era)

    def cut(self, start: int, stop: int, read: Read) -> None:
        """Forget [start, stop), which is about to change; the rest of its ranges is read."""
        first = max(0, bisect_right(self._starts, start) - 1)
        last = bisect_left(self._starts, stop)
        touched = [s for s in self._starts[first:last] if self._pieces[s].stop > start]
        for old in touched:
            piece = self._pieces.pop(old)
            del self._starts[bisect_left(self._starts, old)]
            if old < start or stop < piece.stop:
                self._keep_rest(old, piece, Extent(start, stop), read)

    def _keep_rest(self, old: int, piece: _Piece, gone: Extent, read: Read) -> None:
        data = _read_or_none(read, old, piece.stop)
        is_known = piece.is_known and data is not None and running_sum(data) == piece.total
        for start, stop in ((old, gone.start), (gone.stop, piece.stop)):
            if start < stop:
                total = running_sum(memoryview(data or b"")[start - old : stop - old])
                rest = _Piece(stop, total, piece.era, is_known)
                self._starts.insert(bisect_left(self._starts, start), start)
                self._pieces[start] = rest

    def differing(self, read: Read) -> ExtentMap:
        """Return where *read* does not give what was written."""
        found = ExtentMap()
        for start in self._starts:
            piece = self._pieces[start]
            data = _read_or_none(read, start, piece.stop) if piece.is_known else None
            if data is None or running_sum(data) != piece.total:
                found.add(start, piece.stop)
        return found


def _read_or_none(read: Read, start: int, stop: int) -> bytes | None:
    try:
        return read(start, stop)
    except SpoolError:
        return None
