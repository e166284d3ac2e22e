"""BlockCache: clean bytes of remote objects, bounded, least recently used first out.

Owns nameless sparse files (they vanish with the process) in the cache directory, one per version
of an object, and the order in which their blocks are given up. Everything here can be fetched
again; nothing here is ever dirty.

INVARIANT: a file holds bytes of exactly one (key, ETag).
INVARIANT: the held bytes of all files stay within the limit, but for what is being fetched.
Whoever reads must check `covers` again after waiting: a block may have been given up meanwhile.
"""

import os
from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path

from cognitofs.spool.sparsefile import DiskPace, SparseFile, local_disk
from cognitofs.store.interface import ETag, ObjectInfo

BLOCK = 1024 * 1024
"""Unit of giving up."""

OBJECTS_KEPT = 256
"""Each has a descriptor, and a process may have 1024 by default."""


class CachedObject:
    """The bytes we hold of one version of an object."""

    __slots__ = ("_forgotten", "bytes", "cache", "info")

    def __init__(self, cache: "BlockCache", info: ObjectInfo, sparse: SparseFile) -> None:
        self.cache = cache
        self.info = info
        self.bytes = sparse
        self._forgotten = False

    def forget(self) -> None:
        """Hold nothing any more; the descriptor goes when nobody uses it."""
        self._forgotten = True
        self.bytes.held.discard(0, 1 << 63)
        self.bytes.close()

    def covers(self, start: int, stop: int) -> bool:
        """Tell whether [start, stop) is here."""
        return self.bytes.held.covers(start, stop)

    async def read(self, start: int, stop: int) -> bytes | None:
        """Return the bytes, or None when they are not (or no longer) all here."""
        if not self.covers(start, stop):
            return None
        data = await self.bytes.read(start, stop)
        if not self.covers(start, stop):
            return None
        self.cache.touch(self, start, stop)
        return data

    def fetched(self, start: int, stop: int) -> None:
        """Take account of bytes that were written to the file from S3."""
        if self._forgotten:
            return
        self.bytes.held.add(start, stop)
        self.cache.touch(self, start, stop)
        self.cache.shrink()


class BlockCache:
    """All cached objects of one mount. *limit* is in bytes."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory = directory
        self.limit = limit
        self._pace = DiskPace()
        self._objects: OrderedDict[tuple[str, ETag], CachedObject] = OrderedDict()
        self._blocks: OrderedDict[tuple[CachedObject, int], int] = OrderedDict()
        self._total = 0

    @property
    def total(self) -> int:
        """Bytes in blocks that are held, rounded up to whole blocks."""
        return self._total

    def open(self, info: ObjectInfo) -> CachedObject:
        """Return the cached bytes of *info*, none at first."""
        found = self._objects.get((info.key, info.etag))
        if found is None:
            found = self._add(info, SparseFile(self._nameless(), self._pace))
        self._objects.move_to_end((info.key, info.etag))
        return found

    def adopt(self, info: ObjectInfo, sparse: SparseFile) -> None:
        """Take over the bytes that were just uploaded as *info*."""
        self.forget(info)
        cached = self._add(info, sparse)
        for extent in list(sparse.held):
            self.touch(cached, extent.start, extent.stop)
        self.shrink()

    def forget(self, info: ObjectInfo) -> None:
        """Drop what is held of *info*."""
        cached = self._objects.pop((info.key, info.etag), None)
        if cached is not None:
            for block in [b for b in self._blocks if b[0] is cached]:
                self._total -= self._blocks.pop(block)
            cached.forget()

    def forget_below(self, key: str, *, spared: Collection[str]) -> None:
        """Drop what is held of *key*, or of all below it if it ends in "/" or is empty."""
        is_directory = not key or key.endswith("/")
        for cached in list(self._objects.values()):
            found = cached.info.key
            is_meant = found.startswith(key) if is_directory else found == key
            if is_meant and found not in spared:
                self.forget(cached.info)

    def rename(self, old: ObjectInfo, new: ObjectInfo) -> None:
        """Keep the bytes of *old* as those of *new*: the object was copied inside S3."""
        cached = self._objects.pop((old.key, old.etag), None)
        if cached is not None:
            self.forget(new)
            cached.info = new
            self._objects[(new.key, new.etag)] = cached

    def touch(self, cached: CachedObject, start: int, stop: int) -> None:
        """Make the blocks of [start, stop) the last to be given up."""
        for number in range(start // BLOCK, -(-stop // BLOCK)):
            block = (cached, number)
            if block not in self._blocks:
                self._blocks[block] = BLOCK
                self._total += BLOCK
            self._blocks.move_to_end(block)

    def shrink(self) -> None:
        """Give up the blocks that were not used for longest until the limit holds."""
        self._shrink_to(self.limit)

    def give_back(self, size: int) -> bool:
        """Give up *size* bytes, because unsent ones need the disk; False if there are none."""
        before = self._total
        self._shrink_to(max(0, before - size))
        return self._total < before

    def _shrink_to(self, limit: int) -> None:
        while self._total > limit and len(self._blocks) > 1:
            (cached, number), size = self._blocks.popitem(last=False)
            self._total -= size
            cached.bytes.punch(number * BLOCK, (number + 1) * BLOCK)
            if not cached.bytes.held:
                self.forget(cached.info)

    def close(self) -> None:
        """Drop everything."""
        for cached in list(self._objects.values()):
            self.forget(cached.info)

    def _add(self, info: ObjectInfo, sparse: SparseFile) -> CachedObject:
        cached = CachedObject(self, info, sparse)
        self._objects[(info.key, info.etag)] = cached
        while len(self._objects) > OBJECTS_KEPT:
            self.forget(next(iter(self._objects.values())).info)
        return cached

    def _nameless(self) -> int:
        with local_disk("opening the cache"):
            return os.open(self._directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
