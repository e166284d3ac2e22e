"""Handles: what open() and opendir() return, and the table of them.

Owns handle numbers and a directory handle's place in its listing; knows nothing of the kernel.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NewType

import trio

from cognitofs.errors import BadHandle
from cognitofs.fs.openfile import OpenFile
from cognitofs.fs.walk import Walk
from cognitofs.transfer.readahead import Window
from cognitofs.tree.directories import Directories
from cognitofs.tree.inodes import Inode, InodeTable

HandleId = NewType("HandleId", int)

SLOTS = 1 << 20
"""Entries of one page are below this: LIST gives 1000, our own changes add to them."""
PAGES = 1 << 21
"""Pages of one walk, and..."""
WALKS = 1 << 22
"""...walks of one handle, counted round: together a cookie is a positive off_t."""
KEPT_WALKS = 2


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
    """One opendir(): hands out entries, each with a cookie to go on from.

    A cookie is (walk, page, slot of the entry behind which to go on). 0 begins a new walk, which
    shows what is there by then; one can still go back to the last one, since the place of the first
    entry is 0, too, and seekdir cannot be told from rewinddir.
    """

    def __init__(self, directory: Inode, directories: Directories, table: InodeTable) -> None:
        self.directory = directory
        self._directories = directories
        self._table = table
        self._walks: dict[int, Walk] = {}
        self._begun = 0

    async def next(self, cookie: int) -> tuple[Inode, int] | None:
        """Return the entry behind *cookie* and its own cookie; None at the end."""
        number, place = divmod(cookie, PAGES * SLOTS)
        if cookie == 0 or not self._walks:
            number = self._begin()
        elif number not in self._walks:
            number = max(self._walks)  # about the same place
        walk = self._walks[number] = self._walks.pop(number)  # the last used is the last
        found = await walk.next(*divmod(place, SLOTS))
        if found is None:
            return None
        inode, page, slot = found
        return inode, (number * PAGES + page) * SLOTS + slot

    def _begin(self) -> int:
        number = self._begun % WALKS
        self._begun += 1
        while len(self._walks) >= KEPT_WALKS:
            self._walks.pop(next(iter(self._walks))).close()
        self._walks[number] = Walk(self.directory, self._directories, self._table)
        return number

    def close(self) -> None:
        """End all walks."""
        while self._walks:
            self._walks.popitem()[1].close()


def position(cookie: int) -> int:
    """Return roughly how many entries lie before *cookie*: LIST gives 1000 a page."""
    page, slot = divmod(cookie % (PAGES * SLOTS), SLOTS)
    return page * 1000 + slot


class HandleTable:
    """All handles of one mount, by number. `used_at` is when one was last opened or closed."""

    def __init__(self) -> None:
        self.used_at = float("-inf")
        self._handles: dict[int, FileHandle | DirectoryHandle] = {}
        self._last = 0

    def add(self, handle: FileHandle | DirectoryHandle) -> HandleId:
        """Give *handle* a number."""
        self._last += 1
        self.used_at = trio.current_time()
        self._handles[self._last] = handle
        return HandleId(self._last)

    def __len__(self) -> int:
        return len(self._handles)

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
        self.used_at = trio.current_time()
        return self._handles.pop(number, None)
