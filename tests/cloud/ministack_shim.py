"""Run ministack (AUTH=true) with what AWS does, ministack 1.5.33 does not, and the tests lean on.

1. IAM policy variables: ${cognito-identity.amazonaws.com:sub}, ${aws:userid}, ${*} and kin.
2. cognito-identity.amazonaws.com:{aud,sub,amr} as condition keys of the sessions that an identity
   pool vends.
3. GET and HEAD of a missing key: 403 unless s3:ListBucket with s3:prefix=KEY is allowed, else 404.
4. A signature covers the path as the URI-encoded key, however a proxy spelled it.
5. A full-object checksum of a multipart upload is not compared with a composite one, the only kind
   that ministack knows; those of the parts are checked.
6. Control: POST /_test/lifetime?seconds=N (of the sessions vended next), /_test/expire[?key=ID]
   (sessions end now), /_test/fail?service=S&status=503&count=N[&code=C] (answers of a service).

No outcome of a policy is decided here: that is ministack's own evaluator. Started by `emulator.py`
of this folder, in an environment of its own (`install.py`).
"""

import asyncio
import dataclasses
import json
import os
import re
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, quote, unquote, unquote_to_bytes

os.environ.setdefault("AUTH", "true")
os.environ.setdefault("BIND_HOST", "127.0.0.1")

# The environment above is read at import.
from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app as ministack
from ministack.core import iam_evaluator
from ministack.services import cognito, s3, sts

PROVIDER = "cognito-identity.amazonaws.com"
VARIABLE = re.compile(r"\$\{([^}]+)\}")

Message = dict
Send = Callable[[Message], Awaitable[None]]


class PolicyVariables:
    """Facts 1 and 2: each statement is given to the evaluator with its variables filled in."""

    def __init__(self):
        self._keys = iam_evaluator._principal_keys
        self._first_match = iam_evaluator._first_match
        iam_evaluator._principal_keys = self.principal_keys
        iam_evaluator._first_match = self.first_match

    def principal_keys(self, credential):
        keys = self._keys(credential)
        session = sts._sessions.get(credential.access_key_id) or {}
        if session.get("_identity_id"):
            keys[f"{PROVIDER}:sub"] = session["_identity_id"]
            keys[f"{PROVIDER}:aud"] = session.get("_identity_pool_id", "")
            keys[f"{PROVIDER}:amr"] = session.get("_cognito_amr") or []
        return keys

    def first_match(self, context, statements, effect):
        pairs = [
            (filled, statement)
            for statement in statements
            if statement.effect == effect
            and (filled := self.filled(statement, context)) is not None
        ]
        hit = self._first_match(context, [filled for filled, _ in pairs], effect)
        return next((original for filled, original in pairs if filled is hit), None)

    def filled(self, statement, context):
        """Return *statement* without variables, None when it can then match nothing."""
        parts = (statement.resources, statement.not_resources, statement.conditions)
        if "${" not in json.dumps(parts):
            return statement
        resources = self.substituted(statement.resources, context)
        if statement.resources and not resources:
            return None
        conditions = {
            operator: {key: self.substituted(values, context) for key, values in tests.items()}
            for operator, tests in (statement.conditions or {}).items()
        }
        return dataclasses.replace(
            statement,
            resources=resources,
            not_resources=self.substituted(statement.not_resources, context),
            conditions=conditions,
        )

    def substituted(self, values, context):
        values = [values] if isinstance(values, str) else [str(value) for value in values]
        filled = (self.text(value, context) for value in values)
        return [value for value in filled if value is not None]

    def text(self, value, context):
        """Return *value* filled in, None when a variable in it has no single value."""
        found = {name: self.value(name, context) for name in VARIABLE.findall(value)}
        if None in found.values():
            return None
        return VARIABLE.sub(lambda match: found[match[1]], value)

    def value(self, expression, context):
        name, _, default = (part.strip() for part in expression.partition(","))
        if name in ("*", "?", "$"):
            # Literal on AWS; here a wildcard, which no test tells apart.
            return name
        known = iam_evaluator._resolve_condition_key(name, context)
        if known is None or isinstance(known, list):
            return default.strip("'") or None
        return str(known)


class Sessions:
    """Fact 5: how long the sessions of an identity pool live."""

    def __init__(self):
        self.lifetime = 3600.0
        self._register = sts.register_session
        self._credentials = cognito._get_credentials_for_identity
        sts.register_session = self.register
        cognito._get_credentials_for_identity = self.credentials

    def register(self, key, session):
        if session.get("_cognito_auth_type"):
            session["Expiration"] = time.time() + self.lifetime
        self._register(key, session)

    def credentials(self, request):
        """Answer with the expiry that the session was registered with."""
        status, headers, body = self._credentials(request)
        if status == 200:
            answer = json.loads(body)
            key = answer["Credentials"]["AccessKeyId"]
            answer["Credentials"]["Expiration"] = sts._sessions[key]["Expiration"]
            body = json.dumps(answer).encode()
        return status, headers, body

    def expire(self, key):
        ended = [found for found in list(sts._sessions) if key in ("", found)]
        for found in ended:
            sts._sessions[found]["Expiration"] = time.time() - 1
        return len(ended)


