"""Removals: unlink and rmdir.

Owns what happens before and after an object goes: open handles get its bytes, an implicit directory
its marker. In level `close` S3 has said so when a removal returns; in the others it is journalled,
hidden at once, and carried out in batches by `transfer/deletions.py`.
"""

from cognitofs.errors import IsADirectory, NotEmpty, NotFound, Transient
from cognitofs.fs import namechange
from cognitofs.fs.content import next_headers
from cognitofs.fs.files import Files
from cognitofs.fs.openfile import OpenFile
from cognitofs.fs.rig import Rig
from cognitofs.spool.intents import Doomed
from cognitofs.store.interface import ETag, ObjectInfo
from cognitofs.transfer.leftovers import remove_ours
from cognitofs.tree.away import UNANSWERED
from cognitofs.tree.inodes import Inode

FETCHED_BEFORE_UNLINK = 64 * 1024 * 1024
"""Bytes. An open file up to this size is fetched whole before its object goes."""


class Removals:
    """Takes names away, in one mount."""

    def __init__(self, rig: Rig, files: Files) -> None:
        self._rig = rig
        self._files = files

    @property
    def _waits_for_s3(self) -> bool:
        return self._rig.promises.sync == "close"

    async def unlink(self, parent: Inode, name: str) -> None:
        """Remove a file or symlink."""
        async with self._files.gate.below(parent):
            inode = await self._rig.namespace.lookup(parent, name)
            if inode.is_directory:
                raise IsADirectory("It is a directory; use rmdir.")
            with self._files.using(inode) as file:
                async with self._files.stopped(file, goes=True):
                    await self.keep_for_handles(file)
                    await self._take_away(file, parent)

    async def _take_away(self, file: OpenFile, parent: Inode) -> None:
        if not self._waits_for_s3:
            doomed = _doomed(file)
            if doomed:
                await self.keep_visible(parent, file.inode)
            await self._rig.deletions.add(doomed, forgets=file.rows)
            self._rig.namespace.removed(file.inode)
            namechange.forgotten(file)
            return
        await namechange.settle_doubts(file)
        if file.stands_for is not None:
            await self.keep_visible(parent, file.inode)
            await self.delete(file.stands_for)
        await self._remove_left(file)
        self._rig.namespace.removed(file.inode)
        await namechange.forget_name(file)

    async def rmdir(self, parent: Inode, name: str) -> None:
        """Remove an empty directory; one with hidden keys is not empty."""
        async with self._files.gate.below(parent):
            inode = await self._rig.namespace.lookup(parent, name)
            inode.require_directory()
            await self._require_empty(inode)
            with self._files.using(inode) as file:
                async with self._files.stopped(file, goes=True):
                    await self.keep_visible(parent, inode)
                    await self._take_marker_away(file)

    async def _take_marker_away(self, file: OpenFile) -> None:
        """Remove the marker, whoever wrote it: all markers are alike."""
        inode = file.inode
        if self._waits_for_s3:
            await self._rig.store.delete(inode.key)
            await self._remove_left(file)
            self._rig.namespace.removed(inode)
            await namechange.forget_name(file)
            return
        marker = Doomed(inode.key, "any")
        doomed = [marker, *file.forerunners.left(beside=[marker])]
        await self._rig.deletions.add(doomed, forgets=file.rows, tree=inode.key)
        self._rig.namespace.removed(inode)
        namechange.forgotten(file)

    async def _remove_left(self, file: OpenFile) -> None:
        for key, txid in file.forerunners.leaves:
            await remove_ours(self._rig.store, key, (txid,))

    async def _require_empty(self, directory: Inode) -> None:
        """See `require_empty`. What is journalled can do with what was last known of it."""
        directories = self._rig.directories
        if self._waits_for_s3 or not directories.may_answer(directory):
            await self.require_empty(directory)
            return
        try:
            if not self._rig.namespace.away.is_away():
                await self.require_empty(directory)
                return
        except UNANSWERED:
            pass
        if directories.had_children(directory):
            raise NotEmpty("The directory is not empty.")

    async def require_empty(self, directory: Inode) -> None:
        """Return when nothing is, or is about to go, below *directory*. Raises NotEmpty."""
        await self._rig.deletions.settle_below(directory.key)
        if await self._rig.directories.has_children(directory):
            raise NotEmpty("The directory is not empty.")

    async def keep_for_handles(self, file: OpenFile) -> None:
        """Fetch what open handles may still want to read, up to a size."""
        if file.handles and file.content.size <= FETCHED_BEFORE_UNLINK:
            await file.content.fetch_whole()

    async def delete(self, remote: ObjectInfo) -> None:
        """Remove that version; another one stays."""
        doomed = Doomed(remote.key, remote.etag)
        try:
            await self._rig.deletions.delete(doomed)
        except Transient:
            if await self._is_there(remote):
                raise

    async def _is_there(self, remote: ObjectInfo) -> bool:
        """Tell whether that version is still there after a delete that was not answered."""
        try:
            return (await self._rig.store.head(remote.key)).info.etag == remote.etag
        except NotFound:
            return False

    # -- implicit directories ---------------------------------------------------------------------

    async def keep_visible(self, parent: Inode, leaving: Inode) -> None:
        """Write the marker of *parent* if it has none and *leaving* is its last child."""
        namespace = self._rig.namespace
        if parent.parent is None or parent.unsent or namespace.markers.has(parent):
            return
        if namespace.has_fresh_child(parent, besides=leaving):
            return
        if not self._waits_for_s3:
            await self._journal_marker(parent)
        elif not await self._rig.directories.has_others(parent, leaving.key):
            headers = next_headers(parent)
            await self._rig.store.put(parent.key, b"", headers, expect="any")
            parent.headers = headers

    async def _journal_marker(self, directory: Inode) -> None:
        """Send a marker behind the caller's back; that it exists already is no failure."""
        with self._files.using(directory) as file:
            file.mark_dirty()
            file.was_written = True
            await file.publish(durable=False)


def _doomed(file: OpenFile) -> list[Doomed]:
    """Return what S3 has, or may have, of a file."""
    mine, stands_for = file.forerunners, file.stands_for
    found = mine.left()
    if stands_for is not None or mine.doubts:
        etag = stands_for.etag if stands_for is not None else ETag("")
        found.append(Doomed(file.inode.key, etag, mine.doubts))
    return found
