"""NamedFile: a sparse file of a directory of ours, which can do without its descriptor for a while.

Owns the name and when the descriptor is closed and opened again; the directory opens it. What the
bytes are is known elsewhere.
"""

import os
from typing import Protocol

from cognitofs.spool.descriptors import Descriptors
from cognitofs.spool.extents import ExtentMap
from cognitofs.spool.sparsefile import DiskPace, SparseFile


class Directory(Protocol):
    """Where named files are."""

    pace: DiskPace
    descriptors: "Descriptors[NamedFile]"

    def descriptor(self, name: str) -> int:
        """Open the file *name*. Raises SpoolDamaged when it is missing or not ours, TooManyOpen."""
        ...


class NamedFile(SparseFile):
    """The file *name* of *directory*; "" for one that has lost its name and goes when it is closed.

    The descriptor *fd* may be -1: it is opened when it is needed.
    """

    def __init__(
        self, directory: Directory, name: str, fd: int, held: ExtentMap | None = None
    ) -> None:
        super().__init__(fd, directory.pace, held)
        self.name = name
        self._descriptors = directory.descriptors
        self._reopen = directory.descriptor
        if fd >= 0:
            self._descriptors.opened(self)

    @property
    def fd(self) -> int:
        """The descriptor, opened again if it was parked. Raises SpoolDamaged, TooManyOpen."""
        if self._fd < 0 and self.name and not self._closed:
            self._descriptors.trim()
            self._fd = self._reopen(self.name)
            self._descriptors.opened(self)
        return self._fd

    @property
    def may_park(self) -> bool:
        """Tell whether everything is where another descriptor would find it."""
        return bool(self.name)

    def park(self) -> bool:
        """Close the descriptor until it is needed; False when that may not be now."""
        if self._users or not self.may_park or self._fd < 0:
            return False
        os.close(self._fd)
        self._fd = -1
        return True

    def _close_if_unused(self) -> None:
        super()._close_if_unused()
        if self._fd < 0:
            self._descriptors.closed(self)
