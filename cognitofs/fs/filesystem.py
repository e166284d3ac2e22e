"""Filesystem: what a prefix of a bucket looks like as a file system; here and only here.

Plain types in, plain types out: tests call it without a mount, `fuse/operations.py` turns its
answers into the kernel's. Owns which part does what; the parts own the doing:
names `tree/`, changes of names `mutations.py`, content `openfile.py`, promises `files.py`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import trio

from cognitofs.errors import (
    Archived,
    BadHandle,
    InvalidArgument,
    IsADirectory,
    NotPermitted,
    OtherFileSystem,
    ReadOnly,
)
from cognitofs.fs.content import header_change
from cognitofs.fs.extended import ExtendedAttributes
from cognitofs.fs.files import Files
from cognitofs.fs.handles import DirectoryHandle, FileHandle, HandleId, HandleTable
from cognitofs.fs.mutations import Mutations
from cognitofs.fs.openfile import OpenFile
from cognitofs.fs.rig import Rig
from cognitofs.fs.treemoves import RenameProgress
from cognitofs.store.interface import ARCHIVES
from cognitofs.tree.attributes import Attributes, Kind
from cognitofs.tree.inodes import ROOT, Inode, InodeNumber
from cognitofs.tree.names import check_key

BLOCK = 512
FREE_BLOCKS = 1 << 40
"""df shows 4 PiB: S3 has no end that we could know."""


@dataclass(frozen=True, slots=True)
class Stat:
    """What the kernel learns of an inode. `attribute_ttl` 0: ask again before believing it."""

    number: InodeNumber
    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    nlink: int
    uid: int
    gid: int
    entry_ttl: float
    attribute_ttl: float

    @property
    def blocks(self) -> int:
        """Size in blocks of 512 bytes."""
        return -(-self.size // BLOCK)


@dataclass(frozen=True, slots=True)
class Changes:
    """What setattr shall change; None leaves it."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    mtime_ns: int | None = None


