"""Contest: what becomes of a seal whose name holds somebody else's version by now.

A file of which some bytes are only in its multipart upload cannot change its key: there the copy
is theirs, made inside S3, and ours gets the name.

With `--conflict=copy` theirs keeps the name and ours gets one of its own beside it; the inode, and
with it every open handle, goes with ours. `overwrite` puts ours in place of theirs, `fail` keeps
it here until a person decides. The same bytes on both sides are no conflict.

What the version in the journal says is decided first, then sent: a crash in between goes on with
the decision. INVARIANT: nothing is published that is not, byte for byte, what its writer saw. So
the bytes that only the replaced version had are fetched before, if they still can be; if not, the
file is kept here with all that was written.
"""

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace

import trio

from cognitofs.errors import (
    Changed,
    ConditionalConflict,
    NameTooLong,
    NotFound,
    PreconditionFailed,
    Stale,
)
from cognitofs.fs.conflictcopies import Conflict, copy_name
from cognitofs.fs.content import Content
from cognitofs.fs.rig import Rig
from cognitofs.spool.journal import Continued
from cognitofs.spool.seal import Seal, new_txid
from cognitofs.spool.spoolfile import SpoolFile
from cognitofs.store.interface import Expect, ObjectHead, ObjectInfo
from cognitofs.store.records import TXID
from cognitofs.transfer.copies import copy_object
from cognitofs.transfer.upload import Upload
from cognitofs.tree.inodes import Inode
from cognitofs.tree.names import KEY_MAXIMUM

_BLOCK = 1024 * 1024
_log = logging.getLogger(__name__)


