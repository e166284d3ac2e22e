"""HostedLogin: the sign-in in a browser, on the user pool's own pages.

Owns the authorization code flow with PKCE: what the browser is sent to, the checks of what it comes
back with, and the exchange of the code. Sources: RFC 6749, RFC 7636 (S256), OpenID Connect Core
(nonce), "Authorize endpoint" and "Token endpoint" of the Cognito developer guide. Waiting for the
browser is `loopback.py`.

INVARIANT: a code is only exchanged if it came with our state, and only with our verifier.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from cognitofs.auth import landing
from cognitofs.auth.clients import WebClient
from cognitofs.auth.clock import ServerClock
from cognitofs.auth.loopback import listening
from cognitofs.auth.tokens import TokenSet, claims_of, token_set
from cognitofs.auth.translate import quoted
from cognitofs.config import Profile, require_browser
from cognitofs.errors import (
    AuthUnavailable,
    CognitoFSError,
    ConfigError,
    SignInError,
    SignInRefused,
)

_WAIT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: what only we know, and the address to open."""

    url: str = field(repr=False)
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


class HostedLogin:
    """Signs somebody in with a browser."""

    def __init__(self, profile: Profile, clock: ServerClock) -> None:
        """Raise ConfigError when the profile does not say where that is."""
        require_browser(profile)
        self._profile, self._clock = profile, clock
        self._web = WebClient(profile, clock)

    def begin(self) -> Attempt:
        """Return a new attempt."""
        verifier, state, nonce = (secrets.token_urlsafe(48) for _ in range(3))
        digest = hashlib.sha256(verifier.encode()).digest()
        profile = self._profile
        query = {
            "response_type": "code",
            "client_id": profile.client_id,
            "redirect_uri": profile.oauth_redirect,
            "scope": _scopes(profile),
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        if profile.identity_provider:
            query["identity_provider"] = profile.identity_provider
        url = f"{profile.oauth_url}/oauth2/authorize?{urlencode(query)}"
        return Attempt(url, state, nonce, verifier)

    def through_browser(
        self, show: Callable[[str], None], *, seconds: float = _WAIT_SECONDS
    ) -> TokenSet:
        """Give *show* the address to open, wait for the browser, return the sign-in.

        Raises SignInRefused, AuthUnavailable, ClockSkew, ConfigError.
        """
        attempt = self.begin()
        with listening(self._profile.oauth_redirect, attempt.state) as loopback:
            show(attempt.url)
            answer = loopback.wait(seconds)
            try:
                tokens = self._tokens(answer, attempt)
            except CognitoFSError as exc:
                loopback.show(landing.failure_page(str(exc)), is_good=False)
                raise
            where = f"s3://{self._profile.bucket}" if self._profile.bucket else ""
            loopback.show(landing.success_page(tokens.username, where), is_good=True)
            return tokens

    def through_paste(self, paste: Callable[[str], str]) -> TokenSet:
        """Give *paste* the address to open anywhere; it returns where the browser was sent.

        Raises as `through_browser`.
        """
        attempt = self.begin()
        pasted = paste(attempt.url).strip()
        answer = dict(parse_qsl(urlsplit(pasted).query, keep_blank_values=True))
        if not answer:
            raise ConfigError(
                "That is not the address the browser was sent to; copy the whole of it, it begins "
                f"with {self._profile.oauth_redirect}?"
            )
        state = answer.get("state", "")
        if not hmac.compare_digest(state.encode(), attempt.state.encode()):
            raise SignInRefused(
                "That address belongs to another sign-in, so it was not used; run the command "
                "again and use the address it prints."
            )
        return self._tokens(answer, attempt)

    def _tokens(self, answer: Mapping[str, str], attempt: Attempt) -> TokenSet:
        """Return the sign-in for an answer whose state was right."""
        if answer.get("error"):
            raise _refused(answer)
        if not answer.get("code"):
            raise SignInRefused("The browser came back without a code; run the command again.")
        result = self._exchanged(answer["code"], attempt)
        self._require_nonce(str(result.get("id_token") or ""), attempt)
        return token_set(
            {
                "IdToken": result["id_token"],
                "AccessToken": str(result.get("access_token") or ""),
                "RefreshToken": str(result.get("refresh_token") or ""),
            },
            self._profile,
            "",
            self._clock.now(),
            None,
        )

    def _exchanged(self, code: str, attempt: Attempt) -> Mapping[str, Any]:
        status, body = self._web.post(
            f"{self._profile.oauth_url}/oauth2/token",
            {
                "grant_type": "authorization_code",
                "client_id": self._profile.client_id,
                "code": code,
                "redirect_uri": self._profile.oauth_redirect,
                "code_verifier": attempt.verifier,
            },
        )
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            document = {}
        if status != 200 or not document:
            raise _not_exchanged(status, document)
        return document

    def _require_nonce(self, id_token: str, attempt: Attempt) -> None:
        """Raise SignInRefused unless the id token was made for this attempt."""
        if not id_token:
            raise ConfigError(
                "The user pool sent no id token; add `openid` to the app client's scopes and to "
                "`oauth_scopes`."
            )
        nonce = str(claims_of(id_token).get("nonce") or "")
        if not hmac.compare_digest(nonce.encode(), attempt.nonce.encode()):
            raise SignInRefused(
                "The sign-in that came back was not made for this one (its nonce differs), so it "
                "was not used; run the command again."
            )


def _scopes(profile: Profile) -> str:
    """Return the scopes to ask for: without openid there is no id token."""
    scopes = profile.oauth_scopes.split()
    return " ".join(scopes if "openid" in scopes else ["openid", *scopes])


def _refused(answer: Mapping[str, str]) -> SignInError | ConfigError:
    error = quoted(answer["error"])
    text = quoted(answer.get("error_description") or error)
    if error == "access_denied":
        return SignInRefused(f"The sign-in was refused in the browser ({text}); run it again.")
    if error in ("temporarily_unavailable", "server_error"):
        return AuthUnavailable(f"The sign-in page has trouble ({text}); try again in some minutes.")
    if error == "invalid_scope":
        return ConfigError(
            f"The app client does not allow the scopes of the profile ({text}); correct "
            "`oauth_scopes`."
        )
    return ConfigError(
        f"The sign-in page refused the request ({error}: {text}); check `oauth_domain`, "
        "`client_id` and `identity_provider`, or ask your administrator."
    )


def _not_exchanged(status: int, document: Mapping[str, Any]) -> SignInError | ConfigError:
    error = quoted(str(document.get("error") or f"status {status}"))
    if status >= 500 or status == 429:
        return AuthUnavailable(f"Cognito cannot answer now ({error}); try again in some minutes.")
    if error == "invalid_grant":
        return SignInRefused(
            "Cognito did not accept the code of the browser (used, too old, or not made for this "
            "sign-in); run the command again."
        )
    if error in ("invalid_client", "unauthorized_client"):
        return ConfigError(
            f"The app client may not exchange the code ({error}); check `client_id`, its secret, "
            "and that it allows the authorization code grant."
        )
    return ConfigError(f"{error} came where the token endpoint should be; check `oauth_domain`.")
