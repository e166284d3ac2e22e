"""BadDisk: a file system for SQLite of which chosen operations fail, as of a full disk."""

import itertools
from collections import Counter

import apsw

_NUMBERS = itertools.count()
FULL = (apsw.FullError, "database or disk is full")
BROKEN = (apsw.IOError, "disk I/O error")


class BadDisk(apsw.VFS):
    """Counts writes, syncs and truncates; *fails* tells which of them do."""

    def __init__(self, fails=lambda kind, number: None):
        self.fails = fails
        self.counts = Counter()
        self.fired = Counter()
        self.name = f"bad-disk-{next(_NUMBERS)}"
        super().__init__(self.name, "")

    def xOpen(self, name, flags):  # noqa: N802  # apsw's names
        return _File(self, name, flags)

    def note(self, kind):
        self.counts["operations"] += 1
        self.counts[kind] += 1
        error = self.fails(kind, self.counts["operations"])
        if error is not None:
            self.fired[kind] += 1
            kind_of, message = error
            raise kind_of(message)


class _File(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data, offset):  # noqa: N802
        self._disk.note("write")
        return super().xWrite(data, offset)

    def xSync(self, flags):  # noqa: N802
        self._disk.note("sync")
        return super().xSync(flags)

    def xTruncate(self, size):  # noqa: N802
        self._disk.note("truncate")
        return super().xTruncate(size)
