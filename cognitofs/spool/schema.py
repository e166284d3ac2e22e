"""Schema: the tables of the journal, and how a database of an earlier version gets them.

Owns nothing but the text. A table or column is added by one more migration, never by changing an
earlier one: databases of all versions are out there.
"""

from collections.abc import Callable

import apsw

VERSION = 3
"""Of the tables below (user_version)."""

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


def prepare(connection: apsw.Connection, version: int) -> None:
    """Bring the database, of format *version* so far, to VERSION, and set how it commits."""
    connection.set_busy_timeout(2000)
    connection.pragma("locking_mode", "EXCLUSIVE")
    connection.pragma("journal_mode", "WAL")
    connection.pragma("trusted_schema", False)
    connection.pragma("synchronous", "FULL")
    migrations: tuple[Callable[[], object], ...] = (
        lambda: connection.execute(_TABLES),
        lambda: connection.execute(_NAMES),
        lambda: connection.execute(_GIVEN_UP),
    )
    with connection:
        for migrate in migrations[version:]:
            migrate()
        connection.pragma("user_version", VERSION)
