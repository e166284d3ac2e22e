"""Account: one profile's sign-in, opened for use; and how it begins and ends.

Owns how the parts of this package are put together for the session and the command line:
`open_account`, `sign_in`, `sign_out`, `stored_sign_in`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from cognitofs.auth.clients import CognitoClient
from cognitofs.auth.clock import ServerClock
from cognitofs.auth.credentials import CognitoCredentials
from cognitofs.auth.identity import IdentitySource, ProcessIdentity, UserPoolIdentity
from cognitofs.auth.refresh import TokenSource, stored_tokens
from cognitofs.auth.signin import Prompter, SignIn
from cognitofs.auth.tokens import TokenSet, TokenStore
from cognitofs.auth.translate import Refusal, sign_in_error
from cognitofs.config import Profile, require_sign_in
from cognitofs.errors import CognitoFSError
from cognitofs.rootprefix import resolve_root


@dataclass(frozen=True, slots=True)
class Account:
    """Who is signed in, their keys, and the prefix that is theirs.

    `root` ends in "/" or is "" (the whole bucket). For a credential process `username` and `sub`
    are "", `signed_in_at` is None, and `identity_id` is "" unless it prints one.
    """

    profile: Profile
    credentials: CognitoCredentials
    identity_id: str
    username: str
    sub: str
    root: str
    signed_in_at: float | None

    @property
    def expires_at(self) -> float | None:
        """When the keys at hand end, seconds since the epoch; they are renewed before."""
        return self.credentials.expires_at

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
    tokens = None if profile.credential_process else stored_sign_in(profile, state)
    credentials = CognitoCredentials(_source(profile, state, clock), now=clock.now)
    try:
        credentials.current()
    except CognitoFSError:
        # A wrong clock explains a refusal better than the refusal does.
        clock.require_sane()
        raise
    clock.require_sane()
    username, sub = (tokens.username, tokens.sub) if tokens else ("", "")
    return Account(
        profile=profile,
        credentials=credentials,
        identity_id=credentials.identity_id,
        username=username,
        sub=sub,
        root=_root(profile, credentials.identity_id, username, sub),
        signed_in_at=tokens.signed_in_at if tokens else None,
    )


def sign_in(
    profile: Profile,
    state: Path,
    username: str,
    prompter: Prompter,
    *,
    clock: ServerClock | None = None,
) -> TokenSet:
    """Sign *username* in and keep the sign-in in *state*.

    Raises WrongCredentials, SignInRefused, AuthUnavailable, ClockSkew, ConfigError, SpoolDamaged.
    """
    require_sign_in(profile)
    clock = clock or ServerClock()
    user_pool = CognitoClient("cognito-idp", profile, clock)
    tokens = SignIn(user_pool, profile, prompter, clock).run(username)
    clock.require_sane()
    store = TokenStore(state)
    with store.locked():
        tokens = replace(tokens, identity_id=_known_identity(store, tokens))
        store.save(tokens)
    return tokens


def sign_out(profile: Profile, state: Path) -> CognitoFSError | None:
    """End the sign-in: revoke it at Cognito and forget it here.

    Returns why it could not be revoked, None when it was or when there was none. Forgotten it is
    in any case. Keys issued before live on for up to an hour. Raises SpoolDamaged.
    """
    store = TokenStore(state)
    with store.locked():
        problem = _revoke(profile, store)
        store.remove()
    return problem


def stored_sign_in(profile: Profile, state: Path) -> TokenSet:
    """Return the sign-in kept in *state*, without asking Cognito. Raises LoginRequired."""
    return stored_tokens(TokenStore(state), profile)


def _source(profile: Profile, state: Path, clock: ServerClock) -> IdentitySource:
    if profile.credential_process:
        return ProcessIdentity(profile.credential_process)
    require_sign_in(profile)
    user_pool = CognitoClient("cognito-idp", profile, clock)
    identity_pool = CognitoClient("cognito-identity", profile, clock)
    tokens = TokenSource(TokenStore(state), user_pool, profile, clock)
    return UserPoolIdentity(tokens, identity_pool, profile)


def _root(profile: Profile, identity_id: str, username: str, sub: str) -> str:
    template = profile.root_template(has_identity=bool(identity_id))
    claims = {"identity_id": identity_id, "username": username, "sub": sub}
    return resolve_root(template, claims)


def _known_identity(store: TokenStore, tokens: TokenSet) -> str:
    """Return the identity id of this user's former sign-in: a first guess, checked by the pool."""
    try:
        former = store.load()
    except CognitoFSError:
        # A damaged or exposed former sign-in is replaced by the new one.
        return ""
    is_same = former is not None and (former.sub, former.user_pool_id) == (
        tokens.sub,
        tokens.user_pool_id,
    )
    return former.identity_id if former is not None and is_same else ""


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