@dataclasses.dataclass
class Failure:
    """Fact 5: how often a service shall still fail, and how."""

    count: int
    status: int
    code: str


@dataclasses.dataclass
class Request:
    """What the shim needs to know of a request."""

    method: str
    path: str
    query: dict
    target: str
    authorization: str

    @classmethod
    def of(cls, scope):
        headers = {key.decode().lower(): value.decode("latin-1") for key, value in scope["headers"]}
        return cls(
            scope["method"],
            scope["path"],
            parse_qs(scope.get("query_string", b"").decode(), keep_blank_values=True),
            headers.get("x-amz-target", ""),
            headers.get("authorization", ""),
        )

    def argument(self, name, default=""):
        return self.query.get(name, [default])[0]

    @property
    def service(self):
        if "CognitoIdentityService" in self.target:
            return "cognito-identity"
        if "CognitoIdentityProvider" in self.target:
            return "cognito-idp"
        return "s3" if "/s3/aws4_request" in self.authorization else ""

    @property
    def access_key(self):
        match = re.search(r"Credential=([A-Z0-9]+)/", self.authorization)
        return match[1] if match else ""

    @property
    def bucket_and_key(self):
        bucket, _, key = unquote(self.path.lstrip("/")).partition("/")
        return bucket, key

    @property
    def reads_object(self):
        is_read = self.method in ("GET", "HEAD") and "uploadId" not in self.query
        return self.service == "s3" and is_read and bool(self.bucket_and_key[1])


async def reply(send, status, body=b"{}", content_type=b"application/json"):
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class HiddenAbsence:
    """Fact 3: turns a 404 into a 403 where the caller may not list the key."""

    DENIED = (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    )

    def __init__(self, request, send):
        self._request, self._send, self._is_hidden = request, send, False

    async def __call__(self, message):
        if message["type"] == "http.response.start" and message["status"] == 404:
            self._is_hidden = self._may_not_list()
        if not self._is_hidden:
            await self._send(message)
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            body = b"" if self._request.method == "HEAD" else self.DENIED
            await reply(self._send, 403, body, b"application/xml")

    def _may_not_list(self):
        bucket, key = self._request.bucket_and_key
        denial = iam_evaluator.enforce(
            self._request.access_key,
            "s3:ListBucket",
            "s3",
            "us-east-1",
            resource_arn=f"arn:aws:s3:::{bucket}",
            service_context={"s3:prefix": key},
        )
        return denial is not None


class Shim:
    """The application: control, then ministack."""

    def __init__(self):
        PolicyVariables()
        s3._resolve_multipart_checksum_algorithm = without_composite(
            s3._resolve_multipart_checksum_algorithm
        )
        self._sessions = Sessions()
        self._failures = {}

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await ministack.app(scope, receive, send)
            return
        request = Request.of(scope)
        if request.path.startswith("/_test/"):
            await reply(send, 200, json.dumps(self.control(request)).encode())
        elif failure := self.failure(request.service):
            body = json.dumps({"__type": failure.code, "message": "injected"}).encode()
            await reply(send, failure.status, body, b"application/x-amz-json-1.1")
        else:
            answer = HiddenAbsence(request, send) if request.reads_object else send
            await ministack.app(canonical(scope, request), receive, answer)

    def control(self, request):
        match request.path.removeprefix("/_test/"):
            case "lifetime":
                self._sessions.lifetime = float(request.argument("seconds"))
            case "expire":
                return {"expired": self._sessions.expire(request.argument("key"))}
            case "fail":
                self._failures[request.argument("service")] = Failure(
                    int(request.argument("count")),
                    int(request.argument("status")),
                    request.argument("code", "InternalErrorException"),
                )
            case other:
                raise ValueError(other)
        return {}

    def failure(self, service):
        failure = self._failures.get(service)
        if failure is None or failure.count <= 0:
            return None
        failure.count -= 1
        return failure


def without_composite(resolve):
    """Fact 5: an upload that asks for a full-object checksum has no composite one."""

    def resolved(headers):
        if headers.get("x-amz-checksum-type", "").upper() == "FULL_OBJECT":
            return None, None
        return resolve(headers)

    return resolved


def canonical(scope, request):
    """Fact 4: the path in the one spelling that signatures are made of."""
    if request.service != "s3" or not scope.get("raw_path"):
        return scope
    decoded = unquote_to_bytes(scope["raw_path"].decode("latin-1"))
    return {**scope, "raw_path": quote(decoded, safe="/-_.~").encode()}


if __name__ == "__main__":
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ['GATEWAY_PORT']}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    asyncio.run(serve(Shim(), config))
