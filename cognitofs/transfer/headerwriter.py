"""HeaderWriter: brings changed modes and times of stored objects to S3.

A program that sets a file's mode or times after its bytes are on S3 causes one conditional
self-copy, two seconds later (DEBOUNCE), so that chmod, chown and utimens together cost one.
Markers of directories are empty: they are stored again instead.
Owns the debounce and the copies; what the headers are is the file system's business.

INVARIANT: a header change is journalled before it is acknowledged, and forgotten only when S3 has
it or the object is no longer the version it was meant for.
INVARIANT: no copy of a key runs while its content is being committed: `settle` waits for it.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import trio

from cognitofs.errors import (
    Changed,
    CognitoFSError,
    ConditionalConflict,
    NotFound,
    PreconditionFailed,
    SignInError,
    SpoolError,
    Transient,
)
from cognitofs.parallel import run_all
from cognitofs.spool.journal import Journal
from cognitofs.store.interface import ETag, ObjectHeaders, ObjectInfo, ObjectStore
from cognitofs.store.records import TXID
from cognitofs.transfer.copies import copy_object

DEBOUNCE = 2.0
PAUSE = 5.0
"""Seconds between tries while S3 cannot be reached."""
COPIES_AT_ONCE = 16

_log = logging.getLogger(__name__)


class HeaderOwner(Protocol):
    """Told synchronously when an object was rewritten with other headers."""

    def rewritten(self, old: ObjectInfo | None, new: ObjectInfo, headers: ObjectHeaders) -> None:
        """Note that *new* has the bytes of *old*; *old* is None for a marker."""
        ...


@dataclass(slots=True)
class _Change:
    etag: ETag
    headers: ObjectHeaders
    due: float
    is_in_doubt: bool = False

    @property
    def txid(self) -> str:
        """The token of the content, which a self-copy keeps."""
        return self.headers.metadata.get(TXID, "")


class HeaderWriter:
    """All header changes of one mount. `run` must be running."""

    def __init__(self, store: ObjectStore, journal: Journal, owner: HeaderOwner) -> None:
        self._store = store
        self._journal = journal
        self._owner = owner
        self._changes: dict[str, _Change] = {}
        self._running: set[str] = set()
        self._wake = trio.Event()
        self._draining = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write headers as they fall due, until cancelled."""
        task_status.started()
        while True:
            wake = self._wake
            due = self._due()
            if due:
                await run_all((partial(self._write, key) for key in due), limit=COPIES_AT_ONCE)
                continue
            with trio.move_on_at(self._next_due()):
                await wake.wait()

    async def schedule(self, key: str, etag: ETag, headers: ObjectHeaders) -> None:
        """Journal the change and write it once things have been quiet for DEBOUNCE seconds.

        It is for the version *etag* only; a marker has none ("").
        """
        self.resume(key, etag, headers)
        await self.record(key, etag, headers)

    async def record(self, key: str, etag: ETag, headers: ObjectHeaders) -> None:
        """Journal a change, unless something else became of it meanwhile."""
        change = self._changes.get(key)
        if change is not None and (change.etag, change.headers) == (etag, headers):
            await self._journal.set_attributes(key, etag, headers)

    def resume(self, key: str, etag: ETag, headers: ObjectHeaders) -> None:
        """Write a change that is in the journal already, or on its way there."""
        self._changes[key] = _Change(etag, headers, trio.current_time() + DEBOUNCE)
        self._notify()

    def unsent(self, info: ObjectInfo) -> ObjectHeaders | None:
        """Return the headers that this version shall get, None when it has them."""
        etag = ETag("") if info.key.endswith("/") else info.etag
        change = self._changes.get(info.key)
        return change.headers if change is not None and change.etag == etag else None

    async def settle(self, key: str) -> tuple[str, ...]:
        """Return when no copy of *key* runs and none is scheduled: new content brings headers.

        The answer of a copy may be lost: the object has another ETag then, and the txid that is
        returned.
        """
        while key in self._running:
            await self._wait_change()
        change = self._changes.pop(key, None)
        if change is None:
            return ()
        await self._journal.finish_attributes(key)
        return (change.txid,) if change.is_in_doubt else ()

    async def finish_below(self, prefix: str) -> None:
        """Write what is scheduled below *prefix* now, and return when that is done."""
        for key, change in self._changes.items():
            if key.startswith(prefix):
                change.due = trio.current_time()
        self._notify()
        while any(key.startswith(prefix) for key in self._changes):
            await self._wait_change()

    def hurry(self) -> None:
        """Write what is scheduled without waiting for quiet."""
        for change in self._changes.values():
            change.due = trio.current_time()
        self._notify()

    async def wait_drained(self) -> None:
        """Write everything now and return when it is done."""
        self._draining = True
        self._notify()
        while self._changes:
            await self._wait_change()

    @property
    def pending(self) -> list[str]:
        """Keys whose headers are not on S3 yet."""
        return list(self._changes)

    def _due(self) -> list[str]:
        now = trio.current_time()
        return [
            key
            for key, change in self._changes.items()
            if key not in self._running and (self._draining or change.due <= now)
        ]

    def _next_due(self) -> float:
        waiting = (c.due for key, c in self._changes.items() if key not in self._running)
        return min(waiting, default=float("inf"))

    def _notify(self) -> None:
        self._wake.set()
        self._wake = trio.Event()

    async def _wait_change(self) -> None:
        wake = self._wake
        await wake.wait()

    async def _write(self, key: str) -> None:
        change = self._changes.get(key)
        if change is None:
            return
        self._running.add(key)
        try:
            await self._rewrite(key, change)
        except (Transient, SignInError, ConditionalConflict) as exc:
            _log.info("The mode and times of %r will be written later: %s", key, exc)
            change.due = trio.current_time() + PAUSE
            if self._draining:
                await trio.sleep(PAUSE)
        except CognitoFSError as exc:
            _log.warning("The mode and times of %r were not stored: %s", key, exc)
            await self._forget(key, change)
        else:
            await self._forget(key, change)
        finally:
            self._running.discard(key)
            self._notify()

    async def _forget(self, key: str, change: _Change) -> None:
        if self._changes.get(key) is not change:
            return
        del self._changes[key]
        try:
            await self._journal.finish_attributes(key)
        except SpoolError as exc:  # the next mount finds that there is nothing left to do
            _log.error("The journal still has the mode and times of %r: %s", key, exc)

    async def _rewrite(self, key: str, change: _Change) -> None:
        if key.endswith("/"):
            info = await self._store.put(key, b"", change.headers, expect="any")
            self._owner.rewritten(None, info, change.headers)
            return
        try:
            copied = await self._copied(key, change)
        except (NotFound, Changed, PreconditionFailed):
            return
        if copied is not None:
            self._owner.rewritten(replace(copied, etag=change.etag), copied, change.headers)
            await self._inherit(key, change, copied.etag)

    async def _copied(self, key: str, change: _Change) -> ObjectInfo | None:
        """Return the object with its new headers; None when it has other content by now."""
        found = await self._store.head(key)
        if found.info.etag == change.etag:
            change.is_in_doubt = True
            info = await copy_object(
                self._store, found.info, key, expect=change.etag, headers=change.headers
            )
            change.is_in_doubt = False
            return info
        is_ours = change.is_in_doubt and found.headers.metadata.get(TXID) == change.txid
        return found.info if is_ours else None

    async def _inherit(self, key: str, done: _Change, etag: ETag) -> None:
        """Let a change that came meanwhile follow the version that *done* made."""
        newer = self._changes.get(key)
        if newer is not None and newer is not done and newer.etag == done.etag:
            newer.etag = etag
            await self.record(key, etag, newer.headers)
