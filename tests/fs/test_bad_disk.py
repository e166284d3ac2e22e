"""A disk on which one operation fails, each in turn: nothing acknowledged is lost, life goes on.

The k-th write, sync, open, read or truncate of a spool file, or the k-th of the journal, fails once
with EIO or ENOSPC, for every k until the work needs no more of them. Then the process dies.
"""

import errno
import os

import apsw
import pytest
import trio

from cognitofs.errors import CognitoFSError, Unreachable
from cognitofs.testing import FaultyStore, MemoryStore
from tests.baddisk import BROKEN, FULL, BadDisk
from tests.fs.fsrig import SMALL, mounted

OPERATIONS = ("pwrite", "pread", "preadv", "fdatasync", "ftruncate", "open")
CODES = (errno.EIO, errno.ENOSPC)
PARTS = bytes(range(100))


def merged(old, start, data):
    return old[:start].ljust(start, b"\0") + data + old[start + len(data) :]


class BadSpool:
    """Lets the *number*-th operation on the spool directory of *state* fail with *code*."""

    def __init__(self, patch, state, number, code):
        self.fired = False
        self._left, self._code = number, code
        self._spool = str(state / "spool")
        self._readlink = os.readlink
        for name in OPERATIONS:
            patch.setattr(os, name, self._around(getattr(os, name)))

    def _around(self, function):
        def around(file, *arguments, dir_fd=None, **options):
            place = dir_fd if dir_fd is not None else file
            if isinstance(place, int) and self._is_spool(place):
                self._count()
            if dir_fd is not None:
                options["dir_fd"] = dir_fd
            return function(file, *arguments, **options)

        return around

    def _is_spool(self, fd):
        return self._readlink(f"/proc/self/fd/{fd}").startswith(self._spool)

    def _count(self):
        self._left -= 1
        if self._left == 0:
            self.fired = True
            raise OSError(self._code, os.strerror(self._code))


class BadJournal:
    """Lets the *number*-th operation on the journal fail with *code*."""

    def __init__(self, patch, _state, number, code):
        error = BROKEN if code == errno.EIO else FULL
        self._disk = disk = BadDisk(lambda _, at: error if at == number else None)
        connection = apsw.Connection

        def connect(name, *arguments, **options):
            if name.endswith("journal.db"):
                options["vfs"] = disk.name
            return connection(name, *arguments, **options)

        patch.setattr(apsw, "Connection", connect)

    @property
    def fired(self):
        return bool(self._disk.fired)


class Work:
    """A few files that are closed, changed and closed again while S3 is away.

    `now` is what the files hold, `may` what they may hold after a crash.
    """

    def __init__(self, counts):
        self.now, self.may, self.counts = {}, {}, counts

    async def store(self, m, name, data, *, start=0):
        """Write and close; what failed may have happened in part, but nothing else."""
        old = self.now.get(name)
        new = merged(old or b"", start, data)
        self.may[name] = self.may.get(name, {old}) | {new}
        try:
            handle = (await m.create(name))[0] if old is None else await m.open(name)
            try:
                await m.fs.write(handle, start, data)
            finally:
                await m.close(handle)
        except CognitoFSError:
            self.counts["calls that heard of it"] += 1
            self.now[name] = await self.read(m, name) if name in await m.listdir() else None
            parts = (merged(old or b"", start, data[:length]) for length in range(len(data)))
            assert self.now[name] in (old, new, *parts)
            self.may[name].add(self.now[name])
        else:
            self.now[name], self.may[name] = new, {new}
            self.counts["closes acknowledged"] += 1

    async def read(self, m, name):
        try:
            return await m.read_file(name)
        except CognitoFSError:
            self.counts["calls that heard of it"] += 1
            return await m.read_file(name)

    async def do(self, m):
        await self.store(m, "small", b"small")
        await self.store(m, "parts", PARTS)
        await self.store(m, "parts", b"more", start=100)
        await self.store(m, "small", b"anew!")
        await self.store(m, "after", b"life goes on")

    def check(self, bucket):
        for name, allowed in self.may.items():
            found = bucket.data(name) if name in bucket.keys else None
            assert found in allowed, (name, found, allowed)


async def live(store, state, level, work):
    try:
        async with mounted(store, state, sync=level, ladder=SMALL) as m:
            await work.do(m)
            for name, data in work.now.items():
                assert data is None or await work.read(m, name) == data
    except (CognitoFSError, OSError):
        work.counts["mounts refused"] += 1


async def recover(store, state, level):
    async with mounted(store, state, sync=level, ladder=SMALL) as m:
        with trio.fail_after(120):
            await m.drain()


def case(bad, level, number, code, state, counts):
    """Return whether the work needed a *number*-th operation."""
    bucket = MemoryStore(part_minimum=16)
    store = FaultyStore(bucket)
    for operation in ("put", "begin_upload", "upload_part"):
        store.fail(operation, Unreachable("There is no network."), times=-1)
    work = Work(counts)
    with pytest.MonkeyPatch.context() as patch:
        disk = bad(patch, state, number, code)
        trio.run(live, store, state, level, work)
    if not disk.fired:
        return False
    store.heal()
    trio.run(recover, store, state, level)
    work.check(bucket)
    return True


@pytest.mark.reliability
@pytest.mark.parametrize("level", ["fsync", "local"])
@pytest.mark.parametrize("bad", [BadSpool, BadJournal])
def test_one_failed_operation_of_the_disk_loses_nothing(tmp_path, effort, bad, level):
    for code in CODES:
        number, goes_on = 0, True
        while goes_on:
            number += 1
            state = tmp_path / f"{code}-{number}"
            state.mkdir(mode=0o700)
            goes_on = case(bad, level, number, code, state, effort.counts)
            effort.counts["operations failed"] += goes_on
    effort.demand(20, "operations failed", "closes acknowledged")
    effort.demand(1, "calls that heard of it")
