"""A Filesystem over a MemoryStore, without a kernel: mounts, crashes and mounts again."""

import itertools
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

import trio

from cognitofs.fs.filesystem import Filesystem
from cognitofs.fs.recovery import Recovered, recover
from cognitofs.fs.rig import Promises, Rig
from cognitofs.levels import Rights
from cognitofs.spool.blockcache import BlockCache, open_cache
from cognitofs.spool.cachefiles import CacheFiles
from cognitofs.spool.damage import open_journal
from cognitofs.spool.intents import Intents
from cognitofs.spool.space import Space
from cognitofs.spool.spooldirectory import SpoolDirectory
from cognitofs.transfer.deletions import Deletions
from cognitofs.transfer.parts import Ladder
from cognitofs.transfer.readahead import Reader
from cognitofs.transfer.uploader import Uploader
from cognitofs.tree.attributes import Attributes, Defaults, Kind
from cognitofs.tree.away import Away
from cognitofs.tree.describer import Describer
from cognitofs.tree.directories import Directories
from cognitofs.tree.inodes import ROOT, InodeTable
from cognitofs.tree.memory import AttributeMemory
from cognitofs.tree.namespace import Namespace
from cognitofs.tree.veil import Veil

SMALL = Ladder(first=16, minimum=16, copy_range=64)
"""Parts of 16 bytes, so that a few dozen bytes exercise what takes gigabytes on S3."""

NO_LEVELS = Rights()


@dataclass
class Mounted:
    fs: Filesystem
    recovered: Recovered
    notices: tuple = ()

    async def create(self, name, data=b"", *, parent=ROOT, mode=0o644):
        handle, stat = await self.fs.create(parent, name, mode, 2)
        if data:
            await self.fs.write(handle, 0, data)
        return handle, stat.number

    async def store_file(self, name, data=b"", *, parent=ROOT):
        """Create, write and close, as a program would."""
        handle, number = await self.create(name, data, parent=parent)
        await self.close(handle)
        return number

    async def close(self, handle):
        try:
            await self.fs.flush(handle)
        finally:
            await self.fs.release(handle)

    async def open(self, name, flags=2, *, parent=ROOT):
        stat = await self.fs.lookup(parent, name)
        return await self.fs.open(stat.number, flags)

    async def read_file(self, name, *, parent=ROOT):
        handle = await self.open(name, 0, parent=parent)
        try:
            return await self.fs.read(handle, 0, 1 << 20)
        finally:
            await self.fs.release(handle)

    async def listdir(self, number=ROOT):
        handle = self.fs.opendir(number)
        names, cookie = [], 0
        try:
            while (found := await self.fs.readdir(handle, cookie)) is not None:
                inode, cookie = found
                names.append(inode.name)
        finally:
            self.fs.releasedir(handle)
        return names

    async def drain(self):
        await self.fs.rig.uploader.wait_drained()
        await self.fs.files.headers.wait_drained()
        await self.fs.rig.deletions.wait_drained()


def ticking():
    """Return a clock that never shows the same time twice, also while virtual time stands."""
    ticks = itertools.count()
    return lambda: trio.current_time() + next(ticks) * 1e-9


@asynccontextmanager
async def mounted(
    store,
    state,
    *,
    ladder=SMALL,
    cache_size=1 << 20,
    keeps_cache=False,
    spool_size=None,
    reserve=None,
    rights=NO_LEVELS,
    **promises,
):
    """Mount *store* with the state directory *state*; leaving the block is a crash.

    Nothing is sealed or drained at the end: call `drain` for an orderly end.
    """
    with ExitStack() as ends:
        rig, notices = _assembled(
            store,
            state,
            ends,
            ladder,
            (cache_size, keeps_cache),
            spool_size,
            reserve,
            rights,
            promises,
        )
        fs = Filesystem(rig)
        ends.callback(_close_spools, fs)
        services = (rig.reader, rig.cache, rig.namespace.describer, rig.namespace.away)
        services += (rig.uploader, rig.deletions, fs.files.headers)
        async with trio.open_nursery() as nursery:
            for service in services:
                await nursery.start(service.run)
            yield Mounted(fs, await recover(rig, fs.files), notices)
            nursery.cancel_scope.cancel()


def _assembled(store, state, ends, ladder, caching, spool_size, reserve, rights, promises):
    """Make the parts; what was opened is closed by *ends*, also when it was not all."""
    table = InodeTable(Attributes(Kind.DIRECTORY, 0o755, 0))
    away = Away()
    describer = Describer(store, AttributeMemory(None), Defaults(), away, may_ask=True)
    now = ticking()
    cache = _cache(state / "cache", *caching)
    ends.callback(cache.close)
    space = Space(state, spool_size, 0, cache.give_back)
    spools = SpoolDirectory(state, space)
    ends.callback(spools.close)
    opened = open_journal(state / "journal.db", spools, reserve)
    journal = opened.journal
    ends.callback(journal.close)
    intents = Intents(journal)
    deletions = Deletions(store, intents)
    seen = Veil(store, deletions, away)
    namespace = Namespace(seen, table, describer, ttl=promises.get("metadata_ttl", 5.0), now=now)
    reader = Reader(store, cache, timeout=60.0)
    uploader = Uploader(store, journal, reader, ladder=ladder, at_once=8, jitter=lambda top: top)
    rig = Rig(
        store=store,
        table=table,
        namespace=namespace,
        directories=Directories(seen, namespace, now=now),
        spools=spools,
        journal=journal,
        cache=cache,
        reader=reader,
        uploader=uploader,
        intents=intents,
        deletions=deletions,
        promises=Promises(**promises),
        rights=rights,
    )
    return rig, opened.notices


def _close_spools(fs):
    for file in fs.files.all():
        for spool in {file.content.spool, file.upload.spool if file.upload else None} - {None}:
            spool.close()


def _cache(directory, size, keeps):
    if keeps:
        directory.mkdir(exist_ok=True)
        return open_cache(directory, size)
    return BlockCache(CacheFiles(directory, keeps=False), None, size)


async def until(condition):
    """Wait for something that happens by itself; fail after five seconds.

    It looks less and less often: each look costs real time while the clock is a virtual one.
    """
    pause = 0.001
    with trio.fail_after(5):
        while not condition():  # what the engine does has no event for tests
            await trio.sleep(pause)
            pause = min(2 * pause, 0.05)
