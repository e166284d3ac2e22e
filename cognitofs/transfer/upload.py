"""Upload: one seal on its way to S3, and what became of it.

Owns the state that waiters and `status` see. The work is the uploader's.

`unsettled` is the failure of a commit of which nobody knows yet whether it happened: it must be
settled by HEAD before anything is sent again.

`commit_was_sent` stays true for good, also from a process that crashed: a request may still take
effect after the HEAD that did not find it.

`said` is the trouble that the log has named last, "" for none; `refusal` is what parked it last.

INVARIANT: exactly one of `result` and `error` is set once `is_settled`; a parked upload (conflict,
failed) has an error but is not settled: it may still be tried again.
"""

from typing import Literal, Protocol

import trio

from cognitofs.errors import CognitoFSError, LoginRequired, Stalled
from cognitofs.spool.seal import Seal
from cognitofs.spool.spoolfile import SpoolFile
from cognitofs.store.interface import ObjectHead, ObjectInfo
from cognitofs.transfer.failures import Failures
from cognitofs.transfer.multipart import Multipart

State = Literal["sealed", "uploading", "committing", "waiting", "conflict", "failed", "done", "off"]
"""`off`: cancelled, because a newer seal took its place or nobody wants the file any more."""


class Owner(Protocol):
    """Whose content it is."""

    failures: Failures
    replaces: ObjectInfo | None
    """A version under the name that ours takes the place of, beside what ours is based on."""

    async def contested(self, upload: "Upload", found: ObjectHead | None) -> ObjectInfo | None:
        """Settle that the name of *upload* holds *found*, which is not ours.

        Returns that version when it has the same bytes. Else `upload.seal` is another one by
        then, which may be sent. Raises Stale when a person must decide.
        """
        ...

    def committed(self, upload: "Upload", info: ObjectInfo) -> None:
        """S3 acknowledged *upload* as *info*, and the journal no longer names it.

        Called once, synchronously: nothing happens in between.
        """
        ...


class Upload:
    """A seal on its way."""

    def __init__(
        self, seal: Seal, spool: SpoolFile | None, multipart: Multipart | None, owner: Owner
    ) -> None:
        self.seal = seal
        self.spool = spool
        self.multipart = multipart
        self.owner = owner
        self.state: State = "sealed"
        self.result: ObjectInfo | None = None
        self.error: CognitoFSError | None = None
        self.progressed_at = trio.current_time()
        self.unsettled: CognitoFSError | None = None
        self.commit_was_sent = False
        self.attempts = 0
        self.said = ""
        self.refusal: CognitoFSError | None = None
        self.scope: trio.CancelScope | None = None
        self._settled = trio.Event()
        self._changed = trio.Event()

    @property
    def is_settled(self) -> bool:
        """Tell whether it is over: done, or off."""
        return self._settled.is_set()

    @property
    def is_parked(self) -> bool:
        """Tell whether it waits for a person."""
        return self.state in ("conflict", "failed")

    @property
    def has_sole_bytes(self) -> bool:
        """Tell whether some bytes are nowhere but in its multipart upload: it must be finished."""
        return self.spool is not None and bool(self.spool.given_up)

    @property
    def sent_bytes(self) -> int:
        """Bytes that S3 has acknowledged."""
        return self.multipart.sent_bytes if self.multipart is not None else 0

    def enter(self, state: State, error: CognitoFSError | None = None) -> None:
        """Change state and wake whoever waits.

        Leaving the queue counts as progress, another try does not: else a deadline never comes.
        """
        if self.state == "sealed":
            self.note_progress()
        self.state = state
        self.error = error
        self._changed.set()
        self._changed = trio.Event()
        if state in ("done", "off"):
            self._settled.set()

    def note_progress(self) -> None:
        """Note that a part or copy was finished; stall deadlines start again."""
        self.progressed_at = trio.current_time()

    async def wait_settled(self) -> None:
        """Return when it is over."""
        await self._settled.wait()

    async def wait_change(self) -> None:
        """Return when the state has changed."""
        await self._changed.wait()

    async def wait_done(self, *, stall: float, auth_wait: float) -> ObjectInfo | None:
        """Return what S3 made of it; None when a newer seal took its place.

        Raises the error of a parked upload at once; that of a waiting one, or Stalled, when
        nothing was acknowledged for *stall* seconds (*auth_wait* when a sign-in is missing).
        The upload goes on behind it.
        """
        began = trio.current_time()
        while True:
            if self.state in ("done", "off"):
                return self.result
            if self.is_parked and self.error is not None:
                raise self.error
            patience = auth_wait if isinstance(self.error, LoginRequired) else stall
            deadline = max(began, self.progressed_at) + patience
            if trio.current_time() >= deadline:
                raise self.error or Stalled(
                    "S3 acknowledged nothing for a while; the file is kept and sent later."
                )
            changed = self._changed
            with trio.move_on_at(deadline):
                await changed.wait()
