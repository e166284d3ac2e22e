"""SigningClock: what time it is for S3, told by its refusals.

Owns the difference between this machine's clock and S3's, by which signatures are dated. S3 refuses
a signature that is 15 minutes off (RequestTimeTooSkewed) and has done nothing then, so that the
request may be sent again with the right date: a laptop whose clock is wrong after a sleep goes on.
"""

from collections.abc import Callable

_NOISE = 60.0
"""Seconds. A Date header has whole seconds and travels; less is no reason for a refusal."""


class SigningClock:
    """Seconds since the epoch by S3's clock. Safe to use from many threads."""

    def __init__(self, local: Callable[[], float]) -> None:
        self._local = local
        self._offset = 0.0

    def now(self) -> float:
        """Return S3's time, as far as it is known."""
        return self._local() + self._offset

    def correct(self, date: float) -> bool:
        """Go by *date*, S3's time just now (0 if unknown); tell whether that changed anything."""
        if not date or abs(date - self.now()) < _NOISE:
            return False
        self._offset = date - self._local()
        return True
