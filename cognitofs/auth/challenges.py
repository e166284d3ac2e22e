"""What each challenge of a user pool wants, and whom to ask for it.

Owns the answers of RespondToAuthChallenge, one method each, and the questions to the person
(`Prompter`). The conversation itself is `signin.py`. Source: RespondToAuthChallenge and
AdminInitiateAuth in the model of cognito-idp.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import quote

from cognitofs.auth import srp
from cognitofs.auth.clients import Answer, CognitoClient
from cognitofs.auth.clock import ServerClock
from cognitofs.auth.devices import Device
from cognitofs.auth.translate import Refusal, sign_in_error
from cognitofs.config import Profile
from cognitofs.errors import SignInRefused, WrongCredentials

CODE_TRIES = 3
"""Cognito ends the session of a challenge after three wrong answers."""

_CODES = ("SMS_MFA", "SOFTWARE_TOKEN_MFA", "EMAIL_OTP", "SMS_OTP")
_TOTP = "SOFTWARE_TOKEN_MFA"
# SRP proves what PASSWORD would send.
_PREFERENCE = ("PASSWORD_SRP", "PASSWORD")
_ELSEWHERE = frozenset({"WEB_AUTHN"})


class Prompter(Protocol):
    """Asks the person. Each method may raise ConfigError when there is nobody to ask."""

    def password(self, username: str) -> str:
        """Return the password of *username*."""
        ...

    def new_password(self, username: str) -> str:
        """Return the password that shall replace a temporary or a forgotten one."""
        ...

    def attribute(self, name: str) -> str:
        """Return the value of a required attribute of the account, such as "email"."""
        ...

    def code(self, kind: str, sent_to: str) -> str:
        """Return the one-time code of a challenge (*kind* is its name).

        *sent_to* says where it was sent as far as Cognito shows that, "" for an app.
        """
        ...

    def choice(self, kind: str, options: Sequence[str]) -> str:
        """Return one of *options* (challenge names); *kind* is the challenge that offers them."""
        ...

    def authenticator(self, uri: str, secret: str) -> str:
        """Let the person add *secret* (*uri* says the same) to an app; return the app's code."""
        ...

    def notice(self, text: str) -> None:
        """Tell the person something, such as why the last answer was not accepted."""
        ...


@dataclass(frozen=True, slots=True)
class Response:
    """What to answer; `session` replaces the challenge's when it is not ""."""

    answers: Mapping[str, str]
    session: str = ""


