"""Somebody else writes and removes the same objects: both versions exist, and none shows torn.

Whatever this host acknowledged was on S3 for all to see, or is kept and readable here; what the
other client wrote is never replaced by a host that did not know it (`Cloud` checks that each commit
names the version that it replaces).
"""

import os
import random
import tempfile
from pathlib import Path

import pytest
import trio
import trio.testing

from cognitofs.errors import CognitoFSError, NotFound, Stale, Unreachable
from cognitofs.testing import FaultyStore
from tests.fs.fsrig import mounted
from tests.model.weather import Cloud, Disk, close_files_in

NAMES = ("a", "b")


class Rivals:
    """One host and one other client, on two names."""

    def __init__(self, cloud, state, seed, counts):
        self.cloud, self.state, self.counts = cloud, state, counts
        self.random = random.Random(seed)
        self.store = None
        self.known = {name: {b""} for name in NAMES}
        """All that was ever meant to be the content of a name."""
        self.acknowledged = {name: [] for name in NAMES}
        self.count = 0

    def fresh(self):
        """Return bytes that no other version has."""
        self.count += 1
        size = self.random.choice((1, 15, 17, 40, 90))
        return (b"%d," % self.count) * size

    # -- the other client -------------------------------------------------------------------------

    def put(self, name):
        data = b"theirs " + self.fresh()
        self.known[name].add(data)
        self.cloud.outside_put(name, data)
        self.cloud.versions[name].add(data)

    def delete(self, name):
        self.cloud.outside_delete(name)

    # -- the host ---------------------------------------------------------------------------------

    async def save(self, m, name):
        """Write the whole file anew, or a part of what is there, and close it."""
        number, data = await self.open(m, name)
        if number is None:
            return
        await self.other_client()
        try:
            await m.fs.write(number, 0, data[0])
            await self.other_client()
            assert await m.fs.read(number, 0, 10_000) == data[1]
        finally:
            await self.close(m, number, name, data[1])

    async def open(self, m, name):
        ours = b"ours " + self.fresh()
        try:
            inode = (await m.fs.lookup(1, name)).number
        except CognitoFSError:
            handle, _ = await m.fs.create(1, name, 0o644, 2)
            return handle, (ours, ours)
        if self.random.random() < 0.5:
            return await m.fs.open(inode, 0o1002), (ours, ours)
        handle = await m.fs.open(inode, 2)
        try:
            before = await m.fs.read(handle, 0, 10_000)
        except CognitoFSError:
            await m.fs.release(handle)
            return None, None
        assert before in self.known[name], (name, before)
        return handle, (ours, ours + before[len(ours) :])

    async def close(self, m, handle, name, data):
        self.known[name].add(data)
        try:
            await m.fs.flush(handle)
        except Stale:
            self.counts["conflicts"] += 1
        except CognitoFSError:
            self.counts["failed closes"] += 1
        self.acknowledged[name].append(data)
        await m.fs.release(handle)

    async def other_client(self):
        if self.random.random() < 0.15:
            self.counts["changes in between"] += 1
            self.random.choice((self.put, self.put, self.delete))(self.random.choice(NAMES))

    async def look(self, m, name):
        """Read: what a name shows was meant to be its content; nothing is mixed or torn."""
        try:
            data = await m.read_file(name)
        except CognitoFSError:
            return
        assert data in self.known[name], (name, data)

    async def live(self, m):
        for _ in range(12):
            name = self.random.choice(NAMES)
            step = self.random.choice((self.save, self.save, self.look, None))
            try:
                if step is not None:
                    await step(m, name)
            except CognitoFSError:
                self.counts["refused steps"] += 1
            await self.other_client()
            await trio.sleep(self.random.choice((0, 0, 1, 7)))

    async def settle(self, m):
        await trio.sleep(10)
        await m.fs.rig.uploader.wait_drained()
        await m.fs.files.headers.wait_drained()

    async def check(self, m):
        """Nothing that was acknowledged is gone: it was on S3, or it is parked and readable."""
        parked = []
        for upload in m.fs.rig.uploader.uploads():
            assert upload.state == "conflict", upload.state
            with upload.spool.in_use() as fd:
                parked.append((upload.seal, os.pread(fd, upload.seal.size, 0)))
            self.counts["parked files"] += 1
        for name, versions in self.acknowledged.items():
            if versions and not self._was_on_s3(name, versions[-1]):
                assert any(_holds(*kept, name, versions[-1]) for kept in parked), (name, versions)
        for name in NAMES:
            try:
                assert self.cloud.data(name) in self.known[name]
            except NotFound:
                continue

    def _was_on_s3(self, name, data):
        """Tell whether *data* was a version of the name, or of a conflict copy of it."""
        copy = f"{name} (conflicted copy "
        return any(
            data in versions
            for key, versions in self.cloud.versions.items()
            if key == name or key.startswith(copy)
        )


def _holds(seal, spooled, name, data):
    """Tell whether a parked file has all that was written of *data*."""
    is_it = (seal.key, seal.size) == (name, len(data)) and bool(seal.touched)
    return is_it and all(spooled[a:b] == data[a:b] for a, b in seal.touched)


async def rivalry(cloud, state, seed, counts):
    rivals = Rivals(cloud, state, seed, counts)
    store = FaultyStore(cloud)
    for _ in range(3):
        for operation in ("put", "complete_upload"):
            if rivals.random.random() < 0.4:
                moment = rivals.random.choice(("before", "after"))
                store.fail(operation, Unreachable("lost"), moment=moment)
        level = rivals.random.choice(("close", "fsync"))
        policy = rivals.random.choice(("copy", "copy", "fail"))
        async with mounted(store, state, sync=level, conflict=policy) as m:
            await rivals.live(m)  # and a crash
            counts["conflict copies"] += m.fs.rig.conflicts.total
        close_files_in(state)
        counts["crashes"] += 1
    store.heal()
    async with mounted(store, state, conflict=policy) as m:
        await rivals.settle(m)
        await rivals.check(m)


def rivalry_of(seed, counts):
    with tempfile.TemporaryDirectory() as state, pytest.MonkeyPatch.context() as patch:
        trio._core._run._r.seed(seed)
        cloud = Cloud()
        Disk(patch, cloud)
        clock = trio.testing.MockClock(autojump_threshold=0)
        try:
            trio.run(rivalry, cloud, Path(state), seed, counts, clock=clock)
        except BaseException as exc:
            exc.add_note(f"rivalry_of({seed})")
            raise
        finally:
            close_files_in(state)


def check_lives(effort, ordinary):
    for seed in effort.rounds(ordinary):
        rivalry_of(seed, effort.counts)
    effort.demand(
        6, "conflicts", "conflict copies", "parked files", "changes in between", "crashes"
    )


def test_two_writers_lose_nothing_to_each_other(effort):
    check_lives(effort, 50)


@pytest.mark.reliability
def test_two_writers_lose_nothing_to_each_other_in_many_lives(effort):
    check_lives(effort, 500)
