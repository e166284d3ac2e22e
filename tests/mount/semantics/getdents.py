"""Directories read as libc reads them: one entry at a time, with places to come back to."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_SYS_GETDENTS64 = {"x86_64": 217, "aarch64": 61}.get(os.uname().machine, 0)


class _Entry(ctypes.Structure):
    """struct dirent of 64-bit glibc."""

    _fields_ = (
        ("ino", ctypes.c_uint64),
        ("off", ctypes.c_int64),
        ("reclen", ctypes.c_uint16),
        ("type", ctypes.c_uint8),
        ("name", ctypes.c_char * 256),
    )


_LIBC.opendir.restype = ctypes.c_void_p
_LIBC.readdir.restype = ctypes.POINTER(_Entry)
_LIBC.telldir.restype = ctypes.c_long
for _name in ("closedir", "readdir", "telldir", "rewinddir"):
    getattr(_LIBC, _name).argtypes = [ctypes.c_void_p]
_LIBC.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


class Stream:
    """A DIR of libc; `.` and `..` are left out."""

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer

    def read(self) -> str | None:
        """Return the next name, None at the end."""
        while found := _LIBC.readdir(self._pointer):
            name = os.fsdecode(found.contents.name)
            if name not in (".", ".."):
                return name
        return None

    def rest(self) -> list[str]:
        """Return all names that are left."""
        return list(iter(self.read, None))

    def tell(self) -> int:
        """Return the place of the next name."""
        place: int = _LIBC.telldir(self._pointer)
        return place

    def seek(self, place: int) -> None:
        """Go to a place."""
        _LIBC.seekdir(self._pointer, place)

    def rewind(self) -> None:
        """Begin anew."""
        _LIBC.rewinddir(self._pointer)


@contextmanager
def stream(path: Path) -> Iterator[Stream]:
    """Open a directory for a block."""
    pointer = _LIBC.opendir(os.fsencode(path))
    assert pointer, os.strerror(ctypes.get_errno())
    try:
        yield Stream(pointer)
    finally:
        _LIBC.closedir(pointer)


def getdents(fd: int, size: int) -> list[str]:
    """Return the names that one system call with a buffer of *size* bytes gives; [] at the end."""
    buffer = ctypes.create_string_buffer(size)
    count = _LIBC.syscall(_SYS_GETDENTS64, fd, buffer, size)
    assert count >= 0, os.strerror(ctypes.get_errno())
    names, at = [], 0
    while at < count:
        length = int.from_bytes(buffer.raw[at + 16 : at + 18], "little")
        names.append(os.fsdecode(buffer.raw[at + 19 : at + length].split(b"\0", 1)[0]))
        at += length
    return [name for name in names if name not in (".", "..")] or ([] if not count else [""])
