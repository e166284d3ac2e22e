"""SignInWatch: keeps a mount's keys fresh, and says in time when its sign-in will end.

Owns the background renewal, and the warnings 3 days, 1 day and 1 hour before a sign-in ends. When
that is, is an estimate: signing in plus the validity that the profile names (`Account`).
"""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import trio

from cognitofs.auth.account import Account, stored_sign_in
from cognitofs.auth.tokens import TokenSet
from cognitofs.errors import CognitoFSError
from cognitofs.quantities import time_text

HOUR, DAY = 3600.0, 86400.0
WARNINGS = (3 * DAY, DAY, HOUR)
"""How long before the end of a sign-in the person is told, in seconds."""

_LEAST_SLEEP = 0.5

_log = logging.getLogger(__name__)


def due_warning(left: float) -> float | None:
    """Return the smallest of WARNINGS that *left* seconds are within; None before all of them."""
    return min((each for each in WARNINGS if left <= each), default=None)


def seconds_to_warning(left: float) -> float:
    """Return how long until the next of WARNINGS is due; infinity when none will be."""
    return min((left - each for each in WARNINGS if each < left), default=math.inf)


class SignInWatch:
    """Watches over one mount's account. `run` is its task; the rest answers without waiting."""

    def __init__(
        self, account: Account, state: Path, *, now: Callable[[], float] = time.time
    ) -> None:
        """*state* is the profile's state directory, where a new login is written."""
        self._account, self._state, self._now = account, state, now
        self._tokens = account.tokens
        self._said: tuple[float, float] | None = None
        self._problem = ""

    @property
    def keys_expire(self) -> str:
        """When the keys at hand end, ISO 8601; "" when never or unknown."""
        return _text(self._account.expires_at)

    @property
    def sign_in_ends(self) -> str:
        """When a new login will be needed, ISO 8601; "" when never or unknown."""
        return _text(self._ends())

    @property
    def warning(self) -> str:
        """What to tell the person of that, as a sentence; "" while there is time."""
        ends = self._ends()
        if ends is None or due_warning(ends - self._now()) is None:
            return ""
        when = "has ended about" if ends <= self._now() else "ends about"
        return (
            f"The sign-in {when} {_text(ends)}; run `cognitofs login --profile "
            f"{self._account.profile.name}`, the mount takes it over by itself."
        )

    async def run(self, renewed: Callable[[], None]) -> None:
        """Renew the keys ahead of need, so that no request waits; warn in time.

        *renewed* is called when keys came after there were none for a while.
        """
        while True:
            self._warn()
            await trio.sleep(self._pause())
            await self._renew(renewed)

    def _pause(self) -> float:
        ends = self._ends()
        until_warning = math.inf if ends is None else seconds_to_warning(ends - self._now())
        return max(_LEAST_SLEEP, min(self._account.credentials.seconds_to_refresh(), until_warning))

    async def _renew(self, renewed: Callable[[], None]) -> None:
        credentials = self._account.credentials
        had_failed = credentials.last_error is not None
        try:
            await trio.to_thread.run_sync(credentials.refresh, abandon_on_cancel=True)
            self._tokens = await trio.to_thread.run_sync(self._stored, abandon_on_cancel=True)
        except CognitoFSError as exc:
            self._complain(str(exc))
            return
        self._problem = ""
        if had_failed and credentials.last_error is None:
            _log.info("The keys are renewed again.")
            renewed()

    def _stored(self) -> TokenSet | None:
        """Return the sign-in of the moment: somebody may have signed in anew."""
        if self._account.tokens is None:
            return None
        return stored_sign_in(self._account.profile, self._state)

    def _complain(self, problem: str) -> None:
        """Log *problem* once, however often it is met again."""
        if problem != self._problem:
            _log.warning("The keys could not be renewed: %s", problem)
        self._problem = problem

    def _warn(self) -> None:
        ends = self._ends()
        due = None if ends is None else due_warning(ends - self._now())
        if ends is None or due is None or (ends, due) == self._said:
            return
        self._said = (ends, due)
        _log.warning("%s", self.warning)

    def _ends(self) -> float | None:
        validity = self._account.profile.refresh_token_validity
        return self._tokens.ends_at(validity) if self._tokens else None


def _text(seconds: float | None) -> str:
    return "" if seconds is None else time_text(seconds)
