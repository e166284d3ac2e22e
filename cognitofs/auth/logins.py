"""Whose login an identity pool gets: the sign-in kept here, a guest's, or one a command prints.

Owns the `LoginSource`s. Renewing tokens is `refresh.py`; exchanging a login, `identity.py`.
"""

from typing import Any

from cognitofs.auth.identity import DEVELOPER_PROVIDER, Login
from cognitofs.auth.process import PrintingCommand
from cognitofs.auth.refresh import TokenSource
from cognitofs.auth.tokens import TokenSet
from cognitofs.config import Profile


class StoredLogins:
    """The sign-in in the token store, a person's or a guest's; a new one counts at once."""

    def __init__(self, tokens: TokenSource, profile: Profile) -> None:
        self._tokens, self._provider = tokens, user_pool_provider(profile)
        self._last: TokenSet | None = None

    def current(self) -> Login:
        """See `LoginSource`. Raises LoginRequired, AuthUnavailable, ConfigError, SpoolDamaged."""
        return self._login(self._tokens.current())

    def renewed(self, rejected: Login) -> Login:
        """See `LoginSource`; as `current`."""
        return self._login(self._tokens.renew(rejected.tokens.get(self._provider, "")))

    def remember(self, login: Login, identity_id: str) -> None:
        """Keep *identity_id* in the store."""
        if self._last is not None:
            self._tokens.remember_identity(self._last, identity_id)

    def _login(self, tokens: TokenSet) -> Login:
        self._last = tokens
        proofs = {} if tokens.is_guest else {self._provider: tokens.id_token}
        return Login(proofs, tokens.identity_id)


class CommandLogins:
    """Logins that a command prints: of another identity provider, or of the person's own server.

    It prints {"Logins": {"PROVIDER": "TOKEN", ...}}, the map of GetId and
    GetCredentialsForIdentity, or {"IdentityId": "...", "Token": "..."}, the answer of
    GetOpenIdTokenForDeveloperIdentity. It is run for each exchange.
    """

    def __init__(self, profile: Profile) -> None:
        """Raise ConfigError for a command that cannot be one."""
        self._command = PrintingCommand(profile.login_command, "login_command")
        self._found = ""

    def current(self) -> Login:
        """See `LoginSource`. Raises AuthUnavailable, ConfigError."""
        printed = self._command.printed()
        identity = printed.get("IdentityId") or ""
        tokens = printed.get("Logins") or self._developer_token(printed.get("Token"))
        if not isinstance(identity, str) or not _is_texts(tokens):
            raise self._command.wrong(
                'neither {"Logins": ...} nor {"IdentityId": ..., "Token": ...}'
            )
        if DEVELOPER_PROVIDER in tokens and not identity:
            raise self._command.wrong("a Token without its IdentityId")
        return Login(tokens, identity or self._found)

    def renewed(self, rejected: Login) -> Login:
        """See `LoginSource`: run the command again."""
        return self.current()

    def remember(self, login: Login, identity_id: str) -> None:
        """Ask the pool once per process which identity it is."""
        self._found = identity_id

    # A member of a JSON document can be anything.
    def _developer_token(self, token: Any) -> Any:  # noqa: ANN401 - see above
        return {DEVELOPER_PROVIDER: token} if token else None


# A member of a JSON document can be anything.
def _is_texts(found: Any) -> bool:  # noqa: ANN401 - see above
    return (
        isinstance(found, dict)
        and bool(found)
        and all(isinstance(each, str) and each for each in found.values())
    )


def user_pool_provider(profile: Profile) -> str:
    """Return the name under which an identity pool knows the user pool of *profile*."""
    region = profile.user_pool_region
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"cognito-idp.{region}.{suffix}/{profile.user_pool_id}"
