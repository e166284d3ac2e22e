"""Invalidation: how the kernel is told that what it remembers is out of date.

Owns the calls of pyfuse3 behind `tree.kernel.Kernel`. Names go through pyfuse3's own thread, since
the kernel makes us wait for whoever works in that directory. Attributes are told at once: the
kernel takes no lock for them.
"""

import contextlib
from collections.abc import Sequence

import pyfuse3
import trio

from cognitofs.tree.kernel import Kernel
from cognitofs.tree.names import encode_name


def connect(kernel: Kernel) -> None:
    """Let *kernel* reach the kernel that `pyfuse3.init` has begun to talk to."""
    kernel.forget_entry = _forget_entry
    kernel.forget_attributes = _forget_attributes
    kernel.forget_pages = _forget_pages


def _forget_entry(parent: int, name: str) -> None:
    pyfuse3.invalidate_entry_async(
        pyfuse3.InodeT(parent), pyfuse3.FileNameT(encode_name(name)), ignore_enoent=True
    )


def _forget_attributes(number: int) -> None:
    with contextlib.suppress(OSError):  # it need not know the inode
        pyfuse3.invalidate_inode(pyfuse3.InodeT(number), attr_only=True)


async def _forget_pages(numbers: Sequence[int]) -> None:
    await trio.to_thread.run_sync(_drop_pages, numbers, abandon_on_cancel=True)


def _drop_pages(numbers: Sequence[int]) -> None:
    for number in numbers:
        with contextlib.suppress(OSError):
            pyfuse3.invalidate_inode(pyfuse3.InodeT(number))
