"""Away: whether S3 answers questions about names at the moment.

While it does not, names are answered from what was last known of them, however old (`namespace.py`,
`directories.py`): every change is made on condition of what was believed, so a wrong belief becomes
a conflict copy and loses nothing. Owns the state and the trying again; knows no names.

INVARIANT: only a missing network, S3 or sign-in is "away". A refusal is an answer.
"""

import datetime
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from cognitofs.errors import AuthUnavailable, CognitoFSError, LoginRequired, Unreachable

UNANSWERED = (Unreachable, AuthUnavailable, LoginRequired)
"""What a question raises that could not be asked."""

SOON = 2.0
RARELY = 60.0
"""Seconds between tries while S3 is away: when somebody looks at names, and when nobody does."""

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

Question = Callable[[], Awaitable[object]]


class Away:
    """Notes whether questions are answered. `run` must be running, to notice that S3 is back."""

    def __init__(self) -> None:
        self.since = ""
        """When S3 went away (ISO 8601); "" while it answers."""
        self.when_back: Callable[[], None] = lambda: None
        """Called when S3 answers again."""
        self._question: Question | None = None
        self._failure: CognitoFSError | None = None
        self._left = trio.Event()
        self._wanted = trio.Event()

    def is_away(self) -> bool:
        """Tell whether to answer from what is known. Somebody looks: S3 is asked again soon."""
        if self._question is None:
            return False
        self._wanted.set()
        return True

    async def ask(self, question: Callable[[], Awaitable[_T]]) -> _T:
        """Return what S3 answers. Raises what the question raises.

        While S3 is away only `run` waits for it; others hear at once what it said last. Whether
        somebody has signed in takes no wait to find out.
        """
        self._wanted.set()
        if self._failure is not None and not isinstance(self._failure, LoginRequired):
            raise type(self._failure)(*self._failure.args)
        return await self._really_ask(question)

    async def _really_ask(self, question: Callable[[], Awaitable[_T]]) -> _T:
        try:
            answer = await question()
        except UNANSWERED as exc:
            self._note_away(question, exc)
            raise
        except CognitoFSError:
            self._note_back()
            raise
        self._note_back()
        return answer

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """While S3 is away ask it again what it did not answer, until cancelled."""
        task_status.started()
        while True:
            await self._left.wait()
            while self._question is not None:
                await trio.sleep(SOON)
                with trio.move_on_after(RARELY - SOON):
                    await self._wanted.wait()
                self._wanted = trio.Event()
                await self._try_again()

    async def _try_again(self) -> None:
        if self._question is not None:
            try:
                await self._really_ask(self._question)
            except CognitoFSError:  # what it means has been noted
                return

    def _note_away(self, question: Question, exc: CognitoFSError) -> None:
        if self._question is None:
            self.since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            self._left.set()
            _log.warning("Names are shown as they were last seen, until S3 answers again: %s", exc)
        self._question, self._failure = question, exc

    def _note_back(self) -> None:
        if self._question is not None:
            _log.info("S3 answers again: names are asked for again.")
            self.since, self._question, self._failure = "", None, None
            self._left = trio.Event()
            self.when_back()
