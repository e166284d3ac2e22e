"""BlockCache: clean bytes of remote objects, bounded, least recently used first out.

Owns which versions are at hand and the order in which their blocks are given up. Everything here
can be fetched again; nothing here is ever dirty. What was used last is *warm*: in the memory of
this process, block by block. The rest is *cold*: entries of the index, given up whole; a restart
finds everything cold. `run` saves what is new in the index, a moment later.

INVARIANT: a file holds bytes of exactly one (key, ETag).
INVARIANT: what all files take stays within the limit, but for what is being fetched.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import trio

from cognitofs.errors import SpoolDamaged, SpoolError, TooManyOpen
from cognitofs.spool.cachedobject import BLOCK, CachedObject
from cognitofs.spool.cachefiles import CacheFiles, MemoryFile, new_name
from cognitofs.spool.cacheindex import CacheIndex, open_index
from cognitofs.spool.extents import ExtentMap
from cognitofs.spool.namedfile import NamedFile
from cognitofs.spool.spoolfile import SpoolFile
from cognitofs.store.interface import ETag, ObjectInfo

WARM = 1024
"""Objects in memory."""
NAMELESS = 256
"""Objects in nameless files: each has a descriptor, and a process may have 1024 by default."""
IN_MEMORY = 64 * 1024 * 1024
"""Bytes, instead of the limit, while something is in memory because the disk fails."""
SAVED_AFTER = 1.0
"""Seconds for which what is new may be missing in the index."""

_BATCH = 64


def open_cache(directory: Path, limit: int) -> "BlockCache":
    """Return the cache in *directory*, which is ours alone. Raises SpoolDamaged, SpoolFull.

    While another process uses the directory it has files without names, and keeps nothing.
    """
    files = CacheFiles(directory / "blocks")
    index = open_index(directory / "blocks.db") if files.is_ours else None
    if index is None:
        files.keep_nothing()
    return BlockCache(files, index, limit)


class BlockCache:
    """All cached objects of one mount. *limit* is in bytes."""

    def __init__(self, files: CacheFiles, index: CacheIndex | None, limit: int) -> None:
        self.limit = limit
        self.hits = 0
        self.misses = 0
        self._files = files
        self._index = index
        self._warm: OrderedDict[tuple[str, ETag], CachedObject] = OrderedDict()
        self._blocks: OrderedDict[tuple[CachedObject, int], int] = OrderedDict()
        self._nameless: dict[CachedObject, None] = {}
        self._unsaved: dict[CachedObject, None] = {}
        self._has_unsaved = trio.Event()
        self._warm_total = 0
        self._cold_total = 0 if index is None else index.total()

    @property
    def total(self) -> int:
        """Bytes of disk that are taken."""
        return self._warm_total + self._cold_total

    # -- objects ----------------------------------------------------------------------------------

    def open(self, info: ObjectInfo) -> CachedObject:
        """Return the cached bytes of *info*, none at first. Raises TooManyOpen."""
        found = self._warm.get((info.key, info.etag))
        if found is None:
            found = self._warmed(info) or self._add(CachedObject(self, info, self._files.create()))
        self._warm.move_to_end((info.key, info.etag))
        return found

    def _warmed(self, info: ObjectInfo) -> CachedObject | None:
        """Return what the index has of *info*."""
        entry = None if self._index is None else self._index.find(info)
        if self._index is None or entry is None:
            return None
        self._cold_total -= entry.held
        try:
            file = NamedFile(self._files, entry.file, self._files.descriptor(entry.file))
        except SpoolDamaged:
            self._index.drop([entry.file])
            return None
        return self._add(CachedObject(self, info, file, entry.pieces))

    def adopt(self, info: ObjectInfo, spool: SpoolFile) -> None:
        """Take over the bytes that were just uploaded as *info*."""
        self.forget(info)
        name, held = new_name(), spool.held.copy()
        if self._index is not None and spool.move_to(self._files.fd, name):
            file = NamedFile(self._files, name, -1)
        else:
            file, held = spool.detach(), spool.held
            file.held = ExtentMap()
        cached = CachedObject(self, info, file)
        for extent in held:
            cached.hold(extent.start, extent.stop)
        self._add(cached)
        self._shrink_to(self._limit)

    def rename(self, old: ObjectInfo, new: ObjectInfo) -> None:
        """Keep the bytes of *old* as those of *new*: the object was copied inside S3."""
        if (old.key, old.etag) == (new.key, new.etag):
            return  # a copy of an object onto itself
        cached = self._warm.pop((old.key, old.etag), None)
        is_cold = cached is None and self._index is not None and self._index.find(old) is not None
        if cached is None and not is_cold:
            return
        self.forget(new)
        if cached is not None:
            cached.info = new
            self._warm[(new.key, new.etag)] = cached
        if self._index is not None:
            self._index.rename(old, new)

    def forget(self, info: ObjectInfo) -> None:
        """Drop what is held of *info*."""
        cached = self._warm.get((info.key, info.etag))
        if cached is not None:
            name = self._leave(cached)
            self._drop([name] if name else [])
        elif self._index is not None and (entry := self._index.find(info)) is not None:
            self._cold_total -= entry.held
            self._drop([entry.file])

    def forget_below(self, key: str, *, spared: Collection[str]) -> None:
        """Drop what is held of *key*, or of all below it if it ends in "/" or is empty."""
        is_directory = not key or key.endswith("/")
        for cached in list(self._warm.values()):
            found = cached.info.key
            is_meant = found.startswith(key) if is_directory else found == key
            if is_meant and found not in spared:
                self.forget(cached.info)
        if self._index is not None:
            warm = self._warm_files()
            below = [each for each in self._index.below(key) if each[1] not in warm]
            cold = [(file, held) for found, file, held in below if found not in spared]
            self._drop_cold(cold)

    @contextmanager
    def without_disk(self, cached: CachedObject) -> Iterator[None]:
        """Go on behind the block when the disk fails *cached*, which is in memory then."""
        try:
            yield
        except SpoolError as exc:
            if not self.failed(cached, exc):
                raise

    def failed(self, cached: CachedObject, exc: SpoolError) -> bool:
        """Give up a file that the disk fails; False if it was no file of the disk."""
        if isinstance(exc, TooManyOpen) or isinstance(cached.bytes, MemoryFile):
            return False
        if not cached.is_forgotten:
            self.forget(cached.info)
            self._files.avoid(exc)
        return True

    def close(self) -> None:
        """End; what was saved is there for the next process."""
        for cached in list(self._warm.values()):
            self._leave(cached)
        if self._index is not None:
            self._index.close()
        self._files.close()

    def _add(self, cached: CachedObject) -> CachedObject:
        self._warm[(cached.info.key, cached.info.etag)] = cached
        for number in cached.blocks:
            self._count(cached, number)
        if not cached.bytes.name:
            self._nameless[cached] = None
        self._note(cached)
        self._cool()
        return cached

    def _leave(self, cached: CachedObject) -> str:
        """Take *cached* out of memory; return the name of its file."""
        self._warm.pop((cached.info.key, cached.info.etag), None)
        for number in cached.blocks:
            self._warm_total -= self._blocks.pop((cached, number), 0)
        self._nameless.pop(cached, None)
        self._unsaved.pop(cached, None)
        cached.forget()
        return cached.bytes.name

    def _cool(self) -> None:
        """Keep in memory what was used last."""
        while len(self._nameless) > NAMELESS:
            self.forget(next(iter(self._nameless)).info)
        if self._index is None or len(self._warm) <= WARM:
            return
        for cached in list(islice(self._warm.values(), _BATCH)):
            may_go = cached not in self._unsaved and not cached.bytes.is_in_use
            if len(self._warm) > WARM and may_go and cached.bytes.name:
                before = self._warm_total
                self._leave(cached)
                self._cold_total += before - self._warm_total

    def note_read(self, *, is_hit: bool) -> None:
        """Count a read, for the figures."""
        self.hits += is_hit
        self.misses += not is_hit

    # -- the limit --------------------------------------------------------------------------------

    def touch(self, cached: CachedObject, start: int, stop: int) -> None:
        """See `Order.touch`."""
        for number in range(start // BLOCK, -(-stop // BLOCK)):
            if (cached, number) in self._blocks:
                self._blocks.move_to_end((cached, number))
        self._note(cached)

    def charge(self, cached: CachedObject, start: int, stop: int) -> None:
        """See `Order.charge`."""
        for number in range(start // BLOCK, -(-stop // BLOCK)):
            self._count(cached, number)
        self._note(cached)
        self._shrink_to(self._limit)

    def _count(self, cached: CachedObject, number: int) -> None:
        block, taken = (cached, number), cached.disk_of(number)
        self._warm_total += taken - self._blocks.get(block, 0)
        self._blocks[block] = taken
        self._blocks.move_to_end(block)

    def give_back(self, size: int) -> bool:
        """Give up *size* bytes, because unsent ones need the disk; False if there are none."""
        before = self.total
        self._shrink_to(max(0, before - size))
        return self.total < before

    @property
    def _limit(self) -> int:
        is_failing = any(isinstance(each.bytes, MemoryFile) for each in self._nameless)
        return min(self.limit, IN_MEMORY) if is_failing else self.limit

    def _shrink_to(self, limit: int) -> None:
        while self.total > limit:
            if self._cold_total and self._shrink_cold(self.total - limit):
                continue
            if len(self._blocks) <= 1:
                return
            (cached, number), taken = self._blocks.popitem(last=False)
            self._warm_total -= taken
            cached.give_up(number)
            self._note(cached)
            if not cached.bytes.held:
                self.forget(cached.info)

    def _shrink_cold(self, size: int) -> bool:
        """Give up at least *size* bytes of cold objects, if there are any; then a few more."""
        assert self._index is not None, "without an index nothing is cold"
        enough, freed, chosen = max(size, self.limit // 128), 0, []
        for file, held in self._index.oldest(but=self._warm_files(), most=_BATCH):
            if freed < enough:
                chosen.append((file, held))
                freed += held
        self._drop_cold(chosen)
        if not chosen:
            self._cold_total = 0
        return bool(chosen)

    def _drop_cold(self, chosen: Collection[tuple[str, int]]) -> None:
        self._cold_total -= sum(held for _, held in chosen)
        self._drop([file for file, _ in chosen])

    def _drop(self, names: Collection[str]) -> None:
        if names and self._index is not None:
            self._index.drop(names)
        self._files.remove(names)

    def _warm_files(self) -> set[str]:
        return {cached.bytes.name for cached in self._warm.values()}

    # -- what a later process finds ---------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Save what is new, until cancelled; first remove files that the index does not know."""
        task_status.started()
        if self._index is None:
            await trio.sleep_forever()
        self._shrink_to(self._limit)
        await self._sweep()
        while True:
            await self._has_unsaved.wait()
            await trio.sleep(SAVED_AFTER)
            await self.save()

    async def save(self) -> None:
        """Return when the index has everything."""
        while self._index is not None and self._unsaved:
            batch = list(islice(self._unsaved, _BATCH))
            for cached in batch:
                del self._unsaved[cached]
            for cached in batch:
                await self._sum_up(cached)
            self._index.save([each.entry() for each in batch if not each.is_forgotten])
            self._cool()
        self._has_unsaved = trio.Event()

    async def _sum_up(self, cached: CachedObject) -> None:
        try:
            if not cached.is_forgotten:
                await cached.sum_up()
        except SpoolError as exc:
            self.failed(cached, exc)

    def _note(self, cached: CachedObject) -> None:
        """Let *cached* be saved as the last that was used."""
        if self._index is not None and cached.bytes.name and not cached.is_forgotten:
            self._unsaved.pop(cached, None)
            self._unsaved[cached] = None
            self._has_unsaved.set()

    async def _sweep(self) -> None:
        """Remove files that are not known, or that a kill left larger than is known."""
        assert self._index is not None, "only the holder of the index sweeps"
        try:
            found = await trio.to_thread.run_sync(self._files.sizes)
        except OSError:
            return
        known, warm = self._index.files(), self._warm_files()
        sizes = {name: size for name, size in found.items() if name not in warm}
        larger = [name for name in known.keys() & sizes.keys() if sizes[name] > known[name] + BLOCK]
        self._drop_cold([(name, known[name]) for name in larger])
        unknown = [name for name in sizes if name not in known]
        await trio.to_thread.run_sync(self._files.remove, unknown)
