"""The same random calls on two directories, their results, errnos and contents compared.

`Twins` owns the generation (from a seed) and the comparison. One directory is on the file system
to be proved, the other on one that is known to be right, such as a tmpfs. What cognitofs says to
be different (docs/SEMANTICS.md) is not generated: links, nodes, ownership, sizes of directories.
"""

import ctypes
import errno
import os
import random
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path

NAMES = ("a", "b", "c")
_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100
RENAME_NOREPLACE = 1

Outcome = object


def rename_without_replacing(source: Path, target: Path) -> None:
    """Rename as renameat2(RENAME_NOREPLACE) does."""
    names = os.fsencode(source), os.fsencode(target)
    if _LIBC.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], RENAME_NOREPLACE):
        raise OSError(ctypes.get_errno(), "renameat2")


class Side:
    """One of the two directories, and the descriptors that were opened in it."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.descriptors: dict[int, int] = {}

    def open(self, slot: int, path: str, flags: int, mode: int) -> str:
        """Open into a slot; what was in it is closed."""
        self.close(slot)
        self.descriptors[slot] = os.open(self.top / path, flags, mode)
        return "open"

    def close(self, slot: int) -> bool:
        """Close a slot; tell whether it was open."""
        if slot not in self.descriptors:
            return False
        os.close(self.descriptors.pop(slot))
        return True

    def of(self, slot: int) -> int:
        """Return the descriptor of a slot, or one that is none."""
        return self.descriptors.get(slot, 99_999)

    def append(self, slot: int, data: bytes) -> tuple[int, int]:
        """Write where the descriptor stands, and tell where it stands then."""
        return os.write(self.of(slot), data), os.lseek(self.of(slot), 0, os.SEEK_CUR)

    def close_all(self) -> None:
        """Close every slot."""
        for slot in list(self.descriptors):
            self.close(slot)


def facts(found: os.stat_result) -> tuple[int, ...]:
    """Return what both sides must agree on."""
    is_directory = stat.S_ISDIR(found.st_mode)
    return (found.st_mode, 0 if is_directory else found.st_size)


def tree(top: Path) -> dict[str, object]:
    """Return everything below a directory."""
    found: dict[str, object] = {}
    for path in sorted(top.rglob("*")):
        seen = path.lstat()
        body: object = None
        if stat.S_ISLNK(seen.st_mode):
            body = os.readlink(path)
        elif stat.S_ISREG(seen.st_mode):
            body = path.read_bytes()
        found[str(path.relative_to(top))] = (facts(seen), body)
    return found


class Twins:
    """Random calls on *proved* and *right*, both empty directories."""

    def __init__(self, proved: Path, right: Path, seed: int, counts: Counter[str]) -> None:
        self.sides = Side(proved), Side(right)
        self.counts = counts
        self._chance = random.Random(seed)
        self._calls: list[str] = []
        self._generators = (
            *(self._open,) * 4,
            *(self._write,) * 4,
            *(self._read,) * 2,
            *(self._names,) * 5,
            *(self._attributes,) * 3,
            self._close,
        )

    def run(self, calls: int) -> None:
        """Make so many calls on both; compare each result, and the trees at the end."""
        try:
            for _ in range(calls):
                said, call = self._chance.choice(self._generators)()
                self._both(said, call)
        finally:
            for side in self.sides:
                side.close_all()
        self.check()

    def check(self) -> None:
        """Compare everything below both directories."""
        proved, right = (tree(side.top) for side in self.sides)
        assert proved == right, "the trees differ after:\n" + "\n".join(self._calls)

    def _both(self, said: str, call: Callable[[Side], Outcome]) -> None:
        self._calls.append(said)
        self.counts["calls"] += 1
        proved, right = (self._outcome(call, side) for side in self.sides)
        if isinstance(right, str):
            self.counts[right] += 1
        assert proved == right, f"{proved} where {right} is right, after:\n" + "\n".join(
            self._calls
        )

    @staticmethod
    def _outcome(call: Callable[[Side], Outcome], side: Side) -> Outcome:
        try:
            return (call(side),)
        except OSError as error:
            return errno.errorcode[error.errno or 0]

    def _path(self) -> str:
        return "/".join(self._chance.choices(NAMES, k=self._chance.choice((1, 1, 2, 2, 3))))

    def _open(self) -> tuple[str, Callable[[Side], Outcome]]:
        slot, path = self._chance.randrange(3), self._path()
        flags = self._chance.choice((os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR))
        for more in (os.O_CREAT, os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_APPEND, os.O_NOFOLLOW):
            flags |= more if self._chance.random() < 0.4 else 0
        flags &= ~os.O_EXCL if not flags & os.O_CREAT else ~0
        mode = self._chance.choice((0o644, 0o600, 0o755))
        return f"open {slot} {path} {flags:#o}", lambda s: s.open(slot, path, flags, mode)

    def _write(self) -> tuple[str, Callable[[Side], Outcome]]:
        slot, offset = self._chance.randrange(3), self._chance.choice((0, 3, 5000, 300_000))
        data = self._chance.randbytes(self._chance.choice((1, 10, 5000)))
        which = self._chance.randrange(4)
        if which == 0:
            return f"pwrite {slot} {offset} {len(data)}", lambda s: os.pwrite(
                s.of(slot), data, offset
            )
        if which == 1:
            return f"ftruncate {slot} {offset}", lambda s: os.ftruncate(s.of(slot), offset)
        if which == 2:
            return f"fsync {slot}", lambda s: os.fsync(s.of(slot))
        return f"write {slot} {len(data)}", lambda s: s.append(slot, data)

    def _read(self) -> tuple[str, Callable[[Side], Outcome]]:
        slot, path = self._chance.randrange(3), self._path()
        which = self._chance.randrange(3)
        if which == 0:
            return f"pread {slot}", lambda s: os.pread(s.of(slot), 400_000, 0)
        if which == 1:
            return f"fstat {slot}", lambda s: facts(os.fstat(s.of(slot)))
        return f"read {path}", lambda s: (s.top / path).read_bytes()

    def _close(self) -> tuple[str, Callable[[Side], Outcome]]:
        slot = self._chance.randrange(3)
        return f"close {slot}", lambda s: s.close(slot)

    def _names(self) -> tuple[str, Callable[[Side], Outcome]]:
        first, second = self._path(), self._path()
        which = self._chance.choice(
            ("mkdir", "mkdir", "unlink", "rmdir", "rename", "rename", "noreplace", "symlink")
        )
        calls: dict[str, Callable[[Side], Outcome]] = {
            "mkdir": lambda s: os.mkdir(s.top / first, 0o755),
            "unlink": lambda s: os.unlink(s.top / first),
            "rmdir": lambda s: os.rmdir(s.top / first),
            "rename": lambda s: os.rename(s.top / first, s.top / second),
            "noreplace": lambda s: rename_without_replacing(s.top / first, s.top / second),
            "symlink": lambda s: os.symlink(second, s.top / first),
        }
        return f"{which} {first} {second}", calls[which]

    def _attributes(self) -> tuple[str, Callable[[Side], Outcome]]:
        path, time = self._path(), self._chance.randrange(1 << 60)
        which = self._chance.choice(("lstat", "stat", "list", "chmod", "utime", "truncate", "link"))
        calls: dict[str, Callable[[Side], Outcome]] = {
            "lstat": lambda s: facts((s.top / path).lstat()),
            "stat": lambda s: facts((s.top / path).stat()),
            "list": lambda s: sorted(os.listdir(s.top / path)),
            "chmod": lambda s: os.chmod(s.top / path, 0o640 | (time & 0o111)),
            "utime": lambda s: self._touch(s.top / path, time),
            "truncate": lambda s: os.truncate(s.top / path, time % 10_000),
            "link": lambda s: os.readlink(s.top / path),
        }
        return f"{which} {path} {time}", calls[which]

    @staticmethod
    def _touch(path: Path, time: int) -> int:
        os.utime(path, ns=(time, time))
        return path.stat().st_mtime_ns
