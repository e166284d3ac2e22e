"""What S3 refused, and what that means: one table from its codes to our errors.

Owns the sentences. Source of the codes: Amazon S3 API Reference, "Error responses". An answer to
HEAD has no body, so there the status decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cognitofs.errors import (
    AccessDenied,
    Archived,
    AuthUnavailable,
    ClockSkew,
    CognitoFSError,
    ConditionalConflict,
    Corrupted,
    KeysRefused,
    NoSuchBucket,
    NoSuchUpload,
    NotFound,
    PreconditionFailed,
    Rejected,
    ServerTrouble,
    Throttled,
    TooLarge,
    Unreachable,
    Unsupported,
)
from cognitofs.store import answers

_SKEW = 600.0  # seconds; S3 refuses at 15 minutes, HEAD without saying why
_MOST_RETRY_AFTER = 300
"""Seconds; a server that names more is asked again nevertheless."""
_EXPIRED = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"}
)

Row = tuple[type[CognitoFSError], str]

BY_CODE: Mapping[str, Row] = {
    "AccessDenied": (AccessDenied, "Ask the administrator to allow it in your role."),
    "AllAccessDisabled": (AccessDenied, "Ask the administrator: the bucket is closed."),
    "AccountProblem": (AccessDenied, "Ask the administrator: the AWS account has a problem."),
    "InvalidAccessKeyId": (KeysRefused, "Sign in again: S3 does not know these keys."),
    "SignatureDoesNotMatch": (KeysRefused, "Check the keys and the endpoint in the profile."),
    "RequestTimeTooSkewed": (ClockSkew, "Set the clock of this machine right and try again."),
    "NoSuchKey": (NotFound, "Somebody removed it; list the directory again."),
    "NoSuchVersion": (NotFound, "Somebody removed it; list the directory again."),
    "NoSuchUpload": (NoSuchUpload, "The upload has to start again."),
    "NoSuchBucket": (NoSuchBucket, "Check the name of the bucket in the profile."),
    "InvalidBucketName": (NoSuchBucket, "Check the name of the bucket in the profile."),
    "PermanentRedirect": (NoSuchBucket, "Check the bucket's region in the profile."),
    "TemporaryRedirect": (NoSuchBucket, "Check the bucket's region in the profile."),
    "Redirect": (NoSuchBucket, "Check the bucket's region in the profile."),
    "AuthorizationHeaderMalformed": (NoSuchBucket, "Check the bucket's region in the profile."),
    "IllegalLocationConstraintException": (
        NoSuchBucket,
        "Check the bucket's region in the profile.",
    ),
    "PreconditionFailed": (PreconditionFailed, "Somebody else changed it; read it again."),
    "ConditionalRequestConflict": (ConditionalConflict, "Somebody else is writing it; try again."),
    "OperationAborted": (ConditionalConflict, "Somebody else is writing it; try again."),
    "InvalidObjectState": (Archived, "Restore it from the archive first."),
    "EntityTooLarge": (TooLarge, "Store it as several files."),
    "EntityTooSmall": (Rejected, "Use a larger --part-size."),
    "BadDigest": (Corrupted, "It was damaged on the way; send it again."),
    "InvalidDigest": (Corrupted, "It was damaged on the way; send it again."),
    "XAmzContentChecksumMismatch": (Corrupted, "It was damaged on the way; send it again."),
    "XAmzContentSHA256Mismatch": (Corrupted, "It was damaged on the way; send it again."),
    "RequestTimeout": (Unreachable, "The connection was too slow; try again."),
    "IncompleteBody": (Unreachable, "The connection broke; try again."),
    "InternalError": (ServerTrouble, "Try again later."),
    "ServiceUnavailable": (Throttled, "Try again later, with fewer transfers at once."),
    "SlowDown": (Throttled, "Try again later, with fewer transfers at once."),
    "Throttling": (Throttled, "Try again later, with fewer transfers at once."),
    "RequestLimitExceeded": (Throttled, "Try again later, with fewer transfers at once."),
    "TooManyRequests": (Throttled, "Try again later, with fewer transfers at once."),
    "NotImplemented": (Unsupported, "This server cannot do it; use another S3 service."),
    "MethodNotAllowed": (Unsupported, "This server cannot do it; use another S3 service."),
}
"""Codes not listed here are judged by the status."""

_CODE_OF_STATUS: Mapping[int, str] = {
    301: "PermanentRedirect",
    307: "TemporaryRedirect",
    403: "AccessDenied",
    404: "NoSuchKey",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    413: "EntityTooLarge",
    429: "TooManyRequests",
    501: "NotImplemented",
    503: "ServiceUnavailable",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is not what was asked for. *date* is the server's clock, 0 if unknown.

    *retry_after* is in seconds, 0 if S3 names none.
    """

    status: int
    code: str = ""
    message: str = ""
    region: str = ""
    date: int = 0
    retry_after: float = 0.0

    @property
    def may_be_skewed(self) -> bool:
        """Whether S3 may have refused the date of the signature; to HEAD it does not say why."""
        return self.code == "RequestTimeTooSkewed" or (self.status == 403 and not self.code)

    @property
    def is_expired(self) -> bool:
        """Whether S3 says that the keys have expired."""
        return self.code in _EXPIRED

    @property
    def may_be_expired(self) -> bool:
        """Whether new keys may help.

        HEAD with expired keys is a bare 400; servers off AWS forget keys that have expired.
        """
        is_bare = self.status == 400 and not self.code
        return self.is_expired or is_bare or self.code == "InvalidAccessKeyId"


