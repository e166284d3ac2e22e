"""Schema: the tables of the journal, and how those of older versions become them.

Owns what SQLite is told when the journal is opened. What the rows mean is `journal.py`'s and
`intents.py`'s.

INVARIANT: a published migration is never changed; a newer one is added behind it.
"""

from collections.abc import Callable
from pathlib import Path

import apsw

from cognitofs.errors import JournalDamaged, JournalTooNew, SpoolDamaged

VERSION = 6
"""Of the tables below (user_version)."""

BROKEN = (apsw.NotADBError, apsw.CorruptError, apsw.SQLError, apsw.ReadOnlyError, ValueError)
"""What SQLite or we say of tables that nobody wrote like this."""

_WRITTEN_TWICE = 4
"""The first format that is in `meta`, too."""

_TABLES = """
CREATE TABLE file(
  id TEXT PRIMARY KEY,        -- 32 hex digits; the spool file's name when has_spool
  key TEXT NOT NULL,          -- relative to the mount's prefix
  state TEXT NOT NULL CHECK(state IN ('sealed', 'conflict', 'failed')),
  size INTEGER NOT NULL,
  touched TEXT NOT NULL,      -- JSON [[start, stop], ...]: what differs from the base
  base TEXT,                  -- JSON ObjectInfo, or NULL: made from nothing
  base_limit INTEGER NOT NULL,
  expect TEXT NOT NULL,       -- ETag | absent | any
  headers TEXT NOT NULL,      -- JSON, with the txid
  has_spool INTEGER NOT NULL,
  supersedes TEXT NOT NULL,   -- JSON [txid, ...]
  leaves TEXT NOT NULL,       -- JSON [[key, txid], ...]
  error TEXT NOT NULL DEFAULT '');
CREATE TABLE upload(          -- a multipart upload under way; of an unsealed file too
  upload_id TEXT PRIMARY KEY,
  id TEXT NOT NULL,           -- of the file; '' once a newer seal goes on without it
  key TEXT NOT NULL);
CREATE TABLE part(            -- what S3 has acknowledged of it
  upload_id TEXT NOT NULL, number INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
  source TEXT NOT NULL,       -- spool | base | upload (given up here: only S3 has its bytes)
  etag TEXT NOT NULL, checksum TEXT NOT NULL,
  PRIMARY KEY(upload_id, number)) WITHOUT ROWID;
CREATE TABLE attributes(      -- headers of an object that await their self-copy
  key TEXT PRIMARY KEY,
  etag TEXT NOT NULL,         -- of the version they are for; '' for a marker
  headers TEXT NOT NULL);
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO meta VALUES('durable', 0);
"""

_NAMES = """
CREATE TABLE deletion(        -- an object that shall go; its name is hidden already
  key TEXT PRIMARY KEY,
  expect TEXT NOT NULL,       -- ETag | any | '' (only what our own commits made)
  txids TEXT NOT NULL);       -- JSON [txid, ...]
CREATE TABLE rename(          -- a file or directory whose copies may not be complete
  id INTEGER PRIMARY KEY,
  source TEXT NOT NULL,
  target TEXT NOT NULL,
  retires TEXT NOT NULL);     -- JSON [id, ...]: files that lose their name to it
CREATE TABLE move(            -- an object of it
  rename INTEGER NOT NULL,
  source TEXT NOT NULL,       -- JSON ObjectInfo
  target TEXT NOT NULL,
  expect TEXT NOT NULL,       -- ETag | absent
  headers TEXT);              -- JSON, or NULL: those of the source
CREATE INDEX move_of ON move(rename);
"""

_GIVEN_UP = "ALTER TABLE file ADD COLUMN given_up TEXT NOT NULL DEFAULT '[]'"
"""JSON [[start, stop], ...]: bytes that are in the multipart upload and not in the spool file."""
_CHECKED = """
ALTER TABLE file ADD COLUMN crc INTEGER;  -- of all that a seal says; NULL: of an older version
"""
_DAMAGED = "ALTER TABLE file ADD COLUMN damaged TEXT NOT NULL DEFAULT '[]'"
"""JSON [[start, stop], ...]: bytes that the disk does not give back as they were written."""
_REFUSED = """
ALTER TABLE deletion ADD COLUMN error TEXT NOT NULL DEFAULT '';  -- why S3 refused it; '': not yet
ALTER TABLE deletion ADD COLUMN at REAL NOT NULL DEFAULT 0;      -- when, since the epoch
"""


def _prepare(connection: apsw.Connection, version: int) -> None:
    """Set the connection up, and bring the tables of *version* (0: none) up to date."""
    connection.set_busy_timeout(2000)
    connection.pragma("locking_mode", "EXCLUSIVE")
    connection.pragma("journal_mode", "WAL")
    connection.pragma("trusted_schema", False)
    connection.pragma("synchronous", "FULL")
    migrations: tuple[Callable[[], object], ...] = (
        lambda: connection.execute(_TABLES),
        lambda: connection.execute(_NAMES),
        lambda: connection.execute(_GIVEN_UP),
        lambda: connection.execute(_CHECKED),
        lambda: connection.execute(_DAMAGED),
        lambda: connection.execute(_REFUSED),
    )
    with connection:
        for migrate in migrations[version:]:
            migrate()
        connection.pragma("user_version", VERSION)
        connection.execute("INSERT OR REPLACE INTO meta VALUES('format', ?)", (VERSION,))


def _version_of(connection: apsw.Connection) -> int:
    """Return the format of the tables, 0 for none. Raises apsw.Error, ValueError.

    It is written twice, so that a flipped bit is not taken for a newer version.
    """
    version = int(connection.pragma("user_version"))
    if version >= _WRITTEN_TWICE:
        found = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
        if found != (version,):
            raise ValueError("the format of the tables is unclear")
    return version


def adopt(connection: apsw.Connection, path: Path) -> None:
    """Check the database *path* and bring it up to date.

    Raises JournalTooNew, JournalDamaged, BROKEN for other damage, apsw.Error for what the disk
    refuses.
    """
    version = _version_of(connection)
    if version > VERSION:
        raise JournalTooNew(
            f"The journal {path} was written by a newer cognitofs (format {version});"
            " it was left unharmed. Use that version, or another --state-dir."
        )
    _prepare(connection, version)
    if connection.pragma("quick_check") != "ok":
        raise damaged(path)


def damaged(path: Path) -> JournalDamaged:
    """Return the error for a journal that cannot be read."""
    return JournalDamaged(
        f"The journal {path} is damaged; the next mount makes a new one from what lies in spool/"
        " and keeps this one. Check the disk."
    )


def unopened(path: Path) -> SpoolDamaged:
    """Return the error for a journal that cannot be opened."""
    return SpoolDamaged(
        f"The journal {path} could not be opened; check the disk and its permissions."
    )
