"""Relief: who gives disk space back when a writer has none.

A new file whose parts go out while it is written needs the bytes of a part no more once S3 has it:
so a file may be larger than the space for unsent bytes. Owns whom a writer asks, and that a change
waits while bytes that only an upload has are on their way. What is given up is `content.py`'s.

INVARIANT: nothing is given up without need, nor of a file that somebody changes meanwhile, nor
after it is sealed.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Protocol

import trio

from cognitofs.transfer.upload import Upload


class Giver(Protocol):
    """A file that may be able to do with less space."""

    lock: trio.Lock

    @property
    def upload(self) -> Upload | None:
        """The upload under way or parked, if any."""
        ...

    async def give_back(self, size: int) -> bool:
        """Free up to *size* bytes or more; False if nothing can go. The caller has the lock."""
        ...


class Relief:
    """The files of one mount, as far as they take space. `givers` is set by who has them."""

    def __init__(self) -> None:
        self.givers: Callable[[], Iterable[Giver]] = tuple

    async def give_back(self, size: int) -> bool:
        """Free *size* bytes of any file that nobody changes just now; False if nothing can go."""
        for giver in self.givers():
            if await _give_back(giver, size):
                return True
        return False


async def _give_back(giver: Giver, size: int) -> bool:
    if giver.lock.locked():
        return False
    async with giver.lock:
        return await giver.give_back(size)


@asynccontextmanager
async def changing(file: Giver, *, stall: float, auth_wait: float) -> AsyncIterator[None]:
    """Hold the lock of *file* with no upload under way that has bytes which are nowhere else.

    Raises what such an upload met, or Stalled.
    """
    while True:
        while (upload := file.upload) is not None and upload.has_sole_bytes:
            await upload.wait_done(stall=stall, auth_wait=auth_wait)
        async with file.lock:
            if file.upload is None or not file.upload.has_sole_bytes:
                yield
                return
