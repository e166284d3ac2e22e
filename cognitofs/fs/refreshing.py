"""Refreshing: dropping everything that is cached of a path and what lies below it.

Owns which parts are told. Nothing that S3 does not have is touched, nor any open file: those go on
with the version that they have. S3 is not asked; whoever looks next asks it.
"""

from collections.abc import Iterator

from cognitofs.fs.files import Files
from cognitofs.fs.rig import Rig
from cognitofs.tree.inodes import Inode


async def refresh(rig: Rig, files: Files, path: str) -> int:
    """Forget what is cached of the key *path* and below it; return how many names were known."""
    found, missing = _nearest(rig, path)
    if missing:
        rig.namespace.forget_known(found)
        rig.kernel.forget_entry(found.number, missing)
        return 0
    if found.parent is not None:
        rig.namespace.forget_known(found.parent)
    known = [found, *_below(found)]
    closed = [inode for inode in known if files.find(inode) is None]
    for inode in known:
        rig.namespace.forget_inode(inode, is_in_use=files.find(inode) is not None)
    used = {file.stands_for.key for file in files.all() if file.stands_for is not None}
    rig.cache.forget_below(found.key, spared=used)
    rig.namespace.describer.forget_below(found.key)
    await rig.kernel.forget_pages([inode.number for inode in closed if not inode.is_directory])
    return len(known)


def _nearest(rig: Rig, path: str) -> tuple[Inode, str]:
    """Return the inode of *path*; if it is not known, the nearest one above and the name there."""
    found = rig.table.root
    for name in path.removesuffix("/").split("/") if path else ():
        child = found.children.get(name)
        if child is None:
            return found, name
        found = child
    return found, ""


def _below(directory: Inode) -> Iterator[Inode]:
    for child in list(directory.children.values()):
        yield child
        yield from _below(child)
