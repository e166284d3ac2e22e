"""ExtendedAttributes: getxattr, setxattr and their like, for `--xattrs`.

Owns which namespaces there are: `user.*` is stored with the object, as mode and times are, and
`user.cognitofs.*` is told, not stored. The encoding is `tree/xattrs.py`'s.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from cognitofs.errors import NoSuchAttribute, NotOffered, NotPermitted
from cognitofs.fs.content import next_headers
from cognitofs.fs.facts import fact
from cognitofs.fs.files import Files
from cognitofs.fs.rig import Rig
from cognitofs.tree.attributes import Attributes
from cognitofs.tree.inodes import Inode
from cognitofs.tree.xattrs import FACTS, NAMESPACE, Xattrs, changed, check_size

_Change = Callable[[Inode, Attributes], Awaitable[None]]


class ExtendedAttributes:
    """The extended attributes of one mount; *change* gives an inode other attributes.

    *require_writable* raises for keys that this mount does not change.
    """

    def __init__(
        self,
        rig: Rig,
        files: Files,
        change: _Change,
        require_writable: Callable[[str], None],
    ) -> None:
        self._rig = rig
        self._require_writable = require_writable
        self._files = files
        self._change = change

    async def get(self, number: int, name: str) -> bytes:
        """Return a value. Raises NoSuchAttribute, NotOffered."""
        inode = self._rig.table.get(number)
        if name.startswith(FACTS):
            return fact(inode, self._files.find(inode), name)
        _check_namespace(name)
        await self._rig.namespace.describe(inode)
        return _value(inode, name)

    async def names(self, number: int) -> list[str]:
        """Return the names of what is stored with the file."""
        inode = self._rig.table.get(number)
        await self._rig.namespace.describe(inode)
        return [name for name, _ in inode.attributes.xattrs]

    async def set(self, number: int, name: str, value: bytes) -> None:
        """Set a value. Raises AttributesFull beyond the 2 KiB of S3, NotPermitted, ReadOnly."""
        inode = await self._describe_for_change(number, name)
        attributes = _with(inode, changed(inode.attributes.xattrs, name, value))
        check_size(next_headers(inode, attributes=attributes).metadata)
        await self._change(inode, attributes)

    async def remove(self, number: int, name: str) -> None:
        """Remove a value. Raises NoSuchAttribute, NotPermitted, ReadOnly."""
        inode = await self._describe_for_change(number, name)
        _value(inode, name)
        await self._change(inode, _with(inode, changed(inode.attributes.xattrs, name, None)))

    async def _describe_for_change(self, number: int, name: str) -> Inode:
        inode = self._rig.table.get(number)
        self._require_writable(inode.key)
        _check_namespace(name)
        if name.startswith(FACTS):
            raise NotPermitted("That is what the mount tells of the file; it cannot be set.")
        await self._rig.namespace.describe(inode)
        return inode


def _with(inode: Inode, xattrs: Xattrs) -> Attributes:
    return replace(inode.attributes, xattrs=xattrs)


def _check_namespace(name: str) -> None:
    if not name.startswith(NAMESPACE):
        raise NotOffered("Only extended attributes of the namespace user. are kept here.")


def _value(inode: Inode, name: str) -> bytes:
    for known, value in inode.attributes.xattrs:
        if known == name:
            return value
    raise NoSuchAttribute("The file has no such extended attribute.")
