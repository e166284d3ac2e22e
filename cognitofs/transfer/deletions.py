"""Deletions: objects that shall go, in batches, for as long as it takes.

Owns the queue and its requests. Whoever takes a name away journals it here and need not wait; what
is queued is hidden from listings (`hides`) from that moment on.

INVARIANT: a deletion is journalled before it is hidden, and forgotten only when S3 has removed the
object, or has another version of it, which then stays: an edit beats a delete.
What S3 refuses shows again, and stays in the journal: it is tried again now and then, until it
goes, something new is stored there, or a person gives it up.

INVARIANT: nothing is stored under a key before its deletion is over: `settle` and `make_way` wait.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import TypeVar

import trio

from cognitofs.errors import (
    CognitoFSError,
    ConditionalConflict,
    PreconditionFailed,
    SignInError,
    SpoolError,
    Transient,
)
from cognitofs.parallel import run_all
from cognitofs.spool.intents import Doomed, Intents, Refusal
from cognitofs.store.interface import ETag, Expect, ObjectStore, Version
from cognitofs.transfer.leftovers import remove_ours

BATCH = 1000
"""Objects of one DeleteObjects."""
BATCHES_AT_ONCE = 4
LINGER = 0.2
"""Seconds that deletions are gathered before they are sent: `rm -rf` names one at a time."""
PAUSE = 5.0
"""Seconds between tries while S3 cannot be reached."""

REFUSED_PAUSE = 900.0
"""Seconds between tries of what S3 refused: policies get fixed."""

_T = TypeVar("_T")
_PASSING = (Transient, SignInError, ConditionalConflict)
_log = logging.getLogger(__name__)


class Deletions:
    """All deletions of one mount. `run` must be running."""

    def __init__(self, store: ObjectStore, intents: Intents) -> None:
        self._store = store
        self._intents = intents
        self._doomed: dict[str, Doomed] = {}
        self._tried: frozenset[str] = frozenset()
        self._trees: set[str] = set()
        self._refused: dict[str, CognitoFSError] = {}
        self._refusals: dict[str, Refusal] = {}
        self._retry_at = float("inf")
        self._nudges = self._retried = 0
        self._trouble: CognitoFSError | None = None
        self._tries = 0
        self._is_hurried = False
        self._wanted = trio.Event()
        self._changed = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Remove what is queued, until cancelled; what is left then is in the journal."""
        task_status.started()
        while True:
            wanted = self._wanted
            if not self._doomed and trio.current_time() < self._retry_at:
                with trio.move_on_at(self._retry_at):
                    await wanted.wait()
                continue
            await self._pause(LINGER if self._trouble is None else PAUSE)
            await self._try_all()

    async def _pause(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            while not self._is_hurried:
                await self._wanted.wait()

    # -- what the file system asks for ------------------------------------------------------------

    @property
    def pending(self) -> tuple[str, ...]:
        """Keys that shall go."""
        return tuple(self._doomed)

    @property
    def trouble(self) -> CognitoFSError | None:
        """What the last try met, None when all was well."""
        return self._trouble

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What S3 refused, oldest first: it shows again, and is tried again now and then."""
        return tuple(self._refusals.values())

    @property
    def is_retrying(self) -> bool:
        """Tell whether what S3 refused is being tried again because somebody wants it."""
        return self._retried != self._nudges

    def hides(self, key: str, etag: ETag) -> bool:
        """Tell whether that version of an object is about to go."""
        found = self._doomed.get(key)
        return found is not None and (bool(found.txids) or found.expect in ("any", etag))

    def hides_tree(self, prefix: str) -> bool:
        """Tell whether everything that S3 lists below *prefix* was renamed away."""
        return prefix in self._trees

    async def add(
        self, doomed: Iterable[Doomed], *, forgets: Iterable[str] = (), tree: str = ""
    ) -> None:
        """Journal deletions, with the end of those rows of files, and queue them; see `resume`."""
        merged = [self._merged(each) for each in doomed]
        await self._intents.doom(merged, forgets=forgets)
        self.resume(merged, tree=tree)

    def _merged(self, doomed: Doomed) -> Doomed:
        """Return *doomed* with what is queued for its key already."""
        queued = self._doomed.get(doomed.key)
        if queued is None:
            return doomed
        return Doomed(doomed.key, doomed.expect or queued.expect, doomed.txids + queued.txids)

    def resume(self, doomed: Iterable[Doomed], *, tree: str = "") -> None:
        """Queue deletions that are in the journal; *tree* is a directory that is wholly gone."""
        self._doomed |= {each.key: each for each in doomed}
        for key in self._refusals.keys() & self._doomed.keys():
            self._is_over(key)
        # What was queued just now is at the end.
        if tree and any(key.startswith(tree) for key in reversed(self._doomed)):
            self._trees.add(tree)
        self._notify()

    def resume_refused(self, refusals: Iterable[Refusal]) -> None:
        """Take over from an earlier mount what S3 refused: it is tried again soon."""
        self._refusals |= {each.key: each for each in refusals}
        self._retry_at = trio.current_time() if self._refusals else self._retry_at
        self._notify()

    async def give_up(self, id: str) -> None:
        """Let what S3 refused to remove stay: a person has said so."""
        await self._intents.forget_refusal(id)
        for key in [key for key, each in self._refusals.items() if each.id == id]:
            self._is_over(key)

    async def remove(self, doomed: Doomed) -> None:
        """Remove an object whose deletion is in the journal; without an answer it is queued.

        Raises what S3 refuses; the object shows again then.
        """
        try:
            await self.delete(doomed)
        except _PASSING:
            self.resume([doomed])
            return
        except trio.Cancelled:
            self.resume([doomed])
            raise
        except CognitoFSError:
            await self._note([doomed])
            raise
        await self._note([doomed])

    async def delete(self, doomed: Doomed) -> None:
        """Remove that version now, without a word in the journal; another version stays."""
        try:
            await self._store.delete(doomed.key, expect=doomed.expect)
        except PreconditionFailed:
            self._say_kept(doomed)

    async def settle(self, key: str) -> None:
        """Return when the object *key* is not about to go any more. Raises what S3 answers.

        What S3 has refused to remove there before is over: something new is stored in its place.
        """
        await self._give_way(key)
        await self._settled(lambda: self._is_going(key))
        failure = self._refused.pop(key, None)
        if failure is not None:
            raise failure

    async def make_way(self, key: str) -> Expect | None:
        """Return when a file may be stored as *key*. Raises what stopped a deletion meanwhile.

        What S3 refuses, or has refused, to remove there is over then. Such a version stays; it is
        returned, since the new file is to take its place.
        """
        await self._settled(lambda: self._is_going(key))
        return await self._give_way(key)

    def _is_going(self, key: str) -> bool:
        return key in self._doomed or key in self._tried

    async def _give_way(self, key: str) -> Expect | None:
        """Let what S3 refused to remove stay, because something takes its place; return it."""
        refusal = self._is_over(key)
        if refusal is None:
            return None
        try:
            await self._intents.forget_deletions([key])
        except SpoolError:
            self.resume_refused([refusal])  # the journal has it still
            raise
        return refusal.doomed.expect or None

    def _is_over(self, key: str) -> Refusal | None:
        """Say no more of what S3 refused to remove; return it."""
        self._refused.pop(key, None)
        return self._refusals.pop(key, None)

    async def settle_below(self, prefix: str) -> None:
        """Return when nothing below *prefix* is about to go. Raises what S3 answers."""
        await self._settled(
            lambda: any(key.startswith(prefix) for key in chain(self._doomed, self._tried))
        )
        self.raise_refused(prefix)

    async def wait_drained(self) -> None:
        """Return when everything has gone, or was refused."""
        self.nudge()
        while self._doomed or self.is_retrying:
            await self._changed.wait()

    def nudge(self) -> None:
        """Try now, also what S3 refused: a right may be back."""
        if self._refusals:
            self._retry_at = trio.current_time()
            self._nudges += 1
        self.hurry()

    def hurry(self) -> None:
        """Try now: the network or the sign-in may be back."""
        self._is_hurried = True
        self._notify()

    async def _settled(self, is_pending: Callable[[], bool]) -> None:
        """Wait while something *is_pending*; a try that began after the call may fail.

        A refused deletion that is tried again is not queued, but would take equal bytes with it:
        what is being tried is pending, too.
        """
        began = self._tries
        if is_pending():
            self.hurry()
        while is_pending():
            await self._changed.wait()
            if self._trouble is not None and self._tries > began + 1:
                raise self._trouble

    def raise_refused(self, prefix: str) -> None:
        """Raise, once, what S3 refused to remove below *prefix* after that was acknowledged."""
        below = [key for key in self._refused if key.startswith(prefix)]
        refused = [self._refused.pop(key) for key in below]
        if refused:
            raise refused[0]

    def _notify(self) -> None:
        self._wanted.set()
        self._wanted = trio.Event()

    # -- one try ----------------------------------------------------------------------------------

    async def _try_all(self) -> None:
        self._is_hurried = False
        self._tries += 1
        self._trouble = None
        nudges = self._nudges
        doomed = [*self._doomed.values(), *self._due()]
        simple = [each for each in doomed if not each.txids]
        self._tried = frozenset(each.key for each in doomed)
        batches = [simple[at : at + BATCH] for at in range(0, len(simple), BATCH)]
        asked = [each for each in doomed if each.txids]
        await run_all(
            [
                *(partial(self._remove, batch) for batch in batches),
                *(partial(self._remove_ours, each) for each in asked),
            ],
            limit=BATCHES_AT_ONCE,
        )
        self._retried = nudges
        self._tried = frozenset()
        self._tries += 1
        if self._trees:
            self._trees &= {above for key in self._doomed for above in _above(key)}
        self._changed.set()
        self._changed = trio.Event()

    def _due(self) -> list[Doomed]:
        """Return what S3 refused and is to be tried again now."""
        if trio.current_time() < self._retry_at:
            return []
        self._retry_at = trio.current_time() + REFUSED_PAUSE if self._refusals else float("inf")
        return [each.doomed for each in self._refusals.values()]

    async def _remove(self, batch: list[Doomed]) -> None:
        versions: list[Version] = [(each.key, each.expect) for each in batch]
        try:
            failures = await self._store.delete_many(versions)
        except CognitoFSError as exc:
            failures = dict.fromkeys((each.key for each in batch), exc)
        await self._conclude(batch, failures)

    async def _remove_ours(self, doomed: Doomed) -> None:
        try:
            await remove_ours(self._store, doomed.key, doomed.txids, doomed.expect)
        except CognitoFSError as exc:
            await self._conclude([doomed], {doomed.key: exc})
        else:
            await self._conclude([doomed], {})

    async def _conclude(self, tried: list[Doomed], failures: Mapping[str, CognitoFSError]) -> None:
        """Forget what is over, keep what S3 refused; the rest is tried again."""
        gone, refused = [], []
        for each in tried:
            failure = failures.get(each.key)
            if isinstance(failure, _PASSING):
                self._trouble = failure
            elif failure is None or isinstance(failure, PreconditionFailed):
                gone.append(each)
                if failure is not None:
                    self._say_kept(each)
            elif self._is_current(each):
                refused.append(self._refusal(each, failure))
        await self._note(gone)
        if refused:
            await self._keep(refused)

    def _is_current(self, doomed: Doomed) -> bool:
        """Tell whether nothing else was decided about its key meanwhile."""
        refusal = self._refusals.get(doomed.key)
        return self._doomed.get(doomed.key, refusal and refusal.doomed) is doomed

    def _refusal(self, doomed: Doomed, failure: CognitoFSError) -> Refusal:
        if doomed.key not in self._refusals:
            _log.error("%r could not be removed and shows again: %s", doomed.key, failure)
            _remember(self._refused, doomed.key, failure, BATCH)
        return Refusal(doomed, str(failure), time.time())

    async def _keep(self, refused: list[Refusal]) -> None:
        """Let what S3 refused show again; it is tried again later."""
        try:
            await self._intents.refuse(refused)
        except SpoolError as exc:  # the next mount tries them like all others
            _log.error("The journal cannot say that deletions were refused: %s", exc)
        for each in refused:
            if self._is_current(each.doomed):
                self._doomed.pop(each.key, None)
                self._refusals[each.key] = each
        self._retry_at = min(self._retry_at, trio.current_time() + REFUSED_PAUSE)

    def _say_kept(self, doomed: Doomed) -> None:
        _log.warning("%r was changed by somebody else; their version stays.", doomed.key)

    async def _note(self, gone: list[Doomed]) -> None:
        """Forget what is over, in the journal first."""
        over = [each for each in gone if self._doomed.get(each.key, each) is each]
        try:
            await self._intents.forget_deletions([each.key for each in over])
        except SpoolError as exc:  # the next mount finds that there is nothing left to do
            _log.error("The journal still has %d deletions: %s", len(gone), exc)
        for each in over:
            if self._is_current(each):
                self._doomed.pop(each.key, None)
                self._is_over(each.key)


def _above(key: str) -> Iterator[str]:
    """Give the directories above *key*, and itself if it is a directory's marker."""
    at = key.find("/")
    while at >= 0:
        yield key[: at + 1]
        at = key.find("/", at + 1)


def _remember(last: dict[str, _T], key: str, value: _T, most: int) -> None:
    """Put *value* at the end of *last*, which keeps the newest *most*."""
    last.pop(key, None)
    last[key] = value
    while len(last) > most:
        del last[next(iter(last))]
