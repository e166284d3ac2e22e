"""Account: one profile's sign-in, opened for use; and how it begins and ends.

Owns how the parts of this package are put together for the session and the command line:
`open_account`, `sign_in`, `sign_out`, `stored_sign_in`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from cognitofs.auth.challenges import Prompter
from cognitofs.auth.clients import CognitoClient
from cognitofs.auth.clock import ServerClock
from cognitofs.auth.credentials import CognitoCredentials
from cognitofs.auth.devices import Device
from cognitofs.auth.identity import (
    ClassicFlow,
    EnhancedFlow,
    Exchange,
    IdentitySource,
    PoolIdentity,
)
from cognitofs.auth.logins import CommandLogins, StoredLogins
from cognitofs.auth.process import ProcessIdentity
from cognitofs.auth.refresh import TokenSource, stored_tokens
from cognitofs.auth.reset import reset_password
from cognitofs.auth.signin import Flow, SignIn
from cognitofs.auth.tokens import TokenSet, TokenStore, guest
from cognitofs.auth.translate import Refusal, sign_in_error
from cognitofs.auth.vault import Keyring
from cognitofs.config import Profile, require_sign_in
from cognitofs.errors import CognitoFSError, ConfigError
from cognitofs.rootprefix import resolve_root


@dataclass(frozen=True, slots=True)
class Account:
    """Who is signed in, their keys, and the prefix that is theirs.

    `root` ends in "/" or is "" (the whole bucket). `tokens` are None when a command gives keys or
    logins; `identity_id` is "" for a credential process that prints none.
    """

    profile: Profile
    credentials: CognitoCredentials
    identity_id: str
    root: str
    tokens: TokenSet | None

    @property
    def username(self) -> str:
        """Who is signed in, "" when nobody with a name is."""
        return self.tokens.username if self.tokens else ""

    @property
    def sub(self) -> str:
        """The user pool's lasting id of the person, "" for none."""
        return self.tokens.sub if self.tokens else ""

    @property
    def is_guest(self) -> bool:
        """Whether these are the files of an identity pool's guest."""
        return self.tokens is not None and self.tokens.is_guest

    @property
    def who(self) -> str:
        """Who it is, in words."""
        if self.profile.credential_process:
            return "the credential process"
        return self.username or ("a guest" if self.is_guest else "the login command")

    @property
    def expires_at(self) -> float | None:
        """When the keys at hand end, seconds since the epoch; they are renewed before."""
        return self.credentials.expires_at

    @property
    def sign_in_ends(self) -> float | None:
        """When a new login will be needed, about; None: never, or not known."""
        return self.tokens.ends_at(self.profile.refresh_token_validity) if self.tokens else None

    @property
    def s3_uri(self) -> str:
        """Where the files are."""
        return f"s3://{self.profile.bucket}/{self.root}"


def open_account(profile: Profile, state: Path, *, clock: ServerClock | None = None) -> Account:
    """Return the account of *profile*, with keys fetched and the clock checked.

    *state* is the profile's state directory (`Settings.state`). Raises LoginRequired,
    AuthUnavailable, ClockSkew, SignInRefused, ConfigError, SpoolDamaged.
    """
    clock = clock or ServerClock()
    is_signed_in = not (profile.credential_process or profile.login_command)
    tokens = stored_sign_in(profile, state) if is_signed_in else None
    credentials = CognitoCredentials(_source(profile, state, clock), now=clock.now)
    try:
        credentials.current()
    except CognitoFSError:
        # A wrong clock explains a refusal better than the refusal does.
        clock.require_sane()
        raise
    clock.require_sane()
    return Account(
        profile=profile,
        credentials=credentials,
        identity_id=credentials.identity_id,
        root=_root(profile, credentials.identity_id, tokens),
        tokens=tokens,
    )


@dataclass(frozen=True, slots=True)
class Way:
    """How to sign in: the flow, the factor to ask for first, whether to trust this machine."""

    flow: Flow = "srp"
    preferred: str = ""
    is_trusted: bool = False


def sign_in(
    profile: Profile,
    state: Path,
    username: str,
    prompter: Prompter,
    *,
    way: Way | None = None,
    clock: ServerClock | None = None,
) -> TokenSet:
    """Sign *username* in and keep the sign-in in *state*.

    Raises WrongCredentials, SignInRefused, AuthUnavailable, ClockSkew, ConfigError, SpoolDamaged.
    """
    require_sign_in(profile)
    clock, way = clock or ServerClock(), way or Way()
    store = token_store(profile, state)
    require_no_guest(store)
    user_pool = CognitoClient("cognito-idp", profile, clock)
    begun = SignIn(
        user_pool,
        profile,
        prompter,
        clock,
        device=_known_device(store, profile, username),
        is_trusted=way.is_trusted,
    )
    return keep(store, begun.run(username, way.flow, way.preferred), clock)


def keep(store: TokenStore, tokens: TokenSet, clock: ServerClock) -> TokenSet:
    """Write a new sign-in down; return it with what was known of the same person before.

    Raises ClockSkew, AuthUnavailable, SpoolDamaged.
    """
    clock.require_sane()
    with store.locked():
        kept = replace(tokens, identity_id=_known_identity(store, tokens))
        store.save(kept)
    return kept


