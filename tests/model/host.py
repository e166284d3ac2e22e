"""Host: one machine that mounts the prefix, does what a program would do, and crashes.

Every step is done to the engine and to the `World`, and what the engine shows is compared with
it. A step that failed in bad weather may have happened or not: the network is mended then, and the
world goes on with what is found, if it is one of the two.
"""

from collections import Counter
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import trio

from cognitofs.errors import AccessDenied, CognitoFSError, NoSuchEntry, Stale
from cognitofs.fs.filesystem import Changes
from cognitofs.testing import FaultyStore
from tests.fs.fsrig import mounted
from tests.model.weather import close_files_in, open_files
from tests.model.world import DIRECTORY, FILE, LINK, Node, World, moved

LOCAL, ANY = 300, 5000
"""Virtual seconds after which the kernel's side cancels a handler (fuse/operations.py)."""
ROOT = 1
READ_WRITE = 2
TROUBLE = (CognitoFSError, trio.TooSlowError)


@dataclass(eq=False)
class Handle:
    id: int
    number: int
    node: Node


class Failed(Exception):
    """A step that changes names failed in bad weather."""


class Undecided(Exception):
    """An object went although its unlink failed, and its unsent edit is kept for a person."""


class Host:
    def __init__(self, cloud, state, counts=None):
        self.cloud = cloud
        self.store = FaultyStore(cloud)
        self.state = state
        self.world = World()
        self.handles = []
        self.level = "close"
        self.is_bad = False
        self.is_certain = True
        """Whether it is known which names the open files have."""
        self.counts = Counter() if counts is None else counts
        self.lookups = Counter()
        self.m = None
        self.intended = dict
        """Of the step on names that is being done: from what was kept to what shall be."""
        self.begun = dict
        """Of the step that the crash has cut off, if any: likewise."""
        self.renaming = ()
        """The names of a rename that has begun and not come to its end."""
        self._fill = 0

    # -- the process ------------------------------------------------------------------------------

    @asynccontextmanager
    async def mount(self, level=None):
        """Start the process; leaving the block is its end without a word."""
        self.level = level or self.level
        try:
            async with mounted(
                self.store, self.state, keeps_cache=True, sync=self.level, conflict="fail"
            ) as self.m:
                self.counts["files recovered"] += self.m.recovered.files
                yield
                self._count_pending()
        except BaseExceptionGroup as group:
            # The reader was ended before an upload that needed it: a crash asks nobody's leave.
            _, others = group.split(_is_late)
            if others is not None:
                raise others from None
        finally:
            close_files_in(self.state)
            self.handles, self.lookups = [], Counter()

    def _count_pending(self):
        uploads = self.m.fs.rig.uploader.uploads()
        self.counts["crashes with sealed files pending"] += bool(uploads)
        self.counts["crashes with parts sent"] += any(u.sent_bytes for u in uploads)
        self.counts["crashes with an unsettled commit"] += any(
            u.unsettled is not None or u.state == "committing" for u in uploads
        )
        self.counts["crashes with unsealed bytes"] += any(f.dirty for f in self.m.fs.files.all())

    async def check_start(self, before, after):
        """Check that a process started anew shows what was kept.

        After bad weather a name that was taken away may show again until S3 was asked.
        """
        self.store.heal()
        if self.is_bad:
            await self.mend()
        self.check_kept(await self.observe(), before, after)

    def check_kept(self, found, before, after):
        """Check that what is found was kept before the step that was cut off, or after it.

        A rename that was cut off may have left what S3 had, under its old or its new name.
        """
        for path in {*found, *before, *after}:
            allowed = [side[path] for side in (before, after) if path in side]
            if before.get(path, "") != after.get(path, "") or path in self.renaming:
                allowed += self.cloud.versions[path]
            if path in found:
                assert found[path] in allowed, (path, found[path], allowed)
            else:
                assert path not in before or path not in after, f"{path} was lost: {allowed}"
        for path, data in before.items():
            if data and path not in after:  # renamed or removed: renamed things stay somewhere
                twins = [p for p, d in after.items() if d == data and before.get(p) != data]
                assert not twins or any(found.get(p) == data for p in [path, *twins]), path
        self.world.became(found)
        self.renaming = ()

    # -- the kernel's part ------------------------------------------------------------------------

    async def number(self, path):
        number = ROOT
        for name in path.split("/") if path else ():
            stat = await self.m.fs.lookup(number, name)
            number = stat.number
            self.lookups[number] += 1
        return number

    async def split(self, path):
        above, _, name = path.rpartition("/")
        return await self.number(above), name

    def forget_all(self):
        for number, count in self.lookups.items():
            self.m.fs.forget(number, count)
        self.lookups = Counter()

    @contextmanager
    def tolerant(self, within):
        """Let a step that changes nothing fail or run out of time, in bad weather only."""
        try:
            with trio.fail_after(within):
                yield
        except TROUBLE as exc:
            # No answer must not be taken for no file. A part that was refused while it streamed
            # is the error of a write, also much later.
            is_allowed = self.is_bad or isinstance(exc, AccessDenied)
            if not is_allowed or isinstance(exc, NoSuchEntry):
                raise
            self.counts["failed reads"] += 1

    @contextmanager
    def naming(self, within):
        """Let a step that changes names fail likewise; it may have happened or not."""
        try:
            with trio.fail_after(within):
                yield
        except TROUBLE as exc:
            if not self.is_bad or isinstance(exc, NoSuchEntry):
                raise
            raise Failed from exc

    def fresh(self, size):
        """Return bytes that no other write has had, within reason."""
        self._fill = self._fill % 250 + 1
        return bytes([self._fill]) * size

    # -- steps on open files ----------------------------------------------------------------------

    async def create(self, path):
        self.intended = dict
        parent, name = await self.split(path)
        handle, stat = await self.m.fs.create(parent, name, 0o644, READ_WRITE)
        self.lookups[stat.number] += 1
        self.world.tree[path] = node = Node(FILE, mode=0o644)
        return self._opened(handle, stat.number, node)

    async def open(self, path, flags=READ_WRITE):
        number = await self.number(path)
        handle = await self.m.fs.open(number, flags)
        node = self.world.tree[path]
        if flags & 0o1000:
            node.data = b""
        return self._opened(handle, number, node)

    def _opened(self, handle, number, node):
        opened = Handle(handle, number, node)
        self.handles.append(opened)
        return opened

    async def write(self, handle, at, data):
        await self.m.fs.write(handle.id, at, data)
        handle.node.write(at, data)

    async def truncate(self, handle, size):
        self.intended = dict
        await self.m.fs.setattr(handle.number, Changes(size=size), handle.id)
        handle.node.truncate(size)

    async def read(self, handle, start=0, size=1 << 20):
        data = await self.m.fs.read(handle.id, start, size)
        expected = handle.node.data[start : start + size]
        assert data == expected, (data, expected)

    async def flush(self, handle):
        """Seal: whatever S3 says, the bytes are kept then."""
        self.intended = self._sealing(handle.node)
        try:
            await self._in_time(self.m.fs.flush, handle.id)
        except Stale:
            raise
        except CognitoFSError:
            assert self.is_bad
            self.counts["failed closes"] += 1
        else:
            self._is_promised(handle.node, now=self.level == "close" and bool(handle.node.data))
        handle.node.seal()

    def _sealing(self, node):
        paths = [path for path, found in self.world.tree.items() if found is node]
        return lambda kept: kept | dict.fromkeys(paths, node.data)

    async def fsync(self, handle):
        self.intended = self._sealing(handle.node)
        try:
            await self._in_time(self.m.fs.fsync, handle.id)
        except CognitoFSError:
            assert self.is_bad
            self.counts["failed closes"] += 1
        else:
            self._is_promised(handle.node, now=self.level != "local")
        handle.node.seal()

    async def _in_time(self, call, *args):
        """Whatever the weather, it ends by itself."""
        with trio.fail_after(ANY):
            await call(*args)

    def _is_promised(self, node, *, now):
        """Where the level says so, S3 has it at this moment."""
        paths = [path for path, found in self.world.tree.items() if found is node]
        if now and paths and self.is_certain:
            assert self.cloud.data(paths[0]) == node.data, "acknowledged, but not on S3"

    async def close(self, handle):
        try:
            await self.flush(handle)
        finally:
            self.handles.remove(handle)
            with self.tolerant(LOCAL):
                await self.m.fs.release(handle.id)

    async def begin_to_close(self, handle, moments):
        """Close, but only for so many moments; what it had done by then is not known."""
        self.begun = self._sealing(handle.node)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._close_unseen, handle)
            for _ in range(moments):
                await trio.lowlevel.checkpoint()
            uploads = self.m.fs.rig.uploader.uploads()
            self.counts["crashes between parts"] += any(u.sent_bytes for u in uploads)
            nursery.cancel_scope.cancel()

    async def _close_unseen(self, handle):
        with suppress(CognitoFSError):
            await self.m.fs.flush(handle.id)

    # -- another client ---------------------------------------------------------------------------

    def is_open(self, path):
        node = self.world.tree.get(path)
        return any(handle.node is node for handle in self.handles)

    async def foreign(self, path, size):
        """Let another client put an object, or remove it when *size* is None."""
        await self.mend()
        self.counts["changes by another client"] += 1
        if size is None:
            self.cloud.outside_delete(path)
            self.world.tree.pop(path, None)
        else:
            data = self.fresh(size)
            self.cloud.outside_put(path, data)
            self.cloud.versions[path].add(data)
            self.world.tree[path] = Node(FILE, data, data)
        await trio.sleep(6)  # longer than what is known of names is trusted
        await self.observe()  # in bad weather names are answered from what was seen last

    # -- steps on names ---------------------------------------------------------------------------

    async def read_path(self, path):
        handle = await self.open(path, 0)
        self.handles.remove(handle)
        try:
            await self.read(handle)
        finally:
            await self.m.fs.release(handle.id)

    async def truncate_path(self, path, size):
        node = self.world.tree[path]
        self.intended = dict
        number = await self.number(path)
        writers = any(h.node is node for h in self.handles)
        if not writers:
            cut = node.data[:size].ljust(size, b"\0")
            self.intended = lambda kept: kept | {path: cut}
        try:
            await self.m.fs.setattr(number, Changes(size=size), None)
        except TROUBLE:
            self._was_truncated(node, size, writers)  # kept all the same
            raise
        self._was_truncated(node, size, writers)

    def _was_truncated(self, node, size, writers):
        node.truncate(size)
        if not writers:
            node.seal()

    async def chmod(self, path, mode):
        node = self.world.tree[path]
        node.mode = mode if node.mode is not None else None
        self.intended = dict
        await self.m.fs.setattr(await self.number(path), Changes(mode=mode), None)

    async def unlink(self, path):
        self.intended = dict
        parent, name = await self.split(path)
        self.intended = lambda kept: {p: d for p, d in kept.items() if p != path}
        await self.m.fs.unlink(parent, name)
        del self.world.tree[path]

    async def rename(self, old, new):
        self.intended = dict
        old_parent, old_name = await self.split(old)
        new_parent, new_name = await self.split(new)
        self.intended = lambda kept: _renamed(kept, old, new)
        self.renaming = (old, new)
        await self.m.fs.rename(old_parent, old_name, new_parent, new_name, replace=True)
        self.world.rename(old, new)
        self.renaming = ()

    async def mkdir(self, path):
        self.intended = dict
        parent, name = await self.split(path)
        self.intended = lambda kept: kept | {path: None}
        stat = await self.m.fs.mkdir(parent, name, 0o755)
        self.lookups[stat.number] += 1
        self.world.tree[path] = Node(DIRECTORY)

    async def rmdir(self, path):
        self.intended = dict
        parent, name = await self.split(path)
        self.intended = lambda kept: {p: d for p, d in kept.items() if p != path}
        await self.m.fs.rmdir(parent, name)
        del self.world.tree[path]

    async def symlink(self, path, target):
        self.intended = dict
        parent, name = await self.split(path)
        self.intended = lambda kept: kept | {path: target.encode()}
        stat = await self.m.fs.symlink(parent, name, target)
        self.lookups[stat.number] += 1
        self.world.tree[path] = Node(LINK, target.encode(), target.encode())

    async def list_path(self, path):
        names = set(await self.m.listdir(await self.number(path)))
        expected = self.world.children(path)
        assert names >= expected
        if self.is_bad:  # what was taken away before its commit was answered may show again
            prefix = f"{path}/" if path else ""
            expected |= {key.removeprefix(prefix) for key in self.cloud.versions}
        assert names <= expected

    async def stat_path(self, path):
        node = self.world.tree[path]
        stat = await self.m.fs.getattr(await self.number(path))
        kinds = {DIRECTORY: 0o040000, FILE: 0o100000, LINK: 0o120000}
        if node.kind == DIRECTORY:
            assert stat.mode & 0o170000 == kinds[node.kind]
        else:
            assert stat.size == len(node.data)
            assert not node.mode or stat.mode & 0o777 == node.mode

    # -- weather ----------------------------------------------------------------------------------

    def fail(self, operation, error, moment, times):
        self.is_bad = True
        self.store.fail(operation, error, moment=moment, times=times)

    async def mend(self):
        """Wait, with good weather, until S3 has all that is sealed."""
        self.store.heal()
        with trio.fail_after(ANY):
            uploads = None
            while uploads is None or uploads:
                self.m.fs.rig.uploader.nudge()
                await self.m.fs.rig.uploader.wait_drained()
                await trio.sleep(1)
                uploads = self.m.fs.rig.uploader.uploads()
                if any(u.state == "conflict" for u in uploads) and not self.is_certain:
                    raise Undecided
            await self.m.fs.files.headers.wait_drained()
            await self.m.fs.rig.deletions.wait_drained()
            self._show_refused()
            self.m.fs.files.headers._draining = False
            while self.m.fs.rig.namespace.away.is_away():  # noqa: ASYNC110  # virtual time
                await trio.sleep(1)
        await trio.sleep(6)  # longer than what is known of names is trusted
        self.is_bad = False

    def _show_refused(self):
        """Expect what S3 refused to remove later: it shows again, and that is said."""
        for refused in self.m.fs.rig.deletions.refusals:
            if refused.key in self.cloud.keys and refused.key not in self.world.tree:
                data = self.cloud.data(refused.key)
                self.world.tree[refused.key] = Node(FILE, data, data)
                self.counts["refused deletions"] += 1

    # -- looking at everything --------------------------------------------------------------------

    async def observe(self):
        """Return what a walk through the mount finds: bytes by path, None for a directory."""
        found = {}
        with trio.fail_after(ANY):
            await self._walk(ROOT, "", found)
        return found

    async def _walk(self, number, path, found):
        for name in await self.m.listdir(number):
            stat = await self.m.fs.lookup(number, name)
            self.lookups[stat.number] += 1
            kind = stat.mode & 0o170000
            if kind == 0o040000:
                found[path + name] = None
                await self._walk(stat.number, f"{path}{name}/", found)
            elif kind == 0o120000:
                found[path + name] = (await self.m.fs.readlink(stat.number)).encode()
            else:
                handle = await self.m.fs.open(stat.number, 0)
                found[path + name] = await self.m.fs.read(handle, 0, 1 << 20)
                await self.m.fs.release(handle)
            assert len(found[path + name] or b"") == stat.size * (kind != 0o040000)

    async def settle_names(self):
        """After a step on names failed: close everything, mend, and see what became of it."""
        self.counts["failed steps on names"] += 1
        self.is_certain, intended = False, self.intended
        await self.close_all()
        before = self.world.kept()
        await self.mend()
        self.is_certain = True
        self.check_kept(await self.observe(), before, intended(before))

    async def close_all(self):
        for handle in list(self.handles):
            await self.close(handle)

    async def finish(self):
        """Close and drain: nothing is left behind."""
        await self.close_all()
        await self.mend()
        self.check_bucket()
        await self._check_nothing_is_left()

    async def check_again(self):
        """Another mount finds the same, sends nothing and closes every file it opened."""
        before, commits = open_files(), self._commits()
        async with self.mount():
            assert (self.m.recovered.files, self.m.recovered.missing) == (0, ())
            await self.mend()
            assert await self.observe() == self.world.shown()
            await self._check_nothing_is_left()
        assert self._commits() == commits, "a second recovery sent something"
        assert set(open_files()) == set(before), "descriptors were left open"

    def _commits(self):
        return sum(self.cloud.requests[name] for name in ("put", "copy", "complete_upload"))

    def check_bucket(self):
        files = {k: self.cloud.data(k) for k in self.cloud.keys if not k.endswith("/")}
        assert files == self.world.objects()
        markers = {key.rstrip("/") for key in self.cloud.keys if key.endswith("/")}
        assert markers <= set(self.world.directories())
        for path, node in self.world.tree.items():
            if node.mode:
                metadata = self.cloud.bucket.head(path).headers.metadata
                assert int(metadata["file-permissions"], 8) & 0o777 == node.mode

    async def _check_nothing_is_left(self):
        rig = self.m.fs.rig
        self.forget_all()
        rows = {
            table: rig.journal._db.execute(f"SELECT * FROM {table}").fetchall()
            for table in ("file", "upload", "part", "attributes", "deletion", "rename", "move")
        }
        assert not any(rows.values()), rows
        assert rig.spools.names() == []
        assert self.m.fs.files.all() == []
        assert rig.table.root.unsent_below == 0
        left = [(i.key, i.lookups, i.pins) for i in rig.table if i.number != ROOT]
        assert not left, left
        # An upload whose begin was never answered is unknown to anybody.
        assert not set(self.cloud.bucket.uploads) & self.cloud.journalled


def _is_late(error):
    return isinstance(error, RuntimeError) and "closed to new arrivals" in str(error)


def _renamed(kept, old, new):
    if kept.get(old, b"") is None:
        return {moved(path, old, new): data for path, data in kept.items()}
    left = {path: data for path, data in kept.items() if path != old}
    return left | {new: kept[old]} if old in kept else left
