"""CacheIndex: which file of the cache holds which bytes of which version, over restarts.

Owns a disposable database in the cache directory (synchronous=OFF) and the order of its entries by
use. Nothing here is trusted: a power cut may have kept an entry and lost bytes, so each piece has
a sum, and who takes an entry out compares. A damaged database is made anew.

INVARIANT: an entry stands for exactly one (key, ETag), and each file for at most one entry.
"""

import logging
import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw

from cognitofs.store.interface import ObjectInfo

_VERSION = 1
_TABLE = """
CREATE TABLE entry(
  key TEXT NOT NULL, etag TEXT NOT NULL, size INTEGER NOT NULL, file TEXT NOT NULL,
  held INTEGER NOT NULL, used INTEGER NOT NULL, pieces BLOB NOT NULL,
  PRIMARY KEY(key, etag));
CREATE INDEX entry_used ON entry(used, file, held);
CREATE INDEX entry_file ON entry(file);
"""
_PIECE = struct.Struct("<QQQ")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Summed:
    """Bytes [start, stop) and their sum (`checksums.running_sum`)."""

    start: int
    stop: int
    total: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of one version: *held* bytes of disk in *file*."""

    info: ObjectInfo
    file: str
    held: int
    pieces: tuple[Summed, ...]


def open_index(path: Path) -> "CacheIndex | None":
    """Return the index at *path*, made anew if it is damaged; None where there cannot be one."""
    try:
        return CacheIndex(_open(path))
    except (apsw.Error, OSError) as exc:
        _log.warning("The cache is not kept for the next mount: %s", exc)
        return None


class CacheIndex:
    """An open database; a failure of it loses entries, never more."""

    def __init__(self, database: apsw.Connection) -> None:
        self._db = database
        self._used = self._number("SELECT ifnull(max(used), 0) FROM entry")

    def total(self) -> int:
        """Return the bytes of disk that all entries hold."""
        return self._number("SELECT ifnull(sum(held), 0) FROM entry")

    def find(self, info: ObjectInfo) -> Entry | None:
        """Return the entry of *info*, which need not be true."""
        sql = "SELECT file, held, pieces FROM entry WHERE key = ? AND etag = ? AND size = ?"
        for file, held, pieces in self._rows(sql, (info.key, info.etag, info.size)):
            return Entry(info, str(file), int(str(held)), _decoded(pieces))
        return None

    def oldest(self, *, but: Collection[str], most: int) -> list[tuple[str, int]]:
        """Return file and held bytes of those that were not used for longest, without *but*."""
        sql = "SELECT file, held FROM entry ORDER BY used LIMIT ?"
        found = self._rows(sql, (most + len(but),))
        return [(str(file), int(str(held))) for file, held in found if file not in but][:most]

    def below(self, key: str) -> list[tuple[str, str, int]]:
        """Return key, file and held bytes of *key*, or of all below it if it ends in "/"."""
        sql = "SELECT key, file, held FROM entry WHERE key = ?1"
        if not key or key.endswith("/"):
            sql = "SELECT key, file, held FROM entry WHERE substr(key, 1, length(?1)) = ?1"
        return [(str(k), str(file), int(str(held))) for k, file, held in self._rows(sql, (key,))]

    def files(self) -> dict[str, int]:
        """Return the held bytes of all entries, by file."""
        rows = self._rows("SELECT file, held FROM entry")
        return {str(file): int(str(held)) for file, held in rows}

    def save(self, entries: Sequence[Entry]) -> None:
        """Keep *entries*, as the last used in this order."""
        self._change(
            "INSERT OR REPLACE INTO entry VALUES(?, ?, ?, ?, ?, ?, ?)", map(self._row, entries)
        )

    def _row(self, entry: Entry) -> tuple[str, str, int, str, int, int, bytes]:
        self._used += 1
        info, pieces = entry.info, entry.pieces
        packed = b"".join(_PIECE.pack(each.start, each.stop, each.total) for each in pieces)
        return info.key, info.etag, info.size, entry.file, entry.held, self._used, packed

    def rename(self, old: ObjectInfo, new: ObjectInfo) -> None:
        """Let the entry of *old* be that of *new*."""
        sql = "UPDATE OR REPLACE entry SET key = ?, etag = ? WHERE key = ? AND etag = ?"
        self._change(sql, [(new.key, new.etag, old.key, old.etag)])

    def drop(self, files: Iterable[str]) -> None:
        """Forget the entries of *files*."""
        self._change("DELETE FROM entry WHERE file = ?", ((file,) for file in files))

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _change(self, sql: str, rows: Iterable[tuple[int | str | bytes, ...]]) -> None:
        try:
            with self._db:
                self._db.executemany(sql, rows)
        except apsw.Error as exc:
            _log.info("The index of the cache was not written: %s", exc)

    def _number(self, sql: str) -> int:
        return next((int(str(number)) for (number,) in self._rows(sql)), 0)

    def _rows(self, sql: str, values: tuple[int | str, ...] = ()) -> list[tuple[object, ...]]:
        try:
            return list(self._db.execute(sql, values))
        except apsw.Error as exc:
            _log.info("The index of the cache was not read: %s", exc)
            return []


def _decoded(packed: object) -> tuple[Summed, ...]:
    if not isinstance(packed, bytes) or len(packed) % _PIECE.size:
        return ()
    return tuple(Summed(*each) for each in _PIECE.iter_unpack(packed))


def _open(path: Path) -> apsw.Connection:
    try:
        return _prepared(path)
    except apsw.BusyError:
        raise  # it is somebody's
    except apsw.Error:
        for each in ("", "-wal", "-shm"):
            path.with_name(path.name + each).unlink(missing_ok=True)
        return _prepared(path)


def _prepared(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    try:
        connection.pragma("locking_mode", "EXCLUSIVE")
        connection.pragma("synchronous", "OFF")
        connection.pragma("journal_mode", "WAL")
        if connection.pragma("user_version") != _VERSION:
            connection.execute("DROP TABLE IF EXISTS entry;" + _TABLE)
            connection.pragma("user_version", _VERSION)
    except apsw.Error:
        connection.close()
        raise
    return connection