def refusal_of(answer: answers.Answer) -> Refusal:
    """Read an answer whose status says that it refused."""
    return refusal_from(answer.status, answer.headers, answer.read())


def refusal_from(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    """Read the parts of a refusing answer."""
    fields = answers.error_fields(body) if body else {}
    return Refusal(
        status=status,
        code=fields.get("Code", ""),
        message=fields.get("Message", ""),
        region=fields.get("Region") or headers.get("x-amz-bucket-region", ""),
        date=answers.http_time(headers.get("date", "")),
        retry_after=_retry_after(headers),
    )


def error_of(refusal: Refusal, operation: str, key: str, *, now: float) -> CognitoFSError:
    """Return the error that *refusal* of *operation* on the relative *key* means.

    *now* is this machine's clock in seconds since the epoch.
    """
    kind, hint = _row(refusal)
    if kind is AccessDenied and refusal.date and abs(refusal.date - now) > _SKEW:
        kind, hint = BY_CODE["RequestTimeTooSkewed"]
    if kind is NoSuchBucket and refusal.region:
        hint = f"The bucket is in {refusal.region}: set bucket_region = {refusal.region!r}."
    code = refusal.code or f"status {refusal.status}"
    said = f": {_printable(refusal.message)}" if refusal.message else ""
    error = kind(f"S3 refused {operation} of {key!r} ({code}{said}). {hint}")
    if isinstance(error, Throttled):
        error.retry_after = refusal.retry_after
    return error


def still_expired(operation: str, key: str) -> AuthUnavailable:
    """Return the error for keys that are refused as expired right after they were renewed."""
    return AuthUnavailable(
        f"S3 refused {operation} of {key!r} because the keys have expired, though they were just "
        "renewed. Check the clock of this machine, then sign in again with `cognitofs login`."
    )


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of Retry-After (RFC 9110, 10.2.3), within reason."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:6]), _MOST_RETRY_AFTER))
    until, date = answers.http_time(text), answers.http_time(headers.get("date", ""))
    return float(min(max(0, until - date), _MOST_RETRY_AFTER)) if until and date else 0.0


def _row(refusal: Refusal) -> Row:
    code = refusal.code or _CODE_OF_STATUS.get(refusal.status, "")
    if code in BY_CODE:
        return BY_CODE[code]
    if refusal.status in _CODE_OF_STATUS and refusal.status >= 500:
        return BY_CODE[_CODE_OF_STATUS[refusal.status]]
    if refusal.status >= 500:
        return ServerTrouble, "Try again later."
    fallback = _CODE_OF_STATUS.get(refusal.status)
    if fallback is not None:
        return BY_CODE[fallback]
    return Rejected, "Report it: cognitofs should not have asked for it."


def _printable(message: str) -> str:
    """Shorten a server's words to one harmless line."""
    return "".join(letter if letter.isprintable() else " " for letter in message[:200]).rstrip(".")
