"""Space: how much disk unsent bytes may take, and who waits while uploads give some back.

Owns the sum of what the spool holds, its two limits (`--spool-size`, `--spool-min-free`) and the
patience of writers. Which bytes can go is known elsewhere: whoever frees some, or gets some
acknowledged by S3, says so here.

INVARIANT: a writer waits only as long as something moves; then it hears SpoolFull, at write.
"""

import os
from collections.abc import Callable
from pathlib import Path

import trio

from cognitofs.errors import SpoolFull

GIB = 1024 * 1024 * 1024
MOST = 20 * GIB
"""Default limit, or half of what is free if that is less."""
MIN_FREE = GIB
"""Default of what is left to others, or a twentieth of the disk if that is less."""
LOOK = 1.0
"""Seconds after which a waiting writer looks again whether something can be given up."""
PATIENCE = 30.0
"""Seconds without progress after which a writer hears that there is no room."""
LONGEST = 240.0
"""Seconds that one write waits in all: below the 300 of its handler."""


class Space:
    """The room of the spool below *place*; None stands for a default."""

    def __init__(
        self,
        place: Path,
        limit: int | None = None,
        min_free: int | None = None,
        evict: Callable[[int], bool] = lambda size: False,
    ) -> None:
        found = os.statvfs(place)
        free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        self.limit = min(MOST, free // 2) if limit is None else limit
        self.min_free = min(MIN_FREE if min_free is None else min_free, total // 20)
        self.used = 0
        self.evict = evict
        self._place = place
        self._moved = trio.Event()

    def charge(self, size: int) -> None:
        """Count *size* more bytes; fewer if it is negative, and then wake who waits."""
        self.used += size
        if size < 0:
            self.note_progress()

    def note_progress(self) -> None:
        """Note that S3 acknowledged some bytes, or that some were given up."""
        self._moved.set()
        self._moved = trio.Event()

    def has_room(self, size: int) -> bool:
        """Tell whether *size* more bytes may be stored; what can be fetched again goes first."""
        if self.used + size > self.limit:
            return False
        lacking = size + self.min_free - self._free()
        return lacking <= 0 or (self.evict(lacking) and size + self.min_free <= self._free())

    def _free(self) -> int:
        found = os.statvfs(self._place)
        return found.f_bavail * found.f_frsize

    async def wait_moved(self) -> bool:
        """Return whether something moved within the next moment (LOOK)."""
        moved = self._moved
        with trio.move_on_after(LOOK):
            await moved.wait()
        return moved.is_set()


NO_BYTES = (
    "Unsent files fill the space that they may take and nothing of them could be sent for a while;"
    " wait for the network, or mount with a larger --spool-size or a smaller --spool-min-free."
)
NO_FILES = (
    "More files are open or unsent than this mount takes, and none of them could be sent for a"
    " while; wait for the network (`cognitofs status` says what is left)."
)


class Patience:
    """How long one call goes on waiting for room in *space*; then it hears *sentence*."""

    def __init__(self, space: Space, sentence: str = NO_BYTES) -> None:
        self._space = space
        self._sentence = sentence
        self._moved_at = trio.current_time()
        self._ends = self._moved_at + LONGEST

    async def wait(self) -> None:
        """Return when it is worth looking again. Raises SpoolFull when it is not any more."""
        moved = await self._space.wait_moved()
        now = trio.current_time()
        self._moved_at = now if moved else self._moved_at
        if now < min(self._ends, self._moved_at + PATIENCE):
            return
        raise SpoolFull(self._sentence)
