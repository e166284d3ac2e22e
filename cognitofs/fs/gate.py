"""Gate: keeps a directory still while it gets another name.

Owns who is at work below which directory. Whoever changes names or sends content to S3 passes
`below`; a rename of a directory waits for those inside, and holds up those who come after.

INVARIANT: nobody passes the gate twice at a time, and all directories of one job are passed at
once: so nobody waits for a rename that waits for them.
INVARIANT: the gate comes before the lock of a file.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from cognitofs.tree.inodes import Inode


class Gate:
    """Who is at work where, in one mount."""

    def __init__(self) -> None:
        self._moving: set[Inode] = set()
        self._inside: Counter[Inode] = Counter()
        self._changed = trio.Event()

    @asynccontextmanager
    async def below(self, *inodes: Inode) -> AsyncIterator[None]:
        """Change something at or below *inodes*."""
        await self._until(lambda: not any(map(self._is_moving, inodes)))
        self._inside.update(inodes)
        try:
            yield
        finally:
            self._inside.subtract(inodes)
            self._inside = +self._inside
            self._note_change()

    @asynccontextmanager
    async def moving(self, directory: Inode, *parents: Inode) -> AsyncIterator[None]:
        """Rename *directory*: nothing changes below it meanwhile."""
        async with self.below(directory.parent or directory, *parents):
            await self._until(lambda: not self._is_moving(directory))
            self._moving.add(directory)
            try:
                await self._until(lambda: not any(is_below(i, directory) for i in self._inside))
                yield
            finally:
                self._moving.discard(directory)
                self._note_change()

    def _is_moving(self, inode: Inode) -> bool:
        return any(is_below(inode, directory) for directory in self._moving)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def is_below(inode: Inode, directory: Inode) -> bool:
    """Tell whether *inode* is *directory* or lies below it."""
    above: Inode | None = inode
    while above is not None:
        if above is directory:
            return True
        above = above.parent
    return False
