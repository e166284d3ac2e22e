"""Intents: changes of names that were decided here and that S3 may not have yet.

Owns three tables of the journal: `deletion`, objects that shall go; `rename`, a file or directory
on its way to another key; `move`, the objects of it. What follows from a row is `transfer/`'s.

INVARIANT: an object of a rename gets a `deletion` only in the transaction that ends its `rename`:
until all copies are on S3 nothing of the source goes.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cognitofs.spool.journal import Journal, Statement, delete_file, insert_file
from cognitofs.spool.seal import Seal
from cognitofs.store.interface import ETag, Expect, ObjectHeaders, ObjectInfo
from cognitofs.store.records import decode_headers, decode_info, encode_headers, encode_info


@dataclass(frozen=True, slots=True)
class Doomed:
    """An object that shall go: the version *expect*, and any that a commit of *txids* made.

    `expect` is "" when only the txids are known.
    """

    key: str
    expect: Expect
    txids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A deletion that S3 refused after it was acknowledged here: the name shows again.

    `error` is a sentence, `at` seconds since the epoch.
    """

    doomed: Doomed
    error: str
    at: float

    @property
    def key(self) -> str:
        """The object that shall go."""
        return self.doomed.key

    @property
    def id(self) -> str:
        """What a person calls it by: 32 hex digits, as of a spool file."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Move:
    """One object on its way to another key. *headers* None keeps the source's."""

    source: ObjectInfo
    target: str
    expect: Expect
    headers: ObjectHeaders | None = None


@dataclass(frozen=True, slots=True)
class Rename:
    """A file or, where both keys end in "/" (or are all files), a directory on its way.

    `retires` are the rows of `file` that lose their name to it.
    """

    source: str
    target: str
    moves: tuple[Move, ...]
    retires: tuple[str, ...] = ()
    id: int = 0


class Intents:
    """The rows about names of one journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def deletions(self) -> list[Doomed]:
        """Return what shall go, oldest first; not what S3 refused."""
        sql = "SELECT key, expect, txids FROM deletion WHERE error = '' ORDER BY rowid"
        return [_doomed(*row) for row in self._journal.rows(sql)]

    def refusals(self) -> list[Refusal]:
        """Return what S3 refused to remove, oldest first."""
        sql = "SELECT key, expect, txids, error, at FROM deletion WHERE error != '' ORDER BY rowid"
        return [
            Refusal(_doomed(*row[:3]), str(row[3]), float(str(row[4])))
            for row in self._journal.rows(sql)
        ]

    def renames(self) -> list[Rename]:
        """Return the renames whose copies may not be complete, oldest first."""
        rows = self._journal.rows("SELECT id, source, target, retires FROM rename ORDER BY id")
        return [
            Rename(str(s), str(t), self._moves(int(str(i))), tuple(json.loads(str(r))), int(str(i)))
            for i, s, t, r in rows
        ]

    def _moves(self, id: int) -> tuple[Move, ...]:
        rows = self._journal.rows(
            "SELECT source, target, expect, headers FROM move WHERE rename = ? ORDER BY rowid", id
        )
        return tuple(_move(str(s), str(t), str(e), h) for s, t, e, h in rows)

    async def doom(self, doomed: Iterable[Doomed], *, forgets: Iterable[str] = ()) -> None:
        """Record what shall go, and with it the end of the rows *forgets* of `file`."""
        forgets = tuple(forgets)
        self._journal.unlabel(forgets)
        statements = [delete_file(id_) for id_ in forgets]
        await self._journal.commit([*statements, *map(_doom, doomed)], durable=False)

    async def forget_deletions(self, keys: Iterable[str]) -> None:
        """Record that nothing is left to remove there."""
        gone: list[Statement] = [("DELETE FROM deletion WHERE key = ?", (key,)) for key in keys]
        await self._journal.commit(gone, durable=False)

    async def refuse(self, refusals: Iterable[Refusal]) -> None:
        """Record that S3 refused these deletions, and why: they are tried again now and then."""
        sql = "UPDATE deletion SET error = ?, at = ? WHERE key = ?"
        statements: list[Statement] = [(sql, (r.error, r.at, r.key)) for r in refusals]
        await self._journal.commit(statements, durable=False)

    async def forget_refusal(self, id: str) -> None:
        """Record that a person gave the deletion *id* up; of an unknown one nothing happens."""
        await self.forget_deletions([r.key for r in self.refusals() if r.id == id])

    async def begin_rename(self, rename: Rename) -> None:
        """Record a rename before its first copy is sent."""
        row = (rename.id, rename.source, rename.target, json.dumps(rename.retires))
        insert = "INSERT INTO rename(id, source, target, retires) VALUES(?, ?, ?, ?)"
        moves = [_insert_move(rename.id, move) for move in rename.moves]
        await self._journal.commit([(insert, row), *moves], durable=True)

    async def end_rename(
        self,
        rename: Rename,
        doomed: Iterable[Doomed],
        *,
        retires: Iterable[str] = (),
        seals: Sequence[Seal] = (),
    ) -> None:
        """Record that a rename is over, in one transaction with all that follows from it.

        *doomed* are the sources when it was done, the copies when it was given up. The rows
        *retires* of `file` go, and *seals* take the place of those with their ids.
        """
        retires = tuple(retires)
        self._journal.unlabel(retires)
        statements = [
            ("DELETE FROM rename WHERE id = ?", (rename.id,)),
            ("DELETE FROM move WHERE rename = ?", (rename.id,)),
            *map(_doom, doomed),
            *map(delete_file, retires),
        ]
        for seal in seals:
            self._journal.relabel(seal)
            statements.append(("UPDATE upload SET id = '' WHERE id = ?", (seal.id,)))
            statements.append(insert_file(seal))
        await self._journal.commit(statements, durable=True)


def _doom(doomed: Doomed) -> Statement:
    values = (doomed.key, doomed.expect, json.dumps(doomed.txids))
    return "INSERT OR REPLACE INTO deletion(key, expect, txids) VALUES(?, ?, ?)", values


def _doomed(key: object, expect: object, txids: object) -> Doomed:
    return Doomed(str(key), ETag(str(expect)), tuple(json.loads(str(txids))))


def _insert_move(id: int, move: Move) -> Statement:
    headers = None if move.headers is None else encode_headers(move.headers)
    values = (id, encode_info(move.source), move.target, move.expect, headers)
    return "INSERT INTO move(rename, source, target, expect, headers) VALUES(?, ?, ?, ?, ?)", values


def _move(source: str, target: str, expect: str, headers: object) -> Move:
    info = decode_info(source)
    assert info is not None, "a move has a source"
    carried = None if headers is None else decode_headers(str(headers))
    return Move(info, target, ETag(expect), carried)
