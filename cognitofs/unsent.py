"""What a mount without a process has not sent: its spool, and the journal for what has none.

Owns the count that `status` and `umount` give after a crash. A file that was closed empty is only a
row of the journal, so the spool alone would call it sent. Changes nothing and takes no lock: it
reads a copy of the journal, because even a reader of SQLite's own writes beside the database. Who
needs more than the count opens the journal itself (`kept.py`).
"""

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from cognitofs.state import StateFiles


def unsent_sizes(files: StateFiles) -> list[int]:
    """Return the size of each unsent file in bytes.

    The spool's alone, if the journal cannot be read: a damaged one is told by the next mount.
    """
    sizes = _in_spool(files.spool)
    with suppress(OSError, sqlite3.Error):
        for id_, size in _rows(files.journal):
            sizes.setdefault(id_, size)
    return list(sizes.values())


def _in_spool(spool: Path) -> dict[str, int]:
    sizes = {}
    for directory, _, names in os.walk(spool):
        for name in names:
            with suppress(OSError):  # sent meanwhile
                sizes[name] = (Path(directory) / name).lstat().st_size
    return sizes


def _rows(journal: Path) -> list[tuple[str, int]]:
    """Return id and size of each sealed file. Raises OSError, sqlite3.Error."""
    with tempfile.TemporaryDirectory() as place:
        copy = shutil.copy(journal, place)
        with suppress(FileNotFoundError):
            shutil.copy(f"{journal}-wal", place)
        with closing(sqlite3.connect(copy)) as database:
            found = database.execute("SELECT id, size FROM file").fetchall()
    return [(str(id_), int(size)) for id_, size in found]
