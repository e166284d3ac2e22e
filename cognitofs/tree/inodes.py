"""Inodes: the files and directories the kernel may know, their numbers and their places.

Owns numbers, names, parents and lookup counts. Does not talk to S3 and holds no content.

INVARIANT: a number is never given twice within a mount.
INVARIANT: an inode's content changes only through this mount. A version that somebody else wrote
gets a new inode: the kernel's page cache belongs to the inode, and would mix the two.
INVARIANT: an inode stays in the table while the kernel, a child or local content refers to it.
"""

from collections.abc import Iterator
from typing import NewType

from cognitofs.errors import NotADirectory, Stale
from cognitofs.store.interface import ObjectHeaders, ObjectInfo
from cognitofs.tree.attributes import Attributes, Kind
from cognitofs.tree.listing import Entry, Listing

InodeNumber = NewType("InodeNumber", int)

ROOT = InodeNumber(1)
NEVER = float("-inf")


class Inode:
    """One file, directory or symlink.

    `remote` is the version on S3 it stands for, None while it is only here. `headers` are that
    version's, None until a HEAD told them. `size` is what stat shows. `checked` is when we last
    knew that it exists as it is (monotonic seconds). `pins` count local content and open handles;
    `absent` says when a name was last known not to exist, `ours` what we made of a name and when,
    for when its inode is forgotten; `listing` is a whole directory as last seen, `walked` the
    listing that somebody is reading. What was known of its names before `distrusted` holds no more.
    `changed_ns` is when this mount last changed it, which stays its ctime when S3 has the change; 0
    for not since it is known as it is: then LastModified tells.
    `unsent` says that its truth is here, not in a listing: S3 does not have it yet.
    `entries_changed_ns` is when this mount last changed a directory's entries, 0 for never and once
    a time was set: S3 keeps no such time, so it lasts as long as the inode.
    """

    __slots__ = (
        "_unsent",
        "absent",
        "attributes",
        "changed_ns",
        "checked",
        "children",
        "distrusted",
        "entries_changed_ns",
        "headers",
        "kind",
        "listing",
        "lookups",
        "name",
        "number",
        "ours",
        "parent",
        "pins",
        "remote",
        "size",
        "unsent_below",
        "walked",
    )

    def __init__(
        self, number: InodeNumber, parent: "Inode | None", name: str, attributes: Attributes
    ) -> None:
        self.number = number
        self.parent = parent
        self.name = name
        self.kind = attributes.kind
        self.attributes = attributes
        self.size = 0
        self.remote: ObjectInfo | None = None
        self.headers: ObjectHeaders | None = None
        self.checked = NEVER
        self.distrusted = NEVER
        self.lookups = 0
        self.pins = 0
        self.children: dict[str, Inode] = {}
        self.changed_ns = 0
        self.entries_changed_ns = 0
        self._unsent = False
        self.unsent_below = 0
        self.listing: Listing | None = None
        self.absent: dict[str, float] = {}
        self.ours: dict[str, tuple[float, Entry]] = {}
        self.walked: Listing | None = None

    def __repr__(self) -> str:
        return f"<Inode {self.number} {self.kind.name.lower()}>"

    @property
    def unsent(self) -> bool:
        """Tell whether S3 does not have it as it is."""
        return self._unsent

    @unsent.setter
    def unsent(self, value: bool) -> None:
        if value != self._unsent:
            self._unsent = value
            self.count_unsent(1 if value else -1)

    @property
    def is_local(self) -> bool:
        """Tell whether it, or something below it, is only here: no listing can take it away."""
        return self._unsent or self.unsent_below > 0

    def count_unsent(self, change: int) -> None:
        """Tell all directories above that *change* more things below them are unsent."""
        above = self.parent
        while above is not None:
            above.unsent_below += change
            above = above.parent

    @property
    def is_directory(self) -> bool:
        """Tell whether it is a directory."""
        return self.kind is Kind.DIRECTORY

    @property
    def is_attached(self) -> bool:
        """Tell whether it still has its name."""
        return self.number == ROOT or (
            self.parent is not None and self.parent.children.get(self.name) is self
        )

    @property
    def key(self) -> str:
        """The object's key below the prefix; a directory's ends in "/", the root's is "".

        Walks to the root, so that renaming a directory moves one pointer.
        """
        if self.parent is None:
            return ""
        return self.parent.key + self.name + ("/" if self.is_directory else "")

    @property
    def is_described(self) -> bool:
        """Tell whether mode and mtime are known, not assumed.

        A listing shows a directory without the marker that holds its mode and times.
        """
        is_unasked = self.remote is not None or (self.is_directory and self.parent is not None)
        return self.headers is not None or self._unsent or not is_unasked

    def require_directory(self) -> None:
        """Raise NotADirectory unless it is one."""
        if not self.is_directory:
            raise NotADirectory("A component of the path is not a directory.")


class InodeTable:
    """All inodes of one mount, by number."""

    def __init__(self, root: Attributes) -> None:
        self.root = Inode(ROOT, None, "", root)
        self.root.lookups = 1
        self._inodes: dict[int, Inode] = {ROOT: self.root}
        self._last = int(ROOT)

    def __len__(self) -> int:
        return len(self._inodes)

    def __iter__(self) -> Iterator[Inode]:
        return iter(list(self._inodes.values()))

    def get(self, number: int) -> Inode:
        """Return the inode of a number the kernel gave. Raises Stale for a forgotten one."""
        try:
            return self._inodes[number]
        except KeyError as exc:
            raise Stale("The file is no longer known; open it again.") from exc

    def find(self, key: str) -> Inode | None:
        """Return the inode that has *key* now, if it is known."""
        found: Inode | None = self.root
        for name in key.removesuffix("/").split("/") if key else ():
            found = found.children.get(name) if found is not None else None
        return found

    def add(self, parent: Inode, name: str, attributes: Attributes) -> Inode:
        """Make a new inode under *name*; one that had the name loses it."""
        previous = parent.children.get(name)
        if previous is not None:
            self.detach(previous)
        self._last += 1
        inode = Inode(InodeNumber(self._last), parent, name, attributes)
        self._inodes[inode.number] = inode
        parent.children[name] = inode
        return inode

    def detach(self, inode: Inode) -> None:
        """Take the name away; the inode lives on while somebody refers to it."""
        inode.unsent = False
        if inode.parent is not None and inode.parent.children.get(inode.name) is inode:
            del inode.parent.children[inode.name]
        self.prune(inode)

    def move(self, inode: Inode, parent: Inode, name: str) -> None:
        """Give the inode another name; one that had it loses it."""
        previous = parent.children.get(name)
        if previous is not None and previous is not inode:
            self.detach(previous)
        old = inode.parent
        if old is not None and old.children.get(inode.name) is inode:
            del old.children[inode.name]
        unsent = inode.unsent_below + int(inode.unsent)
        inode.count_unsent(-unsent)
        inode.parent, inode.name = parent, name
        inode.count_unsent(unsent)
        parent.children[name] = inode
        if old is not None:
            self.prune(old)

    def forget(self, number: int, lookups: int) -> None:
        """Take account of the kernel giving up *lookups* references."""
        inode = self._inodes.get(number)
        if inode is not None:
            inode.lookups -= lookups
            self.prune(inode)

    def prune(self, inode: Inode) -> None:
        """Drop the inode if nobody refers to it, and then its parent likewise."""
        while inode.number != ROOT and not (inode.lookups or inode.pins or inode.children):
            self._inodes.pop(inode.number, None)
            parent = inode.parent
            if parent is None:
                return
            if parent.children.get(inode.name) is inode:
                del parent.children[inode.name]
            inode = parent