class Challenges:
    """Answers the challenges of one sign-in. `username` and `device` follow the conversation."""

    def __init__(
        self, user_pool: CognitoClient, profile: Profile, prompter: Prompter, clock: ServerClock
    ) -> None:
        self.username = ""
        self.device: Device | None = None
        self._pool, self._profile, self._prompter = user_pool, profile, prompter
        self._clock = clock
        self._srp = srp.SrpClient()
        self._password = ""
        self._methods: Mapping[str, Callable[[Answer, Mapping[str, str]], Response]] = {
            "PASSWORD": self._sent_password,
            "PASSWORD_SRP": self._srp_public,
            "PASSWORD_VERIFIER": self._password_verifier,
            "NEW_PASSWORD_REQUIRED": self._new_password,
            "SELECT_CHALLENGE": self._selected_challenge,
            "SELECT_MFA_TYPE": self._selected_mfa,
            "MFA_SETUP": self._new_authenticator,
            "DEVICE_SRP_AUTH": self._device_public,
            "DEVICE_PASSWORD_VERIFIER": self._device_verifier,
            **dict.fromkeys(_CODES, self._code),
        }

    def response(self, challenge: Answer) -> Response:
        """Return what answers *challenge*. Raises SignInRefused for one that we cannot answer."""
        name, parameters = name_of(challenge), challenge.get("ChallengeParameters") or {}
        if name in _ELSEWHERE:
            raise SignInRefused(
                f"The user pool asks for {name}, which needs a browser; run "
                "`cognitofs login --browser`."
            )
        if name not in self._methods:
            raise SignInRefused(
                f"The user pool asks for {name or 'a step without a name'}, which this version "
                "cannot answer; try `cognitofs login --browser`, or ask your administrator for a "
                "sign-in with password or authenticator app."
            )
        return self._methods[name](challenge, parameters)

    def first(self, kind: str) -> dict[str, str]:
        """Return the answers that go with choosing the factor *kind*, before it is asked for."""
        if kind == "PASSWORD_SRP":
            return {"SRP_A": self._new_srp().srp_a}
        return {"PASSWORD": self._known_password()} if kind == "PASSWORD" else {}

    def _new_srp(self) -> srp.SrpClient:
        self._srp = srp.SrpClient()
        return self._srp

    def _known_password(self) -> str:
        """Ask once: a sign-in that starts over does not ask again."""
        self._password = self._password or self._prompter.password(self.username)
        return self._password

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)

    # Each of these answers one challenge.

    def _sent_password(self, _: Answer, __: Mapping[str, str]) -> Response:
        return Response(self.first("PASSWORD"))

    def _srp_public(self, _: Answer, __: Mapping[str, str]) -> Response:
        return Response(self.first("PASSWORD_SRP"))

    def _password_verifier(self, _: Answer, parameters: Mapping[str, str]) -> Response:
        pool, password = self._profile.user_pool_id, self._known_password()
        return Response(self._srp.password_verifier(pool, password, parameters, self._now()))

    def _device_public(self, _: Answer, __: Mapping[str, str]) -> Response:
        self._known_device()
        return Response({"SRP_A": self._new_srp().srp_a})

    def _device_verifier(self, _: Answer, parameters: Mapping[str, str]) -> Response:
        device = self._known_device()
        proof = self._srp.device_verifier(device.name, device.password, parameters, self._now())
        return Response(proof)

    def _known_device(self) -> Device:
        if self.device is None:
            raise SignInRefused(
                "The user pool asks for a remembered device, which this machine is not; ask your "
                "administrator."
            )
        return self.device

    def _new_password(self, _: Answer, parameters: Mapping[str, str]) -> Response:
        """Return the new password and every attribute the pool lacks ("userAttributes.NAME")."""
        wanted = _listed(parameters, "requiredAttributes")
        answers = {"NEW_PASSWORD": self._prompter.new_password(self.username)}
        for name in wanted:
            answers[name] = self._prompter.attribute(name.removeprefix("userAttributes."))
        return Response(answers)

    def _code(self, challenge: Answer, parameters: Mapping[str, str]) -> Response:
        kind = name_of(challenge)
        sent_to = parameters.get("CODE_DELIVERY_DESTINATION", "")
        return Response({f"{kind}_CODE": self._prompter.code(kind, sent_to)})

    def _selected_challenge(self, challenge: Answer, _: Mapping[str, str]) -> Response:
        offered = [str(each) for each in challenge.get("AvailableChallenges") or ()]
        if all(each in offered for each in _PREFERENCE):
            offered.remove("PASSWORD")
        kind = self._chosen("SELECT_CHALLENGE", offered)
        return Response({"ANSWER": kind, **self.first(kind)})

    def _selected_mfa(self, _: Answer, parameters: Mapping[str, str]) -> Response:
        return Response(
            {"ANSWER": self._chosen("SELECT_MFA_TYPE", _listed(parameters, "MFAS_CAN_CHOOSE"))}
        )

    def _chosen(self, challenge: str, offered: Sequence[str]) -> str:
        options = [each for each in offered if each not in _ELSEWHERE]
        if not options:
            raise SignInRefused(
                "The user pool offers no way to sign in without a browser; run "
                "`cognitofs login --browser`."
            )
        return options[0] if len(options) == 1 else self._prompter.choice(challenge, options)

    def _new_authenticator(self, challenge: Answer, parameters: Mapping[str, str]) -> Response:
        """Add an authenticator app to the account: AssociateSoftwareToken, VerifySoftwareToken."""
        offered = _listed(parameters, "MFAS_CAN_SETUP")
        if _TOTP not in offered:
            raise SignInRefused(
                f"The user pool wants {' or '.join(offered) or 'a second factor'} set up first; "
                "do that in the application, then sign in again."
            )
        begun = self._pool.call("associate_software_token", Session=challenge.get("Session"))
        return Response({}, session=self._verified(begun))

    def _verified(self, begun: Answer) -> str:
        secret = str(begun["SecretCode"])
        for left in range(CODE_TRIES - 1, -1, -1):
            code = self._prompter.authenticator(self._uri(secret), secret)
            answer = self._pool.ask(
                "verify_software_token", Session=begun["Session"], UserCode=code
            )
            if not isinstance(answer, Refusal):
                return str(answer["Session"])
            error = sign_in_error(answer)
            if not left or not isinstance(error, WrongCredentials):
                raise error
            self._prompter.notice(str(error))
        raise AssertionError("the last try returns or raises")

    def _uri(self, secret: str) -> str:
        """Return the key in the form that authenticator apps read ("Key Uri Format", Google)."""
        issuer = quote(self._profile.bucket or self._profile.user_pool_id)
        return f"otpauth://totp/{issuer}:{quote(self.username)}?secret={secret}&issuer={issuer}"


def name_of(challenge: Answer) -> str:
    """Return the challenge's name, "" for none."""
    return str(challenge.get("ChallengeName") or "")


def _listed(parameters: Mapping[str, str], key: str) -> list[str]:
    """Return a parameter that is a JSON list of texts."""
    try:
        found = json.loads(parameters.get(key) or "[]")
    except ValueError as exc:
        raise _strange(key) from exc
    if not isinstance(found, list):
        raise _strange(key)
    return [str(each) for each in found]


def _strange(key: str) -> SignInRefused:
    return SignInRefused(
        f"The user pool sent {key} that cannot be read; check the endpoints of the profile."
    )
