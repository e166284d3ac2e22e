"""Reader: bytes of remote objects, through the block cache, fetched ahead of sequential readers.

Owns which ranges to fetch and the fetches under way. Does not know inodes or the kernel; local
unsent bytes are the caller's to lay over what comes from here.

A `Window` belongs to one handle: it grows while reads follow each other and collapses on a seek.
INVARIANT: every GET names the version (If-Match); bytes of two versions never mix.
INVARIANT: a byte is fetched once at a time: readers of the same range wait for the same fetch.
"""

import logging
from dataclasses import dataclass, field

import trio

from cognitofs.errors import CognitoFSError, SpoolError, Stalled
from cognitofs.spool.blockcache import BlockCache
from cognitofs.spool.cachedobject import CachedObject
from cognitofs.spool.extents import Extent
from cognitofs.store.interface import ObjectInfo, ObjectStore

KIB = 1024
MIB = 1024 * KIB
FIRST_FETCH = 256 * KIB
"""First GET of a sequential read: small, for a fast first byte."""
LARGEST_FETCH = 8 * MIB
WHOLE_OBJECT = 8 * MIB
"""Objects up to this size are fetched whole at the first read."""
RANDOM_FETCH = 128 * KIB
"""Aligned block that a random read fetches: the kernel's own readahead size."""
FETCHES_AHEAD = 8

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Window:
    """How far ahead of one handle's reads to fetch. Pure state; `advance` decides."""

    expected: int = 0
    fetch_size: int = FIRST_FETCH
    streak: int = 0

    def advance(self, start: int, stop: int) -> int:
        """Note a read of [start, stop) and return how many bytes behind it to fetch ahead.

        The kernel sends its readahead requests slightly out of order, so a read that starts
        within one fetch of the expected place counts as sequential.
        """
        if abs(start - self.expected) <= max(self.fetch_size, 2 * MIB) and start + stop > 0:
            self.streak += 1
        else:
            self.streak, self.fetch_size = 0, FIRST_FETCH
        self.expected = max(stop, self.expected) if self.streak else stop
        if self.streak < 2:
            return 0
        self.fetch_size = min(self.fetch_size * 2, LARGEST_FETCH)
        return self.fetch_size * FETCHES_AHEAD


@dataclass(slots=True, eq=False)
class _Fetch:
    extent: Extent
    done: trio.Event = field(default_factory=trio.Event)
    error: CognitoFSError | None = None


class Reader:
    """Reads any version of any object of one mount. `run` must be running."""

    def __init__(self, store: ObjectStore, cache: BlockCache, *, timeout: float) -> None:
        self._store = store
        self._cache = cache
        self._timeout = timeout
        self._fetches: dict[CachedObject, list[_Fetch]] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Fetch until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    async def read(
        self, info: ObjectInfo, start: int, stop: int, window: Window | None = None
    ) -> bytes:
        """Return bytes [start, stop) of that version, cut at its end.

        Raises Changed when S3 no longer has the version, Stalled when nothing came in time,
        and what `ObjectStore.read` raises.
        """
        stop = min(stop, info.size)
        if start >= stop:
            return b""
        cached = self._cache.open(info)
        self._cache.note_read(is_hit=cached.covers(start, stop))
        with self._cache.without_disk(cached):
            self._plan(cached, start, stop, window)
        with trio.move_on_after(self._timeout):
            while True:
                cached = self._cache.open(info)  # the one before may be given up
                with self._cache.without_disk(cached):
                    data = await cached.read(start, stop)
                    if data is not None:
                        return data
                    await self._wait_for(cached, start, stop)
        raise Stalled("S3 did not send the bytes in time; check the network and try again.")

    async def _wait_for(self, cached: CachedObject, start: int, stop: int) -> None:
        """Wait for the fetches of [start, stop), starting those that are missing."""
        for gap in cached.bytes.held.gaps(start, stop):
            self._start(cached, gap, RANDOM_FETCH)
        for fetch in list(self._under_way(cached)):
            if fetch.extent.start < stop and start < fetch.extent.stop:
                await fetch.done.wait()
                if fetch.error is not None:
                    raise fetch.error

    def _plan(self, cached: CachedObject, start: int, stop: int, window: Window | None) -> None:
        """Start the fetches that this read and the ones expected behind it need."""
        size = cached.info.size
        if size <= WHOLE_OBJECT:
            if not cached.covers(start, stop):
                self._start(cached, Extent(0, size), WHOLE_OBJECT)
            return
        ahead = window.advance(start, stop) if window is not None else 0
        ahead = min(ahead, self._cache.limit // 2)  # what is ahead must not push itself out
        step = window.fetch_size if window is not None and ahead else FIRST_FETCH
        if ahead:
            # To a multiple of the step: else each read would fetch just a little more.
            reach = -(-(stop + ahead) // step) * step
            self._start(cached, Extent(start, min(size, reach)), step)
        elif not cached.covers(start, stop):
            low = start // RANDOM_FETCH * RANDOM_FETCH
            high = min(size, -(-stop // RANDOM_FETCH) * RANDOM_FETCH)
            if window is not None and window.streak:
                high = min(size, max(high, low + FIRST_FETCH))
            self._start(cached, Extent(low, high), FIRST_FETCH)

    def _under_way(self, cached: CachedObject) -> list[_Fetch]:
        return self._fetches.get(cached, [])

    def _start(self, cached: CachedObject, wanted: Extent, step: int) -> None:
        """Start fetches of at most *step* bytes for what of *wanted* is neither here nor coming."""
        coming = cached.bytes.held.copy()
        for fetch in self._under_way(cached):
            coming.add(fetch.extent.start, fetch.extent.stop)
        for gap in coming.gaps(wanted.start, wanted.stop):
            at = gap.start
            while at < gap.stop:
                # Cut at multiples of the step, so that neighbouring requests meet exactly.
                stop = min(gap.stop, (at // step + 1) * step)
                fetch = _Fetch(Extent(at, stop))
                self._fetches.setdefault(cached, []).append(fetch)
                assert self._nursery is not None, "Reader.run is not running"
                cached.bytes.hold()  # from now on, not from when the task gets its turn
                self._nursery.start_soon(self._fetch, cached, fetch)
                at = stop

    async def _fetch(self, cached: CachedObject, fetch: _Fetch) -> None:
        start, stop = fetch.extent.start, fetch.extent.stop
        try:
            await self._store.read_into(cached.info, start, stop, cached.bytes.fd)
            cached.fetched(start, stop)
        except SpoolError as exc:
            if not self._cache.failed(cached, exc):  # else the reader asks for it again
                fetch.error = exc
        except CognitoFSError as exc:
            fetch.error = exc
            _log.debug("fetch of %d bytes failed: %s", stop - start, exc)
        finally:
            cached.bytes.let_go()
            under_way = self._fetches[cached]
            under_way.remove(fetch)
            if not under_way:
                del self._fetches[cached]
            fetch.done.set()
