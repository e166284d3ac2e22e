"""Uploader: brings sealed files to S3, for as long as it takes.

Owns the queue, retries, parking and the last journal entry of an upload. Does not know inodes or
the kernel; the content's owner is told once when S3 has it (`Owner.committed`).

INVARIANT: a file leaves the journal only after S3 acknowledged it; whatever else happens it is
kept, tried again or parked, and visible in `uploads`.
"""

import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import trio

from cognitofs.errors import (
    AccessDenied,
    CognitoFSError,
    ConditionalConflict,
    NoSuchUpload,
    SignInError,
    SpoolError,
    SpoolFull,
    Stale,
    Stalled,
    Throttled,
    TooManyOpen,
    Transient,
)
from cognitofs.spool.journal import Journal
from cognitofs.spool.seal import Seal
from cognitofs.spool.spoolfile import SpoolFile
from cognitofs.store.interface import ETag, Expect, ObjectHeaders, ObjectInfo, ObjectStore
from cognitofs.transfer.delivery import Delivery
from cognitofs.transfer.multipart import Multipart
from cognitofs.transfer.parts import Ladder
from cognitofs.transfer.readahead import Reader
from cognitofs.transfer.upload import Owner, Upload

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
"""Seconds; full jitter below min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)."""
PARKED_PAUSE = 900.0
"""Seconds between tries of a parked file: policies get fixed."""

_PASSING = (
    Transient,
    SignInError,
    ConditionalConflict,
    NoSuchUpload,
    Stalled,
    SpoolFull,
    TooManyOpen,
)
_log = logging.getLogger(__name__)