def sign_in_as_guest(profile: Profile, state: Path) -> TokenSet:
    """Become a guest of the identity pool, or remain the one that this profile already is.

    The identity is kept like a token: who knows it is the guest, and whoever loses it loses the
    files. Raises SignInError, ConfigError, SpoolDamaged.
    """
    clock, store = ServerClock(), token_store(profile, state)
    known = _loaded(store)
    if known is not None and known.is_guest:
        return stored_tokens(store, profile)
    identity_pool = CognitoClient("cognito-identity", profile, clock)
    found = identity_pool.call("get_id", IdentityPoolId=profile.identity_pool_id)
    tokens = guest(str(found["IdentityId"]), profile, clock.now())
    with store.locked():
        store.save(tokens)
    return tokens


def forget_password(profile: Profile, username: str, prompter: Prompter) -> None:
    """Let *username* replace a forgotten password. Raises as `reset_password`."""
    require_sign_in(profile)
    reset_password(
        CognitoClient("cognito-idp", profile, ServerClock()), profile, prompter, username
    )


def sign_out(profile: Profile, state: Path) -> CognitoFSError | None:
    """End the sign-in: revoke it at Cognito and forget it here.

    Returns why it could not be revoked, None when it was or when there was none. Forgotten it is
    in any case. Keys issued before live on for up to an hour. Raises SpoolDamaged.
    """
    store = token_store(profile, state)
    with store.locked():
        problem = _revoke(profile, store)
        store.remove()
    return problem


def stored_sign_in(profile: Profile, state: Path) -> TokenSet:
    """Return the sign-in kept in *state*, without asking Cognito. Raises LoginRequired."""
    return stored_tokens(token_store(profile, state), profile)


def former_sign_in(profile: Profile, state: Path) -> TokenSet | None:
    """Return the sign-in that a new one would replace, None when there is no usable one."""
    return _loaded(token_store(profile, state))


def put_back(profile: Profile, state: Path, former: TokenSet | None) -> None:
    """End the sign-in that was just made, and keep *former* again. Raises SpoolDamaged."""
    store = token_store(profile, state)
    with store.locked():
        _revoke(profile, store)
        store.save(former) if former else store.remove()


def token_store(profile: Profile, state: Path) -> TokenStore:
    """Return where the sign-in of *profile* is kept."""
    return TokenStore(state, vault=Keyring(str(state)) if profile.keyring else None)


def require_no_guest(store: TokenStore) -> None:
    """Raise ConfigError when a new sign-in would lose a guest's identity."""
    known = _loaded(store)
    if known is not None and known.is_guest:
        raise ConfigError(
            f"This profile is the guest {known.identity_id}, whose files nobody else can reach; "
            "sign in with another --profile, or give them up with `cognitofs logout --purge`."
        )


def _source(profile: Profile, state: Path, clock: ServerClock) -> IdentitySource:
    if profile.credential_process:
        return ProcessIdentity(profile.credential_process)
    identity_pool = CognitoClient("cognito-identity", profile, clock)
    exchange = _exchange(profile, identity_pool, clock)
    if profile.login_command:
        logins: CommandLogins | StoredLogins = CommandLogins(profile)
    else:
        user_pool = CognitoClient("cognito-idp", profile, clock)
        tokens = TokenSource(token_store(profile, state), user_pool, profile, clock)
        logins = StoredLogins(tokens, profile)
    return PoolIdentity(logins, identity_pool, exchange, profile.identity_pool_id)


def _exchange(profile: Profile, identity_pool: CognitoClient, clock: ServerClock) -> Exchange:
    if not profile.role_arn:
        return EnhancedFlow(identity_pool, profile)
    return ClassicFlow(identity_pool, CognitoClient("sts", profile, clock), profile)


def _root(profile: Profile, identity_id: str, tokens: TokenSet | None) -> str:
    template = profile.root_template(has_identity=bool(identity_id))
    named = {"username": tokens.username, "sub": tokens.sub} if tokens else {}
    return resolve_root(template, {"identity_id": identity_id, **named})


def _loaded(store: TokenStore) -> TokenSet | None:
    """Return the former sign-in; one that is damaged or exposed is replaced by the new one."""
    try:
        return store.load()
    except CognitoFSError:
        return None


def _known_device(store: TokenStore, profile: Profile, username: str) -> Device | None:
    """Return this machine as the pool knows it from *username*'s former sign-in."""
    former = _loaded(store)
    if former is None or former.user_pool_id != profile.user_pool_id:
        return None
    return former.device if username in (former.login_name, former.username) else None


def _known_identity(store: TokenStore, tokens: TokenSet) -> str:
    """Return the identity id of this user's former sign-in: a first guess, checked by the pool."""
    former = _loaded(store)
    if former is None or (former.sub, former.user_pool_id) != (tokens.sub, tokens.user_pool_id):
        return ""
    return former.identity_id


def _revoke(profile: Profile, store: TokenStore) -> CognitoFSError | None:
    try:
        tokens = store.load()
        if tokens is None or not tokens.refresh_token:
            return None
        user_pool = CognitoClient("cognito-idp", profile, ServerClock())
        secret = {"ClientSecret": profile.client_secret} if profile.client_secret else {}
        answer = user_pool.ask(
            "revoke_token", ClientId=profile.client_id, Token=tokens.refresh_token, **secret
        )
    except CognitoFSError as exc:
        return exc
    return sign_in_error(answer) if isinstance(answer, Refusal) else None
