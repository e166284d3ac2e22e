"""Namespace: which names exist, answered from what is known and fresh, else from S3.

Owns the rules of freshness. Does not hold content and does not change S3; the file system tells it
what it created and removed.

While S3 is away a name's answer is what was last known of it, however old.

Knowledge has an age: a LIST or HEAD counts from when it was started, a change of our own from when
it was made, and the newer one wins. INVARIANT: a listing never overrides a newer change of ours.
INVARIANT: a foreign change of content or type gives the name a new inode.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from time import time_ns

import trio

from cognitofs.errors import NoSuchEntry, Stale
from cognitofs.store.interface import ETag, ObjectHead, ObjectInfo
from cognitofs.tree.attributes import (
    Attributes,
    Kind,
    provisional,
)
from cognitofs.tree.away import UNANSWERED, Away
from cognitofs.tree.describer import Describer
from cognitofs.tree.inodes import NEVER, Inode, InodeTable
from cognitofs.tree.kernel import Kernel
from cognitofs.tree.listing import KEPT_ENTRIES, Entry, Listing
from cognitofs.tree.markers import Markers
from cognitofs.tree.questions import Questions
from cognitofs.tree.seen import SAME_MOMENT, Seen, is_same, may_turn_out_a_symlink, seen_in
from cognitofs.tree.veil import Veil

RELISTED_ENTRIES = 1000
"""A directory of one LIST page: one LIST tells of all names what HEAD and LIST tell of one."""

Copied = tuple[str, ETag]
"""Key and ETag of a version that was copied."""


class Namespace:
    """The tree of names of one mount."""

    def __init__(
        self,
        store: Veil,
        table: InodeTable,
        describer: Describer,
        *,
        ttl: float,
        now: Callable[[], float] = trio.current_time,
        now_ns: Callable[[], int] = time_ns,
    ) -> None:
        self.table = table
        self.describer = describer
        self.kernel = Kernel()
        self._store = store
        self.markers = Markers(store, describer)
        self._questions = Questions(store)
        self._ttl = ttl
        self._now = now
        self._now_ns = now_ns

    @property
    def away(self) -> Away:
        """Whether S3 answers questions about names."""
        return self._store.away

    # -- looking up -------------------------------------------------------------------------------

    async def lookup(self, parent: Inode, name: str) -> Inode:
        """Return the inode of *name*, with its kind known. Raises NoSuchEntry."""
        parent.require_directory()
        is_known, found = self._known(parent, name, self._oldest(parent))
        if not is_known:
            found = await self._asked(parent, name)
        if found is None:
            raise NoSuchEntry("There is no such file or directory.")
        if may_turn_out_a_symlink(found) and not self.describer.recall(found):
            with self._kept(found):
                await self._describe(found)
        return found

    @contextmanager
    def _kept(self, inode: Inode) -> Iterator[None]:
        """Keep an inode that nobody refers to yet; when the block fails, nobody ever will."""
        inode.pins += 1
        try:
            yield
        except BaseException:
            inode.pins -= 1
            self.table.prune(inode)
            raise
        inode.pins -= 1

    async def _asked(self, parent: Inode, name: str) -> Inode | None:
        """Ask S3 for a name; while it is away, believe what was last known, if anything was."""
        if self._store.away.is_away():
            is_known, found = self._known(parent, name, NEVER)
            if is_known:
                return found
        try:
            return await self._look(parent, name)
        except UNANSWERED:
            is_known, found = self._known(parent, name, NEVER)
            if not is_known:
                raise
            return found

    async def _look(self, parent: Inode, name: str) -> Inode | None:
        """Ask S3 for a name, for all its neighbours at once where that costs no more."""
        started, prefix = self._now(), parent.key
        listing = parent.listing
        if listing is not None and len(listing.entries) < RELISTED_ENTRIES:
            listing = await self._questions.whole_page(prefix, started)
            if parent.key == prefix:
                parent.listing = listing
                if listing is not None:
                    self.note_all(parent, listing)
                    return self.note(parent, name, seen_in(listing, name), started)
        seen = await self._questions.of_name(prefix + name)
        if parent.key != prefix:  # the directory was renamed meanwhile
            return await self._look(parent, name)
        return self.note(parent, name, seen, started)

    def _oldest(self, parent: Inode) -> float:
        """Return since when what is known of a directory's names is believed."""
        return max(self._now() - self._ttl, parent.distrusted)

    def _known(self, parent: Inode, name: str, oldest: float) -> tuple[bool, Inode | None]:
        """Return whether the name is known since then, and its inode (None: there is none)."""
        child = parent.children.get(name) or self._remade(parent, name, oldest)
        if child is not None and child.is_local:
            return True, child
        absent = parent.absent.get(name, oldest)
        checked = child.checked if child is not None else oldest
        newest = max(oldest, absent, checked)
        listing = parent.listing
        if listing is not None and listing.started > newest:
            return True, self.note(parent, name, seen_in(listing, name), listing.started)
        walked = parent.walked
        seen_at = walked.seen_at(name) if walked is not None else None
        if walked is not None and seen_at is not None and seen_at > newest:
            return True, self.note(parent, name, seen_in(walked, name), seen_at)
        if newest <= oldest:
            return False, None
        return True, child if checked > absent else None

    def note(self, parent: Inode, name: str, seen: Seen | None, at: float) -> Inode | None:
        """Bring the tree in line with what S3 said of *name* at time *at*; return its inode."""
        child = parent.children.get(name) or self._remade(parent, name, at)
        if child is not None and (child.is_local or child.checked > at):
            return child
        if parent.absent.get(name, at) > at:
            return None
        if seen is None:
            if child is not None:
                self._outdate(parent, name, child)
                self.table.detach(child)
            self._note_absent(parent, name, at)
            return None
        if child is None or not is_same(child, seen):
            self._outdate(parent, name, child)
            child = self._add(parent, name, seen)
        self._update(child, seen)
        child.checked = at
        return child

    def trusted_for(self, inode: Inode) -> float:
        """Return for how many seconds what is known of the inode's name holds."""
        if inode.is_local or inode.parent is None:
            return self._ttl
        if inode.checked <= inode.parent.distrusted:
            return 0.0
        return min(self._ttl, max(0.0, inode.checked + self._ttl - self._now()))

    def missing_for(self, parent: Inode, name: str) -> float:
        """Return for how many seconds a name may be taken for missing."""
        return max(0.0, parent.absent.get(name, NEVER) + self._ttl - self._now())

    def note_all(self, parent: Inode, listing: Listing) -> None:
        """Bring every name that is known in line with a whole listing of *parent*."""
        for name in [*parent.children, *parent.absent]:
            inode = self.note(parent, name, seen_in(listing, name), listing.started)
            if inode is not None:
                self.table.prune(inode)  # nobody has asked for a new one yet

    def _outdate(self, parent: Inode, name: str, child: Inode | None) -> None:
        """Tell the kernel that a name stands for something else, if it may think otherwise."""
        is_known = child is not None and child.lookups > 0
        if is_known or parent.absent.get(name, NEVER) > self._now() - self._ttl:
            self.kernel.forget_entry(parent.number, name)

    def _remade(self, parent: Inode, name: str, after: float) -> Inode | None:
        """Return a new inode for what we made of a name after that time and have forgotten."""
        at, entry = parent.ours.get(name, (after, None))
        if entry is None or at <= after:
            return None
        seen = Seen(entry.is_directory, info=entry.info)
        inode = self._add(parent, name, seen)
        self._update(inode, seen)
        inode.checked = at
        return inode

    def _add(self, parent: Inode, name: str, seen: Seen) -> Inode:
        defaults = self.describer.defaults
        if seen.is_directory or seen.info is None:
            now = self.table.root.attributes.mtime_ns
            return self.table.add(
                parent, name, Attributes(Kind.DIRECTORY, defaults.directory_mode, now)
            )
        return self.table.add(parent, name, provisional(seen.info, defaults))

    def _update(self, inode: Inode, seen: Seen) -> None:
        """Take over the newest version's LastModified and, when it came by HEAD, its headers."""
        if seen.info is None:
            return
        inode.size = seen.info.size
        if seen.head is not None:
            self.describer.learn(seen.head)
            self.describer.describe_as(inode, seen.info, seen.head.headers)
        elif inode.remote is None or inode.remote.modified + SAME_MOMENT < seen.info.modified:
            # Another LastModified under the same ETag: somebody changed headers by self-copy.
            inode.remote, inode.headers, inode.changed_ns = seen.info, None, 0
            self.describer.recall(inode)
            self.kernel.forget_attributes(inode.number)

    # -- describing -------------------------------------------------------------------------------

    async def describe(self, inode: Inode) -> None:
        """Return when mode, mtime and kind are known. Raises Stale for an outdated inode."""
        if inode.is_directory:
            await self.markers.describe(inode)
        elif not self.describer.recall(inode):
            await self._describe(inode)

    async def _describe(self, inode: Inode) -> None:
        try:
            await self.describer.describe(inode)
        except Stale:
            self.distrust(inode)
            raise

    async def revalidate(self, inode: Inode, max_age: float) -> None:
        """Make sure that the name still stands for this version, as of *max_age* seconds ago.

        Raises Stale when it does not: the name has another inode by then.
        """
        if inode.is_local or not inode.is_attached or inode.parent is None:
            return
        started = self._now()
        oldest = max(started - max_age, inode.parent.distrusted)
        is_known = inode.checked > NEVER
        if inode.checked >= oldest or (is_known and self._store.away.is_away()):
            return
        try:
            seen = await self._questions.of_object(inode.key)
        except UNANSWERED:
            if is_known:
                return
            raise
        if self.note(inode.parent, inode.name, seen, started) is not inode:
            raise Stale("The file was changed by somebody else; open it again.")

    def distrust(self, inode: Inode) -> None:
        """Forget what is known of a name, so that the next look asks S3."""
        if inode.parent is not None and inode.is_attached and not inode.is_local:
            inode.parent.listing = None
            self._outdate(inode.parent, inode.name, inode)
            self.table.detach(inode)

    def forget_known(self, directory: Inode) -> None:
        """Believe nothing of the names in *directory* that was known so far, but our own."""
        directory.distrusted = self._now()

    def forget_inode(self, inode: Inode, *, is_in_use: bool) -> None:
        """Forget all of an inode that S3 can tell again; one in use keeps its version."""
        if inode.is_directory:
            self.forget_known(inode)
            for name in inode.absent:
                self.kernel.forget_entry(inode.number, name)
        elif inode.parent is not None:
            self.kernel.forget_entry(inode.parent.number, inode.name)
        is_waiting = inode.remote is not None and self.describer.unsent_headers(inode.remote)
        if not (is_in_use or inode.unsent or is_waiting):
            inode.headers = None
        self.kernel.forget_attributes(inode.number)

    # -- our own changes --------------------------------------------------------------------------

    def created(self, parent: Inode, name: str, attributes: Attributes) -> Inode:
        """Note that we made *name*; it is unsent until the file system says otherwise."""
        inode = self.table.add(parent, name, attributes)
        inode.checked = self._now()
        parent.absent.pop(name, None)
        parent.ours.pop(name, None)
        inode.changed_ns = parent.entries_changed_ns = self._now_ns()
        if inode.is_directory:
            inode.listing = Listing(inode.checked)  # it is new, hence empty
        return inode

    def removed(self, inode: Inode) -> None:
        """Note that we took the name away."""
        parent = inode.parent
        if parent is None:
            return
        self._note_absent(parent, inode.name, self._now())
        parent.entries_changed_ns = self._now_ns()
        self.table.detach(inode)

    def moved(self, inode: Inode, parent: Inode, name: str) -> None:
        """Note that we gave the inode another name."""
        if inode.parent is not None:
            self._note_absent(inode.parent, inode.name, self._now())
            inode.parent.entries_changed_ns = self._now_ns()
        inode.changed_ns = parent.entries_changed_ns = self._now_ns()
        self.table.move(inode, parent, name)
        parent.absent.pop(name, None)
        parent.ours.pop(name, None)
        if inode.unsent:
            inode.checked = self._now()
        else:
            self.confirmed(inode)

    def moved_below(self, directory: Inode, infos: Mapping[Copied, ObjectInfo]) -> None:
        """Note what became of the objects below a directory that has another name now.

        *infos* are the copies by the key and ETag of their sources. Synchronous: nobody sees half.
        """
        directory.listing = directory.walked = None
        directory.ours = {}
        for child in list(directory.children.values()):
            child.checked = self._now()
            if child.is_directory:
                self.moved_below(child, infos)
            elif child.remote is not None:
                self._follow(child, child.remote, infos.get((child.remote.key, child.remote.etag)))

    def _follow(self, inode: Inode, old: ObjectInfo, new: ObjectInfo | None) -> None:
        """Let *inode* stand for the copy of its version; what was not copied is looked up again."""
        if new is None:
            inode.remote = replace(old, key=inode.key)
            if not inode.is_local and inode.parent is not None:
                self._outdate(inode.parent, inode.name, inode)
                self.table.detach(inode)
            return
        inode.remote = new
        if inode.headers is not None:
            self.describer.learn(ObjectHead(new, inode.headers))

    def doubt(self, parent: Inode, key: str) -> None:
        """Forget that a name in *parent* is gone: it may be there still."""
        name = key.removesuffix("/").rpartition("/")[2]
        parent.absent.pop(name, None)
        parent.listing = None
        self.kernel.forget_entry(parent.number, name)

    def confirmed(self, inode: Inode) -> None:
        """Note that S3 has acknowledged the inode as it is."""
        inode.checked = self._now()
        parent = inode.parent
        if parent is None or not inode.is_attached:
            return
        if len(parent.ours) > KEPT_ENTRIES:
            oldest = inode.checked - self._ttl
            parent.ours = {n: known for n, known in parent.ours.items() if known[0] > oldest}
        parent.ours[inode.name] = (inode.checked, Entry(inode.name, inode.remote))

    def has_fresh_child(self, directory: Inode, *, besides: Inode) -> bool:
        """Tell whether another child is known to exist, without asking S3."""
        oldest = self._oldest(directory)
        return any(
            child.is_local or child.checked > oldest
            for child in directory.children.values()
            if child is not besides
        )

    def _note_absent(self, parent: Inode, name: str, at: float) -> None:
        oldest = self._now() - self._ttl
        if len(parent.absent) > KEPT_ENTRIES:
            parent.absent = {n: at for n, at in parent.absent.items() if at > oldest}
        parent.absent[name] = at
        parent.ours.pop(name, None)
