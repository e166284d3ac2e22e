"""Directories: the children of a directory, page by page, with our own changes laid over S3's.

Owns the merging of LIST pages with what was made or removed here since; names and freshness are
the namespace's.

INVARIANT: a page is what lies between two places in S3's order, so that listing again from the
same place gives the same page, give or take what changed meanwhile.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import trio

from cognitofs.errors import ServerTrouble
from cognitofs.store.interface import Page
from cognitofs.tree.away import UNANSWERED
from cognitofs.tree.inodes import Inode
from cognitofs.tree.listing import KEPT_ENTRIES, Entry, HiddenKeys, Listing, entries_of
from cognitofs.tree.names import order
from cognitofs.tree.namespace import Namespace
from cognitofs.tree.seen import Seen
from cognitofs.tree.veil import Veil


@dataclass(frozen=True, slots=True)
class DirectoryPage:
    """Some children of a directory, in order; `after` continues behind them, None at the end."""

    inodes: tuple[Inode, ...]
    after: str | None


class Directories:
    """Reads the directories of one mount."""

    def __init__(
        self,
        store: Veil,
        namespace: Namespace,
        *,
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        self.hidden = HiddenKeys()
        self._store = store
        self._namespace = namespace
        self._now = now

    def begin_listing(self) -> Listing:
        """Return an empty listing, to be filled page by page."""
        return Listing(self._now())

    async def page(self, directory: Inode, after: str, listing: Listing | None) -> DirectoryPage:
        """Return the children of *directory* that sort behind *after* ("" for the first).

        *listing* was begun for the first page; when the last one came and it is not too large,
        it is kept as what is known of the directory. None is for a page that is read again.
        """
        if self._store.away.is_away() and directory.listing is not None:
            return self._last_known(directory, directory.listing, after)
        started = self._now()
        prefix = directory.key
        try:
            page = await self._list(directory, after)
        except UNANSWERED:
            if directory.listing is None:
                raise
            return self._last_known(directory, directory.listing, after)
        if directory.key != prefix:  # it was renamed meanwhile
            return await self.page(directory, after, listing)
        last = None if page.token is None else _last_key(page)[len(prefix) :]
        entries, hidden = entries_of(page, prefix)
        self.hidden.note(prefix, hidden, is_first=not after)
        shown = self._noted(directory, entries, started)
        if listing is not None and len(listing.entries) <= KEPT_ENTRIES:
            listing.extend(entries, started)
            directory.walked = listing
            if last is None:
                directory.listing = listing
        self._lay_over(directory, shown, started, after, last)
        return DirectoryPage(tuple(sorted(shown.values(), key=_place)), last)

    def _noted(self, directory: Inode, entries: Iterable[Entry], at: float) -> dict[str, Inode]:
        """Bring the tree in line with what a listing of that time shows; return its inodes."""
        shown: dict[str, Inode] = {}
        for entry in entries:
            seen = Seen(entry.is_directory, info=entry.info)
            inode = self._namespace.note(directory, entry.name, seen, at)
            if inode is not None:
                shown[entry.name] = inode
        return shown

    def _last_known(self, directory: Inode, known: Listing, after: str) -> DirectoryPage:
        """Return all that is known to sort behind *after*, while S3 cannot be asked."""
        low = after.encode()
        entries = [entry for entry in known.entries.values() if entry.order > low]
        shown = self._noted(directory, entries, known.started)
        self._lay_over(directory, shown, known.started, after, None)
        return DirectoryPage(tuple(sorted(shown.values(), key=_place)), None)

    async def _list(self, directory: Inode, after: str) -> Page:
        """Return what S3 lists behind *after*. Raises ServerTrouble when that would never end."""
        prefix = directory.key
        page = await self._store.list_page(prefix, start_after=prefix + after if after else "")
        if page.token is not None and _bytes(_last_key(page)) <= _bytes(prefix + after):
            raise ServerTrouble(
                f"S3 lists the beginning of {prefix!r} again and again. Is the endpoint S3?"
            )
        return page

    def _lay_over(
        self, directory: Inode, shown: dict[str, Inode], at: float, after: str, last: str | None
    ) -> None:
        """Add what was made here and is not on S3, or was not when the LIST began.

        Any other name that should lie here was removed by somebody else.
        """
        low = after.encode()
        high = None if last is None else last.encode()
        for name, child in list(directory.children.items()):
            place = _place(child)
            if name in shown or place <= low or (high is not None and place > high):
                continue
            if child.is_local or child.checked > at:
                shown[name] = child
            else:
                self._namespace.note(directory, name, None, at)

    async def has_others(self, directory: Inode, leaving: str) -> bool:
        """Tell whether anything but the key *leaving*, and what is below it, is there.

        The directory's own marker counts: it keeps the directory, too.
        """
        page = await self._store.list_page(directory.key, delimiter="", limit=3)
        below = leaving if leaving.endswith("/") else "\0"
        return any(f.key != leaving and not f.key.startswith(below) for f in page.objects)

    def may_answer(self, directory: Inode) -> bool:
        """Tell whether the children of *directory* were seen, so that S3 need not be asked."""
        return directory.listing is not None

    def had_children(self, directory: Inode) -> bool:
        """Tell whether anything lies below *directory*, as far as was last known."""
        known = directory.listing
        return known is None or bool(self._last_known(directory, known, "").inodes)

    async def has_children(self, directory: Inode) -> bool:
        """Tell whether anything lies below *directory*, hidden keys included."""
        if any(child.is_local for child in directory.children.values()):
            return True
        started = self._now()
        prefix = directory.key
        page = await self._store.list_page(prefix, delimiter="", limit=100)
        for found in page.objects:
            name = found.key[len(prefix) :].split("/", 1)[0]
            if found.key != prefix and directory.absent.get(name, started) <= started:
                return True
        return page.token is not None


def _place(inode: Inode) -> bytes:
    return order(inode.name, is_directory=inode.is_directory)


def _last_key(page: Page) -> str:
    """Return the last key or common prefix of a page, in S3's order."""
    keys = [found.key for found in page.objects[-1:]] + list(page.prefixes[-1:])
    return max(keys, key=_bytes)


def _bytes(key: str) -> bytes:
    return key.encode(errors="surrogateescape")
