"""Signature Version 4, checked: the other side of `cognitofs.store.signing`, written apart from it.

Source: Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header".
"""

import calendar
import hashlib
import hmac
import re
import time

from tests.strict.conversation import Call, Refused

SKEW_SECONDS = 900
_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?"
    r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)


def check_signature(call: Call, access_key: str, secret_key: str) -> None:
    """Raise Refused unless *call* was signed with these keys, now, and with this body."""
    found = _HEADER.fullmatch(call.headers.get("authorization", ""))
    if found is None:
        raise Refused(403, "AccessDenied", "The request is not signed.")
    who, day, region, names, signature = found.groups()
    if who != access_key:
        raise Refused(403, "InvalidAccessKeyId")
    stamp = call.headers.get("x-amz-date", "")
    _check_date(stamp, day)
    _check_payload(call)
    scope = f"{day}/{region}/s3/aws4_request"
    digest = hashlib.sha256(_canonical(call, names).encode("latin-1")).hexdigest()
    key = f"AWS4{secret_key}".encode()
    for step in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    if not hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signature):
        raise Refused(403, "SignatureDoesNotMatch")


def _check_date(stamp: str, day: str) -> None:
    try:
        signed = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise Refused(403, "AccessDenied", "x-amz-date is missing or no date.") from None
    if not stamp.startswith(day):
        raise Refused(403, "SignatureDoesNotMatch", "The scope is of another day.")
    if abs(signed - time.time()) > SKEW_SECONDS:
        raise Refused(403, "RequestTimeTooSkewed")


def _check_payload(call: Call) -> None:
    said = call.headers.get("x-amz-content-sha256", "")
    if said.startswith("STREAMING-"):
        raise Refused(501, "NotImplemented", "Bodies in signed chunks are not read here.")
    if said not in ("UNSIGNED-PAYLOAD", hashlib.sha256(call.body).hexdigest()):
        raise Refused(400, "XAmzContentSHA256Mismatch")


def _canonical(call: Call, names: str) -> str:
    signed = names.split(";")
    unsigned = [n for n in call.headers if n.startswith("x-amz-") and n not in signed]
    if unsigned or "host" not in signed:
        raise Refused(403, "AccessDenied", "There were headers which were not signed.")
    pairs = (pair if "=" in pair else f"{pair}=" for pair in call.raw_query.split("&") if pair)
    lines = "".join(f"{name}:{' '.join(call.headers.get(name, '').split())}\n" for name in signed)
    payload = call.headers["x-amz-content-sha256"]
    return f"{call.method}\n{call.path}\n{'&'.join(sorted(pairs))}\n{lines}\n{names}\n{payload}"
