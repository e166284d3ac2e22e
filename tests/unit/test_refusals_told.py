"""What Cognito refuses, in the words a person gets: one test per row of the table."""

import pytest

from cognitofs.auth.translate import _ROWS, Refusal, refresh_error, sign_in_error
from cognitofs.errors import (
    AuthUnavailable,
    ConfigError,
    LoginRequired,
    SignInRefused,
    WrongCredentials,
)

NOT_AUTHORIZED = "NotAuthorizedException"

# Code, the service's text, our error, and what the sentence must tell.
TOLD = [
    (NOT_AUTHORIZED, "Incorrect username or password.", WrongCredentials, "password is wrong"),
    (NOT_AUTHORIZED, "Password attempts exceeded", SignInRefused, "wait some minutes"),
    (NOT_AUTHORIZED, "User is disabled.", SignInRefused, "administrator to enable it"),
    (NOT_AUTHORIZED, "Invalid Refresh Token", LoginRequired, "unsent files are kept"),
    (NOT_AUTHORIZED, "Refresh Token has expired", LoginRequired, "cognitofs login"),
    (NOT_AUTHORIZED, "Refresh Token has been revoked", LoginRequired, "cognitofs login"),
    ("RefreshTokenReuseException", "", LoginRequired, "renewed elsewhere"),
    (
        NOT_AUTHORIZED,
        "Client c is configured with secret but SECRET_HASH was not received",
        ConfigError,
        "--client-secret-stdin",
    ),
    (NOT_AUTHORIZED, "Unable to verify secret hash for client c", ConfigError, "secret"),
    (
        NOT_AUTHORIZED,
        "Token is not from a supported provider of this identity pool.",
        ConfigError,
        "to link them",
    ),
    (NOT_AUTHORIZED, "Logins don't match. Please include", ConfigError, "cognitofs logout"),
    (NOT_AUTHORIZED, "Access to Identity 'x' is forbidden.", ConfigError, "cognitofs logout"),
    (
        NOT_AUTHORIZED,
        "Unauthenticated access is not supported for this identity pool.",
        ConfigError,
        "run `cognitofs login`",
    ),
    (NOT_AUTHORIZED, "Basic (classic) flow is not enabled, ...", ConfigError, "`role_arn`"),
    (NOT_AUTHORIZED, "Invalid session for the user.", WrongCredentials, "start again"),
    (NOT_AUTHORIZED, "Something new", SignInRefused, "Something new"),
    ("UserNotFoundException", "", WrongCredentials, "no such user"),
    ("UserNotConfirmedException", "", SignInRefused, "code that was sent"),
    ("PasswordResetRequiredException", "", SignInRefused, "--forgot-password"),
    ("InvalidPasswordException", "Password too short", WrongCredentials, "Password too short"),
    ("PasswordHistoryPolicyViolationException", "", WrongCredentials, "used before"),
    ("CodeMismatchException", "", WrongCredentials, "code is wrong"),
    ("ExpiredCodeException", "", WrongCredentials, "too old"),
    ("EnableSoftwareTokenMFAException", "", WrongCredentials, "authenticator app is wrong"),
    (
        "InvalidParameterException",
        "USER_AUTH flow not enabled for this client",
        ConfigError,
        "ALLOW_USER_AUTH",
    ),
    ("InvalidParameterException", "Bad thing", ConfigError, "Bad thing"),
    ("ResourceNotFoundException", "User pool x does not exist.", ConfigError, "the region"),
    ("InvalidIdentityPoolConfigurationException", "", ConfigError, "trust policy"),
    ("ResourceConflictException", "", SignInRefused, "already linked"),
    ("DeveloperUserAlreadyRegisteredException", "", SignInRefused, "already registered"),
    ("TooManyRequestsException", "", AuthUnavailable, "tried again by itself"),
    ("LimitExceededException", "", AuthUnavailable, "tried again by itself"),
    ("InternalErrorException", "", AuthUnavailable, "tried again by itself"),
    ("ExternalServiceException", "", AuthUnavailable, "tried again by itself"),
    ("ForbiddenException", "", AuthUnavailable, "firewall"),
    ("UserLambdaValidationException", "not you", SignInRefused, "not you"),
    ("UnexpectedLambdaException", "broken", SignInRefused, "broken"),
    ("InvalidLambdaResponseException", "broken", SignInRefused, "broken"),
    ("OperationNotEnabledException", "", ConfigError, "turned off"),
    ("FeatureUnavailableInTierException", "", ConfigError, "plan"),
    ("UnsupportedOperationException", "", ConfigError, "lacks this feature"),
    ("CodeDeliveryFailureException", "no mail", SignInRefused, "no mail"),
    ("TooManyFailedAttemptsException", "", SignInRefused, "too many wrong codes"),
    ("MFAMethodNotFoundException", "", SignInRefused, "second factor"),
    ("SoftwareTokenMFANotFoundException", "", SignInRefused, "authenticator app"),
    ("AccessDenied", "Not authorized to perform sts:Assume...", ConfigError, "`role_arn`"),
    ("InvalidIdentityToken", "wrong", ConfigError, "trust policy"),
    ("ExpiredTokenException", "", AuthUnavailable, "too old"),
]


@pytest.mark.parametrize(("code", "text", "kind", "words"), TOLD)
def test_a_refusal_is_told_with_what_to_do(code, text, kind, words):
    error = sign_in_error(Refusal("some_operation", code, text, 400))
    assert type(error) is kind
    assert words in str(error)
    assert str(error).endswith(".")
    assert "{" not in str(error)


def test_every_row_of_the_table_is_told_above():
    """A row that no refusal of the list reaches is not tested, or can never be reached."""
    reached = set()
    for code, text, _, _ in TOLD:
        fitting = [row for row in _ROWS if row[0] == code and row[1] in text]
        reached |= set(fitting[:1])
    assert [row[:2] for row in _ROWS if row not in reached] == []


def test_text_of_the_service_cannot_steer_a_terminal_and_has_an_end():
    error = sign_in_error(Refusal("x", "NeverHeardOf", "a\x1b[2J\nb" + "c" * 999, 400))
    assert str(error).isprintable()
    assert len(str(error)) < 400


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_in_trouble_is_never_the_persons_fault(status):
    assert type(sign_in_error(Refusal("x", "", "<html>", status))) is AuthUnavailable


@pytest.mark.parametrize(
    "code", ["UserNotFoundException", "PasswordResetRequiredException", NOT_AUTHORIZED]
)
def test_a_renewal_that_is_refused_for_good_wants_a_login(code):
    assert type(refresh_error(Refusal("x", code, "whatever", 400))) is LoginRequired
