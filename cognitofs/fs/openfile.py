"""OpenFile: one file while anyone has it open or S3 does not have it, and how it gets there.

Owns sealing: what FLUSH, fsync and the last release freeze, journal and hand to the uploader, and
what follows when S3 acknowledges it. The bytes themselves are `content.py`'s.

`lock` serialises writes, truncates, seals and renames of the file; reads take no lock.
INVARIANT: at most one upload of a file is under way; a newer seal takes the place of an older one
in one journal transaction, and inherits what was sent of it where the bytes are the same.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace

import trio

from cognitofs.fs.content import Content, header_change, next_headers
from cognitofs.fs.rig import Rig
from cognitofs.spool.extents import ExtentMap
from cognitofs.spool.seal import Seal
from cognitofs.store.interface import ETag, Expect, ObjectHeaders, ObjectInfo
from cognitofs.transfer.headerwriter import HeaderWriter
from cognitofs.transfer.multipart import Multipart
from cognitofs.transfer.upload import Upload
from cognitofs.tree.attributes import Attributes, read_attributes
from cognitofs.tree.inodes import Inode


class OpenFile:
    """The file of *inode*; a directory's marker and a symlink are files here too.

    `replaces` is the version that a rename put this file in place of before S3 has ours.
    """

    def __init__(
        self,
        rig: Rig,
        headers: HeaderWriter,
        inode: Inode,
        when_unneeded: Callable[["OpenFile"], None],
    ) -> None:
        self.content = Content(rig, inode)
        self.inode = inode
        self.lock = trio.Lock()
        self.handles = 0
        self.writers = 0
        self.dirty = False
        self.was_written = False
        self.mtime_is_set = False
        self.deferred: Seal | None = None
        self.replaces: ObjectInfo | None = None
        self.unlinked = False
        self._rig = rig
        self._headers = headers
        self._when_unneeded = when_unneeded

    @property
    def upload(self) -> Upload | None:
        """The upload under way or parked, if any."""
        upload = self.content.upload
        return upload if upload is not None and not upload.is_settled else None

    @property
    def is_needed(self) -> bool:
        """Tell whether anything still refers to it."""
        return bool(self.handles or self.dirty or self.deferred or self.upload)

    # -- changing ---------------------------------------------------------------------------------

    async def write(self, start: int, data: bytes) -> None:
        """Store *data* at *start*."""
        async with self.lock:
            await self.content.write(start, data)
            self.was_written, self.mtime_is_set = True, False
            self.mark_dirty()

    async def truncate(self, size: int) -> None:
        """Cut or extend to *size* bytes."""
        async with self.lock:
            if size == 0:
                self.was_written = False
                await self._drop_stream()
            await self.content.truncate(size)
            self.mark_dirty()

    def mark_dirty(self) -> None:
        """Note a change that S3 does not have and that is not sealed."""
        self.dirty = True
        self.inode.unsent = not self.unlinked

    # -- sealing ----------------------------------------------------------------------------------

    async def flush(self, *, durable: bool) -> Upload | None:
        """Seal what is unsealed; return the upload to wait for, None when there is none.

        A file that is empty and was never written is only journalled: a shell's `> f` closes it
        once before it writes. `publish` sends it when the last handle goes.
        """
        async with self.lock:
            if self.dirty and not self.content.size and not self.was_written:
                if self.deferred is None and not self.unlinked:
                    seal = await self._freeze()
                    await self._record(seal, durable=True)
                    self.deferred = seal
                return None
            return await self._seal(durable=durable)

    async def publish(self, *, durable: bool) -> Upload | None:
        """Seal whatever is unsealed, empty files too."""
        async with self.lock:
            return await self._seal(durable=durable)

    async def _seal(self, *, durable: bool) -> Upload | None:
        if not self.dirty or self.unlinked:
            return self.upload
        seal = await self._freeze()
        content = self.content
        if durable and content.spool is not None and seal.has_spool:
            await content.spool.make_durable()
        await self._record(seal, durable=durable)
        self.dirty, self.deferred = False, None
        content.touched_since_seal = ExtentMap()
        content.low_water = seal.size
        multipart, content.multipart = content.multipart, None
        spool = content.spool if seal.has_spool else None
        content.upload = self._rig.uploader.submit(seal, spool, multipart, self)
        return content.upload

    async def _record(self, seal: Seal, *, durable: bool) -> None:
        """Journal *seal* in place of what it supersedes; the old spool file goes then."""
        old = self.content.upload
        replaced = [self.deferred.id] if self.deferred is not None else []
        if old is not None and old.state == "off":
            replaced.append(old.seal.id)
        await self._rig.journal.seal(seal, replaces=replaced, durable=durable)
        if old is None or old.state != "off" or old.spool is None:
            return
        if old.spool is not self.content.spool:
            old.spool.discard()

    async def _freeze(self) -> Seal:
        """Describe the content as it is now; an upload under way is stopped or waited for."""
        content = self.content
        supersedes = await self._stop_upload()
        await self._headers.settle(self.inode.key)
        if content.multipart is not None:
            headers = content.multipart.headers
            self._show_mtime_of(headers)
        else:
            headers = next_headers(self.inode)
        spool = content.spool
        assert spool is not None or not content.size, "what is sealed lies in the spool"
        if spool is not None:
            spool.reach(content.size)
        return Seal(
            id=secrets.token_hex(16) if spool is None else spool.name,
            key=self.inode.key,
            size=content.size,
            touched=tuple((e.start, e.stop) for e in content.touched),
            base=content.base,
            base_limit=content.base_limit,
            expect=self._expect(),
            headers=headers,
            has_spool=spool is not None and content.size > 0,
            supersedes=supersedes,
        )

    def _show_mtime_of(self, headers: ObjectHeaders) -> None:
        """Show the mtime that S3 will show: a stream's headers went ahead of its last write."""
        inode = self.inode
        if not self.mtime_is_set and inode.attributes.mtime_ns:
            carried = self._attributes_in(headers)
            inode.attributes = replace(inode.attributes, mtime_ns=carried.mtime_ns)

    def _attributes_in(self, headers: ObjectHeaders) -> Attributes:
        info = self.inode.remote or ObjectInfo("", 0, ETag(""), 0)
        defaults = self._rig.namespace.describer.defaults
        return read_attributes(headers, info, defaults, is_marker=False)

    def _expect(self) -> Expect:
        base = self.content.base or self.replaces
        return base.etag if base is not None else "absent"

    async def _stop_upload(self) -> tuple[str, ...]:
        """Stop the upload under way; return the txids whose commit may have happened."""
        upload = self.upload
        if upload is None or not await self._rig.uploader.cancel(upload):
            return ()
        txids = upload.seal.supersedes
        if upload.unsettled is not None:
            txids += (upload.seal.txid,)
        multipart = upload.multipart
        may_go_on = upload.spool is self.content.spool and upload.unsettled is None
        if multipart is not None:
            if may_go_on and multipart.key == self.inode.key:
                self.content.multipart = multipart
            else:
                self._abort_soon(multipart)
        return txids

    async def _drop_stream(self) -> None:
        multipart, self.content.multipart = self.content.multipart, None
        if multipart is not None:
            await self._rig.uploader.abort(multipart)

    def _abort_soon(self, multipart: Multipart) -> None:
        self._rig.uploader.nursery.start_soon(self._rig.uploader.abort, multipart)

    async def make_durable(self) -> None:
        """Return when what was sealed survives a power cut: S3 has not answered."""
        if self.upload is not None and self.upload.spool is not None:
            await self.upload.spool.make_durable()
        await self._rig.journal.make_durable()

    # -- what S3 acknowledged ---------------------------------------------------------------------

    def committed(self, upload: Upload, info: ObjectInfo) -> None:
        """Take over what S3 made of *upload*: it is the base of all later changes."""
        content, inode = self.content, self.inode
        self._take_over(info, upload.seal.headers)
        spool = upload.spool
        if self.dirty:
            content.touched = content.touched_since_seal.copy()
            content.base_limit = min(info.size, content.low_water)
            if spool is not None and spool is not content.spool:
                spool.discard()
        else:
            content.touched = ExtentMap()
            content.base_limit = info.size
            if spool is not None:
                self._rig.cache.adopt(info, spool.detach())
            if content.spool is not None and content.spool is not spool:
                content.spool.discard()
            content.spool = None
        inode.unsent = self.dirty and not self.unlinked
        content.upload = self.replaces = None
        self._rig.namespace.confirmed(inode)
        self.rewrite_headers_if_changed()
        self._when_unneeded(self)

    def _take_over(self, info: ObjectInfo, headers: ObjectHeaders) -> None:
        self.inode.headers = headers
        if not self.inode.is_directory:
            self.inode.remote = info

    def rewrite_headers_if_changed(self) -> None:
        """Send mode and times again when they were set after the upload had begun."""
        inode = self.inode
        if inode.headers is None or self.dirty or self.unlinked:
            return
        carried = self._attributes_in(inode.headers)
        if (carried.mode, carried.mtime_ns) != (inode.attributes.mode, inode.attributes.mtime_ns):
            change = header_change(inode)
            self._headers.resume(*change)  # now: a drain must not miss it
            self._rig.uploader.nursery.start_soon(self._headers.record, *change)

    # -- losing or changing the name ---------------------------------------------------------------
    # The caller holds the lock and brackets what it does on S3:
    # `stop_sending`, then `send_again` (the name stays, or is another) or `forget_name`.

    async def stop_sending(self) -> bool:
        """Stop everything under way; True when sealed content must be sent again."""
        await self._stop_upload()
        await self._headers.settle(self.inode.key)
        await self._drop_stream()
        # An upload that was committed after all is no longer here.
        return self.content.upload is not None or self.deferred is not None

    async def send_again(self, *, durable: bool) -> None:
        """Seal and send what was stopped, under the name the inode has now."""
        self.mark_dirty()
        await self._seal(durable=durable)

    async def forget_name(self) -> None:
        """Send nothing any more: the name is gone. Handles keep the bytes."""
        self.unlinked = True
        self.dirty = False
        self.inode.unsent = False
        content = self.content
        upload, content.upload = content.upload, None
        for seal in (self.deferred, upload.seal if upload is not None else None):
            if seal is not None:
                await self._rig.journal.finish(seal.id)
        self.deferred = None
        spool = upload.spool if upload is not None else None
        if spool is not None and spool is not content.spool:
            spool.discard()

    def close(self) -> None:
        """Give up the spool file: nothing refers to it any more."""
        content = self.content
        spool, content.spool = content.spool, None
        if spool is not None:
            spool.discard()
