"""SQLite keeps a database in a mount: with a rollback journal, and with a write-ahead log."""

import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest

from tests.mount.mounted import PATIENCE, is_fuse_usable, noise

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

WRITERS = 3
ROWS = 15
WRITER = """
    import sqlite3, sys
    path, name, rows = sys.argv[1:]
    database = sqlite3.connect(path, timeout=60, isolation_level=None)
    for row in range(int(rows)):
        database.execute("INSERT INTO t (body) VALUES (?)", (f"{name} {row}",))
"""


def connected(path):
    """Return a connection that is closed behind its block."""
    return closing(sqlite3.connect(path, timeout=PATIENCE))


def rows_on_s3(machine, bucket, name):
    """Return the rows of the database as S3 has it, which must be whole."""
    copy = machine.directory / f"copy of {name}"
    copy.write_bytes(bucket.get(name))
    with connected(copy) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [body for (body,) in database.execute("SELECT body FROM t ORDER BY n")]


def write_from_many_processes(path):
    """Let some processes insert rows at the same time; return what they inserted."""
    names = [f"writer {number}" for number in range(WRITERS)]
    script = textwrap.dedent(WRITER)
    writers = [
        subprocess.Popen([sys.executable, "-c", script, path, name, str(ROWS)]) for name in names
    ]
    assert [writer.wait(4 * PATIENCE) for writer in writers] == [0] * WRITERS
    return sorted(f"{name} {row}" for name in names for row in range(ROWS))


@pytest.mark.parametrize("level", ["close", "local"])
def test_a_database_with_a_rollback_journal_is_whole_on_s3(machine, weed, level):
    with machine.mounted("--sync", level) as mount, connected(mount.path / "a.db") as database:
        database.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body BLOB)")
        for round_ in range(3):
            with database:
                rows = ((noise(900, n),) for n in range(100 * round_, 100 * round_ + 100))
                database.executemany("INSERT INTO t (body) VALUES (?)", rows)
        with database:
            database.execute("DELETE FROM t WHERE n % 3 = 0")
        database.execute("BEGIN")
        database.execute("DELETE FROM t")
        database.rollback()
        database.execute("VACUUM")
    assert rows_on_s3(machine, weed, "a.db") == [noise(900, n - 1) for n in range(301) if n % 3]
    assert weed.paths() == {"a.db"}


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_processes_that_write_one_database_lose_no_row(machine, weed, mode):
    """The locks, and the shared map that the log's index is, are this machine's own."""
    with machine.mounted("--sync", "local") as mount:
        path = mount.path / "a.db"
        with connected(path) as database:
            assert database.execute(f"PRAGMA journal_mode={mode}").fetchone() == (mode,)
            database.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body TEXT)")
        written = write_from_many_processes(path)
    assert sorted(rows_on_s3(machine, weed, "a.db")) == written
    assert weed.paths() == {"a.db"}


def test_a_write_ahead_log_is_on_s3_beside_its_database_until_it_is_folded_in(machine, weed):
    """Three objects that are not of one moment: another machine must wait for the checkpoint."""
    with machine.mounted("--sync", "fsync") as mount, connected(mount.path / "a.db") as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body TEXT)")
        with database:
            database.execute("INSERT INTO t (body) VALUES ('in the log')")
        with connected(mount.path / "a.db") as reader:
            assert reader.execute("SELECT body FROM t").fetchall() == [("in the log",)]
        assert b"in the log" in weed.get("a.db-wal")
        assert b"in the log" not in weed.get("a.db")
        assert database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
        assert b"in the log" in weed.get("a.db")
    assert weed.paths() == {"a.db"}
