"""OpenFile: one file while anyone has it open or S3 does not have it, and how it gets there.

Owns sealing: what FLUSH, fsync and the last release freeze, journal and hand to the uploader, and
what follows when S3 acknowledges it. The bytes themselves are `content.py`'s.

`lock` serialises writes, truncates, seals and renames of the file; reads take no lock.
INVARIANT: at most one upload of a file is under way; a newer seal takes the place of an older one
in one journal transaction, and inherits what was sent of it where the bytes are the same.
INVARIANT: what was stopped for a seal that then fails is under way again.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace

import trio

from cognitofs.errors import SpoolError
from cognitofs.fs import suspects
from cognitofs.fs.carried import Carried
from cognitofs.fs.content import Content, next_headers
from cognitofs.fs.contest import Contest
from cognitofs.fs.forerunners import Forerunners, may_go_on
from cognitofs.fs.relief import changing
from cognitofs.fs.rig import Rig
from cognitofs.spool.extents import ExtentMap
from cognitofs.spool.seal import Seal
from cognitofs.spool.spoolfile import SpoolFile
from cognitofs.store.interface import ETag, Expect, ObjectHead, ObjectInfo
from cognitofs.transfer.failures import Failures
from cognitofs.transfer.headerwriter import HeaderWriter
from cognitofs.transfer.upload import Upload
from cognitofs.tree.inodes import Inode


class OpenFile:
    """The file of *inode*; a directory's marker and a symlink are files here too.

    `replaces` is the version that a rename put this file in place of before S3 has ours, or that
    S3 did not let go.
    `users` counts calls that work on it without a handle.
    `rig` and `carried` are for `namechange.py`.
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
        self.users = 0
        self.dirty = False
        self.was_written = False
        self.mtime_is_set = False
        self.deferred: Seal | None = None
        self.replaces: ObjectInfo | None = None
        self.unlinked = False
        self.forerunners = Forerunners()
        self.failures = Failures()
        self.rig = rig
        self._headers = headers
        self.carried = Carried(rig, headers, inode)
        self._when_unneeded = when_unneeded

    @property
    def upload(self) -> Upload | None:
        """The upload under way or parked, if any."""
        upload = self.content.upload
        return upload if upload is not None and not upload.is_settled else None

    @property
    def is_needed(self) -> bool:
        """Tell whether anything still refers to it."""
        is_unsent = bool(self.dirty or self.deferred) and not self.unlinked
        return bool(self.handles or self.users or self.upload) or is_unsent

    @property
    def stands_for(self) -> ObjectInfo | None:
        """The version that the name stands for on S3, if any: ours, or the one we replace."""
        return self.content.base or self.replaces

    @property
    def needs_base(self) -> bool:
        """Tell whether some bytes of it, or of what was sealed of it, are only on S3."""
        stopped = self.forerunners.stopped
        return self.content.base_limit > 0 or (stopped is not None and stopped.seal.needs_base)

    # -- changing ---------------------------------------------------------------------------------

    async def write(self, start: int, data: bytes) -> None:
        """Store *data* at *start*."""
        async with self.changing():
            await self.content.write(start, data, self.mark_dirty)
            self.was_written, self.mtime_is_set = True, False

    async def truncate(self, size: int) -> None:
        """Cut or extend to *size* bytes."""
        async with self.changing():
            if size == self.content.size:
                return  # and nothing to send
            await self.content.truncate(size)
            if size == 0:
                self.was_written = False
                self.drop_stream()
            self.mark_dirty()

    def changing(self) -> AbstractAsyncContextManager[None]:
        """Hold the lock while no bytes are on their way that are nowhere else: `relief.py`."""
        promises = self.rig.promises
        return changing(self, stall=promises.stall_timeout, auth_wait=promises.auth_wait)

    async def give_back(self, size: int) -> bool:
        """See `Giver.give_back`."""
        return await self.content.give_back(size)

    @property
    def has_sole_bytes(self) -> bool:
        """Tell whether some bytes are nowhere but in a multipart upload."""
        streamed, upload = self.content.multipart, self.upload
        return any(each is not None and each.has_sole_bytes for each in (streamed, upload))

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
                    with self._going_on():
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
        content = self.content
        # Else a power cut brings that row back, and takes what replaced it for somebody else's.
        durable = durable or self.deferred is not None
        refusal: SpoolError | None = None
        with self._going_on():
            seal = await self._freeze()
            with suspects.as_it_was(content) as old:
                if content.spool is not None and seal.has_spool:
                    if durable:
                        seal, refusal = await suspects.make_durable(content, seal)
                    content.spool.label(seal, replaces=self._replaced, durable=durable)
                if content.spool is not old:
                    self.drop_stream()  # S3 was sent what the disk may not have kept
                await self._record(seal, is_labelled=True, durable=durable)
            suspects.forget(old, unless=content.spool)
        self.dirty, self.deferred = False, None
        content.touched_since_seal = ExtentMap()
        content.low_water = seal.size
        multipart, content.multipart = content.multipart, None
        spool = content.spool if seal.has_spool else None
        content.upload = self.rig.uploader.submit(seal, spool, multipart, self)
        if refusal is not None:
            content.upload.refusal = refusal  # nobody hears twice of it
            self.failures.note(refusal)
            raise refusal
        return content.upload

    @property
    def _replaced(self) -> tuple[str, ...]:
        """The rows that the next seal takes the place of."""
        return (*self.forerunners.rows, *((self.deferred.id,) if self.deferred else ()))

    async def _record(self, seal: Seal, *, is_labelled: bool = False, durable: bool) -> None:
        """Journal *seal* in place of all that it replaces; their spool files go then."""
        multipart = self.content.multipart
        await self.rig.journal.seal(
            seal,
            replaces=self._replaced,
            continues=None if multipart is None else multipart.continued,
            is_labelled=is_labelled,
            durable=durable,
        )
        self.forerunners.replaced_by(seal.id, self.content.spool)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Send what was stopped again when the block fails: its seal is still the newest."""
        try:
            yield
        except BaseException:
            self._go_on()
            raise

    def _go_on(self) -> None:
        old = self.forerunners.take_back(self.inode.key)
        if old is None:
            return
        content = self.content
        multipart = old.multipart if may_go_on(old, content.multipart) else None
        if multipart is content.multipart:
            content.multipart = None
        content.upload = self.rig.uploader.submit(old.seal, old.spool, multipart, self)
        content.upload.unsettled = old.unsettled
        content.upload.commit_was_sent = old.commit_was_sent

    async def _freeze(self) -> Seal:
        """Describe the content as it is now; an upload under way is stopped or waited for."""
        content = self.content
        await self._stop_upload()
        self.forerunners.doubts += await self._headers.settle(self.inode.key)
        streamed = None if content.multipart is None else content.multipart.headers
        headers = self.carried.next_headers(streamed, mtime_is_set=self.mtime_is_set)
        return content.freeze(self._expect(), headers, self.forerunners)

    def _expect(self) -> Expect:
        base = self.stands_for
        return base.etag if base is not None else "absent"

    async def _stop_upload(self) -> None:
        """Stop the upload under way; what was sent of it is kept where it may be gone on with."""
        upload = self.upload
        if upload is None or not await self.rig.uploader.cancel(upload):
            return
        self.forerunners.add(upload)
        multipart = upload.multipart
        if multipart is None or upload.has_sole_bytes:
            return  # what only it has goes with the file's name: see `namechange.give_up`
        # Its headers, and the txid in them, are fixed: no two commits may share them.
        may_go_on = upload.spool is self.content.spool and not upload.commit_was_sent
        if may_go_on and multipart.key == self.inode.key:
            self.content.multipart = multipart
        else:
            self.rig.uploader.abort(multipart)

    def drop_stream(self, *, with_sole_bytes: bool = False) -> None:
        """Abort the multipart upload under way; one that alone has some bytes only if asked."""
        multipart = self.content.multipart
        if multipart is not None and (with_sole_bytes or not multipart.has_sole_bytes):
            self.content.multipart = None
            self.rig.uploader.abort(multipart)

    async def newest_upload(self) -> Upload | None:
        """Return the upload under way, also when it is just taking the place of another."""
        async with self.lock:
            return self.upload

    async def make_durable(self) -> None:
        """Return when what was sealed survives a power cut: S3 has not answered."""
        upload = self.upload
        if upload is not None and upload.spool is not None and not upload.seal.damaged:
            upload.spool.label(upload.seal, durable=True)
            try:
                await upload.spool.make_durable()
            except SpoolError as exc:
                self.failures.note(exc)
                await self._rescue(upload.spool, exc)
                raise
        await self.rig.journal.make_durable()

    async def _rescue(self, spool: SpoolFile, refusal: SpoolError) -> None:
        """Let what is sealed in the suspect file *spool* go on from a copy of it."""
        async with self.lock:
            if self.upload is None or self.upload.spool is not spool or self.unlinked:
                return
            await self.stop_sending()
            stopped = self.forerunners.stopped
            if stopped is None:
                return  # S3 has it
            if stopped.has_sole_bytes:
                self._go_on()  # bound to its upload; what is sent of it is verified
                return
            with self._going_on():
                twin = await spool.rescued()
                seal = suspects.moved(self._as_now(stopped.seal), twin)
                try:
                    await self._record(seal, durable=True)
                except BaseException:
                    suspects.forget(twin, unless=spool)
                    raise
            if self.content.spool is spool:
                self.content.spool = twin
            suspects.forget(spool, unless=twin)
            self.content.upload = self.rig.uploader.submit(seal, twin, None, self)
            self.content.upload.refusal = refusal

    # -- what S3 has ------------------------------------------------------------------------------

    async def contested(self, upload: Upload, found: ObjectHead | None) -> ObjectInfo | None:
        """See `Owner.contested`. Who seals, renames or removes the file meanwhile stops it."""
        upload.enter("uploading", upload.error)  # no commit is under way that others wait for
        async with self.lock:
            contest = Contest(self.rig, self.content, self.inode)
            return await contest.settle(upload, found, self._stands_alone)

    def _stands_alone(self, seal: Seal) -> None:
        self.replaces = None
        self.forerunners.doubts, self.forerunners.leaves = seal.supersedes, seal.leaves

    def committed(self, upload: Upload, info: ObjectInfo) -> None:
        """Take over what S3 made of *upload*: it is the base of all later changes."""
        inode = self.inode
        self.carried.take_over(info, upload.seal.headers)
        self.content.committed(upload, info, is_dirty=self.dirty)
        inode.unsent = self.dirty and not self.unlinked
        self.replaces = None
        self.forerunners.settled()
        self.rig.namespace.confirmed(inode)
        self.rewrite_headers_if_changed()
        self._when_unneeded(self)

    def rewrite_headers_if_changed(self) -> None:
        """Send mode and times again when they are not those that S3 has."""
        if not self.dirty and not self.unlinked:
            self.carried.rewrite_if_changed()

    # -- losing or changing the name ---------------------------------------------------------------
    # The caller holds the lock and brackets what it does on S3: `stop_sending`, then `send_again`
    # (the name stays, or is another) or `namechange.forget_name`.

    async def stop_sending(self) -> None:
        """Stop everything under way, but keep what only an upload has: see `namechange.give_up`."""
        await self._stop_upload()
        self.forerunners.doubts += await self._headers.settle(self.inode.key)
        self.drop_stream()

    @property
    def must_send_again(self) -> bool:
        """Tell whether sealed content was stopped: the journal has it, S3 not."""
        return bool(self.forerunners.stopped or self.deferred) and not self.unlinked

    async def send_again(self, *, durable: bool) -> None:
        """Send what was stopped, under the name the inode has now; what is unsealed stays so."""
        stopped, deferred = self.forerunners.stopped, self.deferred
        if stopped is not None and stopped.has_sole_bytes:
            self._go_on()
        elif stopped is not None:
            seal = self._as_now(stopped.seal)
            with self._going_on():
                await self._record(seal, durable=durable)
            self.content.upload = self.rig.uploader.submit(seal, stopped.spool, None, self)
        elif deferred is not None:
            self.deferred = self._as_now(deferred)
            await self._record(self.deferred, durable=True)

    def follows(self, infos: Mapping[tuple[str, ETag], ObjectInfo]) -> None:
        """Let what it replaces be the copy of that: the directory above it was renamed."""
        if self.replaces is not None:
            self.replaces = infos.get((self.replaces.key, self.replaces.etag), self.replaces)

    def sealed_as_now(self) -> tuple[Seal, ...]:
        """Return what was stopped, for the name and the version that the inode has now."""
        stopped, deferred = self.forerunners.stopped, self.deferred
        sealed = stopped.seal if stopped is not None else deferred
        return () if sealed is None or self.unlinked else (self._as_now(sealed),)

    @property
    def rows(self) -> tuple[str, ...]:
        """The journal's rows of this file, once it was stopped."""
        deferred = () if self.deferred is None else (self.deferred.id,)
        return (*self.forerunners.rows, *deferred)

    def _as_now(self, seal: Seal) -> Seal:
        """Return the same content for the name and the version that the inode has now."""
        return replace(
            seal,
            key=self.inode.key,
            base=self.content.base,
            expect=self._expect(),
            headers=next_headers(self.inode),
            supersedes=self.forerunners.doubts,
            leaves=self.forerunners.leaves,
        )

    def close(self) -> None:
        """Give up the spool file: nothing refers to it any more."""
        content = self.content
        spool, content.spool = content.spool, None
        if spool is not None:
            spool.discard()
