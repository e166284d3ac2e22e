"""Reserve: disk space kept so that a full disk cannot keep the journal from its last entries.

Owns one file, `reserve`, beside the journal. It is given up when the disk is full and made again
once there is room to spare. Without it the journal works as well, only not on a full disk.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

SIZE = 16 * 1024 * 1024
"""Bytes: room for some ten thousand journal entries."""
SPARE = 4
"""It is made only where this many times its size is free: a small disk is not made smaller."""
EVERY = 5.0
"""Seconds between looks at the disk."""


class Reserve:
    """The reserve at *path*. Calls block for a moment; one thread at a time."""

    def __init__(self, path: Path, size: int = SIZE) -> None:
        self._path = path
        self._size = size
        self._looked_at = float("-inf")
        self.keep()

    def give_up(self) -> bool:
        """Free the space; False when there was none."""
        self._looked_at = time.monotonic()  # do not take it again at once
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def keep(self) -> None:
        """Make it again if it is gone and there is room. Looks only every few seconds."""
        now = time.monotonic()
        if now - self._looked_at < EVERY:
            return
        self._looked_at = now
        with suppress(OSError):  # it is a precaution, no duty
            if not self._path.exists() and self._has_room():
                self._make()

    def _has_room(self) -> bool:
        found = os.statvfs(self._path.parent)
        return found.f_bavail * found.f_frsize >= SPARE * self._size

    def _make(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self._path, flags, 0o600)
        try:
            os.posix_fallocate(fd, 0, self._size)
        except OSError:
            self._path.unlink()
            raise
        finally:
            os.close(fd)
