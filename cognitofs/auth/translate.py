"""What Cognito's refusals mean: one table from code and words to our error and a sentence.

Owns the table. Sources: the modelled errors of cognito-idp and cognito-identity in botocore, and
texts seen from the services; rows are tried in order, the first that fits decides.
"""

from dataclasses import dataclass

from cognitofs.errors import (
    AuthUnavailable,
    ConfigError,
    LoginRequired,
    SignInError,
    SignInRefused,
    WrongCredentials,
)

ErrorClass = type[SignInError] | type[ConfigError]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer of Cognito, as it came. `code` is the status where no code came."""

    operation: str
    code: str
    message: str
    status: int

    @property
    def is_about_service(self) -> bool:
        """Whether the service is in trouble, rather than the request."""
        return self.status >= 500 or self.code in _TROUBLE

    @property
    def is_expired_id_token(self) -> bool:
        """Whether the identity pool calls the id token too old."""
        return self.code == "NotAuthorizedException" and "oken expired" in self.message

    @property
    def is_foreign_identity(self) -> bool:
        """Whether the remembered identity id belongs to another login, or is gone."""
        return (
            "Logins don't match" in self.message
            or ("Access to Identity" in self.message and "forbidden" in self.message)
            or (self.code == "ResourceNotFoundException" and "dentity '" in self.message)
        )

    def is_missing_operation(self, *, on_aws: bool) -> bool:
        """Whether the server does not know the operation.

        Emulators (moto) answer a page with 500 instead of an error; AWS's own 500 means trouble.
        """
        if self.code in ("UnknownOperationException", "UnknownOperation", "InvalidAction"):
            return True
        return not on_aws and self.status >= 500 and not self.code.endswith("Exception")


_TROUBLE = frozenset(
    {
        "TooManyRequestsException",
        "LimitExceededException",
        "ThrottlingException",
        "InternalErrorException",
        "ExternalServiceException",
        "ServiceUnavailable",
        "RequestTimeout",
    }
)

_CONFIGURE = "correct it with `cognitofs configure`"
_AGAIN = "run `cognitofs login`"

# (code, part of the message or "", error, sentence); "{text}" is the service's own text.
_ROWS: tuple[tuple[str, str, ErrorClass, str], ...] = (
    (
        "NotAuthorizedException",
        "Incorrect username or password",
        WrongCredentials,
        "The user name or the password is wrong; try again.",
    ),
    (
        "NotAuthorizedException",
        "attempts exceeded",
        SignInRefused,
        "Cognito has locked this account for a while after too many tries; "
        "wait some minutes before you try again.",
    ),
    (
        "NotAuthorizedException",
        "User is disabled",
        SignInRefused,
        "This account is disabled; ask your administrator to enable it.",
    ),
    (
        "NotAuthorizedException",
        "SECRET_HASH",
        ConfigError,
        "The app client has a secret that the profile lacks or has wrong; set it with "
        "`cognitofs configure --client-secret-stdin`.",
    ),
    (
        "NotAuthorizedException",
        "ecret hash",
        ConfigError,
        "The app client's secret in the profile is wrong; set it with "
        "`cognitofs configure --client-secret-stdin`.",
    ),
    (
        "NotAuthorizedException",
        "efresh Token",
        LoginRequired,
        f"Your sign-in has ended; {_AGAIN} (unsent files are kept).",
    ),
    (
        "NotAuthorizedException",
        "not from a supported provider",
        ConfigError,
        "The identity pool does not accept this user pool or app client; ask your administrator "
        f"to link them, or {_CONFIGURE}.",
    ),
    (
        "NotAuthorizedException",
        "Unauthenticated access is not supported",
        ConfigError,
        f"The identity pool admits nobody without a sign-in; {_AGAIN}.",
    ),
    (
        "NotAuthorizedException",
        "Logins don't match",
        ConfigError,
        "The identity kept here belongs to another login; run `cognitofs logout`, then "
        "`cognitofs login`.",
    ),
    (
        "NotAuthorizedException",
        "Access to Identity",
        ConfigError,
        "The identity kept here belongs to another login; run `cognitofs logout`, then "
        "`cognitofs login`.",
    ),
    (
        "NotAuthorizedException",
        "Basic (classic) flow is not enabled",
        ConfigError,
        "The identity pool does not allow the classic flow that `role_arn` asks for; remove "
        "`role_arn`, or ask your administrator to allow it.",
    ),
    (
        "NotAuthorizedException",
        "Invalid session",
        WrongCredentials,
        "The sign-in took too long and was ended by Cognito; start again.",
    ),
    (
        "NotAuthorizedException",
        "",
        SignInRefused,
        "Cognito refused: {text}; ask your administrator what this account may do.",
    ),
    (
        "RefreshTokenReuseException",
        "",
        LoginRequired,
        f"Your sign-in was renewed elsewhere and has ended here; {_AGAIN}.",
    ),
    (
        "UserNotFoundException",
        "",
        WrongCredentials,
        "There is no such user in the user pool; check the user name and try again.",
    ),
    (
        "UserNotConfirmedException",
        "",
        SignInRefused,
        "This account is not confirmed yet; enter the code that was sent to you in the "
        "application, then sign in again.",
    ),
    (
        "PasswordResetRequiredException",
        "",
        SignInRefused,
        "Your administrator asks for a new password; set one with "
        "`cognitofs login --forgot-password`.",
    ),
    (
        "InvalidPasswordException",
        "",
        WrongCredentials,
        "The new password was not accepted: {text}; choose another one.",
    ),
    (
        "PasswordHistoryPolicyViolationException",
        "",
        WrongCredentials,
        "The new password was used before; choose another one.",
    ),
    ("CodeMismatchException", "", WrongCredentials, "The code is wrong; try again."),
    ("ExpiredCodeException", "", WrongCredentials, "The code is too old; try a new one."),
    (
        "EnableSoftwareTokenMFAException",
        "",
        WrongCredentials,
        "The code of the authenticator app is wrong; try again.",
    ),
    (
        "InvalidParameterException",
        "flow not enabled",
        ConfigError,
        "The app client does not allow this way to sign in ({text}); ask your administrator to "
        "enable ALLOW_{flow} on it, or try `cognitofs login --browser`.",
    ),
    (
        "InvalidParameterException",
        "",
        ConfigError,
        f"Cognito did not accept the request: {{text}}; check the profile and {_CONFIGURE}.",
    ),
    (
        "ResourceNotFoundException",
        "",
        ConfigError,
        "Cognito does not know the pool or the app client of the profile: {text}; check the "
        f"ids and the region, and {_CONFIGURE}.",
    ),
    (
        "InvalidIdentityPoolConfigurationException",
        "",
        ConfigError,
        "The identity pool has no usable role for signed-in users; ask your administrator to "
        "set it and its trust policy.",
    ),
    (
        "ResourceConflictException",
        "",
        SignInRefused,
        "This login is already linked to another identity; ask your administrator.",
    ),
    (
        "ForbiddenException",
        "",
        AuthUnavailable,
        "The firewall of the user pool blocks this machine; wait, or ask your administrator.",
    ),
    (
        "UserLambdaValidationException",
        "",
        SignInRefused,
        "The user pool's own check refused the sign-in: {text}; ask your administrator.",
    ),
    (
        "UnexpectedLambdaException",
        "",
        SignInRefused,
        "The user pool's own check failed: {text}; tell your administrator.",
    ),
    (
        "InvalidLambdaResponseException",
        "",
        SignInRefused,
        "The user pool's own check failed: {text}; tell your administrator.",
    ),
    (
        "AccessDenied",
        "",
        ConfigError,
        "AWS does not let this login take the role ({text}); check `role_arn`, and ask your "
        "administrator for the role's trust policy.",
    ),
    (
        "ExpiredTokenException",
        "",
        AuthUnavailable,
        "AWS calls the sign-in's token too old; it is renewed by itself, else check the clock.",
    ),
    (
        "InvalidIdentityToken",
        "",
        ConfigError,
        "AWS does not accept the login's token for the role ({text}); ask your administrator for "
        "the role's trust policy.",
    ),
    (
        "DeveloperUserAlreadyRegisteredException",
        "",
        SignInRefused,
        "This user is already registered with another identity; ask your administrator.",
    ),
    (
        "CodeDeliveryFailureException",
        "",
        SignInRefused,
        "Cognito could not send the code: {text}; ask your administrator.",
    ),
    (
        "TooManyFailedAttemptsException",
        "",
        SignInRefused,
        "There were too many wrong codes; wait some minutes before you try again.",
    ),
    (
        "MFAMethodNotFoundException",
        "",
        SignInRefused,
        "Your account has no such second factor; set one up in the application.",
    ),
    (
        "SoftwareTokenMFANotFoundException",
        "",
        SignInRefused,
        "Your account has no authenticator app; set one up in the application.",
    ),
    (
        "OperationNotEnabledException",
        "",
        ConfigError,
        "The user pool has this feature turned off: {text}; ask your administrator.",
    ),
    (
        "FeatureUnavailableInTierException",
        "",
        ConfigError,
        "The user pool's plan lacks this feature: {text}; ask your administrator.",
    ),
    (
        "UnsupportedOperationException",
        "",
        ConfigError,
        "The user pool lacks this feature: {text}; ask your administrator.",
    ),
)

_LONGEST_QUOTE = 200


def sign_in_error(refusal: Refusal) -> SignInError | ConfigError:
    """Return the error that *refusal* means."""
    if refusal.is_about_service:
        return AuthUnavailable(
            f"Cognito cannot answer now ({refusal.code}); it is tried again by itself, "
            "otherwise try again in some minutes."
        )
    for code, words, error, sentence in _ROWS:
        if refusal.code == code and words in refusal.message:
            text = quoted(refusal.message)
            return error(sentence.format(text=text, flow=_flow_in(text)))
    return SignInRefused(
        f"Cognito refused {refusal.operation} with {refusal.code}: {quoted(refusal.message)}; "
        "ask your administrator."
    )


def _flow_in(text: str) -> str:
    """Return the flow that a message names ("USER_SRP_AUTH flow not enabled for this client")."""
    return next((word for word in text.split() if word.endswith("_AUTH")), "USER_SRP_AUTH")


def refresh_error(refusal: Refusal) -> SignInError | ConfigError:
    """Return what *refusal* of a refresh means: an account that lost its right must sign in."""
    error = sign_in_error(refusal)
    if isinstance(error, SignInRefused | WrongCredentials):
        if refusal.message.startswith("User is disabled"):
            return LoginRequired(
                "This account was disabled, so its sign-in has ended; ask your administrator, "
                f"then {_AGAIN} (unsent files are kept)."
            )
        return LoginRequired(
            f"Your sign-in has ended ({quoted(refusal.message)}); {_AGAIN} (unsent files are kept)."
        )
    return error


def quoted(text: str) -> str:
    """Return *text* of the service fit to stand inside a sentence."""
    line = "".join(each if each.isprintable() else " " for each in text)
    return line.strip().rstrip(".")[:_LONGEST_QUOTE]
