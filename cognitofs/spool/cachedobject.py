"""CachedObject: the bytes that we hold of one version of an object, and their sums.

Owns the pieces: what is held, cut at blocks, each with the sum by which a later process knows it.
Bytes that came from an earlier process are compared with their sum before anybody reads them. When
a block is given up is `blockcache.py`'s.

INVARIANT: the pieces are what `bytes.held` says, and each lies in one block.
Whoever reads must check `covers` again after waiting: a block may have been given up meanwhile.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from cognitofs.spool.cacheindex import Entry, Summed
from cognitofs.spool.namedfile import NamedFile
from cognitofs.store.checksums import running_sum
from cognitofs.store.interface import ObjectInfo

BLOCK = 1024 * 1024
"""Unit of giving up."""
PAGE = 4096
"""Unit in which the disk counts."""

_INLINE = 64 * 1024
_END = 1 << 63
_log = logging.getLogger(__name__)


class Order(Protocol):
    """Who is told of what is used."""

    def touch(self, cached: "CachedObject", start: int, stop: int) -> None:
        """Make the blocks of [start, stop) the last to be given up."""
        ...

    def charge(self, cached: "CachedObject", start: int, stop: int) -> None:
        """Count what [start, stop) takes now; others give up blocks until the limit holds."""
        ...


@dataclass(slots=True, eq=False)
class Piece:
    """Bytes [start, stop) that are held. Their sum is None until it is taken."""

    start: int
    stop: int
    total: int | None = None
    is_verified: bool = True


class CachedObject:
    """The bytes we hold of one version. A forgotten one holds nothing any more."""

    __slots__ = ("_order", "_unverified", "blocks", "bytes", "info", "is_forgotten")

    def __init__(
        self, order: Order, info: ObjectInfo, file: NamedFile, summed: Iterable[Summed] = ()
    ) -> None:
        self.info = info
        self.bytes = file
        self.blocks: dict[int, list[Piece]] = {}
        self.is_forgotten = False
        self._order = order
        self._unverified = 0
        for each in filter(self._is_sound, summed):
            self._unverified += 1
            file.held.add(each.start, each.stop)
            piece = Piece(each.start, each.stop, each.total, is_verified=False)
            self.blocks.setdefault(each.start // BLOCK, []).append(piece)

    def _is_sound(self, each: Summed) -> bool:
        """Tell whether an earlier process can have written that: nobody vouches for the index."""
        last = each.stop - 1
        return each.start <= last < self.info.size and each.start // BLOCK == last // BLOCK

    # -- what is held -----------------------------------------------------------------------------

    def covers(self, start: int, stop: int) -> bool:
        """Tell whether [start, stop) is here."""
        return self.bytes.held.covers(start, stop)

    def disk_of(self, number: int) -> int:
        """Return the bytes of disk that block *number* takes."""
        return sum(-(-(p.stop - p.start) // PAGE) * PAGE for p in self.blocks.get(number, ()))

    def hold(self, start: int, stop: int) -> None:
        """Note that the file has the bytes [start, stop), which are right."""
        for at in range(start - start % BLOCK, stop, BLOCK):
            low, high = max(start, at), min(stop, at + BLOCK)
            for gap in self.bytes.held.gaps(low, high):
                self.blocks.setdefault(at // BLOCK, []).append(Piece(gap.start, gap.stop))
            self.bytes.held.add(low, high)

    def give_up(self, number: int) -> None:
        """Hold block *number* no more, and give its disk back."""
        for piece in self.blocks.pop(number, ()):
            self._unverified -= not piece.is_verified
        self.bytes.punch(number * BLOCK, (number + 1) * BLOCK)

    def forget(self) -> None:
        """Hold nothing any more; the descriptor goes when nobody uses it."""
        self.is_forgotten = True
        self.blocks.clear()
        self._unverified = 0
        self.bytes.held.discard(0, _END)
        self.bytes.close()

    # -- reading ----------------------------------------------------------------------------------

    async def read(self, start: int, stop: int) -> bytes | None:
        """Return the bytes, or None when they are not (or no longer) all here.

        Raises SpoolError when the disk fails.
        """
        if self._unverified:
            await self._verify(start, stop)
        if not self.covers(start, stop):
            return None
        data = await self.bytes.read(start, stop)
        if not self.covers(start, stop):
            return None
        self._order.touch(self, start, stop)
        return data

    def fetched(self, start: int, stop: int) -> None:
        """Take account of bytes that were written to the file from S3."""
        if self.is_forgotten:
            return
        self.hold(start, stop)
        self._order.charge(self, start, stop)

    async def _verify(self, start: int, stop: int) -> None:
        """Drop what an earlier process left of [start, stop) and is not what it was."""
        doubtful = [p for p in self._within(start, stop) if not p.is_verified]
        if not doubtful:
            return
        totals = await self.totals(doubtful)
        for piece, total in zip(doubtful, totals, strict=True):
            if piece.is_verified or piece not in self.blocks.get(piece.start // BLOCK, ()):
                continue  # somebody else was quicker, or it was given up
            piece.is_verified = True
            self._unverified -= 1
            if total != piece.total:
                self._drop(piece)

    def _drop(self, piece: Piece) -> None:
        _log.info("The disk does not have %r as it was cached; it is fetched again.", self.info.key)
        self.blocks[piece.start // BLOCK].remove(piece)
        self.bytes.held.discard(piece.start, piece.stop)

    def _within(self, start: int, stop: int) -> Iterator[Piece]:
        for number in range(start // BLOCK, -(-stop // BLOCK)):
            for piece in self.blocks.get(number, ()):
                if piece.start < stop and start < piece.stop:
                    yield piece

    # -- keeping it for a later process -----------------------------------------------------------

    async def sum_up(self) -> None:
        """Take the sums that were not taken yet. Raises SpoolError."""
        unsummed = [p for pieces in self.blocks.values() for p in pieces if p.total is None]
        if unsummed:
            for piece, total in zip(unsummed, await self.totals(unsummed), strict=True):
                piece.total = total if total >= 0 else None

    async def totals(self, pieces: Sequence[Piece]) -> list[int]:
        """Return the sums of what the file has of *pieces*. Raises SpoolError."""
        ranges = [(piece.start, piece.stop) for piece in pieces]
        with self.bytes.in_use() as fd:
            if sum(stop - start for start, stop in ranges) <= _INLINE:
                return _totals(fd, ranges)  # a thread would take longer
            return await trio.to_thread.run_sync(_totals, fd, ranges)

    def entry(self) -> Entry:
        """Return what a later process needs to know; pieces without a sum are left out."""
        known = (
            Summed(p.start, p.stop, p.total)
            for pieces in self.blocks.values()
            for p in pieces
            if p.total is not None
        )
        held = sum(map(self.disk_of, self.blocks))
        return Entry(self.info, self.bytes.name, held, tuple(known))


def _totals(fd: int, ranges: Sequence[tuple[int, int]]) -> list[int]:
    """Return a sum for each range, -1 where the file cannot be read: no sum is negative."""
    return [_total(fd, start, stop) for start, stop in ranges]


def _total(fd: int, start: int, stop: int) -> int:
    try:
        data = os.pread(fd, stop - start, start)
    except OSError:
        return -1
    return running_sum(data) if len(data) == stop - start else -1
