"""Ending: how one mount is asked to end, and how long what is under way may take then.

Owns the signals from the first request of the kernel to the last drained file, and the one deadline
that both share. Does none of the work: it calls what ends the loop, and what cuts it off.

The first SIGTERM or SIGINT ends the mount: no request is taken any more. Those that wait for S3,
and then the drain, have `drain_timeout` together. A further signal, and any during the drain, ends
them at once. Whatever is cut off so is in the journal, and whoever waited for it hears an error.

INVARIANT: a mount that was asked to end does so within `drain_timeout`, whatever its requests wait
for; without one, when each of them has come to its own deadline.
"""

import logging
import math
import signal
from collections.abc import Callable
from typing import NoReturn

import trio

_log = logging.getLogger(__name__)


class Ending:
    """The end of one mount; *drain* is the scope of its drain, *timeout* in seconds or None."""

    def __init__(self, drain: trio.CancelScope, timeout: float | None) -> None:
        self.is_asked = False
        self._drain = drain
        self._timeout = math.inf if timeout is None else timeout
        self._served = trio.Event()

    async def obey_signals(
        self,
        stop_serving: Callable[[], None],
        cut_off: Callable[[], NoReturn],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Obey SIGTERM and SIGINT until cancelled."""
        async with trio.open_nursery() as nursery:
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                task_status.started()
                async for number in signals:
                    name = signal.Signals(number).name
                    if self._served.is_set():
                        _log.info("%s: the drain ends.", name)
                        self._drain.cancel()
                    elif self.is_asked:
                        cut_off()
                    else:
                        _log.info("%s: unmounting.", name)
                        self.is_asked = True
                        self._start_clock()
                        nursery.start_soon(self._limit_requests, cut_off)
                        stop_serving()

    def served(self) -> None:
        """Note that every request of the kernel is answered: what follows is the drain."""
        self._served.set()
        if not self.is_asked:
            self._start_clock()

    def _start_clock(self) -> None:
        self._drain.deadline = trio.current_time() + self._timeout

    async def _limit_requests(self, cut_off: Callable[[], NoReturn]) -> None:
        with trio.move_on_at(self._drain.deadline):
            await self._served.wait()
            return
        cut_off()
