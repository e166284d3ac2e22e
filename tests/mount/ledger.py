"""Ledger: what programs were promised, so that a crash can be judged.

A program that ended well was promised its files (`promise`); one that was cut off may have left the
old content, the new one or nothing (`begin`), but never anything else. Contents are SHA-256 sums.
"""

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path


def sum_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class _Move:
    """A file that has one of two names, unless one of *successors* has taken the new one."""

    old: str
    new: str
    total: str
    successors: set[str] = field(default_factory=set)

    def is_kept(self, found: dict[str, str]) -> bool:
        at_new = found.get(self.new)
        return self.total in (found.get(self.old), at_new) or at_new in self.successors


class Ledger:
    """Files by path below the mountpoint. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._may: dict[str, set[str | None]] = {}
        self._moves: list[_Move] = []
        self._written: set[str] = set()
        self.promised = 0

    def begin(self, path: str, total: str | None) -> None:
        """Note that *path* is about to get this content (None: to go)."""
        with self._lock:
            self._may.setdefault(path, {None}).add(total)
            if total is not None:
                self._written.add(total)

    def begin_move(self, old: str, new: str, total: str) -> None:
        """Note that a file is about to move: it must be at one of its names at any time.

        One that a crash has left at *new* may be replaced by it.
        """
        self.begin(new, total)
        self.begin(old, None)
        with self._lock:
            for each in self._moves:
                if each.new == new:
                    each.successors.add(total)
            self._moves.append(_Move(old, new, total))

    def promise(self, path: str, total: str | None) -> None:
        """Note that a program was told that *path* has this content now."""
        with self._lock:
            self._may[path] = {total}
            self._moves = [each for each in self._moves if path not in (each.old, each.new)]
            self.promised += total is not None

    def check(self, found: dict[str, str]) -> None:
        """Compare with what is there, and go on from it."""
        wrong = {
            path: (found.get(path), allowed)
            for path, allowed in self._may.items()
            if found.get(path) not in allowed
        }
        assert not wrong, f"lost or torn: {wrong}"
        astray = [each for each in self._moves if not each.is_kept(found)]
        assert not astray, f"at neither name: {astray}"
        others = {path: each for path, each in found.items() if path not in self._may}
        strange = {path for path, each in others.items() if each not in self._written}
        assert not strange, f"bytes that nobody wrote: {strange}"
        self._may = {path: {found.get(path)} for path in self._may if found.get(path)}
        self._moves.clear()

    def forget(self, below: str) -> None:
        """Forget what begins with *below*: somebody else has removed it."""
        self._may = {path: each for path, each in self._may.items() if not path.startswith(below)}


def sums_below(top: Path) -> dict[str, str]:
    """Return the sums of all files below *top*, read through the file system."""
    found = {}
    for path in top.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                found[str(path.relative_to(top))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
