"""Lanes: the one place where a request leaves trio for a worker thread.

Owns how many run at once and how often a request is repeated. Transfers and metadata have lanes of
their own, so that uploads cannot starve `ls`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import TypeVar

import trio

from cognitofs.errors import Transient

_T = TypeVar("_T")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds. A pause is drawn evenly between 0 and a limit that doubles (full jitter)."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Worker threads that may run at the same time."""

    limiter: trio.CapacityLimiter


class Lanes:
    """Two lanes, and the patience with passing trouble.

    *patience* is how many seconds a repeatable call goes on trying.
    """

    def __init__(
        self, *, transfers: int, metadata: int, patience: float, random: Random | None = None
    ) -> None:
        self.transfers = Lane(trio.CapacityLimiter(transfers))
        self.metadata = Lane(trio.CapacityLimiter(metadata))
        self._patience = patience
        self._random = random or Random()

    async def once(self, lane: Lane, call: Callable[[], _T]) -> _T:
        """Run *call* in a thread of *lane*; a cancellation waits for its end."""
        return await trio.to_thread.run_sync(call, limiter=lane.limiter)

    async def repeatedly(
        self, lane: Lane, call: Callable[[], _T], *, is_abandonable: bool = False
    ) -> _T:
        """Run *call*, again while it raises Transient and patience lasts.

        With *is_abandonable* a cancellation leaves the thread behind, which keeps its slot until
        it ends: for calls that touch nothing of the caller's.
        """
        deadline = trio.current_time() + self._patience
        for attempt in count():
            try:
                return await trio.to_thread.run_sync(
                    call, limiter=lane.limiter, abandon_on_cancel=is_abandonable
                )
            except Transient:
                pause = self._random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt))
                if trio.current_time() + pause >= deadline:
                    raise
            await trio.sleep(pause)
        raise AssertionError  # the loop has no end
