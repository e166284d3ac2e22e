"""Tree moves: renames of directories with all that is below them.

Owns holding a directory still, what is in it, and the moment at which everything in it has its new
name. Files that S3 does not have follow in the journal, objects by copies (`transfer/renames.py`);
nothing goes before all of them are there.

INVARIANT: until that moment every name resolves as before, and a failure undoes what was copied;
from it on every name resolves to its copy, and the rest is only cleared away.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import trio

from cognitofs.errors import (
    CognitoFSError,
    OtherFileSystem,
    SignInError,
    Transient,
    Unreachable,
)
from cognitofs.fs import namechange
from cognitofs.fs.content import header_change
from cognitofs.fs.files import Files
from cognitofs.fs.gate import is_below
from cognitofs.fs.openfile import OpenFile
from cognitofs.fs.removals import Removals
from cognitofs.fs.renames import Place, Renames
from cognitofs.fs.rig import Rig
from cognitofs.spool.intents import Move, Rename
from cognitofs.spool.seal import Seal
from cognitofs.store.interface import ETag, ObjectInfo
from cognitofs.transfer.leftovers import remove_ours
from cognitofs.transfer.renames import Copies, is_moved, renamed_seal, with_tokens
from cognitofs.tree.inodes import Inode
from cognitofs.tree.names import check_key


@dataclass(frozen=True, slots=True)
class RenameProgress:
    """How far the rename of a directory has come, in objects."""

    source: str
    target: str
    copied: int
    total: int


class TreeMoves:
    """Gives directories other names, in one mount."""

    def __init__(self, rig: Rig, files: Files, removals: Removals, renames: Renames) -> None:
        self._rig = rig
        self._files = files
        self._removals = removals
        self._renames = renames
        self._running: list[Copies] = []

    @property
    def progress(self) -> list[RenameProgress]:
        """The renames of directories that are under way."""
        return [
            RenameProgress(c.rename.source, c.rename.target, len(c.done), c.total)
            for c in self._running
        ]

    async def rename(self, inode: Inode, parent: Inode, place: Place, target: Inode | None) -> None:
        """Give the directory *inode* of *parent* another name, that of an empty *target* if any.

        Raises NotEmpty, NameTooLong, OtherFileSystem for more objects than
        `--rename-limit`, EntryExists, and what the store raises; nothing has changed then.
        """
        if target is not None:
            await self._removals.require_empty(target)
        new_key = place.key + "/"
        async with self._still(inode) as files:
            objects = await self._objects(inode.key)
            self._check_keys(inode.key, new_key, objects, files)
            await self._rig.deletions.settle_below(new_key)
            if place.parent is not parent and (objects or not inode.unsent):
                await self._removals.keep_visible(parent, inode)
            async with AsyncExitStack() as stack:
                over = None
                if target is not None:
                    over = stack.enter_context(self._files.using(target))
                    await stack.enter_async_context(self._files.stopped(over))
                await self._carry_out(inode, place, objects, files, over)

    # -- holding still ----------------------------------------------------------------------------

    @asynccontextmanager
    async def _still(self, directory: Inode) -> AsyncIterator[list[OpenFile]]:
        """Hold up everything below *directory*; yield its files that are open or unsent."""
        prefix = directory.key
        await self._finish_headers(prefix)
        async with AsyncExitStack() as stack:
            files = [
                stack.enter_context(self._files.using(file.inode))
                for file in self._files.all()
                if not file.unlinked and is_below(file.inode, directory)
            ]
            for file in files:
                await stack.enter_async_context(self._files.stopped(file))
                await namechange.settle_doubts(file)
            await self._rig.deletions.settle_below(prefix)
            await self._remove_left(prefix)
            yield [file for file in files if not file.unlinked]

    async def _remove_left(self, prefix: str) -> None:
        """Remove what may be here of files that were renamed out of it: it must not move along."""
        left = [left for file in self._files.all() for left in file.forerunners.leaves]
        for key, txid in left:
            if key.startswith(prefix):
                await remove_ours(self._rig.store, key, (txid,))

    async def _finish_headers(self, prefix: str) -> None:
        with trio.move_on_after(self._rig.promises.stall_timeout) as patience:
            await self._files.headers.finish_below(prefix)
        if patience.cancelled_caught:
            raise Unreachable("S3 did not take changed modes in time; try the rename again.")

    # -- deciding ---------------------------------------------------------------------------------

    async def _objects(self, prefix: str) -> list[ObjectInfo]:
        """Return every object below *prefix*, hidden ones and markers too."""
        found: list[ObjectInfo] = []
        token: str | None = None
        while True:
            page = await self._rig.store.list_page(prefix, delimiter="", token=token)
            found += page.objects
            token = page.token
            limit = self._rig.promises.rename_limit
            if len(found) > limit:
                raise OtherFileSystem(
                    f"The directory holds more than {limit} objects; mv copies it by itself, or"
                    " mount with a larger --rename-limit."
                )
            if token is None:
                return found

    def _check_keys(
        self, old: str, new: str, objects: list[ObjectInfo], files: list[OpenFile]
    ) -> None:
        """Raise NameTooLong before anything has moved."""
        check_key(new, self._rig.promises.prefix_bytes)
        for key in (*(found.key for found in objects), *(file.inode.key for file in files)):
            check_key(new + key[len(old) :], self._rig.promises.prefix_bytes)

    def _moves(
        self, old: str, new: str, objects: list[ObjectInfo], *, has_marker: bool
    ) -> list[Move]:
        """Return what is to be copied; a marker that is there already stays as it is."""
        targets = {found.key: new + found.key[len(old) :] for found in objects}
        if has_marker:
            targets[old] = ""
        return [Move(found, targets[found.key], "absent") for found in objects]

    # -- doing ------------------------------------------------------------------------------------

    async def _carry_out(
        self,
        inode: Inode,
        place: Place,
        objects: list[ObjectInfo],
        files: list[OpenFile],
        over: OpenFile | None,
    ) -> None:
        old, new = inode.key, place.key + "/"
        has_marker = over is not None and not over.inode.unsent
        moves = self._moves(old, new, objects, has_marker=has_marker)
        moves = list(await with_tokens(self._rig.store, moves))
        retires = () if over is None else over.rows
        rename = Rename(old, new, tuple(moves), retires, self._renames.next_id())
        copies = Copies(self._rig.store, rename, self._rig.promises.stall_timeout)
        self._running.append(copies)
        try:
            await self._rig.intents.begin_rename(rename)
            try:
                await copies.run()
            except BaseException as exc:
                await self._give_up(copies, exc, is_new=over is None)
                raise
            await self._arrive(inode, place, copies, files, over)
        finally:
            self._running.remove(copies)
        if has_marker:
            await self._keep_attributes(inode)
        await self._clear_away(old)

    async def _give_up(self, copies: Copies, failure: BaseException, *, is_new: bool) -> None:
        """Take back what was copied: here at once, on S3 in its own time if need be."""
        doomed = copies.leftovers()
        with trio.CancelScope(shield=True):
            await self._rig.intents.end_rename(copies.rename, doomed)
        target = copies.rename.target
        self._rig.deletions.resume(doomed, tree=target if is_new else "")
        if isinstance(failure, CognitoFSError):
            await self._clear_away(target)

    async def _arrive(
        self,
        inode: Inode,
        place: Place,
        copies: Copies,
        files: list[OpenFile],
        over: OpenFile | None,
    ) -> None:
        """Everything has its new name from here on: in memory, then in the journal."""
        before = [(file, file.inode.key) for file in files]
        infos = {(s.key, s.etag): copy for s, copy in copies.done.values()}
        for source, copy in copies.done.values():
            self._rig.cache.rename(source, copy)
        for file in files:
            file.follows(infos)
        self._rig.namespace.moved(inode, place.parent, place.name)
        self._rig.namespace.moved_below(inode, infos)
        for file, key in before:
            file.forerunners.renamed(key, file.inode.key)
            file.content.mark()
        doomed = copies.sources()
        if over is not None:
            doomed += over.forerunners.left(beside=doomed)
        seals = [seal for file in files for seal in file.sealed_as_now()]
        seals += self._superseded(files, seals, copies.rename, infos)
        with trio.CancelScope(shield=True):
            await self._rig.intents.end_rename(
                copies.rename, doomed, retires=copies.rename.retires, seals=seals
            )
        if over is not None:
            namechange.forgotten(over)
        self._rig.deletions.resume(doomed, tree=copies.rename.source)

    def _superseded(
        self,
        files: list[OpenFile],
        seals: list[Seal],
        rename: Rename,
        copies: Mapping[tuple[str, ETag], ObjectInfo],
    ) -> list[Seal]:
        """Return, under its new name, what the journal has until what took its place is closed."""
        rows = {id_ for file in files for id_ in file.forerunners.rows} - {s.id for s in seals}
        pending = self._rig.journal.pending() if rows else []
        found = [each.seal for each in pending if each.seal.id in rows]
        return [renamed_seal(s, rename, copies) for s in found if is_moved(s.key, rename)]

    async def _keep_attributes(self, directory: Inode) -> None:
        """Let the marker that was there carry the mode and times of the directory that came."""
        if directory.headers is not None and not directory.unsent:
            await self._files.headers.schedule(*header_change(directory))

    async def _clear_away(self, prefix: str) -> None:
        """Remove what is to go; what S3 does not answer now is removed later, and hidden."""
        try:
            await self._rig.deletions.settle_below(prefix)
        except (Transient, SignInError):
            return
