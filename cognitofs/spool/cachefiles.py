"""CacheFiles: the directory of the files in which clean bytes are kept.

Owns their names, which say nothing of what is in them, and what happens where the disk does not
take them: bytes that are being read are kept in memory then, because a full disk is no reason to
fail a read. What is in which file is `cacheindex.py`'s.

INVARIANT: only the process that has the directory's lock gives names; another one, and memory, has
nameless files that end with it.
"""

import fcntl
import logging
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from cognitofs.errors import CognitoFSError, SpoolDamaged, TooManyOpen
from cognitofs.spool.descriptors import Descriptors
from cognitofs.spool.namedfile import NamedFile
from cognitofs.spool.sparsefile import DiskPace, local_disk

AVOIDED = 30.0
"""Seconds for which new files are in memory after the disk failed."""

_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_log = logging.getLogger(__name__)


class MemoryFile(NamedFile):
    """A nameless file in memory: the disk fails."""


class CacheFiles:
    """The files in *directory*, made if it is missing; what it lies in is ours alone.

    With *keeps* False all are nameless. Raises SpoolDamaged, SpoolFull.
    """

    def __init__(
        self,
        directory: Path,
        *,
        keeps: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pace = DiskPace()
        self.descriptors: Descriptors[NamedFile] = Descriptors()
        self._now = now
        self._avoided_until = 0.0
        with local_disk("opening the cache"):
            directory.mkdir(mode=0o700, exist_ok=True)
            self.fd = os.open(directory, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self.is_ours = keeps and _locked(self.fd)

    @property
    def is_avoided(self) -> bool:
        """Tell whether the disk failed a moment ago."""
        return self._now() < self._avoided_until

    def avoid(self, exc: CognitoFSError) -> None:
        """Keep new files in memory for a while."""
        if not self.is_avoided:
            _log.warning("What is read is kept in memory for now: %s", exc)
        self._avoided_until = self._now() + AVOIDED

    def keep_nothing(self) -> None:
        """Give no names from now on: there is nothing that knows them."""
        self.is_ours = False

    def create(self) -> NamedFile:
        """Make an empty file. Raises TooManyOpen, SpoolDamaged when there is not even memory."""
        self.descriptors.trim()
        try:
            if not self.is_avoided:
                return self._on_disk()
        except TooManyOpen:
            raise
        except CognitoFSError as exc:
            self.avoid(exc)
        with local_disk("keeping bytes in memory"):
            return MemoryFile(self, "", os.memfd_create("cognitofs", os.MFD_CLOEXEC))

    def _on_disk(self) -> NamedFile:
        name = new_name() if self.is_ours else ""
        how = os.O_CREAT | os.O_EXCL if name else os.O_TMPFILE
        with local_disk("creating a file of the cache"):
            return NamedFile(self, name, os.open(name or ".", _FLAGS | how, 0o600, dir_fd=self.fd))

    def descriptor(self, name: str) -> int:
        """Open the file *name*. Raises SpoolDamaged when it is missing or not ours, TooManyOpen."""
        with local_disk("opening a file of the cache"):
            fd = os.open(name, _FLAGS | os.O_NONBLOCK, dir_fd=self.fd)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
            os.close(fd)
            raise SpoolDamaged("A file of the cache is not what was made there; it is not used.")
        return fd

    def remove(self, names: Iterable[str]) -> None:
        """Remove files that nobody needs any more; what is open lives until it is closed."""
        for name in names:
            with suppress(OSError):
                os.unlink(name, dir_fd=self.fd)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of disk that each file takes. Raises OSError."""
        with os.scandir(self.fd) as found:
            return {each.name: each.stat(follow_symlinks=False).st_blocks * 512 for each in found}

    def close(self) -> None:
        """Give the directory, and its lock, to the next process."""
        os.close(self.fd)


def new_name() -> str:
    """Return a name that nobody else has."""
    return secrets.token_hex(16)


def _locked(fd: int) -> bool:
    """Take the lock of the directory *fd*; False when another process has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
