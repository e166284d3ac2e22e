"""Files: all open and unsent files of one mount, and how long their callers wait.

Owns the table of `OpenFile`s and the promise of each level (docs/SEMANTICS.md): when flush, fsync
and the last release return. Names are `mutations.py`'s, bytes are `content.py`'s.

INVARIANT: an inode with an OpenFile is pinned; the OpenFile goes when nothing refers to it.
"""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from cognitofs.errors import CognitoFSError
from cognitofs.fs.gate import Gate, is_below
from cognitofs.fs.openfile import OpenFile
from cognitofs.fs.rig import Rig
from cognitofs.spool.space import NO_FILES, Patience
from cognitofs.store.interface import ObjectHead, ObjectHeaders, ObjectInfo
from cognitofs.transfer.headerwriter import HeaderWriter
from cognitofs.transfer.upload import Upload
from cognitofs.tree.inodes import Inode

_log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds between tries to seal a closed file that the local disk refused."""
MOST = 100_000
"""Files open or unsent at a time: each takes memory and a row of the journal, however small."""
WAITING_AT_ONCE = 256
"""Handlers that wait for S3 at a time; main() runs 1000 tasks, so that others still answer."""


class Files:
    """The open and unsent files, by inode."""

    def __init__(self, rig: Rig) -> None:
        self.headers = HeaderWriter(rig.store, rig.journal, self)
        self.gate = Gate()
        self._rig = rig
        self._files: dict[Inode, OpenFile] = {}
        self._waiting = trio.CapacityLimiter(WAITING_AT_ONCE)
        rig.namespace.describer.unsent_headers = self.headers.unsent
        rig.uploader.clear_way = rig.deletions.make_way
        rig.relief.givers = self._streamed

    def all(self) -> list[OpenFile]:
        """Return all files, open or unsent."""
        return list(self._files.values())

    def _streamed(self) -> list[OpenFile]:
        return [file for file in self._files.values() if file.content.multipart is not None]

    def find(self, inode: Inode) -> OpenFile | None:
        """Return the file of *inode* if it is open or unsent."""
        return self._files.get(inode)

    def of(self, inode: Inode) -> OpenFile:
        """Return the file of *inode*, made on first use. Call `drop` when done with it."""
        found = self._files.get(inode)
        if found is None:
            found = OpenFile(self._rig, self.headers, inode, self.drop)
            self._files[inode] = found
            inode.pins += 1
        return found

    async def wait_for_room(self) -> None:
        """Return when there may be one more file. Raises SpoolFull when none goes for a while."""
        if len(self._files) < MOST:
            return
        patience = Patience(self._rig.spools.space, NO_FILES)
        while len(self._files) >= MOST:
            await patience.wait()

    @contextmanager
    def using(self, inode: Inode) -> Iterator[OpenFile]:
        """Work on the file of *inode* without a handle; nobody else gets another one meanwhile."""
        file = self.of(inode)
        file.users += 1
        try:
            yield file
        finally:
            file.users -= 1
            self.drop(file)

    def drop(self, file: OpenFile) -> None:
        """Forget a file that nothing refers to; any other stays."""
        if not file.is_needed and self._files.get(file.inode) is file:
            del self._files[file.inode]
            file.close()
            file.inode.pins -= 1
            self._rig.table.prune(file.inode)

    # -- the promises -----------------------------------------------------------------------------

    @property
    def _waits_for_s3(self) -> bool:
        return self._rig.promises.sync == "close"

    async def flush(self, file: OpenFile) -> None:
        """Keep what close promises."""
        async with self.gate.below(file.inode):
            upload = await file.flush(durable=not self._waits_for_s3)
        if self._waits_for_s3 or file.has_sole_bytes:
            await self.wait(file, upload)

    async def fsync(self, file: OpenFile) -> None:
        """Keep what fsync promises."""
        upload = await self._sealed(file)
        if self._rig.promises.sync != "local" or file.has_sole_bytes:
            await self.wait(file, upload)

    async def _sealed(self, file: OpenFile) -> Upload | None:
        """Seal what is unsealed, and return the upload to wait for."""
        async with self.gate.below(file.inode):
            return await file.publish(durable=not self._waits_for_s3)

    async def publish(self, file: OpenFile) -> None:
        """Send what was made without an open handle, and keep the promise of close() for it."""
        with self.using(file.inode):
            upload = await self._sealed(file)
            if self._waits_for_s3:
                await self.wait(file, upload)

    async def wait(self, file: OpenFile, upload: Upload | None) -> None:
        """Return when S3 has what was sealed, or something newer.

        When S3 does not answer in time, or refuses, what was sealed is made durable here and the
        reason is raised: the bytes are kept, tried again and shown by `cognitofs status`.
        """
        promises = self._rig.promises
        async with self._waiting:
            try:
                while upload is not None:
                    done = await upload.wait_done(
                        stall=promises.stall_timeout, auth_wait=promises.auth_wait
                    )
                    upload = None if done is not None else await file.newest_upload()
            except CognitoFSError:
                await file.make_durable()
                raise

    async def release(self, file: OpenFile, *, writable: bool) -> None:
        """Close a handle; the last one publishes what no FLUSH has sealed."""
        file.handles -= 1
        file.writers -= writable
        with self.using(file.inode):
            if not file.handles and file.dirty and not file.unlinked:
                try:
                    await self._sealed(file)
                except CognitoFSError:
                    self._rig.uploader.nursery.start_soon(self._seal_later, file)
                    await file.make_durable()
                    raise

    async def _seal_later(self, file: OpenFile) -> None:
        """Seal a closed file that could not be sealed: the disk may take it again."""
        pause = FIRST_PAUSE
        while file.dirty and not file.unlinked and not file.handles:
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            if not file.handles:  # else their close does it
                try:
                    await self._sealed(file)
                except CognitoFSError as exc:
                    _log.warning("%r is closed but not safe yet: %s", file.inode.key, exc)

    async def complete(self, file: OpenFile) -> None:
        """Bring *file* to S3 if it has bytes that nobody else has: they are bound to its key."""
        while file.has_sole_bytes:
            await self.wait(file, await file.publish(durable=not self._waits_for_s3))

    @asynccontextmanager
    async def _held(self, file: OpenFile, *, goes: bool) -> AsyncIterator[None]:
        while True:
            if not goes:
                await self.complete(file)
            async with file.lock:
                if goes or not file.has_sole_bytes:
                    yield
                    return

    @asynccontextmanager
    async def stopped(self, file: OpenFile, *, goes: bool = False) -> AsyncIterator[None]:
        """Hold the file's lock with nothing under way; what was stopped is sent again after.

        So when the block fails all is as before, unless it took the file's name away: it *goes*.
        Else a file with bytes that only its upload has is brought to S3 first.
        """
        async with self._held(file, goes=goes):
            try:
                await file.stop_sending()
                yield
            finally:
                if file.must_send_again:
                    with trio.CancelScope(shield=True):
                        await file.send_again(durable=not self._waits_for_s3)
                file.rewrite_headers_if_changed()

    async def seal_deferred(self) -> None:
        """Publish the empty files whose RELEASE the kernel did not send before the umount.

        Not those that were written since: nobody has closed that.
        """
        for file in self.all():
            if file.deferred is not None and not file.content.size and not file.was_written:
                await file.publish(durable=True)

    async def sync_below(self, directory: Inode) -> None:
        """Keep what fsync promises for everything unsent below *directory*."""
        below = [f for f in self.all() if not f.unlinked and is_below(f.inode, directory)]
        for file in below:  # all are on their way while the first is waited for
            await self._sealed(file)
        for file in below:
            await self.fsync(file)
        if self._rig.promises.sync == "local":
            await self._rig.journal.make_durable()
            self._rig.deletions.raise_refused(directory.key)
        else:
            await self._rig.deletions.settle_below(directory.key)
        for failure in [file.failures.take_untold() for file in below]:
            if failure is not None:
                raise failure

    def rewritten(self, old: ObjectInfo | None, new: ObjectInfo, headers: ObjectHeaders) -> None:
        """Take over an object that got other headers by self-copy: its content is the same."""
        inode = self._rig.table.find(new.key)
        if inode is None:
            return
        if old is None:
            inode.headers = inode.headers if inode.unsent else headers
        elif inode.remote is not None and inode.remote.etag == old.etag:
            inode.remote, inode.headers = new, headers
            self._rig.namespace.describer.learn(ObjectHead(new, headers))
            self._rig.cache.rename(old, new)
        self._rig.namespace.confirmed(inode)
        self._rig.kernel.forget_attributes(inode.number)
