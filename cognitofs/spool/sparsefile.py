"""SparseFile: a local file of which only some ranges hold bytes that mean something.

Owns a descriptor, the map of held ranges, and the choice between reading or writing inline (page
cache speed) and in a thread (a disk that is slow right now). Knows nothing of S3 or journals.
Failures of the disk become `SpoolFull` or `SpoolDamaged` here, never a bare `OSError`: a missing
spool directory must not look like a missing file.

INVARIANT: `held` names a range only after its bytes were written.
INVARIANT: `given_up` are ranges whose bytes are only in a multipart upload, not here.
"""

import ctypes
import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from cognitofs.errors import SpoolDamaged, SpoolFull, TooManyOpen
from cognitofs.spool.extents import ExtentMap

BLOCK = 1024 * 1024
"""Bytes moved at a time by clones: guess, large enough to amortise a system call."""

SLOW_WRITE = 0.002
"""Seconds. A pwrite of 1 MiB to the page cache takes < 0.5 ms; longer: the disk throttles."""

SLOW_PERIOD = 1.0
"""Seconds for which writes go through a thread after a slow one."""

_FALLOC_KEEP_SIZE_PUNCH_HOLE = 0x01 | 0x02
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def local_disk(doing: str) -> Iterator[None]:
    """Translate an OSError of the local disk into SpoolFull, TooManyOpen or SpoolDamaged."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.EMFILE, errno.ENFILE):
            raise TooManyOpen(
                f"Too many files are open ({doing}); close some, or raise `ulimit -n`"
                " (LimitNOFILE= of a service) and mount again."
            ) from exc
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SpoolFull(
                f"The local disk is full ({doing}); free some space or set --state-dir."
            ) from exc
        raise SpoolDamaged(
            f"The local disk failed ({doing}): {exc.strerror}; check the disk of the state"
            " directory."
        ) from exc


class DiskPace:
    """Remembers whether the disk was slow a moment ago; shared by the files of one directory."""

    def __init__(self) -> None:
        self._slow_until = 0.0

    def is_slow(self) -> bool:
        """Tell whether writes should go through a thread for now."""
        return time.monotonic() < self._slow_until

    def note(self, seconds: float) -> None:
        """Take account of a write that took *seconds*."""
        if seconds > SLOW_WRITE:
            self._slow_until = time.monotonic() + SLOW_PERIOD


class SparseFile:
    """Bytes at their file offsets, some of them held, the rest unknown."""

    def __init__(self, fd: int, pace: DiskPace, held: ExtentMap | None = None) -> None:
        self._fd = fd
        self.held = held if held is not None else ExtentMap()
        self.given_up = ExtentMap()
        self._pace = pace
        self._closed = False
        self._users = 0

    @property
    def fd(self) -> int:
        """The descriptor; -1 once it is closed."""
        return self._fd

    @property
    def is_in_use(self) -> bool:
        """Tell whether a worker thread may use the descriptor."""
        return self._users > 0

    @contextmanager
    def in_use(self) -> Iterator[int]:
        """Keep the descriptor open while a worker thread may use it; yields the descriptor.

        Raises SpoolDamaged when it is closed already: its number may be another file's by now.
        """
        self.hold()
        try:
            yield self.fd
        finally:
            self.let_go()

    def hold(self) -> None:
        """Do what `in_use` does at its start; for what ends in another task."""
        if self.fd < 0:
            raise SpoolDamaged("The local bytes were given up meanwhile; open the file again.")
        self._users += 1

    def let_go(self) -> None:
        """End what `hold` began."""
        self._users -= 1
        self._close_if_unused()

    async def write(self, start: int, data: bytes) -> None:
        """Store *data* at *start* and hold it. Raises SpoolFull, SpoolDamaged."""
        if self._pace.is_slow():
            with self.in_use():
                await trio.to_thread.run_sync(self._pwrite, start, data)
        else:
            self._pwrite(start, data)
        self.held.add(start, start + len(data))

    def _pwrite(self, start: int, data: bytes) -> None:
        began = time.monotonic()
        with local_disk("writing to the spool"):
            view, at = memoryview(data), start
            while view:
                written = os.pwrite(self.fd, view, at)
                view, at = view[written:], at + written
        self._pace.note(time.monotonic() - began)

    async def read(self, start: int, stop: int) -> bytes:
        """Return bytes [start, stop); what was never written reads as zeros."""
        data = self._read_nowait(start, stop)
        if data is None:
            with self.in_use():
                data = await trio.to_thread.run_sync(self._pread, start, stop)
        return data

    def _read_nowait(self, start: int, stop: int) -> bytes | None:
        """Return the bytes if the page cache has them all, else None."""
        buffer = bytearray(stop - start)
        with local_disk("reading the spool"):
            try:
                count = os.preadv(self.fd, [buffer], start, os.RWF_NOWAIT)
            except BlockingIOError:
                return None
            except OSError as exc:
                if exc.errno == errno.EOPNOTSUPP:  # tmpfs: memory anyway
                    return self._pread(start, stop)
                raise
        return bytes(buffer) if count == len(buffer) else None

    def _pread(self, start: int, stop: int) -> bytes:
        with local_disk("reading the spool"):
            data = os.pread(self.fd, stop - start, start)
        return data if len(data) == stop - start else data.ljust(stop - start, b"\0")

    def resize(self, size: int) -> None:
        """Cut or extend the file to *size* bytes; what is cut off is held no more."""
        with local_disk("truncating the spool"):
            os.ftruncate(self.fd, size)
        for extents in (self.held, self.given_up):
            extents.discard(size, 1 << 63)

    def reach(self, size: int) -> None:
        """Make the file at least *size* bytes long, so that every read inside it is full."""
        with local_disk("extending the spool"):
            if os.fstat(self.fd).st_size < size:
                os.ftruncate(self.fd, size)

    def punch(self, start: int, stop: int) -> bool:
        """Give the disk space of [start, stop) back; False where the file system cannot."""
        self.held.discard(start, stop)
        return self._punch(start, stop)

    def can_punch(self) -> bool:
        """Tell whether the file system gives space back: tried where nothing is."""
        end = -(-os.fstat(self.fd).st_size // BLOCK) * BLOCK
        return self._punch(end, end + BLOCK)

    def _punch(self, start: int, stop: int) -> bool:
        result = _libc.fallocate(
            self.fd,
            _FALLOC_KEEP_SIZE_PUNCH_HOLE,
            ctypes.c_long(start),
            ctypes.c_long(stop - start),
        )
        return int(result) == 0

    def close(self) -> None:
        """Close the descriptor as soon as nobody uses it; again is harmless."""
        self._closed = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._closed and not self._users and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