class Contest:
    """The conflicts of one file. The caller holds the file's lock, and no commit is under way."""

    def __init__(self, rig: Rig, content: Content, inode: Inode) -> None:
        self._rig = rig
        self._content = content
        self._inode = inode

    async def settle(
        self, upload: Upload, found: ObjectHead | None, stands_alone: Callable[[Seal], None]
    ) -> ObjectInfo | None:
        """Decide; return *found*'s version if it has the same bytes as ours.

        Else `upload.seal` is another one by then, which may be sent, and *stands_alone* was
        called with it in the same breath. Raises Stale when a person must decide.
        """
        seal = upload.seal
        is_whole = await self._complete(upload)
        is_here = is_whole and not upload.has_sole_bytes
        if is_here and found is not None and await self._is_same(upload, found.info):
            upload.seal = replace(seal, headers=found.headers)
            return found.info
        if not is_whole:
            raise Stale(_torn(seal.key))
        is_bound = upload.has_sole_bytes and self._rig.promises.conflict == "copy"
        if is_bound and found is not None:
            await self._set_aside(found.info)
            decided = _alone(seal, found.info.etag)
        else:
            decided = self._decide(seal, found)
        with trio.CancelScope(shield=True):
            if upload.spool is not None:
                await upload.spool.make_durable()
            await self._rig.journal.seal(
                decided, continues=_continued(upload, decided), durable=True
            )
            self._carry_out(upload, decided, stands_alone)
        return None

    # -- bytes ------------------------------------------------------------------------------------

    async def _complete(self, upload: Upload) -> bool:
        """Bring here what only the base has, of the seal and of what was written since."""
        seal, content = upload.seal, self._content
        limit = min(content.base_limit, content.size)
        if content.spool is None and limit:
            content.spool = self._rig.spools.create()
        try:
            await self._fill(upload.spool, seal.base, min(seal.base_limit, seal.size))
            await self._fill(content.spool, content.base, limit)
        except (Changed, NotFound):
            return False
        return True

    async def _fill(self, spool: SpoolFile | None, base: ObjectInfo | None, stop: int) -> None:
        if spool is None or base is None:
            return
        for gap in spool.held.gaps(0, stop):
            for at in range(gap.start, gap.stop, _BLOCK):
                data = await self._rig.reader.read(base, at, min(at + _BLOCK, gap.stop))
                await spool.write(at, data)

    async def _is_same(self, upload: Upload, theirs: ObjectInfo) -> bool:
        """Compare byte for byte, up to the first difference."""
        spool, size = upload.spool, upload.seal.size
        if theirs.size != size or self._inode.is_directory:
            return False
        for at in range(0, size, _BLOCK):
            stop = min(at + _BLOCK, size)
            assert spool is not None, "what has bytes has a spool file"
            try:
                if await self._rig.store.read(theirs, at, stop) != await spool.read(at, stop):
                    return False
            except Changed:
                return False
        return True

    # -- deciding ---------------------------------------------------------------------------------

    def _decide(self, seal: Seal, found: ObjectHead | None) -> Seal:
        policy = self._rig.promises.conflict
        if policy == "fail" and found is not None:
            raise Stale(
                f"{seal.key!r} was changed by somebody else meanwhile; your version is kept"
                " (`cognitofs status` lists it)."
            )
        if policy == "overwrite" or found is None:
            return _alone(seal, "absent" if found is None else found.info.etag)
        metadata = {**seal.headers.metadata, TXID: new_txid()}
        return replace(
            _alone(seal, "absent"),
            key=self._copy_key(seal.key),
            headers=replace(seal.headers, metadata=metadata),
            supersedes=(),
            leaves=(
                *seal.leaves,
                *((seal.key, txid) for txid in (*seal.supersedes, seal.txid)),
            ),
        )

    async def _set_aside(self, theirs: ObjectInfo) -> None:
        """Copy their version inside S3, to the name of a conflict copy; ours takes its place."""
        inode, rig, tried = self._inode, self._rig, set[str]()
        while True:
            copy = self._copy_key(theirs.key, tried)
            try:
                await copy_object(rig.store, theirs, copy, expect="absent", headers=None)
            except PreconditionFailed:
                tried.add(copy.rpartition("/")[2])
            except (Changed, NotFound) as exc:
                message = f"{theirs.key!r} was changed by somebody else again; trying again."
                raise ConditionalConflict(message) from exc
            else:
                break
        assert inode.parent is not None, "the root is no file"
        rig.namespace.doubt(inode.parent, copy)
        rig.conflicts.add(Conflict(theirs.key, copy, rig.now_ns() / 1_000_000_000))
        _log.warning("%r was changed by somebody else; that is now %r.", theirs.key, copy)

    def _copy_key(self, key: str, tried: Collection[str] = ()) -> str:
        inode, promises = self._inode, self._rig.promises
        assert inode.parent is not None, "the root is no file"
        above = inode.parent.key
        at = time.localtime(self._rig.now_ns() / 1_000_000_000)
        most = KEY_MAXIMUM - promises.prefix_bytes - len(above.encode())
        try:
            taken = {*inode.parent.children, *tried}
            name = copy_name(inode.name, promises.host, at, taken, most=most)
        except NameTooLong as exc:
            raise Stale(f"{key!r} was changed by somebody else. {exc}") from exc
        return above + name

    def _carry_out(
        self, upload: Upload, decided: Seal, stands_alone: Callable[[Seal], None]
    ) -> None:
        """Let everything here follow what the journal says by now. Synchronous."""
        old, upload.seal = upload.seal, decided
        upload.commit_was_sent &= decided.txid == old.txid
        content, inode = self._content, self._inode
        content.touched.add(0, content.base_limit)
        content.base_limit = 0
        inode.remote = None
        multipart = upload.multipart
        if multipart is not None and multipart.key != decided.key:
            upload.multipart = None
            self._rig.uploader.abort(multipart)
        stands_alone(decided)
        if decided.key != old.key:
            self._move(old.key, decided.key)
        else:
            _log.warning("%r was changed by somebody else; this version takes its place.", old.key)

    def _move(self, old: str, new: str) -> None:
        inode, rig = self._inode, self._rig
        parent, name = inode.parent, new.rpartition("/")[2]
        assert parent is not None, "the root is no file"
        rig.namespace.moved(inode, parent, name)
        inode.unsent = True
        rig.namespace.doubt(parent, old)
        rig.kernel.forget_entry(parent.number, name)
        rig.conflicts.add(Conflict(old, new, rig.now_ns() / 1_000_000_000))
        _log.warning("%r was changed by somebody else; this version is now %r.", old, new)


def _continued(upload: Upload, decided: Seal) -> Continued | None:
    """Return what the seal goes on with: an upload's key is fixed."""
    multipart = upload.multipart
    return multipart.continued if multipart is not None and multipart.key == decided.key else None


def _alone(seal: Seal, expect: Expect) -> Seal:
    """Return *seal* without a base: what is held is all there is; zeros are the file's own."""
    touched = ((0, seal.size),) if seal.size else ()
    return replace(seal, touched=touched, base=None, base_limit=0, expect=expect)


def _torn(key: str) -> str:
    return (
        f"{key!r} was changed by somebody else, and a part of your version was only in the object"
        " that they replaced; what you wrote is kept (`cognitofs status` lists it)."
    )
