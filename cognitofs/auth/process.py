"""Commands of the person that print keys or logins: run without a shell, their output a secret.

Owns how such a command is run and what is said when it fails; and `ProcessIdentity`, keys in the
form of the AWS SDKs' `credential_process`. Logins that a command prints are `logins.py`.

INVARIANT: what a command printed is never quoted, logged or chained to an error.
"""

import json
import shlex
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cognitofs.auth.identity import Grant
from cognitofs.errors import AuthUnavailable, ConfigError
from cognitofs.store.keys import Keys

# Guess: a command may ask a server of its own, but must not hang a mount.
_COMMAND_SECONDS = 60.0


class PrintingCommand:
    """One configured command that prints a JSON object. *key* is its name in the profile."""

    def __init__(self, command: str, key: str) -> None:
        """Split *command* into words; ConfigError when that cannot be done."""
        self._key = key
        try:
            self._words = shlex.split(command)
        except ValueError as exc:
            raise ConfigError(f"`{key}` has an open quote: {exc}; close it.") from exc
        if not self._words:
            raise ConfigError(f"`{key}` is empty; name the command to run.")

    def printed(self) -> Mapping[str, Any]:
        """Run it; return what it prints. Raises AuthUnavailable, ConfigError."""
        try:
            printed = json.loads(self._output())
        except ValueError:
            raise self.wrong("no JSON") from None
        if not isinstance(printed, dict):
            raise self.wrong("no JSON object")
        return printed

    def wrong(self, what: str) -> ConfigError:
        """Return the error for output that has *what* instead of what is wanted."""
        return ConfigError(
            f"The command of `{self._key}` printed {what}; README.md says what it must print."
        )

    def _output(self) -> bytes:
        name = self._words[0]
        try:
            # stderr stays ours, so that the command can say what is wrong.
            done = subprocess.run(
                self._words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as exc:
            raise AuthUnavailable(
                f"The command {name} did not end within {_COMMAND_SECONDS:.0f} s; "
                "run it by hand to see what it waits for."
            ) from exc
        except OSError as exc:
            raise ConfigError(
                f"The command {name} cannot be run ({exc.strerror}); correct `{self._key}`."
            ) from exc
        if done.returncode:
            raise AuthUnavailable(
                f"The command {name} failed with status {done.returncode}; run it by hand to see "
                "why."
            )
        return done.stdout


class ProcessIdentity:
    """Keys printed by a command, in the form of the AWS SDKs' `credential_process`.

    Source: "Sourcing credentials with an external process", AWS CLI user guide; `IdentityId` is
    our addition.
    """

    def __init__(self, command: str) -> None:
        """Raise ConfigError for a command that cannot be one."""
        self._command = PrintingCommand(command, "credential_process")

    def fetch(self) -> Grant:
        """Return what the command prints. Raises AuthUnavailable, ConfigError."""
        printed, wrong = self._command.printed(), self._command.wrong
        if printed.get("Version") != 1:
            raise wrong('no {"Version": 1, ...}')
        texts = {name: printed.get(name) or "" for name in _PRINTED}
        if not all(isinstance(value, str) for value in texts.values()):
            raise wrong("a value that is not text")
        if not texts["AccessKeyId"] or not texts["SecretAccessKey"]:
            raise wrong("no AccessKeyId and SecretAccessKey")
        keys = Keys(texts["AccessKeyId"], texts["SecretAccessKey"], texts["SessionToken"])
        try:
            expires = _printed_time(printed.get("Expiration"))
        except (TypeError, ValueError):
            raise wrong("an Expiration that is not ISO 8601") from None
        return Grant(keys, texts["IdentityId"], expires)


_PRINTED = ("AccessKeyId", "SecretAccessKey", "SessionToken", "IdentityId")


# A member of a JSON document can be anything.
def _printed_time(value: Any) -> float | None:  # noqa: ANN401 - see above
    if value is None:
        return None
    when = datetime.fromisoformat(value)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