class Filesystem:
    """One mounted prefix."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.files = Files(rig)
        self.handles = HandleTable()
        self.xattrs = ExtendedAttributes(rig, self.files, self._change, self._require_writable)
        self._mutations = Mutations(rig, self.files)
        self._looked_at = float("-inf")

    @property
    def open_handles(self) -> int:
        """How many files and directories are open."""
        return len(self.handles)

    @property
    def used_at(self) -> float:
        """When a name was last looked up, or anything opened or closed (trio's clock)."""
        return max(self._looked_at, self.handles.used_at)

    def _inode(self, number: int) -> Inode:
        return self.rig.table.get(number)

    def _require_writable(self, key: str) -> None:
        """Raise unless the name *key* (a directory's ends in "/") may be changed or made."""
        if self.rig.promises.read_only:
            raise ReadOnly("The mount is read-only.")
        self.rig.rights.check_write(key)

    # -- looking ----------------------------------------------------------------------------------

    async def lookup(self, parent: int, name: str) -> Stat:
        """Return the entry *name* of *parent*; the caller holds a reference then.

        Raises NoSuchEntry, and NameTooLong for what S3 could not hold: the kernel looks a name up
        before it makes it.
        """
        directory = self._inode(parent)
        self._looked_at = trio.current_time()
        check_key(directory.key + name, self.rig.promises.prefix_bytes)
        inode = await self.rig.namespace.lookup(directory, name)
        with self._referenced(inode):
            await self.rig.namespace.describe(inode)
        return self.stat(inode)

    def missing_ttl(self, parent: int, name: str) -> float:
        """Return for how many seconds the kernel may take *name* in *parent* for missing."""
        return self.rig.namespace.missing_for(self._inode(parent), name)

    @contextmanager
    def _referenced(self, inode: Inode) -> Iterator[None]:
        """Give the kernel a reference to *inode*, taken back when the block fails."""
        inode.lookups += 1
        try:
            yield
        except BaseException:
            self.rig.table.forget(inode.number, 1)
            raise

    async def getattr(self, number: int) -> Stat:
        """Return the attributes, asking S3 for those that are only assumed."""
        inode = self._inode(number)
        if not inode.is_described:
            await self.rig.namespace.describe(inode)
        return self.stat(inode)

    def stat(self, inode: Inode) -> Stat:
        """Return what is known of *inode* right now."""
        promises, attributes = self.rig.promises, inode.attributes
        committed = inode.remote.modified * 1_000_000_000 if inode.remote is not None else 0
        changed = inode.changed_ns or max(attributes.mtime_ns, committed)
        return Stat(
            number=inode.number,
            mode=inode.kind.value | self._mode(inode),
            size=inode.size,
            mtime_ns=inode.entries_changed_ns or attributes.mtime_ns,
            ctime_ns=max(changed, inode.entries_changed_ns),
            nlink=0 if not inode.is_attached else 2 if inode.is_directory else 1,
            uid=promises.uid,
            gid=promises.gid,
            entry_ttl=self.rig.namespace.trusted_for(inode),
            attribute_ttl=promises.metadata_ttl if inode.is_described else 0.0,
        )

    def _mode(self, inode: Inode) -> int:
        """Return the permissions, without those to write where nobody of this mount may."""
        mode = inode.attributes.mode
        return mode if self.rig.rights.may_write(inode.key) else mode & ~0o222

    async def readlink(self, number: int) -> str:
        """Return the target of a symlink."""
        inode = self._inode(number)
        if inode.kind is not Kind.SYMLINK:
            raise InvalidArgument("It is not a symlink.")
        with self.files.using(inode) as file:
            target = (await file.content.read(0, inode.size)).decode()
        self.rig.rights.check_link(inode.key, target)
        return target

    # -- attributes -------------------------------------------------------------------------------

    async def setattr(self, number: int, changes: Changes, handle: int | None) -> Stat:
        """Change mode, times or size; owner only to what it is already."""
        inode = self._inode(number)
        self._require_writable(inode.key)
        self._check_owner(changes)
        await self.rig.namespace.describe(inode)
        if changes.size is not None:
            await self._truncate(inode, changes.size, handle)
        if changes.mode is not None or changes.mtime_ns is not None:
            await self._set_attributes(inode, changes)
        return self.stat(inode)

    def _check_owner(self, changes: Changes) -> None:
        promises = self.rig.promises
        if changes.uid not in (None, promises.uid) or changes.gid not in (None, promises.gid):
            raise NotPermitted("All files here belong to who mounted them.")

    async def _truncate(self, inode: Inode, size: int, handle: int | None) -> None:
        if inode.is_directory:
            raise IsADirectory("A directory has no size to change.")
        with self.files.using(inode) as file:
            await file.truncate(size)
            if handle is None and not file.writers:
                await self.files.publish(file)  # no FLUSH will come

    async def _set_attributes(self, inode: Inode, changes: Changes) -> None:
        attributes = inode.attributes
        if changes.mode is not None:
            attributes = replace(attributes, mode=changes.mode & 0o777)
        if changes.mtime_ns is not None:
            attributes = replace(attributes, mtime_ns=changes.mtime_ns)
            inode.entries_changed_ns = 0
        file = self.files.find(inode)
        if file is not None:
            file.mtime_is_set |= changes.mtime_ns is not None
        await self._change(inode, attributes)

    async def _change(self, inode: Inode, attributes: Attributes) -> None:
        inode.changed_ns = self.rig.now_ns()
        if attributes == inode.attributes:
            return
        inode.attributes = attributes
        file = self.files.find(inode)
        if file is not None and (file.dirty or file.upload):
            return  # it rides on the upload, or follows it
        async with self.files.gate.below(inode):
            if inode.number != ROOT and inode.is_attached:
                await self.files.headers.schedule(*header_change(inode))

    @property
    def renaming(self) -> list[RenameProgress]:
        """The renames of directories that are under way."""
        return self._mutations.trees.progress

    # -- open files -------------------------------------------------------------------------------

    async def open(self, number: int, flags: int) -> HandleId:
        """Open a file. Raises Stale when its name stands for another version by now."""
        inode = self._inode(number)
        readable, writable = _access(flags)
        if writable:
            self._require_writable(inode.key)
        await self.rig.namespace.revalidate(inode, self.rig.promises.open_ttl)
        if writable:
            await self.rig.namespace.describe(inode)
        if not (flags & os.O_TRUNC and writable):
            await self._require_restored(inode)
        with self.files.using(inode) as file:
            if flags & os.O_TRUNC and writable:
                await file.truncate(0)
            return self._open_handle(file, readable=readable, writable=writable)

    async def _require_restored(self, inode: Inode) -> None:
        """Raise Archived for an object whose bytes cannot be had; a class alone does not say."""
        remote = inode.remote
        if remote is None or remote.storage_class not in ARCHIVES or not remote.size:
            return
        try:
            await self.rig.store.read(remote, 0, 1)
        except Archived as exc:
            raise Archived(
                f"{inode.key!r} lies in {remote.storage_class}; ask S3 to restore it, wait until "
                "that is done, and open it again."
            ) from exc

    def _open_handle(self, file: OpenFile, *, readable: bool, writable: bool) -> HandleId:
        file.handles += 1
        file.writers += writable
        return self.handles.add(FileHandle(file, readable, writable))

    async def create(self, parent: int, name: str, mode: int, flags: int) -> tuple[HandleId, Stat]:
        """Make a file and open it; the caller holds a reference then."""
        directory = self._inode(parent)
        self._require_writable(directory.key + name)
        file = await self._mutations.create(directory, name, mode)
        file.inode.lookups += 1
        readable, _ = _access(flags)
        handle = self._open_handle(file, readable=readable, writable=True)
        return handle, self.stat(file.inode)

    async def read(self, handle: int, start: int, size: int) -> bytes:
        """Return up to *size* bytes from *start*; fewer only at the end of the file."""
        opened = self.handles.file(handle)
        return await opened.file.content.read(start, start + size, opened.window)

    async def write(self, handle: int, start: int, data: bytes) -> int:
        """Store *data* at *start*."""
        opened = self.handles.file(handle)
        if not opened.writable:
            raise BadHandle("The file is not open for writing.")
        await opened.file.write(start, data)
        return len(data)

    async def flush(self, handle: int) -> None:
        """Seal what was written, and wait as the level promises; free for read-only handles."""
        opened = self.handles.file(handle)
        if opened.writable:
            with opened.hearing():
                await self.files.flush(opened.file)

    async def fsync(self, handle: int) -> None:
        """Seal what was written, and wait as the level promises."""
        opened = self.handles.file(handle)
        with opened.hearing():
            await self.files.fsync(opened.file)

    async def release(self, handle: int) -> None:
        """Close a handle."""
        opened = self.handles.remove(handle)
        if isinstance(opened, FileHandle):
            await self.files.release(opened.file, writable=opened.writable)

    # -- directories ------------------------------------------------------------------------------

    def opendir(self, number: int) -> HandleId:
        """Open a directory; nothing is asked yet."""
        inode = self._inode(number)
        inode.require_directory()
        inode.pins += 1
        return self.handles.add(DirectoryHandle(inode, self.rig.directories, self.rig.table))

    async def readdir(self, handle: int, cookie: int) -> tuple[Inode, int] | None:
        """Return the entry behind *cookie* and its own cookie; None at the end."""
        return await self.handles.directory(handle).next(cookie)

    def releasedir(self, handle: int) -> None:
        """Close a directory."""
        opened = self.handles.remove(handle)
        if isinstance(opened, DirectoryHandle):
            opened.close()
            opened.directory.pins -= 1
            self.rig.table.prune(opened.directory)

    async def fsyncdir(self, handle: int) -> None:
        """Keep what fsync promises for everything below the directory."""
        await self.files.sync_below(self.handles.directory(handle).directory)

    # -- names ------------------------------------------------------------------------------------

    async def mkdir(self, parent: int, name: str, mode: int) -> Stat:
        """Make a directory; the caller holds a reference then."""
        directory = self._inode(parent)
        self._require_writable(f"{directory.key}{name}/")
        file = await self._mutations.mkdir(directory, name, mode)
        return await self._published(file)

    async def symlink(self, parent: int, name: str, target: str) -> Stat:
        """Make a symlink; the caller holds a reference then."""
        directory = self._inode(parent)
        self._require_writable(directory.key + name)
        file = await self._mutations.symlink(directory, name, target)
        return await self._published(file)

    async def _published(self, file: OpenFile) -> Stat:
        with self._referenced(file.inode):
            await self.files.publish(file)
        return self.stat(file.inode)

    async def unlink(self, parent: int, name: str) -> None:
        """Remove a file or symlink."""
        directory = self._inode(parent)
        self._require_writable(directory.key + name)
        await self._mutations.removals.unlink(directory, name)

    async def rmdir(self, parent: int, name: str) -> None:
        """Remove an empty directory."""
        directory = self._inode(parent)
        self._require_writable(f"{directory.key}{name}/")
        await self._mutations.removals.rmdir(directory, name)

    async def rename(
        self, parent: int, name: str, new_parent: int, new_name: str, *, replace: bool
    ) -> None:
        """Give a file or directory another name; *replace* False refuses a taken one."""
        old, new = self._inode(parent), self._inode(new_parent)
        for key in (f"{old.key}{name}/", f"{new.key}{new_name}/"):
            self._require_writable(key)
        if self.rig.rights.are_apart(old.key, new.key):
            raise OtherFileSystem("Between two parts of the bucket files are moved by copying.")
        await self._mutations.rename(old, name, new, new_name, replace=replace)

    def forget(self, number: int, lookups: int) -> None:
        """Take account of the kernel forgetting an inode."""
        self.rig.table.forget(number, lookups)


def _access(flags: int) -> tuple[bool, bool]:
    """Return (readable, writable) of open flags."""
    mode = flags & os.O_ACCMODE
    return mode in (os.O_RDONLY, os.O_RDWR), mode in (os.O_WRONLY, os.O_RDWR)
