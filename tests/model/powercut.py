"""A power cut in this process: what was not synced is not there any more.

Keeps what each fdatasync, each fsync of the spool directory and each commit with synchronous=FULL
made safe. `cut` puts the state directory back to that: names that were not synced may be gone,
bytes that were not are zeros (as ext4 leaves them after its size was written first), and the
journal ends with its last synced commit. Removed names stay removed, which is the worse of the two.
"""

import os
from pathlib import Path

from cognitofs.spool import spooldirectory
from cognitofs.spool.journal import Journal

_FULL = 2
_DATABASE = ("journal.db", "journal.db-wal")


class SafeState:
    """What of the state directory *state* would survive."""

    def __init__(self, patch, state: Path) -> None:
        self.state = state
        self.syncs = 0
        self._bytes: dict[str, bytes] = {}
        self._names: set[str] = set()
        self._database: dict[str, bytes] = {}
        fdatasync, fsync, apply = os.fdatasync, os.fsync, Journal._apply
        journal_open = Journal.open

        def fdatasynced(fd):
            fdatasync(fd)
            self._keep_bytes(fd)

        def fsynced(fd):
            fsync(fd)
            self._keep_names(fd)

        def applied(journal, batch):
            changes = journal._db.total_changes()
            try:
                apply(journal, batch)
            finally:  # also when the power fails right behind the commit
                is_full = int(journal._db.pragma("synchronous")) == _FULL
                if is_full and journal._db.total_changes() > changes:
                    self._keep_database()

        def opened(path, reserve=None):
            journal = journal_open(path, reserve)
            self._keep_database()
            return journal

        self._patch = patch
        self._cuts = 0
        patch.setattr(os, "fdatasync", fdatasynced)
        patch.setattr(os, "fsync", fsynced)
        patch.setattr(Journal, "_apply", applied)
        patch.setattr(Journal, "open", opened)

    def _keep_bytes(self, fd: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        if path.parent == self.state / "spool":
            self.syncs += 1
            self._bytes[path.name] = path.read_bytes()

    def _keep_names(self, fd: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}") == str(self.state / "spool"):
            self._names = set(os.listdir(fd))

    def _keep_database(self) -> None:
        found = (self.state / name for name in _DATABASE)
        self._database = {path.name: path.read_bytes() for path in found if path.exists()}

    def cut(self, *, keeps_names: bool) -> None:
        """Take away what was not synced. The process must have ended.

        With *keeps_names* the disk had written the names by itself, only the bytes are missing.
        """
        self._cuts += 1
        boot = f"boot-{self._cuts}"  # a label counts without a sync in the same one only
        self._patch.setattr(spooldirectory, "this_boot", lambda: boot)
        for name in _DATABASE:
            (self.state / name).unlink(missing_ok=True)
        for name, data in self._database.items():
            (self.state / name).write_bytes(data)
        for path in list((self.state / "spool").iterdir()):
            if path.name not in self._names and not keeps_names:
                path.unlink()
            else:
                size = path.stat().st_size
                path.write_bytes(self._bytes.get(path.name, b"").ljust(size, b"\0"))
