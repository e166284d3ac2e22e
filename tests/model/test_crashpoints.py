"""The process ends at every request and at every journal entry of some short works, and comes back.

Before the effect and after it; and again while it recovers. What close() and fsync() acknowledged
is there, what they did not is not, and in the end S3 holds exactly what the mount shows.
"""

import random
import tempfile
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.model.host import Host
from tests.model.weather import Cloud, Crash, Disk, close_files_in

OLD = bytes(range(1, 90))
AGAIN = 4
"""Second crashes for each first one, at places drawn from the seed; all of them in a long run."""

CRASHES = {"request": "crashes at a request", "entry": "crashes at an entry"}

WORKS = {
    "a small file is stored": ["create a", "write 0 9", "close"],
    "an empty file is stored": ["create a", "close"],
    "a file of several parts is stored": ["create a", "write 0 100", "close"],
    "a file is synced twice and appended to": [
        "create a", "write 0 40", "fsync", "write 40 30", "fsync", "write 70 5", "close",
    ],
    "a stored file is changed in the middle": ["open old", "write 40 3", "close"],
    "a streamed file is rewritten before it is closed": [
        "create a", "write 0 100", "pause", "write 3 20", "close", "read a",
    ],
    "a stored file is written anew": ["truncating old", "write 0 50", "close"],
    "a stored file is cut and extended": ["cut old 10", "cut old 60"],
    "a file is saved by rename": [
        "create tmp", "write 0 50", "fsync", "close", "rename tmp old", "read old",
    ],
    "an unsent file takes the place of another": [
        "create b", "write 0 33", "close", "create a", "write 0 20", "close", "rename a b",
    ],
    "a file that is still open is renamed": [
        "create a", "write 0 40", "flush", "write 5 5", "rename a b", "write 50 5", "close",
    ],
    "a stored file moves and its directory stays": ["mkdir e", "rename d/x e/x", "unlink e/x"],
    "files are removed": [
        "create a", "write 0 40", "close", "unlink a", "unlink old", "create a", "close",
    ],
    "a directory moves with all kinds of files": [
        "create d/a", "write 0 20", "close", "create d/b", "write 0 40", "fsync", "rename d e",
        "read e/x", "write 40 9", "close",
    ],
    "a directory takes the place of an empty one": ["mkdir e", "chmod d/x", "rename d e"],
    "a directory goes and comes back": [
        "unlink d/x", "rmdir d", "mkdir d", "create d/x", "write 0 20", "close",
    ],
    "a file larger than the space for it is stored": [
        "space 40", "create a", "fill 0 80", "close", "read a",
    ],
    "a file larger than the space for it is synced, goes on and moves": [
        "space 64", "create a", "fill 0 120", "fsync", "write 5 9", "write 120 20", "rename a b",
        "close",
    ],
    "a file larger than the space for it takes a name while it is open": [
        "space 40", "create a", "fill 0 80", "rename a old", "close",
    ],
    "a file larger than the space for it goes while it is open": [
        "space 40", "create b", "fill 0 80", "unlink b", "close",
    ],
    "a file larger than the space for it gives way": [
        "space 64", "create a", "fill 0 120", "create b", "write 0 20", "close", "rename b a",
        "close",
    ],
    "a link and a mode": ["symlink a to/old", "chmod old", "rename old b", "rename a c"],
}  # fmt: skip


LONG = [name for name in WORKS if name.startswith("a file larger than the space for it ")][1:]
"""Works with too many points for each submission."""


class Work:
    """Does one work, word by word."""

    def __init__(self, host):
        self.host = host
        self.opened = []

    async def do(self, line):
        verb, *words = line.split()
        await getattr(self, verb)(*(int(word) if word.isdigit() else word for word in words))

    async def create(self, path):
        self.opened.append(await self.host.create(path))

    async def open(self, path):
        self.opened.append(await self.host.open(path))

    async def truncating(self, path):
        self.opened.append(await self.host.open(path, 0o1002))

    async def write(self, at, size):
        await self.host.write(self.opened[-1], at, self.host.fresh(size))

    async def space(self, size):
        """Leave that much for unsent bytes."""
        self.host.m.fs.rig.spools.space.limit = size

    async def fill(self, at, size):
        """Write in pieces, as `cp` does."""
        for start in range(at, at + size, 20):
            await self.write(start, min(20, at + size - start))

    async def flush(self):
        await self.host.flush(self.opened[-1])

    async def fsync(self):
        await self.host.fsync(self.opened[-1])

    async def close(self):
        await self.host.close(self.opened.pop())

    async def pause(self):
        await trio.sleep(1)

    async def cut(self, path, size):
        await self.host.truncate_path(path, size)

    async def chmod(self, path):
        await self.host.chmod(path, 0o600)

    async def read(self, path):
        await self.host.read_path(path)

    async def rename(self, old, new):
        await self.host.rename(old, new)

    async def unlink(self, path):
        await self.host.unlink(path)

    async def mkdir(self, path):
        await self.host.mkdir(path)

    async def rmdir(self, path):
        await self.host.rmdir(path)

    async def symlink(self, path, target):
        await self.host.symlink(path, target)


