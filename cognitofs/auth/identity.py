"""Where AWS keys come from: an identity pool, for whoever a `LoginSource` names.

Owns the exchange of a login for a `Grant`: the enhanced flow (GetCredentialsForIdentity) and the
classic one (GetOpenIdToken, then AssumeRoleWithWebIdentity). When to fetch is `credentials.py`;
whose login it is, `logins.py`; keys that a command prints, `process.py`.

INVARIANT: the identity id of a grant is the one the identity pool returned with its keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cognitofs.auth.clients import Answer, CognitoClient
from cognitofs.auth.translate import Refusal, sign_in_error
from cognitofs.config import Profile
from cognitofs.errors import ClockSkew, ConfigError, LoginRequired, SignInError
from cognitofs.store.keys import Keys

DEVELOPER_PROVIDER = "cognito-identity.amazonaws.com"
"""Provider of a token of GetOpenIdTokenForDeveloperIdentity."""


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


@dataclass(frozen=True, slots=True)
class Login:
    """Proof of who it is, for an identity pool: tokens by provider, none for a guest.

    `identity_id` is the identity found before, "" when the pool is to be asked.
    """

    tokens: Mapping[str, str] = field(repr=False)
    identity_id: str = ""


class LoginSource(Protocol):
    """Gives the login to exchange. Called in worker threads, one call at a time."""

    def current(self) -> Login:
        """Return a login that is good now. Raises SignInError, ConfigError, SpoolDamaged."""
        ...

    def renewed(self, rejected: Login) -> Login:
        """Return another login than *rejected*, which the pool called too old. As `current`."""
        ...

    def remember(self, login: Login, identity_id: str) -> None:
        """Keep *identity_id* with *login*, where it came from."""
        ...


class Exchange(Protocol):
    """One flow from an identity and its login to keys."""

    def keys(self, identity_id: str, login: Login) -> Grant | Refusal:
        """Return keys, or why there are none."""
        ...


class EnhancedFlow:
    """GetCredentialsForIdentity: the identity pool chooses the role, or is asked for one."""

    def __init__(self, pool: CognitoClient, profile: Profile) -> None:
        self._pool, self._role = pool, profile.custom_role_arn

    def keys(self, identity_id: str, login: Login) -> Grant | Refusal:
        """See `Exchange`."""
        role = {"CustomRoleArn": self._role} if self._role else {}
        answer = self._pool.ask(
            "get_credentials_for_identity", IdentityId=identity_id, **_logins(login), **role
        )
        if isinstance(answer, Refusal):
            return answer
        # The pool may answer with another id than it was asked for: merged identities.
        return _grant(answer["Credentials"], "SecretKey", str(answer["IdentityId"]))


class ClassicFlow:
    """GetOpenIdToken and AssumeRoleWithWebIdentity: the profile names the role and how long."""

    def __init__(self, pool: CognitoClient, sts: CognitoClient, profile: Profile) -> None:
        self._pool, self._sts = pool, sts
        self._role, self._seconds = profile.role_arn, int(profile.session_duration)

    def keys(self, identity_id: str, login: Login) -> Grant | Refusal:
        """See `Exchange`."""
        token = self._open_id_token(identity_id, login)
        if isinstance(token, Refusal):
            return token
        identity_id = str(token["IdentityId"])
        answer = self._sts.ask(
            "assume_role_with_web_identity",
            RoleArn=self._role,
            RoleSessionName="cognitofs",
            WebIdentityToken=token["Token"],
            DurationSeconds=self._seconds,
        )
        if isinstance(answer, Refusal):
            return answer
        return _grant(answer["Credentials"], "SecretAccessKey", identity_id)

    def _open_id_token(self, identity_id: str, login: Login) -> Answer | Refusal:
        if DEVELOPER_PROVIDER in login.tokens:
            # It is such a token already; the person's server asked for it.
            return {"IdentityId": identity_id, "Token": login.tokens[DEVELOPER_PROVIDER]}
        return self._pool.ask("get_open_id_token", IdentityId=identity_id, **_logins(login))


class PoolIdentity:
    """Keys of an identity pool for the logins of a source."""

    def __init__(
        self, logins: LoginSource, identity_pool: CognitoClient, exchange: Exchange, pool_id: str
    ) -> None:
        self._logins, self._pool, self._exchange = logins, identity_pool, exchange
        self._pool_id = pool_id

    def fetch(self) -> Grant:
        """Return fresh keys.

        Raises LoginRequired, AuthUnavailable, ClockSkew, SignInRefused, ConfigError.
        """
        login = self._logins.current()
        answer = self._keys(login)
        if isinstance(answer, Refusal) and answer.is_expired_id_token:
            login = self._logins.renewed(login)
            answer = self._keys(login)
        if isinstance(answer, Refusal):
            raise _identity_error(answer)
        if answer.identity_id != login.identity_id:
            self._logins.remember(login, answer.identity_id)
        return answer

    def _keys(self, login: Login) -> Grant | Refusal:
        """Ask for keys; an identity id that turns out to be another login's is asked for anew."""
        if not login.identity_id:
            return self._asked_anew(login)
        answer = self._exchange.keys(login.identity_id, login)
        if not isinstance(answer, Refusal) or not answer.is_foreign_identity:
            return answer
        if not login.tokens:
            raise LoginRequired(
                "The guest identity kept here no longer exists, and its files cannot be reached; "
                "`cognitofs logout --purge` gives it up."
            )
        return self._asked_anew(login)

    def _asked_anew(self, login: Login) -> Grant | Refusal:
        found = self._pool.ask("get_id", IdentityPoolId=self._pool_id, **_logins(login))
        if isinstance(found, Refusal):
            return found
        return self._exchange.keys(str(found["IdentityId"]), login)


def _logins(login: Login) -> dict[str, object]:
    return {"Logins": dict(login.tokens)} if login.tokens else {}


def _grant(given: Mapping[str, Any], secret: str, identity_id: str) -> Grant:
    """Return what *given* holds; STS and the identity pool name the *secret* differently."""
    keys = Keys(given["AccessKeyId"], given[secret], given["SessionToken"])
    return Grant(keys, identity_id, given["Expiration"].timestamp())


def _identity_error(refusal: Refusal) -> SignInError | ConfigError:
    if refusal.is_expired_id_token:
        return ClockSkew(
            "Cognito calls even a fresh sign-in expired, so a clock is wrong; set the clock of "
            "this machine (for example `timedatectl set-ntp true`) and try again."
        )
    return sign_in_error(refusal)
