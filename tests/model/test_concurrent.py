"""Many at work on the same files, in every order that a seed brings.

Nobody waits forever, no byte is lost, and what one task did is not undone by another.
"""

import random
import tempfile
from pathlib import Path

import pytest
import trio
import trio.lowlevel
import trio.testing

from cognitofs.fs.filesystem import Changes
from tests.fs.fsrig import mounted
from tests.model.weather import Cloud, Disk, close_files_in

REGION = 40
ROUNDS = 8
WRITERS = 3


class DistantCloud(Cloud):
    """Requests and answers take a while, and overtake each other."""

    def __init__(self, seed):
        super().__init__()
        self._random = random.Random(seed)

    async def _request(self, operation, effect):
        await trio.sleep(self._random.random())
        answer = await super()._request(operation, effect)
        with trio.CancelScope(shield=True):  # as a worker thread cannot be cancelled
            await trio.sleep(self._random.random())
        return answer


class Crowd:
    def __init__(self, m, seed, counts):
        self.m = m
        self.random = random.Random(seed)
        self.counts = counts
        self.regions = {}
        self.name = "shared"
        self.renaming = trio.Lock()
        self.working = 0

    async def pause(self):
        await trio.sleep(self.random.choice((0, 0, 0.1, 1)) * self.random.random())

    async def find(self, name):
        """Look a name up as often as it takes: it may be renamed in between."""
        async with self.renaming:  # the kernel holds the directory over a rename
            return (await self.m.fs.lookup(1, self.name if name == "shared" else name)).number

    async def writer(self, index):
        """Write one region over and over; nobody else does."""
        self.working += 1
        handle = await self.m.fs.open(await self.find("shared"), 2)
        for n in range(ROUNDS):
            data = bytes([index * 50 + n + 1]) * REGION
            await self.m.fs.write(handle, index * REGION, data)
            self.regions[index] = data
            await self.pause()
            assert await self.m.fs.read(handle, index * REGION, REGION) == data
            await self.random.choice((self.m.fs.flush, self.m.fs.fsync, lambda _: self.pause()))(
                handle
            )
        await self.m.close(handle)
        self.working -= 1

    async def renamer(self):
        while self.working:
            new = "other" if self.name == "shared" else "shared"
            async with self.renaming:
                await self.m.fs.rename(1, self.name, 1, new, replace=True)
                self.name = new
            self.counts["renames"] += 1
            await trio.sleep(3 * self.random.random())

    async def setter(self):
        while self.working:
            mode = self.random.choice((0o600, 0o640, 0o644))
            await self.m.fs.setattr(await self.find("shared"), Changes(mode=mode), None)
            self.mode = mode
            await trio.sleep(3 * self.random.random())

    async def lister(self):
        """List: the shared file has exactly one of its names."""
        while self.working:
            async with self.renaming:
                names = await self.m.listdir()
                assert len({"shared", "other"} & set(names)) == 1
            self.counts["listings"] += 1
            await trio.sleep(3 * self.random.random())

    async def maker(self):
        """Make files and remove them while they stream."""
        for n in range(ROUNDS):
            handle, _ = await self.m.create(f"t{n}", bytes([n + 1]) * 90)
            await self.pause()
            fate = self.random.randrange(3)
            if fate == 0:
                await self.m.fs.unlink(1, f"t{n}")
                self.counts["unlinked while streaming"] += 1
            elif fate == 1:
                async with self.renaming:
                    await self.m.fs.rename(1, f"t{n}", 1, "t", replace=True)
            await self.m.close(handle)


async def work(cloud, state, level, seed, counts):
    async with mounted(cloud, state, sync=level) as m:
        crowd = Crowd(m, seed, counts)
        await m.store_file("shared", bytes(WRITERS * REGION))
        with trio.fail_after(10_000):
            async with trio.open_nursery() as nursery:
                for index in range(WRITERS):
                    nursery.start_soon(crowd.writer, index)
                await trio.lowlevel.checkpoint()
                for task in (crowd.renamer, crowd.setter, crowd.lister, crowd.maker):
                    nursery.start_soon(task)
            await m.drain()
        expected = b"".join(crowd.regions[index] for index in range(WRITERS))
        assert await m.read_file(crowd.name) == expected
        assert cloud.data(crowd.name) == expected
        metadata = cloud.bucket.head(crowd.name).headers.metadata
        assert int(metadata["file-permissions"], 8) & 0o777 == getattr(crowd, "mode", 0o644)
        assert set(cloud.keys) <= {crowd.name, "t", *(f"t{n}" for n in range(ROUNDS))}
        assert cloud.bucket.uploads == ()
        assert m.fs.rig.spools.names() == []
        assert m.fs.rig.journal.is_empty()


def crowd_of(level, seed, counts):
    with tempfile.TemporaryDirectory() as state, pytest.MonkeyPatch.context() as patch:
        trio._core._run._r.seed(seed)
        cloud = DistantCloud(seed)
        Disk(patch, cloud)
        clock = trio.testing.MockClock(autojump_threshold=0)
        try:
            trio.run(work, cloud, Path(state), level, seed, counts, clock=clock)
        except BaseException as exc:
            exc.add_note(f"crowd_of({level!r}, {seed})")
            raise
        finally:
            close_files_in(state)


@pytest.mark.parametrize("level", ["close", "fsync", "local"])
def test_many_tasks_on_one_file_lose_nothing(level, effort):
    for seed in effort.rounds(10):
        crowd_of(level, seed, effort.counts)
    effort.demand(10, "renames", "unlinked while streaming", "listings")


@pytest.mark.reliability
@pytest.mark.parametrize("level", ["close", "fsync", "local"])
def test_many_tasks_on_one_file_lose_nothing_in_many_orders(level, effort):
    for seed in effort.rounds(50):
        crowd_of(level, seed, effort.counts)
    effort.demand(50, "renames")
