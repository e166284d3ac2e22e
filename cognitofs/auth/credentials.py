"""CognitoCredentials: keys that are good now, for whoever signs requests.

Owns when keys are fetched: windows scaled to their lifetime, a pause between failed tries, one
fetch at a time, old keys used until they are really dead. Where they come from is `identity.py`.

INVARIANT: all keys ever given out belong to one identity.
"""

import enum
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cognitofs.auth.identity import Grant, IdentitySource
from cognitofs.errors import AuthUnavailable, CognitoFSError, LoginRequired, WrongIdentity
from cognitofs.store.keys import Keys

# For keys that live an hour; shorter lives have shorter windows. botocore's constants (15 and 10
# minutes) made a session of 120 s fetch anew for every request (measured).
_ADVISORY_SECONDS, _MANDATORY_SECONDS = 900.0, 60.0
_PAUSE_SECONDS = 20.0
_LOOK_SECONDS = 2.0
# A fetch is at most: lock of the tokens, two renewals, GetId, two GetCredentials.
_FETCH_SECONDS = 300.0


class Need(enum.Enum):
    """How urgent new keys are."""

    NONE = enum.auto()
    SOON = enum.auto()
    NOW = enum.auto()


@dataclass(frozen=True, slots=True)
class Held:
    """Keys in use. Times are seconds since the epoch by the server's clock."""

    grant: Grant
    fetched_at: float

    @property
    def expires_at(self) -> float:
        """When the keys die; infinity when never."""
        return math.inf if self.grant.expires_at is None else self.grant.expires_at

    @property
    def life(self) -> float:
        """How long the keys live in all."""
        return max(0.0, self.expires_at - self.fetched_at)

    def is_dead(self, now: float) -> bool:
        """Whether the server no longer takes them."""
        return now >= self.expires_at

    def need(self, now: float) -> Need:
        """Return how urgent new keys are at *now*."""
        left = self.expires_at - now
        if left <= min(_MANDATORY_SECONDS, self.life / 20):
            return Need.NOW
        return Need.SOON if left <= min(_ADVISORY_SECONDS, self.life / 4) else Need.NONE


class CognitoCredentials:
    """A `store.keys.KeySource`. Safe to use from many threads.

    Beside what KeySource names, ConfigError, ClockSkew and SignInRefused may be raised: somebody
    may change the pools while a mount lives.
    """

    def __init__(
        self,
        source: IdentitySource,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """*now* is the server's clock (`ServerClock.now`); *monotonic* measures pauses."""
        self._source, self._now, self._monotonic = source, now, monotonic
        self._fetching = threading.Lock()
        self._held: Held | None = None
        self._identity_id: str | None = None
        self._last_error: CognitoFSError | None = None
        # Monotonic times: until then requests, and the background refresher, ask no more.
        self._pause_until = self._refresh_after = -math.inf

    @property
    def expires_at(self) -> float | None:
        """When the keys at hand end, seconds since the epoch; None: never, or none fetched."""
        held = self._held
        return held.grant.expires_at if held else None

    @property
    def identity_id(self) -> str:
        """The identity of the first keys; "" before, and when the source names none."""
        return self._identity_id or ""

    @property
    def last_error(self) -> CognitoFSError | None:
        """Why the last fetch failed; None when it did not."""
        return self._last_error

    def current(self) -> Keys:
        """Return keys that are good now, fetching new ones if need be.

        Raises LoginRequired, AuthUnavailable, WrongIdentity, and see the class.
        """
        held = self._held
        need = held.need(self._now()) if held else Need.NOW
        if held is not None and need is Need.NONE:
            return held.grant.keys
        if held is not None and need is Need.SOON:
            return self._ahead(held)
        return self._at_last()

    def invalidate(self, access_key: str) -> None:
        """Forget the keys with this id, if they are the ones at hand."""
        with self._lock():
            if self._held is not None and self._held.grant.keys.access_key == access_key:
                self._held = None
                self._pause_until = self._refresh_after = -math.inf

    def seconds_to_refresh(self) -> float:
        """Return how long the background refresher may sleep before `refresh`.

        That is until three quarters of the keys' life; after a failure, until the pause ends.
        Infinity for keys that never end.
        """
        held, now = self._held, self._now()
        pause = max(0.0, self._refresh_after - self._monotonic())
        if held is None:
            return pause
        return max(pause, held.fetched_at + 0.75 * held.life - now, 0.0)

    def refresh(self) -> None:
        """Fetch new keys unless another thread just did. Raises as `current`."""
        with self._lock():
            if self.seconds_to_refresh() <= 0:
                self._fetch()

    def _ahead(self, held: Held) -> Keys:
        """Try for new keys while the old ones are good; who comes second does not wait."""
        if self._is_pausing() or not self._fetching.acquire(blocking=False):
            return held.grant.keys
        try:
            if self._held is held:
                self._fetch()
        except CognitoFSError:
            # Remembered in last_error; the keys at hand are still good.
            return held.grant.keys
        finally:
            self._fetching.release()
        return self._keys_or(held)

    def _at_last(self) -> Keys:
        """Get new keys, or use the old ones for as long as they are not dead."""
        with self._lock():
            held = self._held
            if held is not None and held.need(self._now()) is not Need.NOW:
                return held.grant.keys
            try:
                self._fetch_unless_pausing()
            except CognitoFSError:
                if held is None or held.is_dead(self._now()):
                    raise
                return held.grant.keys
            return self._keys_or(held)

    def _keys_or(self, held: Held | None) -> Keys:
        found = self._held or held
        if found is None:
            raise AuthUnavailable("The new keys were refused at once; try again in a moment.")
        return found.grant.keys

    def _fetch_unless_pausing(self) -> None:
        error = self._last_error
        if self._is_pausing() and error is not None:
            # A new exception: one that several threads raise would collect their tracebacks.
            raise type(error)(*error.args) from error
        self._fetch()

    def _is_pausing(self) -> bool:
        return self._monotonic() < self._pause_until

    def _fetch(self) -> None:
        try:
            fetched = self._checked(self._source.fetch())
        except CognitoFSError as exc:
            self._last_error = exc
            # A login that ended costs no request to look for again, and a new one counts at once.
            is_free = isinstance(exc, LoginRequired)
            pause = _LOOK_SECONDS if is_free else _PAUSE_SECONDS
            self._refresh_after = self._monotonic() + pause
            self._pause_until = -math.inf if is_free else self._refresh_after
            raise
        self._held, self._last_error = fetched, None
        self._pause_until = self._refresh_after = -math.inf

    def _checked(self, grant: Grant) -> Held:
        if self._identity_id is not None and grant.identity_id != self._identity_id:
            raise WrongIdentity(
                f"The sign-in now belongs to {grant.identity_id or 'no identity'}, but these "
                f"files belong to {self._identity_id or 'no identity'}; sign in as their owner "
                "with `cognitofs login`, or unmount."
            )
        held = Held(grant, self._now())
        if held.is_dead(held.fetched_at):
            raise AuthUnavailable(
                "The keys that were issued have already ended; check the clock of this machine, "
                "or the credential process."
            )
        self._identity_id = grant.identity_id
        return held

    def _lock(self) -> "_Deadline":
        return _Deadline(self._fetching)


class _Deadline:
    """Holds a lock; waiting for it ends with AuthUnavailable."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=_FETCH_SECONDS):
            raise AuthUnavailable("Fetching new keys takes too long; try again in some minutes.")

    def __exit__(self, *_: object) -> None:
        self._lock.release()
