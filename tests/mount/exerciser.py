"""One file under random reads, writes, truncates, maps and appends, compared byte by byte.

In the manner of fsx. `Exerciser` owns the file's expected bytes and the open descriptors; every
choice follows from the seed. It knows nothing of mounts: what is below the path may be any file
system.
"""

import mmap
import os
import random
from collections import Counter
from pathlib import Path

LARGE = 12 << 20
"""Bytes: more than two parts of the smallest size, so that rewrites copy parts."""
SMALL = 512 << 10
"""Bytes, of a file whose uploads are cheap enough for many thousand operations."""
PIECE = 64 << 10


class Exerciser:
    """Random work on the file at *path*, which must not exist; it grows to *largest* bytes."""

    def __init__(self, path: Path, seed: int, counts: Counter[str], largest: int = LARGE) -> None:
        self.path = path
        self.largest = largest
        self.counts = counts
        self._chance = random.Random(seed)
        self._expected = bytearray()
        self._descriptors: list[int] = []
        self._appending = -1
        self._pages: mmap.mmap | None = None
        self.calls: list[str] = []
        """The last calls that changed something, for a failure to be understood."""
        self._work = {
            self._read: 30,
            self._write: 30,
            self._map_read: 6,
            self._map_write: 8,
            self._append: 8,
            self._truncate: 6,
            self._sync: 1,
            self._duplicate: 3,
            self._reopen: 3,
        }
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644))

    def run(self, operations: int) -> None:
        """Do so many operations, then close everything and compare the whole file."""
        self._open()
        for _ in range(operations):
            (work,) = self._chance.choices(list(self._work), list(self._work.values()))
            self.counts[work.__name__.strip("_")] += 1
            work()
        self.close()
        self.check()

    def close(self) -> None:
        """Close every descriptor and map; each close must succeed."""
        self._unmap()
        self._stop_appending()
        while self._descriptors:
            os.close(self._descriptors.pop())

    def check(self) -> None:
        """Compare the whole file through a new descriptor."""
        self._compare(0, self.path.read_bytes(), len(self._expected))
        self.counts["whole comparisons"] += 1

    @property
    def expected(self) -> bytes:
        """What the file must hold."""
        return bytes(self._expected)

    def _open(self) -> None:
        self._descriptors.append(os.open(self.path, os.O_RDWR))

    def _any(self) -> int:
        return self._chance.choice(self._descriptors)

    def _span(self) -> tuple[int, int]:
        """Return an offset and a size within the file."""
        offset = self._chance.randrange(len(self._expected) + 1)
        size = self._chance.choice((1, 13, 4096, self._chance.randrange(1, PIECE)))
        return offset, min(size, len(self._expected) - offset)

    def _say(self, *words: object) -> None:
        self.calls = [*self.calls[-30:], " ".join(map(str, words))]

    def _compare(self, offset: int, found: bytes, size: int) -> None:
        wanted = self._expected[offset : offset + size]
        if found == wanted:
            return
        pairs = enumerate(zip(found, wanted, strict=False))
        first = next((at for at, (left, right) in pairs if left != right), "the end")
        raise AssertionError(
            f"{len(found)} bytes read at {offset}, not the {len(wanted)} written; they differ from"
            f" {first} on; before:\n" + "\n".join(self.calls)
        )

    def _put(self, offset: int, data: bytes) -> None:
        if len(self._expected) < offset:
            self._expected.extend(bytes(offset - len(self._expected)))
        self._expected[offset : offset + len(data)] = data

    def _read(self) -> None:
        offset, size = self._span()
        self._compare(offset, os.pread(self._any(), size, offset), size)

    def _write(self) -> None:
        beyond = self._chance.choice((0, 0, 0, 1, PIECE))
        offset = self._chance.randrange(min(len(self._expected) + beyond, self.largest - PIECE) + 1)
        data = self._chance.randbytes(self._chance.choice((1, 100, 4096, PIECE)))
        self._say("write", offset, len(data))
        assert os.pwrite(self._any(), data, offset) == len(data)
        self._put(offset, data)

    def _append(self) -> None:
        data = self._chance.randbytes(self._chance.randrange(1, PIECE))
        if len(self._expected) + len(data) > self.largest:
            return
        self._say("append", len(self._expected), len(data))
        if self._appending < 0:
            self._appending = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        assert os.write(self._appending, data) == len(data)
        self._expected += data
        if self._chance.random() < 0.2:
            self._stop_appending()

    def _stop_appending(self) -> None:
        if self._appending >= 0:
            self._say("close the appending one")
            os.close(self._appending)
            self._appending = -1

    def _truncate(self) -> None:
        length = len(self._expected)
        near = (length // 2, length, length + 1, length + PIECE, length - 1)
        size = max(
            0, min(self.largest, self._chance.choice((*near, self._chance.randrange(self.largest))))
        )
        self._say("truncate", length, size)
        os.ftruncate(self._any(), size)
        del self._expected[size:]
        self._expected.extend(bytes(size - len(self._expected)))

    def _mapped(self) -> mmap.mmap:
        """Return a map of the whole file: mostly the last one, since unmapping is a close."""
        if self._pages is None or len(self._pages) != len(self._expected):
            self._unmap()
            self._pages = mmap.mmap(self._any(), len(self._expected))
        return self._pages

    def _unmap(self) -> None:
        if self._pages is not None:
            self._say("unmap")
            self._pages.close()
            self._pages = None

    def _map_read(self) -> None:
        if not self._expected:
            return
        offset, size = self._span()
        self._compare(offset, self._mapped()[offset : offset + size], size)

    def _map_write(self) -> None:
        offset, size = self._span()
        if not size:
            return
        data = self._chance.randbytes(size)
        self._say("map write", offset, size)
        self._mapped()[offset : offset + size] = data
        if self._chance.random() < 0.1:
            self._say("msync")
            self._mapped().flush()
        if self._chance.random() < 0.2:
            self._unmap()
        self._put(offset, data)

    def _sync(self) -> None:
        self._say("fsync")
        os.fsync(self._any())

    def _duplicate(self) -> None:
        """Hold one more description of the file, or one less."""
        if len(self._descriptors) < 4:
            self._open()
        else:
            os.close(self._descriptors.pop(self._chance.randrange(4)))
            self._say("close one")

    def _reopen(self) -> None:
        self._say("close all, open")
        self.close()
        assert os.stat(self.path).st_size == len(self._expected)
        self._open()
