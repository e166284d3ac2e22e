"""AttributeMemory: the headers of object versions that a HEAD has told us once.

Owns a disposable database in the cache directory (synchronous=OFF; losing it costs HEADs). A
version is (key, ETag, LastModified): a chmod by self-copy keeps the ETag.

INVARIANT: a version younger than two seconds is not remembered: LastModified counts in seconds, so
a second rewrite within the same one would look the same.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from cognitofs.store.interface import ObjectHead, ObjectHeaders, ObjectInfo
from cognitofs.store.records import decode_headers, encode_headers

SETTLED = 2.0
"""Seconds after LastModified before a version is remembered."""

_TABLE = """
CREATE TABLE IF NOT EXISTS headers(
  key TEXT NOT NULL, etag TEXT NOT NULL, modified INTEGER NOT NULL, headers TEXT NOT NULL,
  PRIMARY KEY(key)) WITHOUT ROWID
"""

_log = logging.getLogger(__name__)


class AttributeMemory:
    """The database; *path* None keeps it in memory. A damaged one is made anew."""

    def __init__(self, path: Path | None, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._db = _open(path)

    def recall(self, info: ObjectInfo) -> ObjectHeaders | None:
        """Return the headers of exactly that version, if we know them."""
        sql = "SELECT headers FROM headers WHERE key = ? AND etag = ? AND modified = ?"
        row = self._db.execute(sql, (info.key, info.etag, info.modified)).fetchone()
        return None if row is None else decode_headers(str(row[0]))

    def remember(self, head: ObjectHead) -> None:
        """Keep what a HEAD said, for as long as the disk lets us."""
        info = head.info
        if self._now() - info.modified < SETTLED:
            return
        sql = "INSERT OR REPLACE INTO headers VALUES(?, ?, ?, ?)"
        try:
            self._db.execute(
                sql, (info.key, info.etag, info.modified, encode_headers(head.headers))
            )
        except apsw.Error as exc:
            _log.info("the memory of attributes was not written: %s", exc)

    def forget_below(self, key: str) -> None:
        """Forget *key* and, where that is a directory's, everything below it."""
        sql = "DELETE FROM headers WHERE key = ?1"
        if not key or key.endswith("/"):
            sql = "DELETE FROM headers WHERE substr(key, 1, length(?1)) = ?1"
        try:
            self._db.execute(sql, (key,))
        except apsw.Error as exc:
            _log.info("the memory of attributes was not emptied: %s", exc)

    def close(self) -> None:
        """Close the database."""
        self._db.close()


def _open(path: Path | None) -> apsw.Connection:
    try:
        return _prepared(path)
    except apsw.Error:
        if path is None:
            raise
        path.unlink(missing_ok=True)
        return _prepared(path)


def _prepared(path: Path | None) -> apsw.Connection:
    connection = apsw.Connection(":memory:" if path is None else str(path))
    connection.pragma("synchronous", "OFF")
    connection.pragma("journal_mode", "WAL")
    connection.execute(_TABLE)
    return connection
