"""Mutations: what makes, removes and moves names.

Owns the order of requests that keeps the promises: a name is made before its old one goes, an
implicit directory gets its marker before it loses its last child.

INVARIANT: every request on S3 names the version it is about (If-Match, If-None-Match), but for the
removal of markers, which hold nothing.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from cognitofs.errors import (
    EntryExists,
    InvalidArgument,
    IsADirectory,
    NoSuchEntry,
    NotADirectory,
    NotEmpty,
    OtherFileSystem,
    PreconditionFailed,
)
from cognitofs.fs.content import next_headers
from cognitofs.fs.files import Files
from cognitofs.fs.openfile import OpenFile
from cognitofs.fs.rig import Rig
from cognitofs.store.interface import Expect, ObjectInfo
from cognitofs.store.records import TXID
from cognitofs.transfer.copies import copy_object
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
        await file.write(0, data)
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
        async with self._nameless(inode):
            if inode.remote is not None:
                await self._keep_visible(parent, inode)
                await self._delete(inode.remote)
        self._rig.namespace.removed(inode)

    @asynccontextmanager
    async def _nameless(self, *inodes: Inode | None) -> AsyncIterator[None]:
        """Stop sending files while their names are taken away on S3.

        When the block fails they are sent again as if nothing had happened; else they lose their
        names, and only open handles keep their bytes.
        """
        files = [self._files.find(inode) for inode in inodes if inode is not None]
        async with AsyncExitStack() as stack:
            for file in files:
                if file is not None:
                    await stack.enter_async_context(self._stopped(file))
                    await self._keep_for_handles(file)
            yield
            for file in files:
                if file is not None:
                    await file.forget_name()
        for file in files:
            if file is not None:
                self._files.drop(file)

    @asynccontextmanager
    async def _stopped(self, file: OpenFile) -> AsyncIterator[None]:
        """Hold the file's lock with nothing under way; what was stopped is sent again after."""
        async with file.lock:
            must_send = await file.stop_sending()
            try:
                yield
            finally:
                if must_send and not file.unlinked:
                    with trio.CancelScope(shield=True):
                        await file.send_again(durable=self._rig.promises.sync != "close")

    async def _keep_for_handles(self, file: OpenFile) -> None:
        """Fetch what open handles may still want to read, up to a size."""
        if file.handles and file.content.size <= FETCHED_BEFORE_UNLINK:
            await file.content.fetch_whole()

    async def _delete(self, remote: ObjectInfo) -> None:
        try:
            await self._rig.store.delete(remote.key, expect=remote.etag)
        except PreconditionFailed:
            _log.warning("%r was changed by somebody else; their version stays.", remote.key)

    async def rmdir(self, parent: Inode, name: str) -> None:
        """Remove an empty directory; one with hidden keys is not empty."""
        inode = await self._rig.namespace.lookup(parent, name)
        inode.require_directory()
        if await self._rig.directories.has_children(inode):
            raise NotEmpty("The directory is not empty.")
        async with self._nameless(inode):
            await self._keep_visible(parent, inode)
            await self._rig.store.delete(inode.key)
        self._rig.namespace.removed(inode)

    async def _keep_visible(self, parent: Inode, leaving: Inode) -> None:
        """Write the marker of *parent* if it has none and *leaving* is its last child."""
        namespace = self._rig.namespace
        if parent.parent is None or parent.unsent or namespace.has_marker(parent):
            return
        if namespace.has_fresh_child(parent, besides=leaving):
            return
        prefix = parent.key
        page = await self._rig.store.list_page(prefix, delimiter="", limit=3)
        others = [k for found in page.objects if not _belongs(k := found.key, leaving)]
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
        file = self._files.of(inode)
        try:
            async with self._stopped(file):
                async with self._nameless(target):
                    await self._move_object(file, parent, new_parent.key + new_name, target)
                namespace.moved(inode, new_parent, new_name)
        finally:
            self._files.drop(file)

    async def _move_object(
        self, file: OpenFile, parent: Inode, key: str, target: Inode | None
    ) -> None:
        """Bring the object to its new key; what is not on S3 yet needs none."""
        old = file.inode.remote
        if old is None:
            file.replaces = target.remote if target is not None else None
            return
        await self._copy_to(file.inode, old, key, _expect(target))
        await self._keep_visible(parent, file.inode)
        await self._delete(old)

    async def _copy_to(self, inode: Inode, old: ObjectInfo, key: str, expect: Expect) -> None:
        """Copy the object to its new key, with the mode and times it has by now."""
        txid = inode.headers.metadata.get(TXID) if inode.headers is not None else None
        headers = next_headers(inode, txid) if inode.headers is not None else None
        if headers is not None and headers == inode.headers:
            headers = None
        try:
            inode.remote = await copy_object(
                self._rig.store, old, key, expect=expect, headers=headers
            )
        except PreconditionFailed as exc:
            raise EntryExists("The name was changed by somebody else; try again.") from exc
        inode.headers = headers or inode.headers
        self._rig.cache.rename(old, inode.remote)


def _belongs(key: str, leaving: Inode) -> bool:
    return key == leaving.key or (leaving.is_directory and key.startswith(leaving.key))


def _check_rename(inode: Inode, target: Inode | None, *, replace: bool) -> None:
    if target is not None and not replace:
        raise EntryExists("The name is taken.")
    if target is not None and target.is_directory and not inode.is_directory:
        raise IsADirectory("The target is a directory.")
    if target is not None and inode.is_directory and not target.is_directory:
        raise NotADirectory("The target is not a directory.")
    if inode.is_directory:
        raise OtherFileSystem("A directory is renamed by copying; mv does that by itself.")


def _expect(target: Inode | None) -> Expect:
    return "absent" if target is None or target.remote is None else target.remote.etag
