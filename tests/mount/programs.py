"""Programs at work on a mount until it dies: cp -r, rsync, two editors, mv, one large file.

Each tells a `Ledger` what it is about to do, and what it was promised once it has ended well. All
of them stop at their first failure: their file system is gone then.
"""

import random
import subprocess
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

from tests.mount.ledger import Ledger, sum_of
from tests.mount.mounted import MIB, noise

_SIZES = (0, 1, 4096, 60_000, 300_000)
_FILES = 4


class Programs:
    """Runs them over *mountpoint*; *sources* is an ordinary directory."""

    def __init__(self, mountpoint: Path, sources: Path, ledger: Ledger, seed: int) -> None:
        self.mountpoint = mountpoint
        self.ledger = ledger
        self._sources = sources
        self._random = random.Random(seed)
        self._top = f"life-{seed}"
        self._threads: list[threading.Thread] = []
        self._numbers = count(seed * 10_000)
        self._is_over = threading.Event()

    def start(self, large_mib: int) -> None:
        """Begin with everything."""
        (self.mountpoint / self._top).mkdir()
        works = [self._cp, self._rsync, self._save_anew, self._save_like_vim]
        for work in works:
            self._run(work)
        self._run(lambda: self._large(large_mib))

    def stop(self) -> None:
        """Return when all have noticed that the mount is gone."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a program hangs on a dead mount"

    def _run(self, work: Callable[[], None]) -> None:
        def until_failure() -> None:
            while not self._is_over.is_set():
                try:
                    work()
                except (OSError, subprocess.CalledProcessError):
                    return

        self._threads.append(threading.Thread(target=until_failure, daemon=True))
        self._threads[-1].start()

    def _call(self, *command: object) -> None:
        subprocess.run(
            [str(each) for each in command], check=True, capture_output=True, timeout=120
        )

    def _tree(self, number: int) -> tuple[Path, dict[str, str]]:
        """Make a small tree, and return its files' sums."""
        top = self._sources / str(number)
        (top / "deeper").mkdir(parents=True)
        sums = {}
        for index in range(_FILES):
            name = f"deeper/{index}" if index % 2 else str(index)
            data = noise(self._random.choice(_SIZES), number * _FILES + index)
            (top / name).write_bytes(data)
            sums[name] = sum_of(data)
        return top, sums

    def _cp(self) -> None:
        """Copy a tree, and let every third one move afterwards."""
        number = next(self._numbers)
        tree, sums = self._tree(number)
        target = f"{self._top}/cp-{number}"
        self._copied(target, sums, ("cp", "-r", tree, self.mountpoint / target))
        if number % 3 == 0:
            self._move(target, f"{self._top}/moved-{number}", sums)

    def _rsync(self) -> None:
        number = next(self._numbers)
        tree, sums = self._tree(number)
        target = f"{self._top}/rsync-{number}"
        self._copied(target, sums, ("rsync", "-a", f"{tree}/", self.mountpoint / target))

    def _copied(self, target: str, sums: dict[str, str], command: tuple[object, ...]) -> None:
        for name, total in sums.items():
            self.ledger.begin(f"{target}/{name}", total)
        self._call(*command)
        for name, total in sums.items():
            self.ledger.promise(f"{target}/{name}", total)

    def _move(self, old: str, new: str, sums: dict[str, str]) -> None:
        for name, total in sums.items():
            self.ledger.begin_move(f"{old}/{name}", f"{new}/{name}", total)
        self._call("mv", self.mountpoint / old, self.mountpoint / new)
        for name, total in sums.items():
            self.ledger.promise(f"{new}/{name}", total)
            self.ledger.promise(f"{old}/{name}", None)

    def _save_anew(self) -> None:
        """Save as most editors do: a file beside it, fsync, rename over the old one."""
        number = next(self._numbers)
        name = f"document-{number % 3}"
        data = noise(self._random.choice(_SIZES), number) + b"."
        self.ledger.begin(name, sum_of(data))
        self.ledger.begin(f"{name}.new", sum_of(data))
        self._write(f"{name}.new", data, sync=True)
        self.ledger.begin(f"{name}.new", None)
        (self.mountpoint / f"{name}.new").rename(self.mountpoint / name)
        self.ledger.promise(name, sum_of(data))
        self.ledger.promise(f"{name}.new", None)

    def _save_like_vim(self) -> None:
        """Save as vim does: the old one steps aside, the new one takes its name."""
        number = next(self._numbers)
        name, path = "notes", self.mountpoint / "notes"
        data = noise(self._random.choice(_SIZES), number) + b"!"
        if path.exists():
            old = sum_of(path.read_bytes())
            self.ledger.begin_move(name, f"{name}~", old)
            path.rename(self.mountpoint / f"{name}~")
            self.ledger.promise(f"{name}~", old)
        self.ledger.begin(name, sum_of(data))
        self._write(name, data, sync=True)
        self.ledger.promise(name, sum_of(data))
        if (self.mountpoint / f"{name}~").exists():
            self.ledger.begin(f"{name}~", None)
            (self.mountpoint / f"{name}~").unlink()
            self.ledger.promise(f"{name}~", None)

    def _write(self, name: str, data: bytes, *, sync: bool = False) -> None:
        """Write by a process of its own, by one descriptor that is closed once.

        One of ours would be closed by every program that we start meanwhile, one of dd by dd
        itself: to the file system that is a close, which publishes what is there.
        """
        source = self._sources / f"written-{next(self._numbers)}"
        source.write_bytes(data)
        self._call("cp", source, self.mountpoint / name)
        if sync:
            self._call("sync", self.mountpoint / name)

    def _large(self, mebibytes: int) -> None:
        """Write a large file once per life."""
        number = next(self._numbers)
        name = f"{self._top}/large-{number}"
        data = noise(mebibytes * MIB, number)
        self.ledger.begin(name, sum_of(data))
        self._write(name, data)
        self.ledger.promise(name, sum_of(data))
        self._is_over.wait()