class Case:
    """One work on one host, cut off at a chosen place."""

    def __init__(self, patch, state, level, work):
        self.patch = patch
        self.cloud = Cloud()
        self.disk = Disk(patch, self.cloud)
        self.host = Host(self.cloud, Path(state))
        self.level, self.work = level, work
        self.light = lambda: None
        """Called when the work begins."""
        self.cloud.outside_put("old", OLD)
        self.cloud.outside_put("d/x", OLD)

    def fuse(self, kind):
        return self.cloud.fuse if kind == "request" else self.disk.commits

    def run(self, stage):
        """Return whether the process survived *stage*."""
        try:
            trio.run(stage, clock=trio.testing.MockClock(autojump_threshold=0))
        except (BaseExceptionGroup, Crash):  # bare: at the opening of the journal
            if not self.disk.is_dead:  # what a dead process does is of no account
                raise
        survived = not self.disk.is_dead
        self.disk.disarm()
        return survived

    async def live(self):
        async with self.host.mount(self.level):
            self.host.world.became(await self.host.observe())
            self.cloud.fuse.count = self.disk.commits.count = 0
            self.light()
            work = Work(self.host)
            for line in self.work:
                self.host.intended = dict
                await work.do(line)
            self.host.intended = dict
            await self.host.finish()

    async def recover(self, before, after):
        async with self.host.mount(self.level):
            await self.host.check_start(before, after)
            await self.host.finish()
        await self.host.check_again()


def with_case(level, work, body):
    with tempfile.TemporaryDirectory() as state, pytest.MonkeyPatch.context() as patch:
        trio._core._run._r.seed(len(work))
        try:
            return body(Case(patch, state, level, work))
        finally:
            close_files_in(state)


def count_points(level, work):
    """Return how many requests and journal entries the whole work makes."""

    def body(case):
        assert case.run(case.live)
        return {"request": case.cloud.fuse.count, "entry": case.disk.commits.count}

    return with_case(level, work, body)


def crash_and_recover(level, work, point, again=None):
    """Return whether the crash, and the one during recovery, did happen."""
    kind, at, after = point

    def body(case):
        case.light = lambda: case.fuse(kind).arm(at, after=after)
        if case.run(case.live):
            return False
        before = case.host.world.kept()
        intended = case.host.intended(before)
        happened = True
        if again is not None:
            case.fuse(again[0]).arm(again[1], after=again[2])
            happened = not case.run(lambda: case.recover(before, intended))
            if happened and case.host.world.kept() != before:
                before = intended = case.host.world.kept()  # seen once, it stays
            elif not happened:
                return False
        assert case.run(lambda: case.recover(before, intended))
        return happened

    return with_case(level, work, body)


def points(level, work):
    for kind, number in count_points(level, work).items():
        for at in range(1, number + 1):
            yield (kind, at, False)
            yield (kind, at, True)


def try_all(happens):
    """Try every second crash; *happens* tries one, and tells whether it was reached."""
    for kind in ("request", "entry"):
        for after in (False, True):
            for at in count(1):
                if not happens((kind, at, after)):
                    break


@pytest.mark.parametrize("level", ["close", pytest.param("fsync", marks=pytest.mark.reliability)])
@pytest.mark.parametrize(
    "work",
    [
        pytest.param(work, id=name, marks=[pytest.mark.reliability] if name in LONG else [])
        for name, work in WORKS.items()
    ],
)
def test_a_crash_at_any_point_loses_nothing_that_was_acknowledged(level, work, effort):
    for point in points(level, work):
        happened = crash_and_recover(level, work, point)
        effort.counts[CRASHES[point[0]]] += happened
        effort.counts["cases"] += 1
    effort.demand(2, "crashes at a request", "crashes at an entry")


@pytest.mark.reliability
@pytest.mark.parametrize("level", ["close", "fsync", "local"])
@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS.keys())
def test_a_crash_during_the_recovery_of_a_crash_loses_nothing_either(level, work, effort):
    chance = random.Random(effort.seed)

    def crash_again(point, again):
        happened = crash_and_recover(level, work, point, again)
        effort.counts[f"second {CRASHES[again[0]]}"] += happened
        effort.counts["cases"] += 1
        return happened

    for point in points(level, work):
        if effort.is_over():
            break
        if effort.is_long:
            try_all(partial(crash_again, point))
            continue
        for _ in range(AGAIN):
            at = (chance.choice(("request", "entry")), chance.randint(1, 12), chance.random() < 0.5)
            crash_again(point, at)
    effort.demand(1, "second crashes at a request")
