"""Handles: what open() and opendir() return, and the table of them.

Owns handle numbers and a directory handle's place in its listing; knows nothing of the kernel.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NewType

from cognitofs.errors import BadHandle
from cognitofs.fs.openfile import OpenFile
from cognitofs.transfer.readahead import Window
from cognitofs.tree.directories import Directories
from cognitofs.tree.inodes import Inode, InodeTable
from cognitofs.tree.listing import Listing

HandleId = NewType("HandleId", int)

SLOTS = 1 << 20
"""Entries of one page are below this: LIST gives 1000, our own changes add to them."""


@dataclass(slots=True, eq=False)
class FileHandle:
    """One open() of a file."""

    file: OpenFile
    readable: bool
    writable: bool
    window: Window = field(default_factory=Window)
    heard: int = field(init=False)

    def __post_init__(self) -> None:
        self.heard = self.file.failures.count

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Raise behind the block, once, what S3 refused; an error of the block stands for it."""
        try:
            yield
        finally:
            failure = self.file.failures.since(self.heard)
            self.heard = self.file.failures.count
        if failure is not None and not self.file.unlinked:
            raise failure


class DirectoryHandle:
    """One opendir(): streams pages, keeps the first key of each so that seekdir can go back.

    A cookie is (page, slot of the entry behind which to go on); 0 is the beginning.
    """

    def __init__(self, directory: Inode, directories: Directories, table: InodeTable) -> None:
        self.directory = directory
        self._directories = directories
        self._table = table
        self._listing: Listing = directories.begin_listing()
        self._starts: list[str] = [""]
        self._page = -1
        self._inodes: tuple[Inode, ...] = ()
        self._is_last = False

    async def next(self, cookie: int) -> tuple[Inode, int] | None:
        """Return the entry behind *cookie* and its own cookie; None at the end."""
        page, slot = divmod(cookie, SLOTS)
        while True:
            if page != self._page:
                await self._turn_to(page)
            while slot < len(self._inodes):
                inode = self._inodes[slot]
                slot += 1
                if inode.is_attached:
                    return inode, page * SLOTS + slot
            if self._is_last:
                return None
            page, slot = page + 1, 0

    async def _turn_to(self, page: int) -> None:
        if page >= len(self._starts):
            page = len(self._starts) - 1
        listing = self._listing if page == self._page + 1 else self._directories.begin_listing()
        found = await self._directories.page(self.directory, self._starts[page], listing)
        for inode in found.inodes:
            inode.pins += 1  # until it is the kernel's, or the page is turned
        self._let_go()
        self._page, self._inodes = page, found.inodes
        self._is_last = found.after is None
        if found.after is not None and page + 1 == len(self._starts):
            self._starts.append(found.after)

    def _let_go(self) -> None:
        """Drop the inodes of a page that the kernel did not keep."""
        inodes, self._inodes = self._inodes, ()
        for inode in inodes:
            inode.pins -= 1
            self._table.prune(inode)

    def close(self) -> None:
        """End the listing."""
        self._let_go()


class HandleTable:
    """All handles of one mount, by number."""

    def __init__(self) -> None:
        self._handles: dict[int, FileHandle | DirectoryHandle] = {}
        self._last = 0

    def add(self, handle: FileHandle | DirectoryHandle) -> HandleId:
        """Give *handle* a number."""
        self._last += 1
        self._handles[self._last] = handle
        return HandleId(self._last)

    def file(self, number: int) -> FileHandle:
        """Return a file's handle. Raises BadHandle."""
        found = self._handles.get(number)
        if not isinstance(found, FileHandle):
            raise BadHandle("The handle is not open.")
        return found

    def directory(self, number: int) -> DirectoryHandle:
        """Return a directory's handle. Raises BadHandle."""
        found = self._handles.get(number)
        if not isinstance(found, DirectoryHandle):
            raise BadHandle("The handle is not open.")
        return found

    def remove(self, number: int) -> FileHandle | DirectoryHandle | None:
        """Forget a number."""
        return self._handles.pop(number, None)
