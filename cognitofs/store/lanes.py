"""Lanes: the one place where a request leaves trio for a worker thread.

Owns how many run at once and how often a request is repeated. Transfers and metadata have lanes of
their own, so that uploads cannot starve `ls`. A lane that S3 asks to slow down becomes narrower by
half, and wider again by one for each full round of answers (additive increase, multiplicative
decrease, as TCP does: RFC 5681, section 3.1).
"""

import logging
import time
from collections.abc import Callable
from itertools import count
from random import Random
from typing import TypeVar

import trio

from cognitofs.errors import Throttled, Transient, Unreachable

_T = TypeVar("_T")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds. A pause is drawn evenly between 0 and a limit that doubles (full jitter)."""


HALVING_SECONDS = 1.0
"""What was under way when a lane was halved may be refused too: that counts as the same refusal."""

_log = logging.getLogger(__name__)


class Lane:
    """Worker threads that may run at the same time: *most*, fewer while S3 is short of breath."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.limiter = trio.CapacityLimiter(most)
        self._answers = 0
        self.slowed_at = 0.0
        """Seconds since the epoch when S3 last made it narrower; 0: never."""
        self._halved_at = float("-inf")

    @property
    def width(self) -> int:
        """How many may run now."""
        return int(self.limiter.total_tokens)

    def note_answer(self) -> None:
        """Take account of an answer that did not ask to slow down."""
        self._answers += 1
        if self.width < self.most and self._answers >= self.width:
            self._answers = 0
            self.limiter.total_tokens = self.width + 1

    def note_throttled(self) -> None:
        """Take account of a request to slow down."""
        now = trio.current_time()
        if now - self._halved_at < HALVING_SECONDS:
            return
        self._halved_at, self._answers = now, 0
        self.slowed_at = time.time()
        if self.width == self.most:
            _log.warning("S3 asks to slow down: fewer requests are sent at once for a while.")
        self.limiter.total_tokens = max(1, self.width // 2)


class Lanes:
    """Two lanes, and the patience with passing trouble.

    *patience* is how many seconds a repeatable call goes on trying, *silence* how many a question
    about metadata waits for a server that says nothing at all.
    """

    def __init__(
        self,
        *,
        transfers: int,
        metadata: int,
        patience: float,
        silence: float = 20.0,
        random: Random | None = None,
    ) -> None:
        self.transfers = Lane(transfers)
        self.metadata = Lane(metadata)
        self._patience = patience
        self._silence = silence
        self._random = random or Random()

    async def once(self, lane: Lane, call: Callable[[], _T]) -> _T:
        """Run *call* in a thread of *lane*; a cancellation waits for its end."""
        return await _observed(lane, call)

    async def repeatedly(
        self, lane: Lane, call: Callable[[], _T], *, is_abandonable: bool = False
    ) -> _T:
        """Run *call*, again while it raises Transient and patience lasts.

        With *is_abandonable* a cancellation leaves the thread behind, which keeps its slot until
        it ends: for calls that touch nothing of the caller's.
        """
        if not (is_abandonable and lane is self.metadata):
            return await self._while_patient(lane, call, is_abandonable=is_abandonable)
        with trio.move_on_after(self._silence):
            return await self._while_patient(lane, call, is_abandonable=True)
        raise Unreachable(
            f"S3 has not answered for {self._silence:g} s; check the network, or mount with a "
            "longer --net-wait."
        )

    async def _while_patient(
        self, lane: Lane, call: Callable[[], _T], *, is_abandonable: bool
    ) -> _T:
        deadline = trio.current_time() + self._patience
        for attempt in count():
            try:
                return await _observed(lane, call, is_abandonable=is_abandonable)
            except Transient as exc:
                pause = self._random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt))
                if isinstance(exc, Throttled):
                    pause += exc.retry_after
                if trio.current_time() + pause >= deadline:
                    raise
            await trio.sleep(pause)
        raise AssertionError  # the loop has no end


async def _observed(lane: Lane, call: Callable[[], _T], *, is_abandonable: bool = False) -> _T:
    """Run *call* in a thread of *lane*, which learns from how it ends."""
    try:
        answer = await trio.to_thread.run_sync(
            call, limiter=lane.limiter, abandon_on_cancel=is_abandonable
        )
    except Throttled:
        lane.note_throttled()
        raise
    lane.note_answer()
    return answer
