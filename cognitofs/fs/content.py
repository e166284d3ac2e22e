"""Content: the bytes of one file while anyone has it open or S3 does not have them.

What a reader sees is, byte by byte: what the spool holds, else the base object's, else zeros.
Owns that overlay and the streaming of full parts. Sealing and what S3 makes of it is `openfile.py`.

INVARIANT: bytes below the size of a seal that is not settled never change in its spool file: a
write there clones the file first. So what was sealed is what gets published.
INVARIANT: `touched` are the ranges that differ from the base; what is held beside them equals it.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace

import trio

from cognitofs.errors import Changed, OnlyInUpload, SpoolDamaged, SpoolError, SpoolFull
from cognitofs.fs.forerunners import Forerunners
from cognitofs.fs.rig import Rig
from cognitofs.spool.extents import ExtentMap
from cognitofs.spool.seal import Seal, new_txid
from cognitofs.spool.space import Patience
from cognitofs.spool.spoolfile import SpoolFile
from cognitofs.store.interface import ETag, Expect, ObjectHeaders, ObjectInfo
from cognitofs.store.records import TXID
from cognitofs.transfer.multipart import Multipart
from cognitofs.transfer.readahead import Window
from cognitofs.transfer.upload import Upload
from cognitofs.tree.attributes import Attributes, new_headers, write_attributes
from cognitofs.tree.inodes import Inode

NEWS = 60.0
"""Seconds that a reader waits for the answer to a commit."""

_END = 1 << 63


class Content:
    """The bytes of *inode*. The caller serialises `write` and `truncate` of one file."""

    def __init__(self, rig: Rig, inode: Inode) -> None:
        self.rig = rig
        self.inode = inode
        self.spool: SpoolFile | None = None
        self.base_limit = inode.remote.size if inode.remote is not None else 0
        self.touched = ExtentMap()
        self.touched_since_seal = ExtentMap()
        self.low_water = 0
        self.multipart: Multipart | None = None
        self.upload: Upload | None = None
        self.may_stream = True
        self._lent: SpoolFile | None = None

    @property
    def size(self) -> int:
        """Bytes, as stat shows it."""
        return self.inode.size

    @property
    def base(self) -> ObjectInfo | None:
        """The version on S3 that our changes are based on."""
        return self.inode.remote

    # -- reading ----------------------------------------------------------------------------------

    async def read(self, start: int, stop: int, window: Window | None = None) -> bytes:
        """Return bytes [start, stop), cut at the end of the file."""
        while True:
            end = min(stop, self.size)
            if start >= end:
                return b""
            spool, base = self.spool, self.base
            try:
                data = await self._read_now(start, end, window)
            except (Changed, SpoolDamaged, OnlyInUpload):
                is_same = self.spool is spool and self.base is base
                if is_same and not await self._has_news_of_our_commit():
                    raise
                continue
            # Else S3 acknowledged the file meanwhile: its spool file may be given up by now.
            if self.spool is spool and self.base is base:
                return data

    async def _has_news_of_our_commit(self) -> bool:
        """Wait for a commit of ours, which may be what took the base's place on S3."""
        upload = self.upload
        if upload is None or upload.is_settled or upload.is_parked or not upload.commit_was_sent:
            return False
        with trio.move_on_after(NEWS) as patience:
            await upload.wait_change()
        return not patience.cancelled_caught

    async def _read_now(self, start: int, stop: int, window: Window | None) -> bytes:
        spool, base, limit = self.spool, self.base, self.base_limit
        if spool is None and base is not None and stop <= limit:
            return await self.rig.reader.read(base, start, stop, window)
        if spool is None:
            return await self._overlay(None, base, limit, start, stop)
        with spool.in_use():
            if spool.held.covers(start, stop):
                return await spool.read(start, stop)
            return await self._overlay(spool, base, limit, start, stop)

    async def _overlay(
        self, spool: SpoolFile | None, base: ObjectInfo | None, limit: int, start: int, stop: int
    ) -> bytes:
        """Put together what lies here, what S3 has, and zeros."""
        held = ExtentMap() if spool is None else spool.held.copy()
        if spool is not None and spool.given_up.overlaps(start, stop):
            raise OnlyInUpload(
                f"{self.inode.key!r} is larger than --spool-size, and its beginning can only be"
                " read again when it is closed and complete on S3."
            )
        buffer = bytearray(stop - start)
        for extent in held.within(start, stop):
            assert spool is not None, "what is held lies in the spool"
            data = await spool.read(extent.start, extent.stop)
            buffer[extent.start - start : extent.stop - start] = data
        for gap in held.gaps(start, min(stop, limit)):
            assert base is not None, "a base limit has a base"
            data = await self.rig.reader.read(base, gap.start, gap.stop)
            buffer[gap.start - start : gap.stop - start] = data
        return bytes(buffer)

    async def fetch_whole(self) -> None:
        """Bring all bytes here: the object is about to go, but the file is still open.

        They are ours from then on: should the file keep its name, it needs no base any more.
        """
        if self.base is None:
            return
        spool = self.spool = self.spool or self.rig.spools.create()
        for gap in spool.held.gaps(0, min(self.base_limit, self.size)):
            await spool.write(gap.start, await self.read(gap.start, gap.stop))
        self.touched.add(0, min(self.base_limit, self.size))
        self.base_limit = 0

    def lend(self, spool: SpoolFile | None) -> SpoolFile | None:
        """Give the name of *spool* away; if it is ours, we only read it from now on."""
        if spool is None or spool is not self.spool:
            return spool
        self._lent = spool
        return spool.hand_over()

    # -- writing ----------------------------------------------------------------------------------

    async def write(self, start: int, data: bytes, begin: Callable[[], None]) -> None:
        """Store *data* at *start*. Raises SpoolFull, SpoolDamaged, or S3's refusal of a part.

        *begin* marks the file dirty. It is called before the first byte lies in the spool file:
        an acknowledgement of S3 that comes while it is written must leave that file to us.
        """
        if self.multipart is not None and self.multipart.refusal is not None:
            raise self.multipart.refusal
        stop = start + len(data)
        self._require_here(start, stop)
        await self._make_room(len(data))
        spool = await self._named(start)
        if self.multipart is not None:
            self.multipart.touch(start, stop)
        begin()  # no checkpoint since `spool` is ours
        try:
            await spool.write(start, data)
        except SpoolError:
            # Some of it may lie there now, so what was the base's is not any more.
            for extent in spool.held.within(start, stop):
                self._note_touched(extent.start, extent.stop)
            raise
        self._note_touched(start, stop)
        self._resize(max(self.size, stop))
        self._stream(spool)

    async def truncate(self, size: int) -> None:
        """Cut or extend the file to *size* bytes; new bytes are zeros. Raises SpoolFull."""
        if 0 < size < self.size:
            self._require_here(size, _END)
        if size < self.size:
            if not size and self._is_sealed():
                self.spool = None  # the upload's alone now
            else:
                (await self._named(size)).resize(size)
            for extents in (self.touched, self.touched_since_seal):
                extents.discard(size, _END)
            self.base_limit = min(self.base_limit, size)
            self.low_water = min(self.low_water, size)
            if self.multipart is not None:
                self.multipart.touch(size, _END)
        elif size > self.size and self.spool is None:
            self.spool = self.rig.spools.create()  # the zeros at the end are ours to send
            self.mark()
        self._resize(size)

    async def _make_room(self, size: int) -> None:
        """Return when the spool may take *size* more bytes. Raises SpoolFull."""
        space = self.rig.spools.space
        if space.has_room(size):
            return
        patience = Patience(space)
        while not space.has_room(size):
            if not (await self.give_back(size) or await self.rig.relief.give_back(size)):
                await patience.wait()

    async def give_back(self, size: int) -> bool:
        """Free at least *size* bytes of what S3 has of an open file; False if there are none.

        They are in its multipart upload only, from then on. The caller lets nobody write.
        """
        spool, multipart = self.spool, self.multipart
        if spool is None or multipart is None or self._has_upload():
            return False
        multipart.stream_again(self.rig.uploader.nursery, spool)
        return spool.can_punch() and await multipart.give_up(size, spool)

    def _require_here(self, start: int, stop: int) -> None:
        """Raise SpoolFull if some of [start, stop) was given up: it cannot be changed."""
        if self.spool is not None and self.spool.given_up.overlaps(start, stop):
            raise SpoolFull(
                f"{self.inode.key!r} is larger than --spool-size, so its beginning is on S3 already"
                " and cannot be changed before it is closed; write it in order, or mount with a"
                " larger --spool-size."
            )

    def mark(self, key: str = "") -> None:
        """Let the spool file say whose bytes it has, should nobody close them before a crash.

        *key* is a name that the file is about to get.
        """
        if self.spool is not None:
            base = "" if self.base is None else self.base.etag
            self.spool.mark(key or self.inode.key, base)

    async def _named(self, start: int) -> SpoolFile:
        """See `_writable`; a new spool file is marked."""
        before = self.spool
        spool = await self._writable(start)
        if spool is not before:
            self.mark()
        return spool

    async def _writable(self, start: int) -> SpoolFile:
        """Return a spool file in which bytes from *start* on may change."""
        if self.spool is None:
            self.spool = self.rig.spools.create()
        if self._is_sealed() and self.upload is not None and start < self.upload.seal.size:
            twin = await self.spool.clone()
            if self.spool is None or self._is_sealed():
                self.spool = twin
            else:  # S3 acknowledged it meanwhile, and what is unsealed keeps the file
                twin.discard()
        elif self.spool is self._lent:
            lent, self._lent = self.spool, None
            self.spool = await lent.clone()
            lent.discard()
        return self.spool

    def _is_sealed(self) -> bool:
        """Tell whether the spool file belongs to an upload too."""
        upload = self.upload
        return self._has_upload() and upload is not None and upload.spool is self.spool

    def _note_touched(self, start: int, stop: int) -> None:
        self.touched.add(start, stop)
        self.touched_since_seal.add(start, stop)

    def _resize(self, size: int) -> None:
        inode = self.inode
        inode.size = size
        inode.changed_ns = self.rig.now_ns()
        inode.attributes = replace(inode.attributes, mtime_ns=inode.changed_ns)

    def _stream(self, spool: SpoolFile) -> None:
        """Send full parts of a new file while it is written: only what has no base."""
        uploader = self.rig.uploader
        is_small = self.size <= uploader.ladder.first
        if is_small or self.base_limit or self._has_upload() or not self.may_stream:
            return
        if self.multipart is None:
            self.multipart = uploader.multipart(
                spool.name, self.inode.key, next_headers(self.inode)
            )
        self.multipart.stream_nowait(uploader.nursery, spool, self.size, uploader.ladder)

    def freeze(self, expect: Expect, headers: ObjectHeaders, mine: Forerunners) -> Seal:
        """Describe the content as it is now, for the name it has; no upload is under way."""
        spool = self.spool
        assert spool is not None or not self.size, "what is sealed lies in the spool"
        if spool is not None:
            spool.reach(self.size)
        has_spool = spool is not None and self.size > 0
        # One without bytes has a name of its own: the spool file may get bytes that are not sealed.
        return Seal(
            id=spool.name if spool is not None and has_spool else secrets.token_hex(16),
            key=self.inode.key,
            size=self.size,
            touched=_pairs(self.touched),
            base=self.base,
            base_limit=self.base_limit,
            expect=expect,
            headers=headers,
            has_spool=has_spool,
            supersedes=mine.doubts,
            leaves=mine.leaves,
            given_up=() if spool is None else _pairs(spool.given_up),
            damaged=() if spool is None else _pairs(spool.damaged),
        )

    def committed(self, upload: Upload, info: ObjectInfo, *, is_dirty: bool) -> None:
        """Make the version *info* the base of what is unsealed (*is_dirty*), else of all."""
        spool = upload.spool
        if spool is not None:
            spool.given_up = ExtentMap()  # the base has them now
        if is_dirty:
            self.touched = self.touched_since_seal.copy()
            self.base_limit = min(info.size, self.low_water)
            if spool is not None and spool is not self.spool:
                spool.discard()
        else:
            self.touched = ExtentMap()
            self.base_limit = info.size
            if spool is not None:
                self.rig.cache.adopt(info, spool)
            if self.spool is not None and self.spool is not spool:
                self.spool.discard()
            self.spool = None
        self.upload = None

    def _has_upload(self) -> bool:
        return self.upload is not None and not self.upload.is_settled


def _pairs(extents: ExtentMap) -> tuple[tuple[int, int], ...]:
    return tuple((extent.start, extent.stop) for extent in extents)


def next_headers(
    inode: Inode, txid: str | None = None, attributes: Attributes | None = None
) -> ObjectHeaders:
    """Return the headers of the next commit of *inode*, with a txid of its own unless given.

    *attributes* are those that the inode is about to get.
    """
    kept = inode.headers or ObjectHeaders()
    if not kept.content_type:
        kept = replace(kept, content_type=new_headers(inode.name, inode.kind).content_type)
    return write_attributes(kept, attributes or inode.attributes, txid or new_txid())


def header_change(inode: Inode) -> tuple[str, ETag, ObjectHeaders]:
    """Return what a header change of *inode* as it is now consists of: key, version, headers."""
    txid = inode.headers.metadata.get(TXID) if inode.headers is not None else None
    etag = inode.remote.etag if inode.remote is not None else ETag("")
    return inode.key, etag, next_headers(inode, txid)
