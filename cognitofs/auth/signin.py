"""SignIn: the conversation with a user pool that ends in tokens.

Owns the challenge loop and which answers each challenge wants (InitiateAuth and
RespondToAuthChallenge of cognito-idp). How a person is asked is the `Prompter`'s; further flows and
challenges are further rows of `_answers`.

INVARIANT: the password is proved by SRP and never sent, except a new one that Cognito asked for.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from cognitofs.auth import srp
from cognitofs.auth.clients import Answer, CognitoClient
from cognitofs.auth.clock import ServerClock
from cognitofs.auth.tokens import TokenSet, claims_of
from cognitofs.auth.translate import Refusal, sign_in_error
from cognitofs.config import Profile
from cognitofs.errors import SignInRefused, WrongCredentials

# Cognito ends the session of a challenge after three wrong answers.
_TRIES = 3
# Far more than any pool can ask for; keeps a broken server from asking for ever.
_MOST_CHALLENGES = 20


class Prompter(Protocol):
    """Asks the person. Each method may raise SignInRefused when there is nobody to ask."""

    def password(self, username: str) -> str:
        """Return the password of *username*."""
        ...

    def new_password(self, username: str) -> str:
        """Return the password that shall replace a temporary one."""
        ...

    def attribute(self, name: str) -> str:
        """Return the value of a required attribute of the account, such as "email"."""
        ...

    def code(self, kind: str) -> str:
        """Return the one-time code of a challenge (*kind* is its name)."""
        ...

    def notice(self, text: str) -> None:
        """Tell the person something, such as why the last answer was not accepted."""
        ...


class SignIn:
    """One sign-in. Use each instance once."""

    def __init__(
        self, user_pool: CognitoClient, profile: Profile, prompter: Prompter, clock: ServerClock
    ) -> None:
        self._pool, self._profile, self._prompter = user_pool, profile, prompter
        self._clock = clock
        self._srp = srp.SrpClient()
        self._username = ""
        self._answers: Mapping[str, Callable[[Mapping[str, str]], dict[str, str]]] = {
            "PASSWORD_VERIFIER": self._password_verifier,
            "NEW_PASSWORD_REQUIRED": self._new_password,
            "SOFTWARE_TOKEN_MFA": self._authenticator_code,
        }

    def run(self, username: str) -> TokenSet:
        """Sign *username* in.

        Raises WrongCredentials, SignInRefused, AuthUnavailable, ConfigError.
        """
        self._username = username
        answer = self._pool.call(
            "initiate_auth",
            ClientId=self._profile.client_id,
            AuthFlow="USER_SRP_AUTH",
            AuthParameters={**self._name(), "SRP_A": self._srp.srp_a},
        )
        for _ in range(_MOST_CHALLENGES):
            if answer.get("AuthenticationResult"):
                return self._tokens(answer["AuthenticationResult"], username)
            answer = self._answer(answer)
        raise SignInRefused("The user pool asks for ever more steps; tell your administrator.")

    def _name(self) -> dict[str, str]:
        """Return USERNAME, and SECRET_HASH over it where the app client has a secret."""
        secret = self._profile.client_secret
        named = {"USERNAME": self._username}
        if secret:
            named["SECRET_HASH"] = srp.secret_hash(self._username, self._profile.client_id, secret)
        return named

    def _answer(self, challenge: Answer) -> Answer:
        name = str(challenge.get("ChallengeName", ""))
        parameters = challenge.get("ChallengeParameters") or {}
        if name not in self._answers:
            raise SignInRefused(
                f"The user pool asks for {name or 'a step without a name'}, which this version "
                "cannot answer; ask your administrator for a sign-in with password or "
                "authenticator app."
            )
        # The service's own name for the user; differs from what was typed for an alias.
        self._username = parameters.get("USERNAME") or self._username
        tries = 1 if name == "PASSWORD_VERIFIER" else _TRIES
        return self._respond(name, challenge, parameters, tries)

    def _respond(
        self, name: str, challenge: Answer, parameters: Mapping[str, str], tries: int
    ) -> Answer:
        """Answer a challenge, and again in the same session while the person mistypes."""
        session = challenge.get("Session")
        echoed = {"Session": session} if session else {}
        while True:
            tries -= 1
            answer = self._pool.ask(
                "respond_to_auth_challenge",
                ClientId=self._profile.client_id,
                ChallengeName=name,
                ChallengeResponses={**self._name(), **self._answers[name](parameters)},
                **echoed,
            )
            if not isinstance(answer, Refusal):
                return answer
            error = sign_in_error(answer)
            if not tries or not isinstance(error, WrongCredentials):
                raise error
            self._prompter.notice(str(error))

    def _password_verifier(self, parameters: Mapping[str, str]) -> dict[str, str]:
        password = self._prompter.password(self._username)
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        return self._srp.password_verifier(self._profile.user_pool_id, password, parameters, now)

    def _new_password(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """Return the new password and every attribute the pool lacks ("userAttributes.NAME")."""
        wanted = json.loads(parameters.get("requiredAttributes") or "[]")
        answers = {"NEW_PASSWORD": self._prompter.new_password(self._username)}
        for name in wanted:
            answers[name] = self._prompter.attribute(name.removeprefix("userAttributes."))
        return answers

    def _authenticator_code(self, _: Mapping[str, str]) -> dict[str, str]:
        return {"SOFTWARE_TOKEN_MFA_CODE": self._prompter.code("SOFTWARE_TOKEN_MFA")}

    def _tokens(self, result: Mapping[str, Any], typed: str) -> TokenSet:
        if result.get("NewDeviceMetadata"):
            self._prompter.notice(
                "The user pool remembers devices, which this version does not take part in: the "
                "sign-in may end after an hour."
            )
        claims = claims_of(result["IdToken"])
        now = self._clock.now()
        return TokenSet(
            id_token=result["IdToken"],
            access_token=result["AccessToken"],
            refresh_token=result.get("RefreshToken", ""),
            sub=str(claims.get("sub", "")),
            username=str(claims.get("cognito:username") or typed),
            issued_at=float(claims.get("iat", now)),
            expires_at=float(claims["exp"]),
            signed_in_at=now,
            user_pool_id=self._profile.user_pool_id,
            client_id=self._profile.client_id,
        )
