"""Mutations: what makes and moves names; what takes them away is `removals.py`'s.

Owns the checks that come first, and who may work below a directory at the same time.

INVARIANT: every request on S3 names the version it is about (If-Match, If-None-Match), but for the
removal of markers, which hold nothing.
"""

from cognitofs.errors import (
    EntryExists,
    InvalidArgument,
    IsADirectory,
    NoSuchEntry,
    NotADirectory,
    NotPermitted,
)
from cognitofs.fs.files import Files
from cognitofs.fs.gate import is_below
from cognitofs.fs.openfile import OpenFile
from cognitofs.fs.removals import Removals
from cognitofs.fs.renames import Place, Renames
from cognitofs.fs.rig import Rig
from cognitofs.fs.treemoves import TreeMoves
from cognitofs.tree.attributes import SYMLINK_MAXIMUM, Attributes, Kind
from cognitofs.tree.inodes import ROOT, Inode
from cognitofs.tree.names import check_key, is_trash


class Mutations:
    """Changes of names of one mount."""

    def __init__(self, rig: Rig, files: Files) -> None:
        self._rig = rig
        self._files = files
        self.removals = Removals(rig, files)
        self._renames = Renames(rig, files, self.removals)
        self.trees = TreeMoves(rig, files, self.removals, self._renames)

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
        if parent.number == ROOT and is_trash(name) and not self._rig.promises.trash:
            raise NotPermitted("Trash directories are not made here; mount with --trash for them.")
        check_key(parent.key + name + "/" * is_directory, self._rig.promises.prefix_bytes)
        await self._files.wait_for_room()
        async with self._files.gate.below(parent):
            if await self._find(parent, name) is not None:
                raise EntryExists("The name is taken.")
            attributes = Attributes(kind, mode & 0o777, self._rig.now_ns())
            return self._files.of(self._rig.namespace.created(parent, name, attributes))

    async def _find(self, parent: Inode, name: str) -> Inode | None:
        try:
            return await self._rig.namespace.lookup(parent, name)
        except NoSuchEntry:
            return None

    # -- moving -----------------------------------------------------------------------------------

    async def rename(
        self, parent: Inode, name: str, new_parent: Inode, new_name: str, *, replace: bool
    ) -> None:
        """Give a file or directory another name; *replace* False refuses a taken one."""
        inode = await self._rig.namespace.lookup(parent, name)
        if is_below(new_parent, inode):
            raise InvalidArgument("A directory cannot become part of itself.")
        gate = self._files.gate
        is_directory = inode.is_directory
        passed = gate.moving(inode, new_parent) if is_directory else gate.below(parent, new_parent)
        async with passed:
            inode = await self._rig.namespace.lookup(parent, name)
            target = await self._find(new_parent, new_name)
            if target is inode:
                return
            _check_rename(inode, target, replace=replace)
            place = Place(new_parent, new_name)
            check_key(place.key, self._rig.promises.prefix_bytes)
            if inode.is_directory and is_directory:
                await self.trees.rename(inode, parent, place, target)
            else:
                await self._renames.rename(inode, parent, place, target)


def _check_rename(inode: Inode, target: Inode | None, *, replace: bool) -> None:
    if target is not None and not replace:
        raise EntryExists("The name is taken.")
    if target is not None and target.is_directory and not inode.is_directory:
        raise IsADirectory("The target is a directory.")
    if target is not None and inode.is_directory and not target.is_directory:
        raise NotADirectory("The target is not a directory.")
