"""Waiting for a person to sign in again, in the handlers that read and look.

What is cached goes on being read; a question that only S3 can answer is asked again every second
until somebody has signed in, for as long as `--auth-wait` says. Closes wait with their upload.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from cognitofs.errors import LoginRequired, Unreachable
from cognitofs.fuse.errnos import first_leaf

_T = TypeVar("_T")

GRACE = 1.0
"""Seconds. A question to S3 has the same time, and is heard of when it ends first."""
PAUSE = 1.0
"""Seconds between tries: a new sign-in is noticed within a few."""


async def once_signed_in(
    call: Callable[[], Awaitable[_T]], *, patience: float, within: float
) -> _T:
    """Return what *call* answers, tried again for *patience* seconds while a sign-in is missing.

    Each try ends *within* so many seconds (Unreachable). Raises what the last try raised.
    """
    until = trio.current_time() + patience
    while True:
        try:
            return await _within(call, within)
        except Exception as exc:
            if not isinstance(first_leaf(exc), LoginRequired) or trio.current_time() >= until:
                raise
        await trio.sleep(PAUSE)


async def _within(call: Callable[[], Awaitable[_T]], seconds: float) -> _T:
    with trio.move_on_after(seconds + GRACE):
        return await call()
    raise Unreachable(f"S3 has not answered for {seconds:g} s; check the network.")
