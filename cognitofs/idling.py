"""Idling: leaving a mount that nobody uses any more (`--idle-exit`).

Owns when a mount counts as unused: nothing open, nothing that S3 does not have, and no name looked
up or opened for a while. The kernel has the last word: it refuses an unmount while somebody works
in the directory, and then the time begins anew.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from cognitofs.errors import CognitoFSError

_log = logging.getLogger(__name__)

_LOOKS = 4
"""How often the mount is looked at while the time passes."""
LONGEST_PAUSE = 60.0


class Use(Protocol):
    """What a file system knows of being used."""

    @property
    def open_handles(self) -> int:
        """How many files and directories are open."""
        ...

    @property
    def used_at(self) -> float:
        """When a name was last looked up, or anything opened (trio's clock)."""
        ...


async def leave_when_unused(
    use: Use, is_pending: Callable[[], bool], leave: Callable[[], Awaitable[None]], seconds: float
) -> None:
    """Call *leave* once nothing has happened for *seconds*; again later when it cannot.

    Returns when *leave* succeeded. It raises CognitoFSError when the mount is in use.
    """
    since = trio.current_time()
    while True:
        await trio.sleep(min(LONGEST_PAUSE, seconds / _LOOKS))
        if use.open_handles or is_pending():
            since = trio.current_time()
        since = max(since, use.used_at)
        if trio.current_time() - since < seconds:
            continue
        try:
            await leave()
        except CognitoFSError as exc:
            _log.info("The mount is unused but cannot be left: %s", exc)
            since = trio.current_time()
        else:
            _log.info("The mount was unused for %g s and is left (--idle-exit).", seconds)
            return
