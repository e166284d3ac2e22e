"""A forgotten password: Cognito sends a code, and the code sets a new password.

Owns ForgotPassword and ConfirmForgotPassword of cognito-idp.
"""

from cognitofs.auth import srp
from cognitofs.auth.challenges import CODE_TRIES, Prompter
from cognitofs.auth.clients import CognitoClient
from cognitofs.auth.translate import Refusal, sign_in_error
from cognitofs.config import Profile
from cognitofs.errors import WrongCredentials


def reset_password(
    user_pool: CognitoClient, profile: Profile, prompter: Prompter, username: str
) -> None:
    """Let *username* set a new password with a code that Cognito sends.

    Raises WrongCredentials, SignInRefused, AuthUnavailable, ConfigError.
    """
    named = _named(profile, username)
    sent = user_pool.call("forgot_password", **named).get("CodeDeliveryDetails") or {}
    place = str(sent.get("Destination") or "your e-mail address or telephone")
    for left in range(CODE_TRIES - 1, -1, -1):
        code = prompter.code("FORGOT_PASSWORD", place)
        password = prompter.new_password(username)
        answer = user_pool.ask(
            "confirm_forgot_password", **named, ConfirmationCode=code, Password=password
        )
        if not isinstance(answer, Refusal):
            return
        error = sign_in_error(answer)
        if not left or not isinstance(error, WrongCredentials):
            raise error
        prompter.notice(str(error))


def _named(profile: Profile, username: str) -> dict[str, str]:
    secret, client = profile.client_secret, profile.client_id
    named = {"ClientId": client, "Username": username}
    if secret:
        named["SecretHash"] = srp.secret_hash(username, client, secret)
    return named
