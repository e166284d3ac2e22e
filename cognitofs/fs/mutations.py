"""Mutations: what makes, removes and moves names.

Owns the order of requests that keeps the promises: a name is made before its old one goes, an
implicit directory gets its marker before it loses its last child.

INVARIANT: every request on S3 names the version it is about (If-Match, If-None-Match), but for the
removal of markers, which hold nothing.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from cognitofs.errors import (
    CognitoFSError,
    EntryExists,
    InvalidArgument,
    IsADirectory,
    NoSuchEntry,
    NotADirectory,
    NotEmpty,
    NotFound,
    OtherFileSystem,
    PreconditionFailed,
    Transient,
)
from cognitofs.fs.content import next_headers
from cognitofs.fs.files import Files
from cognitofs.fs.openfile import OpenFile
from cognitofs.fs.rig import Rig
from cognitofs.store.interface import Expect, ObjectHeaders, ObjectInfo
from cognitofs.store.records import TXID
from cognitofs.transfer.copies import copy_object
from cognitofs.transfer.leftovers import remove_ours
from cognitofs.tree.attributes import SYMLINK_MAXIMUM, Attributes, Kind
from cognitofs.tree.inodes import Inode
from cognitofs.tree.names import check_key

FETCHED_BEFORE_UNLINK = 64 * 1024 * 1024
"""Bytes. An open file up to this size is fetched whole before its object goes."""

_log = logging.getLogger(__name__)


class Mutations:
    """Changes of names of one mount."""

    def __init__(self, rig: Rig, files: Files) -> None:
        self._rig = rig
        self._files = files

    # -- making -----------------------------------------------------------------------------------

    async def create(self, parent: Inode, name: str, mode: int) -> OpenFile:
        """Make an empty file; S3 hears of it when it is closed."""
        file = await self._make(parent, name, Kind.FILE, mode)
        file.mark_dirty()
        return file

    async def mkdir(self, parent: Inode, name: str, mode: int) -> OpenFile:
        """Make a directory: its marker `name/`, to be published by the caller."""
        file = await self._make(parent, name, Kind.DIRECTORY, mode)
        file.mark_dirty()
        file.was_written = True
        return file

    async def symlink(self, parent: Inode, name: str, target: str) -> OpenFile:
        """Make a symlink: an object whose bytes are the target, to be published by the caller."""
        data = target.encode()
        if not 0 < len(data) <= SYMLINK_MAXIMUM:
            raise InvalidArgument("A link's target has 1 to 4095 bytes.")
        file = await self._make(parent, name, Kind.SYMLINK, 0o777)
        with self._files.using(file.inode):
            try:
                await file.write(0, data)
            except BaseException:
                self._rig.namespace.removed(file.inode)
                raise
        return file

    async def _make(self, parent: Inode, name: str, kind: Kind, mode: int) -> OpenFile:
        parent.require_directory()
        is_directory = kind is Kind.DIRECTORY
        check_key(parent.key + name + "/" * is_directory, self._rig.promises.prefix_bytes)
        if await self._find(parent, name) is not None:
            raise EntryExists("The name is taken.")
        attributes = Attributes(kind, mode & 0o777, self._rig.now_ns())
        return self._files.of(self._rig.namespace.created(parent, name, attributes))

    async def _find(self, parent: Inode, name: str) -> Inode | None:
        try:
            return await self._rig.namespace.lookup(parent, name)
        except NoSuchEntry:
            return None

    # -- removing ---------------------------------------------------------------------------------

    async def unlink(self, parent: Inode, name: str) -> None:
        """Remove a file or symlink; returns when S3 said so."""
        inode = await self._rig.namespace.lookup(parent, name)
        if inode.is_directory:
            raise IsADirectory("It is a directory; use rmdir.")
        with self._files.using(inode) as file:
            async with self._stopped(file):
                await file.settle_doubts()
                await self._keep_for_handles(file)
                if file.stands_for is not None:
                    await self._keep_visible(parent, inode.key, inode)
                    await self._delete(file.stands_for)
                for key, txid in file.forerunners.leaves:
                    await remove_ours(self._rig.store, key, (txid,))
                self._rig.namespace.removed(inode)
                await file.forget_name()

    @asynccontextmanager
    async def _stopped(self, file: OpenFile) -> AsyncIterator[None]:
        """Hold the file's lock with nothing under way; what was stopped is sent again after.

        So when the block fails all is as before, unless it took the file's name away.
        """
        async with file.lock:
            try:
                await file.stop_sending()
                yield
            finally:
                if file.must_send_again:
                    with trio.CancelScope(shield=True):
                        await file.send_again(durable=self._rig.promises.sync != "close")
                file.rewrite_headers_if_changed()

    async def _keep_for_handles(self, file: OpenFile) -> None:
        """Fetch what open handles may still want to read, up to a size."""
        if file.handles and file.content.size <= FETCHED_BEFORE_UNLINK:
            await file.content.fetch_whole()

    async def _delete(self, remote: ObjectInfo) -> None:
        try:
            await self._rig.store.delete(remote.key, expect=remote.etag)
        except PreconditionFailed:
            _log.warning("%r was changed by somebody else; their version stays.", remote.key)
        except Transient:
            if await self._is_there(remote):
                raise

    async def _is_there(self, remote: ObjectInfo) -> bool:
        """Tell whether that version is still there after a delete that was not answered."""
        try:
            return (await self._rig.store.head(remote.key)).info.etag == remote.etag
        except NotFound:
            return False

    async def rmdir(self, parent: Inode, name: str) -> None:
        """Remove an empty directory; one with hidden keys is not empty."""
        inode = await self._rig.namespace.lookup(parent, name)
        inode.require_directory()
        if await self._rig.directories.has_children(inode):
            raise NotEmpty("The directory is not empty.")
        with self._files.using(inode) as file:
            async with self._stopped(file):
                await self._keep_visible(parent, inode.key, inode)
                await self._rig.store.delete(inode.key)
                self._rig.namespace.removed(inode)
                await file.forget_name()

    async def _keep_visible(self, parent: Inode, key: str, leaving: Inode) -> None:
        """Write the marker of *parent* if it has none and *key* is its last child."""
        namespace = self._rig.namespace
        if parent.parent is None or parent.unsent or namespace.has_marker(parent):
            return
        if namespace.has_fresh_child(parent, besides=leaving):
            return
        prefix = parent.key
        page = await self._rig.store.list_page(prefix, delimiter="", limit=3)
        others = [found for found in page.objects if not _belongs(found.key, key)]
        if others:  # a sibling, or the marker itself
            return
        headers = next_headers(parent)
        await self._rig.store.put(prefix, b"", headers, expect="any")
        parent.headers = headers

    # -- moving -----------------------------------------------------------------------------------

    async def rename(
        self, parent: Inode, name: str, new_parent: Inode, new_name: str, *, replace: bool
    ) -> None:
        """Give a file another name. Raises OtherFileSystem for a directory: `mv` copies it."""
        namespace = self._rig.namespace
        inode = await namespace.lookup(parent, name)
        target = await self._find(new_parent, new_name)
        if target is inode:
            return
        _check_rename(inode, target, replace=replace)
        check_key(new_parent.key + new_name, self._rig.promises.prefix_bytes)
        await namespace.describe(inode)
        place = _Place(new_parent, new_name)
        with self._files.using(inode) as file:
            async with self._stopped(file):
                if file.content.base is None:
                    await self._rename_unsent(file, parent, place, target)
                else:
                    await self._rename_object(file, parent, place, target)

    async def _rename_unsent(
        self, file: OpenFile, parent: Inode, place: "_Place", target: Inode | None
    ) -> None:
        """Rename what S3 does not have: an entry of the journal, which its next seal replaces."""
        inode, old_key = file.inode, file.inode.key
        if file.replaces is not None:  # else that version would come back under the old name
            await self._keep_visible(parent, old_key, inode)
            await self._delete(file.replaces)
        if not file.must_send_again:  # nor shall what it took the place of in the journal
            await file.forget_replaced()
        async with self._giving_way(target) as over:
            file.renamed(place.parent.key + place.name, over)
            self._rig.namespace.moved(inode, place.parent, place.name)

    async def _rename_object(
        self, file: OpenFile, parent: Inode, place: "_Place", target: Inode | None
    ) -> None:
        """Copy the object, then delete the old one; when that fails both names are there."""
        await file.settle_doubts()
        inode, old, old_key = file.inode, file.content.base, file.inode.key
        assert old is not None, "it is on S3"
        async with self._giving_way(target) as over:
            await self._copy_over(inode, old, place, over)
            self._rig.namespace.moved(inode, place.parent, place.name)
            if over is not None:
                await over.forget_name()
        try:
            await self._keep_visible(parent, old_key, inode)
            await self._delete(old)
        except BaseException:
            self._rig.namespace.doubt(parent, old_key)
            raise

    @asynccontextmanager
    async def _giving_way(self, target: Inode | None) -> AsyncIterator[OpenFile | None]:
        """Stop sending what a rename replaces, and keep its bytes for those who have it open."""
        if target is None:
            yield None
            return
        with self._files.using(target) as file:
            async with self._stopped(file):
                await self._keep_for_handles(file)
                yield file

    async def _copy_over(
        self, inode: Inode, old: ObjectInfo, place: "_Place", over: OpenFile | None
    ) -> None:
        """Copy the object to its new key, with the mode and times it has by now."""
        expect: Expect = "absent"
        if over is not None:
            await over.settle_doubts()
            expect = over.stands_for.etag if over.stands_for is not None else "absent"
        headers = _headers_of_copy(inode)
        key = place.parent.key + place.name
        changed = None if headers == inode.headers else headers
        try:
            new = await copy_object(self._rig.store, old, key, expect=expect, headers=changed)
        except PreconditionFailed as exc:
            raise EntryExists("The name was changed by somebody else; try again.") from exc
        except CognitoFSError:
            if over is not None and headers is not None:
                # It may have happened: the target, which stays, must know the copy for ours.
                over.forerunners.doubts += (headers.metadata[TXID],)
            raise
        inode.remote, inode.headers = new, headers
        self._rig.cache.rename(old, new)


def _headers_of_copy(inode: Inode) -> ObjectHeaders | None:
    """Return the headers of the inode as it is now; None when S3 alone knows them."""
    if inode.headers is None:
        return None
    return next_headers(inode, inode.headers.metadata.get(TXID))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a rename leads."""

    parent: Inode
    name: str


def _belongs(key: str, leaving: str) -> bool:
    return key == leaving or (leaving.endswith("/") and key.startswith(leaving))


def _check_rename(inode: Inode, target: Inode | None, *, replace: bool) -> None:
    if target is not None and not replace:
        raise EntryExists("The name is taken.")
    if target is not None and target.is_directory and not inode.is_directory:
        raise IsADirectory("The target is a directory.")
    if target is not None and inode.is_directory and not target.is_directory:
        raise NotADirectory("The target is not a directory.")
    if inode.is_directory:
        raise OtherFileSystem("A directory is renamed by copying; mv does that by itself.")
