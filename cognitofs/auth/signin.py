"""SignIn: the conversation with a user pool that ends in tokens.

Owns the loop of InitiateAuth and RespondToAuthChallenge of cognito-idp: its flows, the echoed
session, the tries of a person who mistypes. What each challenge wants is `challenges.py`.

INVARIANT: the password is proved by SRP and never sent, except a new one that Cognito asked for,
or in the flows `password` and `choice` where the profile or the person asks for that.
"""

from collections.abc import Mapping
from typing import Any, Literal

from cognitofs.auth import srp
from cognitofs.auth.challenges import CODE_TRIES, Challenges, Prompter, name_of
from cognitofs.auth.clients import Answer, CognitoClient
from cognitofs.auth.clock import ServerClock
from cognitofs.auth.devices import Device, confirmed_device, is_unknown_device
from cognitofs.auth.tokens import TokenSet, token_set
from cognitofs.auth.translate import Refusal, sign_in_error
from cognitofs.config import Profile
from cognitofs.errors import SignInRefused, WrongCredentials

Flow = Literal["srp", "password", "choice"]

_FLOWS: Mapping[Flow, tuple[str, str]] = {
    "srp": ("USER_SRP_AUTH", "PASSWORD_SRP"),
    "password": ("USER_PASSWORD_AUTH", "PASSWORD"),
    "choice": ("USER_AUTH", ""),
}
# Far more than any pool can ask for; keeps a broken server from asking for ever.
_MOST_CHALLENGES = 20
_DEVICE_CHALLENGES = ("DEVICE_SRP_AUTH", "DEVICE_PASSWORD_VERIFIER")
# What the person typed can be asked for again in the same session.
_REPEATABLE = frozenset(
    {"SMS_MFA", "SOFTWARE_TOKEN_MFA", "EMAIL_OTP", "SMS_OTP", "NEW_PASSWORD_REQUIRED"}
)


class _DeviceForgotten(Exception):
    """The pool does not know this machine any more: start over without it."""


class SignIn:
    """One sign-in. Use each instance once."""

    def __init__(
        self,
        user_pool: CognitoClient,
        profile: Profile,
        prompter: Prompter,
        clock: ServerClock,
        *,
        device: Device | None = None,
        is_trusted: bool = False,
    ) -> None:
        """*device* is this machine, if the pool knows it; *is_trusted* see `devices.py`."""
        self._pool, self._profile, self._prompter = user_pool, profile, prompter
        self._clock, self._is_trusted = clock, is_trusted
        self._challenges = Challenges(user_pool, profile, prompter, clock)
        self._challenges.device = device

    def run(self, username: str, flow: Flow = "srp", preferred: str = "") -> TokenSet:
        """Sign *username* in. *preferred* is the factor to ask for in the flow `choice`.

        Raises WrongCredentials, SignInRefused, AuthUnavailable, ConfigError.
        """
        try:
            return self._conversation(username, flow, preferred)
        except _DeviceForgotten:
            self._challenges.device = None
            return self._conversation(username, flow, preferred)

    def _conversation(self, username: str, flow: Flow, preferred: str) -> TokenSet:
        self._challenges.username = username
        answer = self._begun(flow, preferred)
        for _ in range(_MOST_CHALLENGES):
            if answer.get("AuthenticationResult"):
                return self._tokens(answer["AuthenticationResult"], username)
            answer = self._answer(answer)
        raise SignInRefused("The user pool asks for ever more steps; tell your administrator.")

    def _begun(self, flow: Flow, preferred: str) -> Answer:
        name, kind = _FLOWS[flow]
        wish = {"PREFERRED_CHALLENGE": preferred} if preferred and flow == "choice" else {}
        first = self._challenges.first(kind or preferred)
        answer = self._pool.ask(
            "initiate_auth",
            ClientId=self._profile.client_id,
            AuthFlow=name,
            AuthParameters={**self._name(), **wish, **first},
        )
        if isinstance(answer, Refusal):
            self._require_known_device(answer)
            raise sign_in_error(answer)
        return answer

    def _name(self) -> dict[str, str]:
        """Return USERNAME, SECRET_HASH over it where the client has a secret, and DEVICE_KEY."""
        secret, username = self._profile.client_secret, self._challenges.username
        device = self._challenges.device
        named = {"USERNAME": username}
        if secret:
            named["SECRET_HASH"] = srp.secret_hash(username, self._profile.client_id, secret)
        if device:
            named["DEVICE_KEY"] = device.key
        return named

    def _answer(self, challenge: Answer) -> Answer:
        name, parameters = name_of(challenge), challenge.get("ChallengeParameters") or {}
        # The service's own name for the user; differs from what was typed for an alias.
        self._challenges.username = parameters.get("USERNAME") or self._challenges.username
        tries = CODE_TRIES if name in _REPEATABLE else 1
        while True:
            tries -= 1
            answer = self._responded(name, challenge)
            if not isinstance(answer, Refusal):
                return answer
            self._require_known_device(answer, name)
            error = sign_in_error(answer)
            if not tries or not isinstance(error, WrongCredentials):
                raise error
            self._prompter.notice(str(error))

    def _responded(self, name: str, challenge: Answer) -> Answer | Refusal:
        response = self._challenges.response(challenge)
        session = response.session or challenge.get("Session")
        return self._pool.ask(
            "respond_to_auth_challenge",
            ClientId=self._profile.client_id,
            ChallengeName=name,
            ChallengeResponses={**self._name(), **response.answers},
            **({"Session": session} if session else {}),
        )

    def _require_known_device(self, refusal: Refusal, challenge: str = "") -> None:
        """Raise _DeviceForgotten when *refusal* is about this machine rather than the person."""
        if self._challenges.device is None:
            return
        is_refused = challenge in _DEVICE_CHALLENGES and not refusal.is_about_service
        if is_refused or is_unknown_device(refusal):
            raise _DeviceForgotten

    def _tokens(self, result: Mapping[str, Any], typed: str) -> TokenSet:
        """Return the tokens; a new device is confirmed before anything else is done with them."""
        metadata, device = result.get("NewDeviceMetadata"), self._challenges.device
        if metadata:
            device = confirmed_device(
                self._pool, result["AccessToken"], metadata, is_trusted=self._is_trusted
            )
        return token_set(result, self._profile, typed, self._clock.now(), device)