class Uploader:
    """All uploads of one mount. `run` must be running."""

    def __init__(
        self,
        store: ObjectStore,
        journal: Journal,
        reader: Reader,
        *,
        ladder: Ladder,
        at_once: int,
        jitter: Callable[[float], float] | None = None,
    ) -> None:
        self.ladder = ladder
        self.clear_way: Callable[[str], Awaitable[Expect | None]] = _nothing_in_the_way
        """Returns when nothing is about to be removed under a key, and the version that should
        have been but stays; set by who removes."""
        self._store = store
        self._journal = journal
        self._delivery = Delivery(store, journal, reader, ladder)
        self._jitter = jitter or partial(random.uniform, 0.0)
        self._files = trio.CapacityLimiter(at_once)
        self._live: dict[Upload, None] = {}
        self._nursery: trio.Nursery | None = None
        self._changed = trio.Event()
        self._nudged = trio.Event()
        self._leftovers: dict[Multipart, bool] = {}
        self._shields: set[trio.CancelScope] = set()
        self._asks_abort = trio.Lock()
        self._may_abort: bool | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Upload until cancelled; what is left then is in the journal."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            for shield in self._shields:
                shield.shield = False  # what they wait for will not happen any more

    @property
    def nursery(self) -> trio.Nursery:
        """Where uploads and streaming parts run."""
        assert self._nursery is not None, "Uploader.run is not running"
        return self._nursery

    # -- what the file system asks for ----------------------------------------------------------

    def uploads(self) -> list[Upload]:
        """Return all uploads that are not over, oldest first."""
        return list(self._live)

    def submit(
        self, seal: Seal, spool: SpoolFile | None, multipart: Multipart | None, owner: Owner
    ) -> Upload:
        """Start bringing a journalled seal to S3."""
        upload = Upload(seal, spool, multipart, owner)
        self._live[upload] = None
        self.nursery.start_soon(self._bring, upload)
        return upload

    def multipart(self, id: str, key: str, headers: ObjectHeaders) -> Multipart:
        """Return a multipart upload for a file that is still being written."""
        return Multipart(self._store, self._journal, id, key, headers)

    async def cancel(self, upload: Upload) -> bool:
        """Stop an upload and return True; False when S3 has it after all.

        A commit under way is waited for. The journal row and the multipart upload stay: the
        caller decides what becomes of them.
        """
        while upload.state == "committing":
            await upload.wait_change()
        if upload.scope is not None:
            upload.scope.cancel()
        else:
            upload.enter("off")
        with trio.CancelScope(shield=True) as shield:  # the caller must learn what it has stopped
            self._shields.add(shield)
            try:
                await upload.wait_settled()
            finally:
                self._shields.discard(shield)
        return upload.state == "off"

    def abort(self, multipart: Multipart) -> None:
        """Drop a multipart upload, behind the caller's back and for as long as it takes.

        What a crash leaves of it in the journal is dropped by the next mount.
        """
        multipart.disown()
        self._leftovers[multipart] = True
        self.nursery.start_soon(self._clear_away, multipart)

    def nudge(self) -> None:
        """Try everything now: the network, the sign-in or a right may be back.

        What was parked is tried too, and whoever waits for the drain hears how that ends.
        """
        for upload in self._live:
            if upload.is_parked:
                upload.enter("sealed", upload.error)
        self._nudged.set()
        self._nudged = trio.Event()
        self._leftovers = dict.fromkeys(self._leftovers, True)

    async def wait_drained(self) -> None:
        """Return when nothing is left but what is parked, or could not be aborted just now."""
        while any(self._leftovers.values()) or any(not u.is_parked for u in self._live):
            changed = self._changed
            await changed.wait()

    # -- one upload that nobody wants -------------------------------------------------------------

    async def _clear_away(self, multipart: Multipart) -> None:
        attempt = 0
        while not await self._try_abort(multipart):
            self._leftovers[multipart] = False
            self._note_change()
            await self._pause(self._backoff(attempt))
            attempt += 1
        del self._leftovers[multipart]
        self._note_change()

    async def _try_abort(self, multipart: Multipart) -> bool:
        """Abort, and return whether nothing is left to do.

        Until the first answer tells whether the role may, one at a time is asked.
        """
        try:
            async with self._asks_abort if self._may_abort is None else nullcontext():
                await self._abort(multipart)
        except CognitoFSError as exc:
            _log.info("A multipart upload could not be aborted now: %s", exc)
            return False
        return True

    async def _abort(self, multipart: Multipart) -> None:
        """Abort; a role that may not is asked only once per mount."""
        if self._may_abort is False:
            await multipart.restart()
            return
        is_asked = multipart.upload_id is not None
        try:
            await multipart.abort()
        except AccessDenied:
            self._may_abort = False
            _log.warning(
                "The role may not abort multipart uploads; ask the bucket's owner for a lifecycle"
                " rule AbortIncompleteMultipartUpload (docs/PERMISSIONS.md)."
            )
            await multipart.restart()
        else:
            self._may_abort = is_asked or self._may_abort

    # -- one upload -------------------------------------------------------------------------------

    async def _bring(self, upload: Upload) -> None:
        """Try until it is done, cancelled, or the mount ends."""
        attempt = 0
        with trio.CancelScope() as upload.scope:
            if upload.is_settled:
                upload.scope.cancel()
            while not await self._try_once(upload, attempt):
                attempt = 0 if upload.is_parked else attempt + 1
        if not upload.is_settled:
            upload.enter("off")
        del self._live[upload]
        self._note_change()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _try_once(self, upload: Upload, attempt: int) -> bool:
        """Try to commit; False, after a pause, when it must be tried again."""
        try:
            async with self._files:
                upload.attempts += 1
                upload.enter("uploading", upload.error)
                await self._clear_way(upload)
                await self._finish(upload, await self._delivery.deliver(upload))
        except _PASSING as exc:
            self._wait(upload, exc)
            pause = self._backoff(attempt)
            if isinstance(exc, Throttled):
                pause = max(pause, exc.retry_after)
        except CognitoFSError as exc:
            await self._park(upload, exc)
            pause = PARKED_PAUSE
        else:
            return True
        await self._pause(pause)
        return False

    async def _clear_way(self, upload: Upload) -> None:
        """Wait for deletions; a version that S3 does not let go is replaced."""
        staying = await self.clear_way(upload.seal.key)
        if staying is not None and upload.seal.expect == "absent":
            if staying != "any":
                upload.owner.replaces = ObjectInfo(upload.seal.key, 0, ETag(staying), 0)
            await self._delivery.amend(upload, replace(upload.seal, expect=staying))

    def _backoff(self, attempt: int) -> float:
        return self._jitter(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 10)))

    async def _pause(self, seconds: float) -> None:
        """Wait *seconds*, or until somebody knows that trying again may help."""
        nudged = self._nudged
        with trio.move_on_after(seconds):
            await nudged.wait()

    async def _finish(self, upload: Upload, info: ObjectInfo) -> None:
        """S3 has it: the journal row goes, then the owner is told."""
        multipart = upload.multipart
        # A commit that was found by HEAD may be an earlier one, of another multipart upload.
        is_left = multipart is not None and upload.unsettled is not None
        upload_id = None if multipart is None or is_left else multipart.upload_id
        with trio.CancelScope(shield=True):
            await self._journal.finish(upload.seal.id, upload_id)
        if multipart is not None and is_left:
            self.abort(multipart)
        if upload.said:
            _log.info("%r is on S3 now, after %d tries.", upload.seal.key, upload.attempts)
        upload.result = info
        upload.owner.failures.settled()
        upload.owner.committed(upload, info)
        upload.enter("done")

    def _wait(self, upload: Upload, error: CognitoFSError) -> None:
        reason = "sign-in" if isinstance(error, SignInError) else "network"
        if upload.said != reason:  # once, not for every try
            upload.said = reason
            _log.warning("%r waits (%s): %s", upload.seal.key, reason, error)
        upload.enter("waiting", error)

    async def _park(self, upload: Upload, error: CognitoFSError) -> None:
        """Keep the bytes and say that a person must decide."""
        state = "conflict" if isinstance(error, Stale) else "failed"
        is_new = not isinstance(upload.refusal, type(error))
        if is_new or upload.said != state:
            upload.said = state
            _log.error("%r is kept here (%s): %s", upload.seal.key, state, error)
        if is_new:
            upload.refusal = error
            upload.owner.failures.note(error)
        try:
            await self._journal.park(upload.seal.id, state, str(error))
        except SpoolError as exc:  # the row says "sealed" then: the next mount tries it again
            _log.error("The journal cannot say so: %s", exc)
        upload.enter("conflict" if state == "conflict" else "failed", error)
        self._note_change()


async def _nothing_in_the_way(_: str) -> None:
    return None
