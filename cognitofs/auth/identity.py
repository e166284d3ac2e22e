"""Where AWS keys come from: an identity pool for a signed-in user, or a command.

Owns the exchange that yields a `Grant`. When to fetch is `credentials.py`; tokens are
`refresh.py`. Other ways (guests, federated tokens, the classic flow) become further
`IdentitySource`s beside these.

INVARIANT: the identity id of a grant is the one the identity pool returned with its keys.
"""

import json
import shlex
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from cognitofs.auth.clients import Answer, CognitoClient
from cognitofs.auth.refresh import TokenSource
from cognitofs.auth.tokens import TokenSet
from cognitofs.auth.translate import Refusal, sign_in_error
from cognitofs.config import Profile
from cognitofs.errors import AuthUnavailable, ClockSkew, ConfigError, SignInError
from cognitofs.store.keys import Keys

# Guess: a command may ask a server of its own, but must not hang a mount.
_COMMAND_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Grant:
    """Keys, whom they belong to, and when they end (seconds since the epoch; None: never).

    `identity_id` is "" when the source names none.
    """

    keys: Keys
    identity_id: str
    expires_at: float | None


class IdentitySource(Protocol):
    """One way to get keys. Called in worker threads, one call at a time."""

    def fetch(self) -> Grant:
        """Return fresh keys. Raises SignInError, ConfigError or SpoolDamaged."""
        ...


class UserPoolIdentity:
    """Keys of the identity pool for the id token of a user pool (the enhanced flow)."""

    def __init__(self, tokens: TokenSource, identity_pool: CognitoClient, profile: Profile) -> None:
        self._tokens, self._pool = tokens, identity_pool
        self._pool_id = profile.identity_pool_id
        self._provider = _provider(profile)

    def fetch(self) -> Grant:
        """Return fresh keys.

        Raises LoginRequired, AuthUnavailable, ClockSkew, SignInRefused, ConfigError.
        """
        tokens = self._tokens.current()
        answer = self._credentials(tokens)
        if isinstance(answer, Refusal) and answer.is_expired_id_token:
            tokens = self._tokens.renew(tokens)
            answer = self._credentials(tokens)
        if isinstance(answer, Refusal):
            raise _identity_error(answer)
        return self._grant(answer, tokens)

    def _credentials(self, tokens: TokenSet) -> Answer | Refusal:
        """Ask for keys; an identity id that turns out to be another login's is asked for anew."""
        if not tokens.identity_id:
            return self._ask_anew(tokens)
        answer = self._ask(tokens, tokens.identity_id)
        if isinstance(answer, Refusal) and answer.is_foreign_identity:
            return self._ask_anew(tokens)
        return answer

    def _ask_anew(self, tokens: TokenSet) -> Answer | Refusal:
        found = self._pool.ask("get_id", IdentityPoolId=self._pool_id, Logins=self._logins(tokens))
        if isinstance(found, Refusal):
            return found
        return self._ask(tokens, found["IdentityId"])

    def _ask(self, tokens: TokenSet, identity_id: str) -> Answer | Refusal:
        return self._pool.ask(
            "get_credentials_for_identity", IdentityId=identity_id, Logins=self._logins(tokens)
        )

    def _logins(self, tokens: TokenSet) -> dict[str, str]:
        return {self._provider: tokens.id_token}

    def _grant(self, answer: Answer, tokens: TokenSet) -> Grant:
        # The pool may answer with another id than it was asked for: merged identities.
        identity_id, given = str(answer["IdentityId"]), answer["Credentials"]
        if identity_id != tokens.identity_id:
            self._tokens.remember_identity(tokens, identity_id)
        keys = Keys(given["AccessKeyId"], given["SecretKey"], given["SessionToken"])
        return Grant(keys, identity_id, given["Expiration"].timestamp())


def _provider(profile: Profile) -> str:
    """Return the name under which the identity pool knows the user pool."""
    region = profile.user_pool_region
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"cognito-idp.{region}.{suffix}/{profile.user_pool_id}"


def _identity_error(refusal: Refusal) -> SignInError | ConfigError:
    if refusal.is_expired_id_token:
        return ClockSkew(
            "Cognito calls even a fresh sign-in expired, so a clock is wrong; set the clock of "
            "this machine (for example `timedatectl set-ntp true`) and try again."
        )
    return sign_in_error(refusal)


class ProcessIdentity:
    """Keys printed by a command, in the form of the AWS SDKs' `credential_process`.

    Source: "Sourcing credentials with an external process", AWS CLI user guide; `IdentityId` is
    our addition. The command is run without a shell.
    """

    def __init__(self, command: str) -> None:
        """Split *command* into words; ConfigError when that cannot be done."""
        try:
            self._words = shlex.split(command)
        except ValueError as exc:
            raise ConfigError(f"`credential_process` has an open quote: {exc}; close it.") from exc
        if not self._words:
            raise ConfigError("`credential_process` is empty; name the command that prints keys.")

    def fetch(self) -> Grant:
        """Return what the command prints. Raises AuthUnavailable, ConfigError."""
        return _printed_grant(self._output())

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
                f"The credential process {name} did not end within {_COMMAND_SECONDS:.0f} s; "
                "run it by hand to see what it waits for."
            ) from exc
        except OSError as exc:
            raise ConfigError(
                f"The credential process {name} cannot be run ({exc.strerror}); correct "
                "`credential_process`."
            ) from exc
        if done.returncode:
            raise AuthUnavailable(
                f"The credential process {name} failed with status {done.returncode}; run it by "
                "hand to see why."
            )
        return done.stdout


def _printed_grant(output: bytes) -> Grant:
    try:
        # Never chained or quoted: the output is a secret.
        printed = json.loads(output)
    except ValueError:
        raise _wrong_output("no JSON") from None
    if not isinstance(printed, dict) or printed.get("Version") != 1:
        raise _wrong_output('no {"Version": 1, ...}')
    texts = {name: printed.get(name) or "" for name in _PRINTED}
    if not all(isinstance(value, str) for value in texts.values()):
        raise _wrong_output("a value that is not text")
    if not texts["AccessKeyId"] or not texts["SecretAccessKey"]:
        raise _wrong_output("no AccessKeyId and SecretAccessKey")
    keys = Keys(texts["AccessKeyId"], texts["SecretAccessKey"], texts["SessionToken"])
    return Grant(keys, texts["IdentityId"], _printed_time(printed.get("Expiration")))


_PRINTED = ("AccessKeyId", "SecretAccessKey", "SessionToken", "IdentityId")


# A member of a JSON document can be anything.
def _printed_time(value: Any) -> float | None:  # noqa: ANN401 - see above
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _wrong_output("an Expiration that is not ISO 8601") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _wrong_output(what: str) -> ConfigError:
    return ConfigError(
        f"The credential process printed {what}; it must print the JSON of AWS's "
        "credential_process, version 1."
    )
