"""ServerClock: what time it is for AWS, told by the Date header of Cognito's answers.

Owns the measured difference between this machine's clock and the server's. Expiry times are the
server's, so they are compared with this clock; a difference too large for signatures is an error.
"""

import email.utils
import time
from collections.abc import Callable

from cognitofs.errors import ClockSkew

# S3 refuses a signature 15 minutes off (RequestTimeTooSkewed); 10 leaves room for drift.
TOLERATED_SECONDS = 600.0
# A Date header has whole seconds and travels: smaller differences are noise.
_NOISE_SECONDS = 2.0


class ServerClock:
    """Seconds since the epoch by the server's clock. Safe to use from several threads."""

    def __init__(self, local: Callable[[], float] = time.time) -> None:
        self._local = local
        self._skew = 0.0

    @property
    def skew(self) -> float:
        """Seconds the server is ahead of this machine; 0 until measured."""
        return self._skew

    def now(self) -> float:
        """Return the server's time."""
        return self._local() + self._skew

    def observe(self, date: str) -> None:
        """Learn from *date*, a Date header; one that cannot be read is passed over."""
        try:
            server = email.utils.parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        skew = server - self._local()
        self._skew = skew if abs(skew) >= _NOISE_SECONDS else 0.0

    def require_sane(self) -> None:
        """Raise ClockSkew when signatures made by this machine's clock would be refused."""
        if abs(self._skew) <= TOLERATED_SECONDS:
            return
        minutes = round(abs(self._skew) / 60)
        side = "behind" if self._skew > 0 else "ahead"
        raise ClockSkew(
            f"The clock of this machine is {minutes} minutes {side}, so S3 would refuse every "
            "request; set the clock (for example `timedatectl set-ntp true`) and try again."
        )
