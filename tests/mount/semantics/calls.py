"""System calls that the standard library does not make, or not as bluntly as a test wants them."""

import ctypes
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE = 1, 2, 16
FICLONE = 0x40049409
FS_IOC_GETFLAGS = 0x80086601
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
_AT_FDCWD = -100
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def renameat2(old: Path, new: Path, flags: int) -> None:
    """Rename with flags."""
    names = os.fsencode(old), os.fsencode(new)
    _checked(_LIBC.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], flags))


def fallocate(fd: int, mode: int, start: int, size: int) -> None:
    """Allocate, or punch a hole: the system call, not libc's posix_fallocate."""
    offsets = ctypes.c_long(start), ctypes.c_long(size)
    _checked(_LIBC.fallocate(fd, mode, *offsets))


def utimensat(path: Path, atime: tuple[int, int], mtime: tuple[int, int]) -> None:
    """Set times, each as (seconds, nanoseconds); the nanoseconds may be UTIME_NOW or UTIME_OMIT."""
    times = (_Timespec * 2)(_Timespec(*atime), _Timespec(*mtime))
    _checked(_LIBC.utimensat(_AT_FDCWD, os.fsencode(path), times, 0))


def clone(source: Path, target: Path) -> None:
    """Ask for a copy that shares its bytes."""
    with source.open("rb") as read, target.open("r+b") as written:
        fcntl.ioctl(written, FICLONE, read.fileno())


def flags_of(path: Path) -> None:
    """Ask for the inode flags, as lsattr does."""
    with opened(path) as fd:
        fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(8))


@contextmanager
def opened(path: Path, flags: int = os.O_RDONLY, mode: int = 0o644) -> Iterator[int]:
    """Open for a block."""
    fd = os.open(path, flags, mode)
    try:
        yield fd
    finally:
        os.close(fd)


def open_close(path: Path | str, flags: int = os.O_RDONLY, mode: int = 0o644) -> None:
    """Open and close at once."""
    os.close(os.open(path, flags, mode))
