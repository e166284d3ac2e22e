"""Twin: one directory of a mount and one of tmpfs, and the same calls made in both.

A call is told by name and relative paths; what it returns, or the errno that it raises, must be the
same in both. What S3 cannot keep is left out of the comparison, not of the calls: sizes and link
counts of directories, and times that nobody set.
"""

import errno
import os
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Outcome = tuple[str, object]


@dataclass
class Opened:
    """One open file in both; paths of where it was opened are for messages only."""

    path: str
    here: int
    there: int


class Difference(AssertionError):
    """The two did not answer alike."""


class Twin:
    """Both directories, and what was done in them."""

    def __init__(self, mounted: Path, plain: Path, counts: Counter[str]) -> None:
        self.mounted = mounted
        self.plain = plain
        self.counts = counts
        self.done: list[str] = []
        self.set_times: dict[str, int] = {}

    # -- calls on names ---------------------------------------------------------------------------

    def call(self, name: str, *arguments: object) -> Outcome:
        """Make the call in both and compare; strings among the arguments are paths."""
        self.done.append(f"{name}{arguments}")
        act = CALLS[name]
        here = outcome(act, *self._below(self.mounted, arguments))
        there = outcome(act, *self._below(self.plain, arguments))
        self.counts["calls"] += 1
        self.counts["refusals" if there[0] == "errno" else "answers"] += 1
        if here != there:
            raise Difference(f"{name}{arguments}: {here} here, {there} there, after {self.done}")
        return there

    @staticmethod
    def _below(top: Path, arguments: tuple[object, ...]) -> list[object]:
        return [top / each if isinstance(each, str) else each for each in arguments]

    # -- calls on open files ----------------------------------------------------------------------

    def open(self, path: str, flags: int) -> Opened | None:
        """Open in both; None when both refuse alike."""
        self.done.append(f"open({path}, {flags:#x})")
        here = outcome(os.open, self.mounted / path, flags, 0o644)
        there = outcome(os.open, self.plain / path, flags, 0o644)
        self.counts["calls"] += 1
        if here[0] == there[0] == "answer":
            return Opened(path, int(str(here[1])), int(str(there[1])))
        if here != there:
            raise Difference(f"open {path}: {here} here, {there} there, after {self.done}")
        return None

    def on(self, opened: Opened, name: str, *arguments: object) -> Outcome:
        """Make a call on an open file in both and compare."""
        self.done.append(f"{name}@{opened.path}{arguments}")
        act = FILE_CALLS[name]
        here = outcome(act, opened.here, *arguments)
        there = outcome(act, opened.there, *arguments)
        self.counts["calls"] += 1
        if here != there:
            raise Difference(f"{self.done[-1]}: {here} here, {there} there, after {self.done}")
        return there

    def close(self, opened: Opened) -> None:
        """Close in both; neither may fail."""
        self.done.append(f"close@{opened.path}")
        os.close(opened.here)
        os.close(opened.there)

    # -- the whole --------------------------------------------------------------------------------

    def compare(self) -> None:
        """Compare everything below both."""
        here, there = tree_of(self.mounted), tree_of(self.plain)
        if here != there:
            wrong = {k for k in {*here, *there} if here.get(k) != there.get(k)}
            shown = {k: (here.get(k), there.get(k)) for k in sorted(wrong)}
            raise Difference(f"(here, there) {shown} after {self.done}")
        self.counts["files compared"] += len(there)


def outcome(act: Callable[..., object], *arguments: object) -> Outcome:
    """Return what the call answers, or the name of its errno."""
    try:
        return "answer", act(*arguments)
    except OSError as exc:
        return "errno", errno.errorcode.get(exc.errno or 0, str(exc.errno))


def tree_of(top: Path) -> dict[str, tuple]:
    """Return kind, mode and content of everything below *top*."""
    found: dict[str, tuple] = {}
    for path in sorted(top.rglob("*")):
        seen = path.lstat()
        content: object = None
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        mode = 0 if path.is_symlink() else seen.st_mode
        found[str(path.relative_to(top))] = (mode, content)
    return found


def _facts(path: Path) -> object:
    seen = path.lstat()
    if stat.S_ISDIR(seen.st_mode):
        return seen.st_mode
    kind_and_mode = stat.S_IFMT(seen.st_mode) if path.is_symlink() else seen.st_mode
    return kind_and_mode, seen.st_size, seen.st_nlink, seen.st_uid


def _write(path: Path, data: bytes, flags: int) -> int:
    fd = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        return os.write(fd, data)
    finally:
        os.close(fd)


def _write_at(path: Path, data: bytes, offset: int) -> int:
    fd = os.open(path, os.O_WRONLY)
    try:
        return os.pwrite(fd, data, offset)
    finally:
        os.close(fd)


def _read(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 1 << 20)
    finally:
        os.close(fd)


def _set_times(path: Path, nanoseconds: int) -> object:
    os.utime(path, ns=(nanoseconds, nanoseconds))
    return path.stat().st_mtime_ns


def _link(path: Path, target: bytes) -> None:
    path.symlink_to(target.decode())


CALLS: dict[str, Callable[..., object]] = {
    "put": lambda path, data: _write(path, data, os.O_CREAT | os.O_TRUNC),
    "create": lambda path, data: _write(path, data, os.O_CREAT | os.O_EXCL),
    "append": lambda path, data: _write(path, data, os.O_APPEND | os.O_CREAT),
    "write at": _write_at,
    "read": _read,
    "truncate": os.truncate,
    "stat": _facts,
    "mkdir": os.mkdir,
    "rmdir": os.rmdir,
    "unlink": os.unlink,
    "rename": os.rename,
    "symlink": _link,
    "readlink": os.readlink,
    "list": lambda path: sorted(os.listdir(path)),
    "chmod": os.chmod,
    "utime": _set_times,
    "access": lambda path: os.access(path, os.R_OK),
}

FILE_CALLS: dict[str, Callable[..., object]] = {
    "pread": os.pread,
    "pwrite": os.pwrite,
    "ftruncate": os.ftruncate,
    "fsync": os.fsync,
    "size": lambda fd: os.fstat(fd).st_size,
    "links": lambda fd: os.fstat(fd).st_nlink,
}
