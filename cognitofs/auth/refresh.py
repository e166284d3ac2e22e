"""TokenSource: an id token that is good now, renewed with the refresh token.

Owns the order of a renewal: lock, read what another process may have renewed, ask Cognito, write
down, use. Source: GetTokensFromRefreshToken of cognito-idp; with rotation the old refresh token
dies within 60 s of its use, so a new one that was not written down would end the sign-in.

INVARIANT: a renewed token set is on disk before anybody gets it.
"""

from collections.abc import Mapping
from dataclasses import replace

from cognitofs.auth import srp
from cognitofs.auth.clients import Answer, CognitoClient
from cognitofs.auth.clock import ServerClock
from cognitofs.auth.tokens import TokenSet, TokenStore, claims_of
from cognitofs.auth.translate import Refusal, refresh_error
from cognitofs.config import Profile
from cognitofs.errors import AuthUnavailable, LoginRequired


def stored_tokens(store: TokenStore, profile: Profile) -> TokenSet:
    """Return the sign-in of *profile* as it is kept, however old, without asking Cognito.

    Raises LoginRequired, ConfigError, SpoolDamaged.
    """
    tokens, name = store.load(), profile.name
    if tokens is None:
        raise LoginRequired(f"You are not signed in; run `cognitofs login --profile {name}`.")
    if tokens.is_guest:
        return _guest(tokens, profile)
    if (tokens.user_pool_id, tokens.client_id) != (profile.user_pool_id, profile.client_id):
        raise LoginRequired(
            f"Profile {name!r} names another user pool or app client than the one you signed "
            f"in to; run `cognitofs login --profile {name}`."
        )
    return tokens


def _guest(tokens: TokenSet, profile: Profile) -> TokenSet:
    if tokens.identity_pool_id != profile.identity_pool_id:
        raise LoginRequired(
            f"Profile {profile.name!r} names another identity pool than the one whose guest you "
            f"are; name that one again, or give the guest up with `cognitofs logout --purge`."
        )
    return tokens


class TokenSource:
    """Gives the tokens of one profile's sign-in. Safe to use from several threads."""

    def __init__(
        self, store: TokenStore, user_pool: CognitoClient, profile: Profile, clock: ServerClock
    ) -> None:
        self._store, self._pool, self._profile, self._clock = store, user_pool, profile, clock
        # A refresh token that Cognito called dead: not asked for again until another is there.
        self._dead = ""
        self._is_old_emulator = False

    def current(self) -> TokenSet:
        """Return tokens whose id token is good for a while.

        Raises LoginRequired, AuthUnavailable, ConfigError, SpoolDamaged.
        """
        tokens = stored_tokens(self._store, self._profile)
        if tokens.is_fresh(self._clock.now()):
            return tokens
        try:
            return self._renewed(tokens.id_token)
        except AuthUnavailable:
            if self._clock.now() < tokens.expires_at:
                return tokens
            raise

    def renew(self, rejected_id_token: str) -> TokenSet:
        """Return other tokens than those with this one, which the pool refused as too old."""
        return self._renewed(rejected_id_token)

    def remember_identity(self, tokens: TokenSet, identity_id: str) -> None:
        """Keep *identity_id* with the sign-in that it was found with, if that is still there."""
        with self._store.locked():
            stored = self._store.load()
            if stored and stored.sub == tokens.sub and stored.identity_id != identity_id:
                self._store.save(replace(stored, identity_id=identity_id))

    def _renewed(self, rejected_id_token: str) -> TokenSet:
        with self._store.locked():
            tokens = stored_tokens(self._store, self._profile)
            if tokens.id_token != rejected_id_token and tokens.is_fresh(self._clock.now()):
                return tokens
            return self._exchange(tokens)

    def _exchange(self, tokens: TokenSet) -> TokenSet:
        if tokens.refresh_token == self._dead:
            raise self._ended()
        answer = self._ask(tokens)
        if isinstance(answer, Refusal):
            return self._after(answer, tokens)
        renewed = self._merged(tokens, answer["AuthenticationResult"])
        self._store.save(renewed)
        return renewed

    def _after(self, refusal: Refusal, tokens: TokenSet) -> TokenSet:
        """Look whether somebody who does not honour the lock renewed meanwhile, else give up."""
        stored = stored_tokens(self._store, self._profile)
        if stored.refresh_token != tokens.refresh_token:
            return stored
        error = refresh_error(refusal)
        if isinstance(error, LoginRequired):
            self._dead = tokens.refresh_token
        raise error

    def _ended(self) -> LoginRequired:
        name = self._profile.name
        return LoginRequired(
            f"Your sign-in has ended; run `cognitofs login --profile {name}` "
            "(unsent files are kept)."
        )

    def _ask(self, tokens: TokenSet) -> Answer | Refusal:
        if not self._is_old_emulator:
            answer = self._pool.ask("get_tokens_from_refresh_token", **self._parameters(tokens))
            if not isinstance(answer, Refusal):
                return answer
            if not answer.is_missing_operation(on_aws=self._pool.on_aws):
                return answer
            self._is_old_emulator = True
        return self._pool.ask("initiate_auth", **self._old_parameters(tokens))

    def _parameters(self, tokens: TokenSet) -> Mapping[str, object]:
        secret = self._profile.client_secret
        own = {"ClientSecret": secret} if secret else {}
        # Without it a pool that remembers devices ends the sign-in after an hour.
        device = {"DeviceKey": tokens.device_key} if tokens.device_key else {}
        return {
            "ClientId": self._profile.client_id,
            "RefreshToken": tokens.refresh_token,
            **own,
            **device,
        }

    def _old_parameters(self, tokens: TokenSet) -> Mapping[str, object]:
        client, secret = self._profile.client_id, self._profile.client_secret
        parameters = {"REFRESH_TOKEN": tokens.refresh_token}
        if secret:
            parameters["SECRET_HASH"] = srp.secret_hash(tokens.username, client, secret)
        if tokens.device_key:
            parameters["DEVICE_KEY"] = tokens.device_key
        return {
            "ClientId": client,
            "AuthFlow": "REFRESH_TOKEN_AUTH",
            "AuthParameters": parameters,
        }

    def _merged(self, tokens: TokenSet, result: Answer) -> TokenSet:
        """Return *tokens* renewed. The answer has a refresh token only when it was rotated."""
        claims = claims_of(result["IdToken"])
        return replace(
            tokens,
            id_token=result["IdToken"],
            access_token=result.get("AccessToken", tokens.access_token),
            refresh_token=result.get("RefreshToken") or tokens.refresh_token,
            issued_at=float(claims.get("iat", self._clock.now())),
            expires_at=float(claims["exp"]),
        )
