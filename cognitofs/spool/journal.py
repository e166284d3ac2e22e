"""Journal: every change that S3 does not have yet, in one SQLite database.

Owns the tables, their order of commits, and nothing else; bytes lie in spool files. One connection,
used by one thread at a time; concurrent commits share one transaction (group commit).

A commit that acknowledges nothing is made with synchronous=NORMAL: it survives kill -9. One that
acknowledges is made with FULL, which syncs the whole WAL and with it all earlier commits.

INVARIANT: a row is written before the request it describes is sent, and removed only after S3
acknowledged it; the spool file goes after the row.
INVARIANT: a database of a newer version is not written to.
"""

import json
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import trio

from cognitofs.errors import SpoolDamaged, SpoolError, SpoolFull
from cognitofs.spool.labels import Labels
from cognitofs.spool.reserve import Reserve
from cognitofs.spool.schema import BROKEN, adopt, damaged, unopened
from cognitofs.spool.seal import Seal
from cognitofs.store.interface import ETag, ObjectHeaders, PartReceipt, UploadId
from cognitofs.store.records import decode_headers, decode_info, encode_headers, encode_info

Statement = tuple[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part that S3 acknowledged: where it lies in the file, where from, and its receipt."""

    start: int
    stop: int
    source: str
    receipt: PartReceipt


@dataclass(frozen=True, slots=True)
class Continued:
    """The multipart upload that a seal goes on with, and its parts that still hold its bytes."""

    upload_id: UploadId
    numbers: Collection[int]


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """A multipart upload that was under way, with the parts S3 has acknowledged.

    `id` is "" when nothing will go on with it: it is to be aborted.
    """

    upload_id: UploadId
    id: str
    key: str
    parts: tuple[SentPart, ...]


@dataclass(frozen=True, slots=True)
class PendingFile:
    """A sealed file of the journal and what became of it."""

    seal: Seal
    state: str
    error: str


@dataclass(slots=True)
class _Batch:
    statements: list[Statement] = field(default_factory=list)
    durable: bool = False
    done: bool = False
    error: Exception | None = None


class Journal:
    """The open database. Build with `Journal.open`."""

    def __init__(self, connection: apsw.Connection, reserve: Reserve | None = None) -> None:
        self.labels: Labels | None = None
        """Who keeps what the journal says of a spool file beside its bytes, too."""
        self._db = connection
        self._reserve = reserve
        self._next = _Batch()
        self._lock = trio.Lock()

    @classmethod
    def open(cls, path: Path, reserve: Reserve | None = None) -> "Journal":
        """Open or make the database. Blocks; called once.

        Raises JournalTooNew, JournalDamaged for what SQLite or we cannot read, SpoolDamaged for
        what the disk refuses.
        """
        try:
            connection = apsw.Connection(str(path))
        except apsw.Error as exc:
            raise unopened(path) from exc
        try:
            adopt(connection, path)
        except BROKEN as exc:
            connection.close(True)
            raise damaged(path) from exc
        except apsw.Error as exc:
            connection.close(True)
            raise unopened(path) from exc
        except SpoolError:
            connection.close(True)
            raise
        return cls(connection, reserve)

    def close(self) -> None:
        """Close the database. What a full disk keeps in its WAL is read at the next start."""
        try:
            self._db.close()
        except apsw.Error:
            self._db.close(True)  # apsw's: whatever its last checkpoint says

    def is_empty(self) -> bool:
        """Tell whether S3 has everything."""
        left = self._db.execute(
            "SELECT EXISTS(SELECT 1 FROM file) OR EXISTS(SELECT 1 FROM upload)"
            " OR EXISTS(SELECT 1 FROM attributes) OR EXISTS(SELECT 1 FROM deletion)"
            " OR EXISTS(SELECT 1 FROM rename)"
        ).fetchone()
        return left == (0,)

    # -- reading, at the start of a mount ---------------------------------------------------

    def pending(self) -> list[PendingFile]:
        """Return all sealed files, oldest first."""
        rows = self._db.execute(
            "SELECT id, key, size, touched, base, base_limit, expect, headers, has_spool,"
            " supersedes, leaves, given_up, state, error, crc, damaged FROM file ORDER BY rowid"
        )
        return [
            PendingFile(_seal_of(row[:12], *row[14:]), str(row[12]), str(row[13])) for row in rows
        ]

    def uploads(self) -> list[OpenUpload]:
        """Return all multipart uploads that were neither completed nor aborted."""
        rows = self._db.execute("SELECT upload_id, id, key FROM upload").fetchall()
        return [
            OpenUpload(UploadId(str(upload)), str(id_), str(key), self._parts(str(upload)))
            for upload, id_, key in rows
        ]

    def _parts(self, upload_id: str) -> tuple[SentPart, ...]:
        rows = self._db.execute(
            "SELECT number, start, stop, source, etag, checksum FROM part"
            " WHERE upload_id = ? ORDER BY number",
            (upload_id,),
        )
        return tuple(
            SentPart(start, stop, source, PartReceipt(number, ETag(etag), stop - start, checksum))
            for number, start, stop, source, etag, checksum in rows
        )

    def attributes(self) -> list[tuple[str, ETag, ObjectHeaders]]:
        """Return the keys whose headers await their self-copy, and the version they are for."""
        rows = self._db.execute("SELECT key, etag, headers FROM attributes")
        return [(str(k), ETag(str(e)), decode_headers(str(headers))) for k, e, headers in rows]

    # -- writing -----------------------------------------------------------------------------

    async def seal(
        self,
        seal: Seal,
        *,
        replaces: Iterable[str] = (),
        continues: Continued | None = None,
        is_labelled: bool = False,
        durable: bool,
    ) -> None:
        """Record *seal* in place of the rows *replaces*, in one transaction.

        Of the multipart uploads begun for any of them only what *continues* says can be resumed:
        the others, and its other parts, hold bytes that were rewritten since. *is_labelled* says
        that its spool file tells as much already.
        """
        if not is_labelled:
            self.relabel(seal)
        self.unlabel(old for old in replaces if old != seal.id)
        gone = [delete_file(old) for old in replaces if old != seal.id]
        kept = _continue_only(continues, [seal.id, *replaces])
        await self._commit([*gone, *kept, insert_file(seal)], durable=durable)

    def relabel(self, seal: Seal) -> None:
        """Let the spool file say what the journal is about to say of it."""
        if self.labels is not None and seal.has_spool:
            self.labels.relabel(seal)

    def unlabel(self, ids: Iterable[str]) -> None:
        """Let spool files say nothing any more: else a lost row could not be told from a done one.

        Before the rows go: a file without a label has its row still.
        """
        for id_ in ids:
            if self.labels is not None:
                self.labels.unlabel(id_)

    def take_up(self, seals: Iterable[Seal], gone: Iterable[str] = ()) -> None:
        """Record *seals* that were lost, and the end of the rows *gone*. Blocks.

        Raises SpoolFull, SpoolDamaged.
        """
        statements = [*map(delete_file, gone), *map(insert_file, seals)]
        batch = _Batch(statements, durable=True)
        self._apply(batch)
        if batch.error is not None:
            raise batch.error

    async def park(self, id: str, state: str, error: str) -> None:
        """Record that a file waits for a person: `conflict` or `failed`, and why."""
        sql = "UPDATE file SET state = ?, error = ? WHERE id = ?"
        await self._commit([(sql, (state, error, id))], durable=True)

    async def unpark(self, id: str) -> None:
        """Record that a file is tried again."""
        await self._commit(
            [("UPDATE file SET state = 'sealed', error = '' WHERE id = ?", (id,))], durable=False
        )

    async def finish(self, id: str, upload_id: str | None = None) -> None:
        """Forget a file: S3 has it, or nobody wants it any more."""
        self.unlabel([id])
        statements: list[Statement] = [delete_file(id)]
        if upload_id is not None:
            statements += _forget_upload(upload_id)
        await self._commit(statements, durable=False)

    async def begin_upload(self, id: str, key: str, upload_id: UploadId) -> None:
        """Record that a multipart upload exists, before any part is sent."""
        sql = "INSERT INTO upload(upload_id, id, key) VALUES(?, ?, ?)"
        await self._commit([(sql, (upload_id, id, key))], durable=False)

    async def record_part(self, upload_id: UploadId, part: SentPart) -> None:
        """Record a part that S3 acknowledged."""
        receipt = part.receipt
        row = (upload_id, receipt.number, part.start, part.stop, part.source)
        sql = "INSERT OR REPLACE INTO part VALUES(?, ?, ?, ?, ?, ?, ?)"
        await self._commit([(sql, (*row, receipt.etag, receipt.checksum))], durable=False)

    async def give_up(self, upload_id: str, numbers: Collection[int]) -> None:
        """Record, durably, that the bytes of these parts are only in the upload from now on."""
        sql = (
            "UPDATE part SET source = 'upload' WHERE upload_id = ?"
            " AND number IN (SELECT value FROM json_each(?))"
        )
        await self._commit([(sql, (upload_id, json.dumps(list(numbers))))], durable=True)

    async def forget_upload(self, upload_id: str) -> None:
        """Record that a multipart upload is completed or aborted."""
        await self._commit(_forget_upload(upload_id), durable=False)

    async def set_attributes(self, key: str, etag: ETag, headers: ObjectHeaders) -> None:
        """Record headers that this version of the object *key* shall get."""
        sql = "INSERT OR REPLACE INTO attributes(key, etag, headers) VALUES(?, ?, ?)"
        await self._commit([(sql, (key, etag, encode_headers(headers)))], durable=True)

    async def finish_attributes(self, key: str) -> None:
        """Record that the object has its headers, or is gone."""
        await self._commit([("DELETE FROM attributes WHERE key = ?", (key,))], durable=False)

    async def make_durable(self) -> None:
        """Return when everything committed so far survives a power cut."""
        await self._commit(
            [("UPDATE meta SET value = value + 1 WHERE name = 'durable'", ())], durable=True
        )

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Return the rows of a query, for the owner of its tables."""
        return [tuple(row) for row in self._db.execute(sql, values)]

    async def commit(self, statements: list[Statement], *, durable: bool) -> None:
        """Change rows in one transaction, for the owner of their tables."""
        await self._commit(statements, durable=durable)

    async def _commit(self, statements: list[Statement], *, durable: bool) -> None:
        """Add *statements* to the next transaction and return when it is committed.

        The first waiter to get the lock commits for all that queued behind it meanwhile.
        """
        batch = self._next
        batch.statements += statements
        batch.durable |= durable
        with trio.CancelScope(shield=True):  # a local commit ends by itself
            async with self._lock:
                if not batch.done:
                    self._next = _Batch()
                    await trio.to_thread.run_sync(self._apply, batch)
                    batch.done = True
        if batch.error is not None:
            raise batch.error

    def _apply(self, batch: _Batch) -> None:
        """Commit, on a full disk once more with the space of the reserve."""
        try:
            try:
                self._write(batch)
            except apsw.FullError:
                if self._reserve is None or not self._reserve.give_up():
                    raise
                self._write(batch)
            if self._reserve is not None:
                self._reserve.keep()
        except apsw.FullError as exc:
            batch.error = SpoolFull("The local disk is full (journal); free some space.")
            batch.error.__cause__ = exc
        except apsw.Error as exc:
            batch.error = SpoolDamaged(f"The journal could not be written ({exc}); check the disk.")
            batch.error.__cause__ = exc

    def _write(self, batch: _Batch) -> None:
        self._db.pragma("synchronous", "FULL" if batch.durable else "NORMAL")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in batch.statements:
                self._db.execute(sql, values)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite may have rolled back by itself
                self._db.execute("ROLLBACK")
            raise


def delete_file(id: str) -> Statement:
    """Return what forgets a file."""
    return "DELETE FROM file WHERE id = ?", (id,)


def insert_file(seal: Seal) -> Statement:
    """Return what records a sealed file."""
    sql = (
        "INSERT OR REPLACE INTO file(id, key, size, touched, base, base_limit, expect, headers,"
        " has_spool, supersedes, leaves, given_up, state, crc, damaged)"
        " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'sealed', ?, ?)"
    )
    base = encode_info(seal.base)
    values = (seal.id, seal.key, seal.size, json.dumps(seal.touched), base, seal.base_limit)
    rest = (seal.expect, encode_headers(seal.headers), int(seal.has_spool))
    lists = (json.dumps(each) for each in (seal.supersedes, seal.leaves, seal.given_up))
    row = (*values, *rest, *lists)
    return sql, (*row, _crc(row), json.dumps(seal.damaged))


def _crc(row: tuple[object, ...]) -> int:
    return zlib.crc32(json.dumps(row).encode())


def _continue_only(continues: Continued | None, ids: list[str]) -> list[Statement]:
    upload_id = "" if continues is None else continues.upload_id
    disown = "UPDATE upload SET id = '' WHERE id = ? AND upload_id != ?"
    statements: list[Statement] = [(disown, (id_, upload_id)) for id_ in ids]
    if continues is not None:
        void = (
            "DELETE FROM part WHERE upload_id = ?"
            " AND number NOT IN (SELECT value FROM json_each(?))"
        )
        statements.append((void, (upload_id, json.dumps(list(continues.numbers)))))
    return statements


def _forget_upload(upload_id: str) -> list[Statement]:
    return [
        ("DELETE FROM part WHERE upload_id = ?", (upload_id,)),
        ("DELETE FROM upload WHERE upload_id = ?", (upload_id,)),
    ]


def _seal_of(row: tuple[object, ...], crc: object, damaged: object) -> Seal:
    if crc is not None and crc != _crc(row):
        raise ValueError("the row is not what was written")
    id_, key, size, touched, base, base_limit, expect, headers, has_spool, *lists = row
    superseded, left, given_up = (json.loads(str(each)) for each in lists)
    return Seal(
        id=str(id_),
        key=str(key),
        size=int(str(size)),
        touched=tuple((start, stop) for start, stop in json.loads(str(touched))),
        base=decode_info(None if base is None else str(base)),
        base_limit=int(str(base_limit)),
        expect=ETag(str(expect)),
        headers=decode_headers(str(headers)),
        has_spool=bool(has_spool),
        supersedes=tuple(superseded),
        leaves=tuple((where, txid) for where, txid in left),
        given_up=tuple((start, stop) for start, stop in given_up),
        damaged=tuple((start, stop) for start, stop in json.loads(str(damaged))),
    )
