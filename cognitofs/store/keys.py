"""Keys that sign requests, and where they come from.

Owns the two types between sign-in and the store, so that neither knows the other.
"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Keys:
    """One set of temporary AWS keys; secret and token never show in a repr."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


class KeySource(Protocol):
    """Gives the keys of the moment. Called in worker threads; may wait for Cognito."""

    def current(self) -> Keys:
        """Return keys that are good now, fetching new ones if need be.

        Raises LoginRequired, AuthUnavailable, WrongIdentity.
        """
        ...

    def invalidate(self, access_key: str) -> None:
        """Forget the keys with this id: the server called them expired."""
        ...
