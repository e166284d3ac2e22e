"""A cache directory that one process after the other uses, over objects in memory."""

import random
from contextlib import asynccontextmanager

import trio

from cognitofs.spool.blockcache import BLOCK, open_cache
from cognitofs.spool.spooldirectory import SpoolDirectory
from cognitofs.testing import MemoryStore
from cognitofs.transfer.readahead import Reader

KIB = 1024


class Machine:
    """The cache directory *path*, which must be private, and the bucket behind it."""

    def __init__(self, path):
        self.path = path
        self.bucket = MemoryStore()

    @asynccontextmanager
    async def process(self, limit=64 * BLOCK, *, saves=True):
        """Read through a cache; without *saves* it ends as if it was killed."""
        cache = open_cache(self.path, limit)
        reader = Reader(self.bucket, cache, timeout=60.0)
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(reader.run)
                await nursery.start(cache.run)
                yield reader
                if saves:
                    await cache.save()
                nursery.cancel_scope.cancel()
        finally:
            cache.close()

    @property
    def gets(self):
        """Requests for content so far."""
        return self.bucket.requests["read_into"]

    def files(self):
        """Return the paths of the cache's files."""
        return sorted(self.path.glob("blocks/*"))


def noise(size, seed=0):
    """Return *size* bytes that are the same for the same seed."""
    return random.Random(seed).randbytes(size)


async def whole(reader, info):
    """Read an object from its begin to its end, as the kernel would ask."""
    return b"".join(
        [await reader.read(info, at, at + 128 * KIB) for at in range(0, info.size, 128 * KIB)]
    )


async def spooled(machine, data):
    """Return a spool file that holds *data*."""
    state = machine.path / "state"
    state.mkdir(exist_ok=True)
    spool = SpoolDirectory(state).create()
    await spool.write(0, data)
    return spool


async def until(condition):
    """Wait for something that happens by itself."""
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110 -- the cache has no event for tests
            await trio.sleep(0.01)
