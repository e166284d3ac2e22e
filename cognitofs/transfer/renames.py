"""Renames on plain S3: all copies first, then all deletions, journalled before the first request.

Owns the copying of the objects of one rename, what a failed one leaves behind, and how a rename of
an earlier process is brought to its end. Inodes and unsent files are the file system's.

INVARIANT: no source goes before every copy is on S3. So a crash, or a failure, at any point leaves
each object under its old name or its new one, or both.
INVARIANT: what is given up removes copies of ours only, and none that took the place of something.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import trio

from cognitofs.errors import (
    Changed,
    CognitoFSError,
    ConditionalConflict,
    EntryExists,
    NotFound,
    PreconditionFailed,
    Transient,
)
from cognitofs.parallel import run_all
from cognitofs.spool.intents import Doomed, Move, Rename
from cognitofs.spool.seal import Seal, new_txid
from cognitofs.store.interface import ETag, ObjectInfo, ObjectStore
from cognitofs.store.records import TXID
from cognitofs.transfer.copies import copy_object, find_copy, is_single_part

COPIES_AT_ONCE = 64
PAUSES = (0.5, 1.0, 2.0, 5.0)
"""Seconds between tries of a copy; the last one for all that follow."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Copies:
    """The copies of one rename. `done` are the new versions by the source that was copied.

    `stall` is how many seconds may pass without a finished copy.
    """

    store: ObjectStore
    rename: Rename
    stall: float
    done: dict[str, tuple[ObjectInfo, ObjectInfo]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    progressed_at: float = field(default_factory=trio.current_time)

    @property
    def total(self) -> int:
        """How many objects there are to copy."""
        return sum(bool(move.target) for move in self.rename.moves)

    async def run(self, *, is_resumed: bool = False) -> None:
        """Return when all are on S3. Raises EntryExists and what the store raises."""
        moves = [m for m in self.rename.moves if m.target and m.source.key not in self.done]
        jobs = (partial(self._bring, move, is_resumed=is_resumed) for move in moves)
        await run_all(jobs, limit=COPIES_AT_ONCE)

    async def _bring(self, move: Move, *, is_resumed: bool) -> None:
        found = await self._find(move) if is_resumed else None
        source = move.source
        if found is None:
            source, found = await self._copy_patiently(move)
        if found is not None:
            self.done[move.source.key] = source, found
        self.progressed_at = trio.current_time()

    async def _find(self, move: Move) -> ObjectInfo | None:
        """Return the copy that an earlier process may have made."""
        return await find_copy(
            self.store,
            move.source,
            move.target,
            move.headers,
            was_absent=move.expect == "absent",
        )

    async def _copy_patiently(self, move: Move) -> tuple[ObjectInfo, ObjectInfo | None]:
        """Copy, again while S3 is in trouble; return the version that was copied, and the copy."""
        pauses = iter(PAUSES)
        while True:
            try:
                return await self._copy(move)
            except (Transient, ConditionalConflict):
                pause = next(pauses, PAUSES[-1])
                if trio.current_time() + pause > self.progressed_at + self.stall:
                    raise
            await trio.sleep(pause)

    async def _copy(self, move: Move) -> tuple[ObjectInfo, ObjectInfo | None]:
        source = move.source
        while True:
            try:
                return source, await self._made(source, move)
            except PreconditionFailed as exc:
                if move.target.endswith("/"):  # the directory is there: all that a marker says
                    return source, None
                raise EntryExists(
                    f"{move.target!r} was made by somebody else meanwhile; try again."
                ) from exc
            except Changed:
                newer = await self._newer(source)
                if newer is None:
                    self.gone.add(move.source.key)
                    return source, None
                source = newer

    async def _made(self, source: ObjectInfo, move: Move) -> ObjectInfo:
        if not _is_marker(source):
            return await copy_object(
                self.store, source, move.target, expect=move.expect, headers=move.headers
            )
        # Stores that keep directories as such (SeaweedFS) have no object there to copy.
        headers = move.headers or (await self.store.head(source.key)).headers
        return await self.store.put(move.target, b"", headers, expect=move.expect)

    async def _newer(self, source: ObjectInfo) -> ObjectInfo | None:
        """Return the version that took the place of *source*; None when it was removed."""
        try:
            return (await self.store.head(source.key)).info
        except NotFound:
            return None

    # -- what follows -----------------------------------------------------------------------------

    def sources(self) -> list[Doomed]:
        """Return what shall go once all copies are on S3."""
        copied = {key: source for key, (source, _) in self.done.items()}
        return [
            _doomed(copied.get(move.source.key, move.source))
            for move in self.rename.moves
            if move.source.key not in self.gone
        ]

    def leftovers(self) -> list[Doomed]:
        """Return what shall go when the rename is given up: copies, also those never answered."""
        return [
            _copy_of(move, self.done.get(move.source.key))
            for move in self.rename.moves
            if move.target and move.expect == "absent"
        ]


def _is_marker(info: ObjectInfo) -> bool:
    return info.key.endswith("/") and not info.size


def _doomed(info: ObjectInfo) -> Doomed:
    """Name what shall go: of a marker, which holds nothing, any version (it may have no ETag)."""
    return Doomed(info.key, "any" if _is_marker(info) else info.etag)


def _copy_of(move: Move, done: tuple[ObjectInfo, ObjectInfo] | None) -> Doomed:
    if done is not None:
        return _doomed(done[1])
    etag = move.source.etag if is_single_part(move.source) else ETag("")
    txid = move.headers.metadata.get(TXID) if move.headers is not None else None
    return Doomed(move.target, etag, () if txid is None else (txid,))


async def with_tokens(store: ObjectStore, moves: Iterable[Move]) -> tuple[Move, ...]:
    """Return *moves*, those of several parts with headers that tell their copies from others."""
    known = {move.source.key: move for move in moves}

    async def ask(move: Move) -> None:
        headers = (await store.head(move.source.key)).headers
        token = {TXID: headers.metadata.get(TXID) or new_txid()}
        named = replace(headers, metadata={**headers.metadata, **token})
        known[move.source.key] = replace(move, headers=named)

    asked = [m for m in known.values() if m.headers is None and not is_single_part(m.source)]
    await run_all((partial(ask, move) for move in asked), limit=COPIES_AT_ONCE)
    return tuple(known.values())


async def complete(copies: Copies) -> bool:
    """Bring a rename of an earlier process forward; False when it must be given up.

    Nobody was told that it had happened, so either end is right.
    """
    try:
        await copies.run(is_resumed=True)
    except CognitoFSError as exc:
        _log.warning("The rename of %r is given up: %s", copies.rename.source, exc)
        return False
    return not copies.gone or bool(copies.done)


def is_moved(key: str, rename: Rename) -> bool:
    """Tell whether a file of the journal is what is renamed, or lies below it."""
    return key == rename.source or (rename.source.endswith("/") and key.startswith(rename.source))


def renamed_seal(seal: Seal, rename: Rename, copies: Mapping[tuple[str, ETag], ObjectInfo]) -> Seal:
    """Return a seal under its new name, based on the copy of what it was based on."""
    base = seal.base
    if base is not None:
        base = copies.get((base.key, base.etag), base)
    copied = copies.get((seal.key, ETag(seal.expect)))
    return replace(
        seal,
        key=rename.target + seal.key[len(rename.source) :],
        base=base,
        expect=copied.etag if copied is not None else seal.expect,
    )
