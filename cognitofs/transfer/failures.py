"""Failures: which refusals of S3 somebody still has to hear of. Pure.

One per file. A close that was acknowledged from the journal cannot report what S3 answers later, so
that is kept for the handles that were open at the time and for an fsync of a directory above.

INVARIANT: a failure is heard once by each handle that was open when it came, and by whoever syncs
a directory only if no handle has heard it; once S3 has the file there is nothing left to hear.
"""

from cognitofs.errors import CognitoFSError


class Failures:
    """The failures of one file, counted."""

    def __init__(self) -> None:
        self.count = 0
        self._newest: CognitoFSError | None = None
        self._untold: CognitoFSError | None = None

    def note(self, error: CognitoFSError) -> None:
        """Take account of a new failure: S3 refused what was acknowledged here."""
        self.count += 1
        self._newest = self._untold = error

    def settled(self) -> None:
        """Forget them: S3 has the file as it is here."""
        self._newest = self._untold = None

    def since(self, heard: int) -> CognitoFSError | None:
        """Return the newest failure, for somebody who has heard of *heard* of them."""
        if heard == self.count or self._newest is None:
            return None
        self._untold = None
        return self._newest

    def take_untold(self) -> CognitoFSError | None:
        """Return, once, the failure that nobody has heard of."""
        untold, self._untold = self._untold, None
        return untold
