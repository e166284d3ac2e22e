"""Renames of files: in the journal where S3 does not have them, else by copy and deletion.

Owns the order of what is journalled and what is sent; the copies are `transfer/renames.py`'s.

INVARIANT: at no time is the target's name missing, and no content is under neither name.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from cognitofs.errors import EntryExists, PreconditionFailed
from cognitofs.fs import namechange
from cognitofs.fs.content import next_headers
from cognitofs.fs.files import Files
from cognitofs.fs.openfile import OpenFile
from cognitofs.fs.removals import Removals
from cognitofs.fs.rig import Rig
from cognitofs.spool.intents import Doomed, Move, Rename
from cognitofs.store.interface import ETag, Expect, ObjectHeaders, ObjectInfo
from cognitofs.store.records import TXID
from cognitofs.transfer.copies import copy_object
from cognitofs.tree.inodes import Inode


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rename leads."""

    parent: Inode
    name: str

    @property
    def key(self) -> str:
        """The key of a file there."""
        return self.parent.key + self.name


class Renames:
    """Gives files other names, in one mount."""

    def __init__(self, rig: Rig, files: Files, removals: Removals) -> None:
        self._rig = rig
        self._files = files
        self._removals = removals
        self._last = 0

    def next_id(self) -> int:
        """Return a number for a rename that no other one in the journal has."""
        known = [rename.id for rename in self._rig.intents.renames()] if not self._last else []
        self._last = max([self._last, *known]) + 1
        return self._last

    async def rename(self, inode: Inode, parent: Inode, place: Place, target: Inode | None) -> None:
        """Give the file *inode* of *parent* another name; *target* loses it."""
        await self._rig.namespace.describe(inode)
        with self._files.using(inode) as file:
            async with self._files.stopped(file):
                if file.content.base is None:
                    await self._rename_unsent(file, parent, place, target)
                else:
                    await self._rename_object(file, parent, place, target)

    async def _rename_unsent(
        self, file: OpenFile, parent: Inode, place: Place, target: Inode | None
    ) -> None:
        """Rename what S3 does not have: an entry of the journal, which its next seal replaces."""
        inode = file.inode
        if file.replaces is not None:  # else that version would come back under the old name
            await self._removals.keep_visible(parent, inode)
            await self._removals.delete(file.replaces)
        if not file.must_send_again:  # nor shall what it took the place of in the journal
            await namechange.forget_replaced(file)
        async with self._giving_way(target) as over:
            namechange.renamed(file, place.key, over)
            self._rig.namespace.moved(inode, place.parent, place.name)

    async def _rename_object(
        self, file: OpenFile, parent: Inode, place: Place, target: Inode | None
    ) -> None:
        await namechange.settle_doubts(file)
        await self._rig.deletions.settle(place.key)
        old = file.content.base
        assert old is not None, "it is on S3"
        if place.parent is not parent:
            await self._removals.keep_visible(parent, file.inode)
        async with self._giving_way(target) as over:
            doomed = await self._copy_over(file, old, place, over)
        try:
            await self._rig.deletions.remove(doomed)
        except BaseException:
            self._rig.namespace.doubt(parent, old.key)
            raise

    @asynccontextmanager
    async def _giving_way(self, target: Inode | None) -> AsyncIterator[OpenFile | None]:
        """Stop sending what a rename replaces, and keep its bytes for those who have it open."""
        if target is None:
            yield None
            return
        with self._files.using(target) as file:
            async with self._files.stopped(file):
                await self._removals.keep_for_handles(file)
                yield file

    async def _copy_over(
        self, file: OpenFile, old: ObjectInfo, place: Place, over: OpenFile | None
    ) -> Doomed:
        """Copy the object, with the mode and times it has by now, and take over its new name.

        Returns the old object, whose end is in the journal then.
        """
        expect: Expect = "absent"
        if over is not None:
            await namechange.settle_doubts(over)
            expect = over.stands_for.etag if over.stands_for is not None else "absent"
        inode = file.inode
        headers = _headers_of_copy(inode)
        changed = None if headers == inode.headers else headers
        retires = () if over is None else over.rows
        move = Move(old, place.key, expect, changed)
        rename = Rename(old.key, place.key, (move,), retires, self.next_id())
        await self._rig.intents.begin_rename(rename)
        try:
            new = await copy_object(self._rig.store, old, place.key, expect=expect, headers=changed)
        except BaseException as exc:
            await self._give_up(rename, headers, over, exc)
            if isinstance(exc, PreconditionFailed):
                message = "The name was changed by somebody else; try again."
                raise EntryExists(message) from exc
            raise
        inode.remote, inode.headers = new, headers
        self._rig.cache.rename(old, new)
        self._rig.namespace.moved(inode, place.parent, place.name)
        doomed = Doomed(old.key, old.etag)
        left = [] if over is None else over.forerunners.left(beside=[doomed])
        await self._end(rename, [doomed, *left], file)
        if over is not None:
            namechange.forgotten(over)
        self._rig.deletions.resume(left)
        return doomed

    async def _end(self, rename: Rename, doomed: list[Doomed], file: OpenFile) -> None:
        """Journal that the copy is there, and what follows for all whose name it is about."""
        with trio.CancelScope(shield=True):
            await self._rig.intents.end_rename(
                rename, doomed, retires=rename.retires, seals=file.sealed_as_now()
            )

    async def _give_up(
        self,
        rename: Rename,
        headers: ObjectHeaders | None,
        over: OpenFile | None,
        failure: BaseException,
    ) -> None:
        """Forget a rename whose copy failed, or may have happened though nobody said so."""
        txid = headers.metadata[TXID] if headers is not None else None
        is_known = isinstance(failure, PreconditionFailed)
        doomed: list[Doomed] = []
        if over is not None and txid is not None and not is_known and not over.needs_base:
            # The target, which stays, must know it for ours. One that is only a change of what may
            # be gone now must not: it could not tell the bytes of both apart.
            over.forerunners.doubts += (txid,)
        elif over is None and txid is not None and not is_known:
            doomed = [Doomed(rename.target, ETag(""), (txid,))]
        with trio.CancelScope(shield=True):
            await self._rig.intents.end_rename(rename, doomed)
        self._rig.deletions.resume(doomed)


def _headers_of_copy(inode: Inode) -> ObjectHeaders | None:
    """Return the headers of the inode as it is now; None when S3 alone knows them."""
    if inode.headers is None:
        return None
    return next_headers(inode, inode.headers.metadata.get(TXID))
