"""Kernel: what the mount tells the kernel by itself, beside its answers.

The kernel keeps names and attributes for `metadata_ttl`. Whatever changes meanwhile without the
kernel's doing is told here: versions that somebody else wrote, and what our own uploads make of
times and names. Owns nothing; `session.py` puts the calls in while a kernel listens.

INVARIANT: no handler waits for the kernel: it may hold what their answer frees.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass


def _no_entry(_parent: int, _name: str) -> None:
    """Forget nothing: no kernel is listening."""


def _no_inode(_number: int) -> None:
    """Forget nothing: no kernel is listening."""


async def _no_pages(_numbers: Sequence[int]) -> None:
    """Forget nothing: no kernel is listening."""


@dataclass(slots=True)
class Kernel:
    """The kernel's caches. Names and inodes that it does not know are no error."""

    forget_entry: Callable[[int, str], None] = _no_entry
    """Let it ask again what a name in a directory stands for, or whether it is there."""
    forget_attributes: Callable[[int], None] = _no_inode
    """Let it ask again for an inode's attributes; its pages stay."""
    forget_pages: Callable[[Sequence[int]], Awaitable[None]] = _no_pages
    """Let it read inodes again that nobody has open: no handler may wait for this one."""

    def leave(self) -> None:
        """Tell it nothing any more."""
        self.forget_entry, self.forget_attributes = _no_entry, _no_inode
        self.forget_pages = _no_pages
