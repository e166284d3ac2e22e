"""Walk: one way through a directory, page by page, that can go back to any place it has shown.

Owns the numbering of places. The pages themselves are `tree/directories.py`'s.

INVARIANT: a place (page, slot) stands for the same name as long as the walk lives, whatever is made
or removed meanwhile: what is there throughout is shown once.
"""

from array import array

from cognitofs.tree.directories import Directories
from cognitofs.tree.inodes import Inode, InodeTable
from cognitofs.tree.listing import Listing

HELD_PAGES = 2
"""The one that is read, and the one before: the kernel's last request may lie between them."""

Slots = tuple[tuple[str, Inode] | None, ...]
"""The entries of a page; None where one is gone."""


class Walk:
    """The kernel goes back a little whenever a program's buffer ends inside what it was given.

    So two pages are held; of all others is known where they begin and which names they had (as
    hashes: eight bytes an entry).
    """

    def __init__(self, directory: Inode, directories: Directories, table: InodeTable) -> None:
        self._directory = directory
        self._directories = directories
        self._table = table
        self._listing: Listing = directories.begin_listing()
        self._starts: list[str] = [""]
        self._names: list[array[int]] = []
        self._held: dict[int, Slots] = {}

    async def next(self, page: int, slot: int) -> tuple[Inode, int, int] | None:
        """Return the entry at (page, slot) or the next one, and the place behind it.

        None at the end. Pages that were never read are read on the way.
        """
        while len(self._names) < min(page, len(self._starts)):
            await self._turn_to(len(self._names))
        while page < len(self._starts):
            slots = self._held[page] if page in self._held else await self._turn_to(page)
            while slot < len(slots):
                inode = self._now_at(slots[slot])
                slot += 1
                if inode is not None:
                    return inode, page, slot
            page, slot = page + 1, 0
        return None

    def _now_at(self, entry: tuple[str, Inode] | None) -> Inode | None:
        """Return what has the name of *entry* by now: it may be gone, moved or replaced."""
        if entry is None:
            return None
        name, inode = entry
        is_there = inode.is_attached and inode.parent is self._directory and inode.name == name
        return inode if is_there else self._directory.children.get(name)

    async def _turn_to(self, page: int) -> Slots:
        is_new = page == len(self._names)
        slots = await (self._read_on() if is_new else self._read_again(page))
        for _, inode in filter(None, slots):
            inode.pins += 1  # until it is the kernel's, or the page is let go
        self._let_go(HELD_PAGES - 1)
        self._held[page] = slots
        return slots

    async def _read_on(self) -> Slots:
        """Return the next page, never read before."""
        found = await self._directories.page(self._directory, self._starts[-1], self._listing)
        self._names.append(array("q", (hash(inode.name) for inode in found.inodes)))
        if found.after is not None:
            self._starts.append(found.after)
        return tuple((inode.name, inode) for inode in found.inodes)

    async def _read_again(self, page: int) -> Slots:
        """Return a page that was read before, each name in the slot that it had then."""
        after: str | None = self._starts[page]
        stop = self._starts[page + 1] if page + 1 < len(self._starts) else None
        there: dict[int, tuple[str, Inode]] = {}
        while after is not None and (stop is None or after.encode() < stop.encode()):
            found = await self._directories.page(self._directory, after, None)
            there.update((hash(inode.name), (inode.name, inode)) for inode in found.inodes)
            after = found.after
        slots = tuple(there.pop(name, None) for name in self._names[page])
        for _, inode in there.values():  # made since: shown by the next walk
            self._table.prune(inode)
        return slots

    def _let_go(self, kept: int) -> None:
        """Hold the *kept* newest pages only; drop the inodes that the kernel did not take."""
        while len(self._held) > kept:
            for _, inode in filter(None, self._held.pop(next(iter(self._held)))):
                inode.pins -= 1
                self._table.prune(inode)

    def close(self) -> None:
        """Let go of everything."""
        self._let_go(0)
