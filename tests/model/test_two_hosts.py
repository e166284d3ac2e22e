"""Two hosts mount one prefix and edit the same names: no acknowledged line is ever lost.

Each edit reads a whole file and writes it again with one line more, a line that nobody else writes.
So a lost update is a line that is missing: at the end each acknowledged one stands in the file, in
a conflict copy beside it, or in what its host keeps for a person.
"""

import os
import random
import tempfile
from pathlib import Path

import pytest
import trio
import trio.testing

from cognitofs.errors import CognitoFSError, Unreachable
from cognitofs.testing import FaultyStore
from tests.fs.fsrig import mounted
from tests.model.weather import Cloud, Disk, close_files_in

NAMES = ("a.txt", "b", "c.log")
EDITS = 25
LIVES = 2


class Host:
    """One of the two: its store, its state directory, and what it was promised."""

    def __init__(self, name, cloud, state, chance, counts):
        self.name, self.store, self.state = name, FaultyStore(cloud), state / name
        self.state.mkdir()
        self.chance, self.counts = chance, counts
        self.lines = set()
        self.edits = 0

    async def live(self):
        """Edit, crash, and edit again."""
        for _ in range(LIVES):
            level = self.chance.choice(("close", "fsync"))
            async with mounted(
                self.store, self.state, keeps_cache=True, sync=level, host=self.name
            ) as m:
                for _ in range(EDITS):
                    await self.edit(m, self.chance.choice(NAMES))
                    await trio.sleep(self.chance.choice((0, 0.2, 1, 3)))
                self.counts["conflict copies"] += m.fs.rig.conflicts.total
            close_files_in(self.state)
            self.counts["crashes"] += 1

    async def edit(self, m, name):
        """Add a line; what close acknowledges is a promise, an error is none."""
        self.counts["edits"] += 1
        self.edits += 1
        line = f"{self.name} {self.edits}|".encode() * self.chance.choice((1, 1, 3))
        if self.chance.random() < 0.1:
            operation = self.chance.choice(("put", "complete_upload", "head"))
            self.store.fail(operation, Unreachable("lost"), moment=self.chance.choice(MOMENTS))
        try:
            handle, before = await self._open(m, name)
            await trio.sleep(self.chance.choice((0, 0, 0.1, 1)))
            await m.fs.write(handle, 0, before + line)
            await m.close(handle)
        except CognitoFSError:
            self.counts["edits that failed"] += 1
            return
        self.lines.add(line)

    async def _open(self, m, name):
        try:
            number = (await m.fs.lookup(1, name)).number
        except CognitoFSError:
            return (await m.fs.create(1, name, 0o644, 2))[0], b""
        handle = await m.fs.open(number, 2)
        try:
            return handle, await m.fs.read(handle, 0, 1 << 20)
        except CognitoFSError:
            await m.fs.release(handle)
            raise

    async def end(self):
        """Send what is left, and return what is kept for a person."""
        self.store.heal()
        async with mounted(self.store, self.state, keeps_cache=True, host=self.name) as m:
            await m.drain()
            kept = []
            for upload in m.fs.rig.uploader.uploads():
                assert upload.state == "conflict", upload.state
                self.counts["kept for a person"] += 1
                with upload.spool.in_use() as fd:
                    kept.append(os.pread(fd, upload.seal.size, 0))
            self.counts["conflict copies"] += m.fs.rig.conflicts.total
        return kept


MOMENTS = ("before", "after")


async def both(cloud, state, seed, counts):
    hosts = [
        Host(name, cloud, state, random.Random(f"{seed} {name}"), counts) for name in ("one", "two")
    ]
    async with trio.open_nursery() as nursery:
        for host in hosts:
            nursery.start_soon(host.live)
    found = [kept for host in hosts for kept in await host.end()]
    found += [cloud.data(key) for key in cloud.keys]
    for host in hosts:
        counts["acknowledged lines"] += len(host.lines)
        lost = [line for line in host.lines if not any(line in data for data in found)]
        assert not lost, (host.name, lost)
    assert not cloud.bucket.uploads


def lives_of(seed, counts):
    with tempfile.TemporaryDirectory() as state, pytest.MonkeyPatch.context() as patch:
        trio._core._run._r.seed(seed)
        cloud = Cloud()
        Disk(patch, cloud)
        clock = trio.testing.MockClock(autojump_threshold=0)
        try:
            trio.run(both, cloud, Path(state), seed, counts, clock=clock)
        except BaseException as exc:
            exc.add_note(f"lives_of({seed}, Counter())")
            raise
        finally:
            close_files_in(state)


def check(effort, ordinary):
    for seed in effort.rounds(ordinary):
        lives_of(seed, effort.counts)
    effort.demand(10, "conflict copies", "acknowledged lines", "crashes")


def test_two_hosts_lose_no_line_to_each_other(effort):
    check(effort, 6)


@pytest.mark.reliability
def test_two_hosts_lose_no_line_to_each_other_in_2000_edits_and_more(effort):
    check(effort, 60)
