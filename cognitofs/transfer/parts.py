"""How a file becomes the parts of a multipart upload. Pure.

New bytes follow a ladder by part number, because a stream does not know its size in advance.
A change of an existing object follows a plan: untouched runs are copied inside S3, touched runs
are sent, each widened to the smallest part S3 takes and filled from the base object.

Limits of S3 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html): 10,000 parts,
5 MiB to 5 GiB a part, the last may be smaller.

INVARIANT of every list returned: parts are numbered from 1 without a gap and lie end to end from
0 to the size; every part but the last has at least `PART_MINIMUM` bytes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

from cognitofs.errors import TooLarge
from cognitofs.spool.extents import Extent, ExtentMap
from cognitofs.spool.journal import SentPart

MIB = 1024 * 1024
GIB = 1024 * MIB
PART_MINIMUM = 5 * MIB
PART_MAXIMUM = 5 * GIB
PARTS_MAXIMUM = 10_000
COPY_RANGE = 128 * MIB
"""Largest range of one UploadPartCopy, up to 640 GiB files: S3 allows 5 GiB, but a slow store needs
over a minute for 512 MiB (measured on SeaweedFS under load), longer than we wait for one answer."""

Source = Literal["spool", "base"]
UPLOAD = "upload"
"""Where a part comes from that S3 has and whose bytes were given up here."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its number, its bytes [start, stop) of the file, and where they come from."""

    number: int
    start: int
    stop: int
    source: Source = "spool"

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Ladder:
    """Part sizes by part number: small first, so that small files start early, growing later.

    With the default first step of 8 MiB it reaches 11.2 TiB. `minimum` is the store's smallest
    part, `copy_range` the largest range to copy at once. No part is larger than `most`: the parts
    of a file that is larger than the spool lie there one after the other.
    """

    first: int = 8 * MIB
    minimum: int = PART_MINIMUM
    copy_range: int = COPY_RANGE
    most: int = PART_MAXIMUM

    def within(self, room: int) -> "Ladder":
        """Return the ladder with parts of at most a quarter of *room*: of several in flight."""
        most = max(self.minimum, min(self.most, room // 4))
        return replace(self, first=min(self.first, most), most=most)

    def steps(self) -> tuple[tuple[int, int], ...]:
        """Return (part size, how many parts of it)."""
        sizes = (
            (self.first, 1_000),
            (4 * self.first, 2_000),
            (16 * self.first, 3_000),
            (64 * self.first, 2_000),
            (PART_MAXIMUM, 2_000),
        )
        return tuple((min(size, self.most), count) for size, count in sizes)

    def as_sent(self, sent: Iterable[SentPart], size: int) -> "Ladder":
        """Return the ladder by which *sent* of a new file of *size* bytes were cut.

        An earlier mount may have had another --part-size or --spool-size; what it sent is not
        sent again.
        """
        full = [part for part in sent if part.stop < size]
        firsts = (p.stop - p.start for p in full if p.receipt.number <= self.steps()[0][1])
        found = replace(self, first=next(firsts, self.first), most=PART_MAXIMUM)
        for part in full:
            length = part.stop - part.start
            if length < found.part(part.receipt.number).size:
                return replace(found, most=length)
        longest = max((part.stop - part.start for part in full), default=0)
        return replace(found, most=max(self.most, longest, found.first))

    def part(self, number: int) -> Part:
        """Return where part *number* lies when it is full."""
        start, before = 0, 0
        for size, count in self.steps():
            if number <= before + count:
                start += (number - before - 1) * size
                return Part(number, start, start + size)
            start, before = start + size * count, before + count
        raise TooLarge("The file is over 10,000 parts; mount with a larger --part-size.")

    def cut(self, size: int) -> tuple[Part, ...]:
        """Return the parts of a new file of *size* bytes. Raises TooLarge."""
        parts: list[Part] = []
        for step, count in self.steps():
            for _ in range(count):
                start = parts[-1].stop if parts else 0
                if start >= size:
                    return tuple(parts)
                parts.append(Part(len(parts) + 1, start, min(size, start + step)))
        if parts[-1].stop < size:
            raise TooLarge("The file is over 10,000 parts; mount with a larger --part-size.")
        return tuple(parts)


def plan_change(size: int, held: ExtentMap, base_limit: int, ladder: Ladder) -> tuple[Part, ...]:
    """Return the parts that make a file of *size* bytes out of a base object and *held* bytes.

    Bytes below *base_limit* that are not held come from the base; those behind it are zeros and
    count as held. A "spool" part may hold gaps: fill them from the base before sending it.
    """
    grain = max(ladder.minimum, -(-size // (PARTS_MAXIMUM // 2)))
    runs = _widened(_merged(_runs(size, held, min(base_limit, size)), grain), grain)
    pieces = {"base": max(ladder.copy_range, grain), "spool": max(ladder.first, grain)}
    cuts = chain.from_iterable(
        ((run, source) for run in _pieces(extent, pieces[source], grain)) for extent, source in runs
    )
    return tuple(Part(n, e.start, e.stop, source) for n, (e, source) in enumerate(cuts, 1))


Run = tuple[Extent, Source]


def _runs(size: int, held: ExtentMap, base_limit: int) -> list[Run]:
    """Split [0, size) into alternating touched and untouched runs."""
    touched = held.copy()
    touched.add(base_limit, size)
    untouched = touched.gaps(0, size)
    runs: list[Run] = [(extent, "base") for extent in untouched]
    runs += [(extent, "spool") for extent in touched.within(0, size)]
    return sorted(runs, key=lambda run: run[0])


def _merged(runs: list[Run], grain: int) -> list[Run]:
    """Turn untouched runs shorter than *grain* into touched ones and merge neighbours."""
    merged: list[Run] = []
    for extent, source in runs:
        kind: Source = "spool" if extent.size < grain else source
        if merged and merged[-1][1] == kind:
            merged[-1] = (Extent(merged[-1][0].start, extent.stop), kind)
        else:
            merged.append((extent, kind))
    return merged


def _widened(runs: list[Run], grain: int) -> list[Run]:
    """Make every touched run but the last at least *grain* long, at its right neighbour's cost."""
    wide: list[Run] = []
    at = 0
    for index, (extent, source) in enumerate(runs):
        start, stop = max(at, extent.start), extent.stop
        last = index == len(runs) - 1
        if source == "spool" and not last:
            stop = max(stop, start + grain)
            neighbour = runs[index + 1][0]
            if neighbour.stop - stop < grain:
                stop = neighbour.stop
        if start < stop:
            _append(wide, Extent(start, stop), source)
        at = max(at, stop)
    return wide


def _append(runs: list[Run], extent: Extent, source: Source) -> None:
    if runs and runs[-1][1] == source == "spool":
        runs[-1] = (Extent(runs[-1][0].start, extent.stop), source)
    else:
        runs.append((extent, source))


def _pieces(extent: Extent, piece: int, grain: int) -> Iterator[Extent]:
    """Cut *extent* into pieces of *piece* bytes; a remainder below *grain* joins its neighbour."""
    start = extent.start
    while extent.stop - start >= piece + grain:
        yield Extent(start, start + piece)
        start += piece
    yield Extent(start, extent.stop)
