"""Bandwidth: how many bytes a second go up and come down, at most.

Owns one token bucket for each direction, shared by all connections of a mount. Each piece of a body
takes its place in time before it is sent, or after it was received (the sender is slowed down then
by TCP). Only bodies count: headers and small documents are not worth a wait.
Safe to use from many threads.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

BURST = 0.1
"""Seconds: what may go at once after a pause, and how much a piece of a body weighs at most."""
SMALLEST = 4 * 1024


class Bucket:
    """*rate* bytes a second; 0 does not limit."""

    def __init__(
        self,
        rate: int,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        self._now = now
        self._sleep = sleep
        self._free_at = float("-inf")
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Return when *size* bytes may pass."""
        if not self.rate:
            return
        with self._lock:
            now = self._now()
            begins = max(self._free_at, now - BURST)
            self._free_at = begins + size / self.rate
            wait = begins - now
        if wait > 0:
            self._sleep(wait)

    def pieces(self, blocks: Iterable[bytes]) -> Iterable[bytes]:
        """Return *blocks*, cut so small that all connections get their share, each in its time."""
        return self._cut(blocks) if self.rate else blocks

    def _cut(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        most = max(SMALLEST, int(self.rate * BURST))
        for block in blocks:
            for start in range(0, len(block), most):
                piece = block[start : start + most]
                self.take(len(piece))
                yield piece


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Both directions; without limits unless told otherwise."""

    up: Bucket = field(default_factory=lambda: Bucket(0))
    down: Bucket = field(default_factory=lambda: Bucket(0))
