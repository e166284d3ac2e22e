"""Vault: the desktop's keyring, for the secrets of a sign-in that outlive an hour.

Owns the use of the `keyring` library, which is an extra (`pip install cognitofs[keyring]`): without
a desktop session there is no keyring, so the file of `tokens.py` is the default everywhere.
"""

import json
from collections.abc import Mapping
from typing import Protocol

from cognitofs.errors import ConfigError

_SERVICE = "cognitofs"


class Vault(Protocol):
    """Keeps a few secrets of one profile."""

    def load(self) -> Mapping[str, str]:
        """Return what is kept, nothing if nothing is. Raises ConfigError."""
        ...

    def save(self, secrets: Mapping[str, str]) -> None:
        """Replace what is kept; nothing removes it. Raises ConfigError."""
        ...


class Keyring:
    """The desktop's keyring (Secret Service, KWallet). *name* tells profiles apart."""

    def __init__(self, name: str) -> None:
        """Raise ConfigError when the library is not installed."""
        try:
            import keyring  # noqa: PLC0415 - an extra
            import keyring.errors  # noqa: PLC0415 - an extra
        except ImportError as exc:
            raise ConfigError(
                "`keyring` needs a library that is not installed; run "
                "`pip install 'cognitofs[keyring]'`, or remove `keyring` from the profile."
            ) from exc
        self._keyring, self._name = keyring, name

    def load(self) -> Mapping[str, str]:
        """See `Vault`."""
        try:
            found = self._keyring.get_password(_SERVICE, self._name)
            secrets = json.loads(found) if found else {}
        except (self._keyring.errors.KeyringError, ValueError, OSError) as exc:
            raise _unusable(exc) from exc
        return secrets if isinstance(secrets, dict) else {}

    def save(self, secrets: Mapping[str, str]) -> None:
        """See `Vault`."""
        try:
            if secrets:
                self._keyring.set_password(_SERVICE, self._name, json.dumps(dict(secrets)))
            elif self._keyring.get_password(_SERVICE, self._name) is not None:
                self._keyring.delete_password(_SERVICE, self._name)
        except (self._keyring.errors.KeyringError, OSError) as exc:
            raise _unusable(exc) from exc


def _unusable(exc: Exception) -> ConfigError:
    return ConfigError(
        f"The keyring of this desktop cannot be used ({type(exc).__name__}); unlock it, or set "
        "`keyring = false` in the profile to keep the sign-in in a file."
    )
