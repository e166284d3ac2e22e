"""What the engine runs on in these tests: an S3 that keeps watch, threads without threads, a crash.

`Cloud` is the memory store that also checks what must hold of every request: no commit without a
condition, so that a foreign version is never overwritten unseen. A `Crash` ends the process: from
then on no request, no journal entry and no file operation of the engine has any effect.
"""

import os
from collections import defaultdict
from contextlib import contextmanager

import trio

from cognitofs.spool.journal import Journal
from cognitofs.spool.spooldirectory import SpoolDirectory
from cognitofs.store.interface import ObjectInfo
from cognitofs.testing import MemoryStore

ENDLESS = 20_000
"""Requests; a life of some dozen steps needs some hundred."""


class Crash(BaseException):
    """The process is gone."""


class Fuse:
    """Counts the engine's steps of one kind, and ends the process at the one that was chosen."""

    def __init__(self):
        self.count = 0
        self.at = None
        self.after = False
        self.blown = False

    def arm(self, at, *, after):
        self.count, self.at, self.after, self.blown = 0, at, after, False

    def disarm(self):
        self.at, self.blown = None, False

    def check(self):
        """Nothing happens any more after the crash."""
        if self.blown:
            raise Crash

    @contextmanager
    def step(self):
        self.check()
        self.count += 1
        if self.at == self.count and not self.after:
            self.blown = True
            raise Crash
        yield
        if self.at == self.count and self.after:
            self.blown = True
            raise Crash


class Cloud(MemoryStore):
    """A strict bucket, parts of 16 bytes, watched; `fuse` counts its requests."""

    def __init__(self):
        super().__init__(part_minimum=16)
        self.fuse = Fuse()
        self.journalled = set()
        """Multipart uploads of which the engine can know: their ids reached the journal."""
        self.versions = defaultdict(set)
        """All that ever was on S3, by key."""

    async def put(self, key, body, headers, *, expect):
        assert expect != "any" or key.endswith("/"), f"an unconditional put of {key}"
        return await super().put(key, body, headers, expect=expect)

    async def complete_upload(self, key, upload, parts, *, expect):
        assert expect != "any", f"an unconditional complete of {key}"
        return await super().complete_upload(key, upload, parts, expect=expect)

    async def copy(self, source, target, *, expect, headers):
        assert expect != "any", f"an unconditional copy to {target}"
        return await super().copy(source, target, expect=expect, headers=headers)

    async def delete(self, key, *, expect="any"):
        assert expect != "any" or key.endswith("/"), f"an unconditional delete of {key}"
        await super().delete(key, expect=expect)

    async def delete_many(self, versions):
        for key, expect in versions:
            assert expect != "any" or key.endswith("/"), f"an unconditional delete of {key}"
        return await super().delete_many(versions)

    async def _request(self, operation, effect):
        self.fuse.check()
        assert self.requests.total() < ENDLESS, f"requests without end: {self.requests}"

        def watched():
            with self.fuse.step():
                answer = effect()
                if isinstance(answer, ObjectInfo):
                    self.versions[answer.key].add(self.data(answer.key))
                return answer

        return await super()._request(operation, watched)


async def run_inline(sync_fn, *args, **_):
    """Stand in for a worker thread: the same moments at which others may run, and none else."""
    await trio.lowlevel.checkpoint()
    try:
        return sync_fn(*args)
    finally:
        await trio.lowlevel.cancel_shielded_checkpoint()


class Disk:
    """Puts the journal and the names in the spool under the same crash as the store."""

    def __init__(self, monkeypatch, cloud):
        self.commits = Fuse()
        self.cloud = cloud
        monkeypatch.setattr(trio.to_thread, "run_sync", run_inline)
        monkeypatch.setattr(trio.from_thread, "run_sync", lambda call, *args: call(*args))
        apply, unlink, give_up = Journal._apply, SpoolDirectory.unlink, SpoolDirectory.give_up

        def applied(journal, batch):
            cloud.fuse.check()
            with self.commits.step():
                apply(journal, batch)
                cloud.journalled |= {
                    values[0] for sql, values in batch.statements if "INTO upload" in sql
                }

        def checked(function):
            def call(*args):
                self.check()
                return function(*args)

            return call

        monkeypatch.setattr(Journal, "_apply", applied)
        monkeypatch.setattr(SpoolDirectory, "unlink", checked(unlink))
        monkeypatch.setattr(SpoolDirectory, "give_up", checked(give_up))
        request = cloud._request

        async def requested(operation, effect):
            self.commits.check()
            return await request(operation, effect)

        monkeypatch.setattr(cloud, "_request", requested)

    @property
    def is_dead(self):
        """Whether the process was ended."""
        return self.commits.blown or self.cloud.fuse.blown

    def check(self):
        self.commits.check()
        self.cloud.fuse.check()

    def disarm(self):
        self.commits.disarm()
        self.cloud.fuse.disarm()


def open_files():
    """Return what this process has open, by descriptor."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[int(fd)] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # that of the listing itself
            continue
    return found


def close_files_in(directory):
    """Do what the end of a process does for its open files."""
    for fd, path in open_files().items():
        if path.startswith(str(directory)):
            os.close(fd)
