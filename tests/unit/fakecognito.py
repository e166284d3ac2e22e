"""FakeCognito: a strict little Cognito on a real socket, for what no emulator has.

It checks SRP with its own server-side arithmetic (written from RFC 5054, sharing no code with
ours), rotates refresh tokens, merges identities, and fails as told.
"""

import base64
import email.utils
import hashlib
import hmac
import json
import secrets
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

POOL = "us-east-1_FakePool1"
CLIENT = "fake-client"
IDENTITY_POOL = "us-east-1:00000000-0000-4000-8000-000000000000"
PROVIDER = f"cognito-idp.us-east-1.amazonaws.com/{POOL}"

HOUR = 3600


class Refused(Exception):
    """An error answer: status, code, message."""

    def __init__(self, code, message="", status=400):
        super().__init__(code)
        self.code, self.message, self.status = code, message, status


class SrpServer:
    """The server's side of one SRP exchange, step by step as RFC 5054 has it."""

    def __init__(self, n, pool, user, password, *, salt=None, private=None):
        self.n, self.pool, self.user = n, pool.partition("_")[2], user
        self.salt = secrets.randbits(128) if salt is None else salt
        self.b = secrets.randbits(256) if private is None else private
        identity = f"{self.pool}{user}:{password}".encode()
        self.verifier = pow(2, self.number(self.java(self.salt), self.sha(identity)), n)
        self.k = self.number(self.java(n), self.java(2))
        self.public = (self.k * self.verifier + pow(2, self.b, n)) % n
        self.block = secrets.token_bytes(64)

    @staticmethod
    def sha(data):
        return hashlib.sha256(data).digest()

    @staticmethod
    def java(number):
        """BigInteger.toByteArray: two's complement, shortest."""
        text = f"{number:x}"
        data = bytes.fromhex(text if len(text) % 2 == 0 else f"0{text}")
        return b"\0" + data if data[0] & 0x80 else data

    def number(self, *parts):
        return int(self.sha(b"".join(parts)).hex(), 16)

    def challenge(self):
        return {
            "SALT": f"{self.salt:x}",
            "SRP_B": f"{self.public:x}",
            "SECRET_BLOCK": base64.b64encode(self.block).decode(),
            "USER_ID_FOR_SRP": self.user,
            "USERNAME": self.user,
        }

    def key(self, client_public):
        u = self.number(self.java(client_public), self.java(self.public))
        shared = pow(client_public * pow(self.verifier, u, self.n), self.b, self.n)
        pseudorandom = hmac.new(self.java(u), self.java(shared), "sha256").digest()
        return hmac.new(pseudorandom, b"Caldera Derived Key\x01", "sha256").digest()[:16]

    def accepts(self, srp_a, proof):
        message = f"{self.pool}{self.user}".encode() + self.block + proof["TIMESTAMP"].encode()
        expected = hmac.new(self.key(int(srp_a, 16)), message, "sha256").digest()
        return base64.b64encode(expected).decode() == proof["PASSWORD_CLAIM_SIGNATURE"]


def jwt(**claims):
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.{secrets.token_hex(4)}"


class FakeCognito:
    """What the server holds and how it answers. `clock` is the server's."""

    def __init__(self, n):
        self.n = n
        self.passwords = {"alice": "Passw0rd!"}
        self.client_secret = ""
        self.rotates = False
        self.alias = {}
        self.refresh_tokens = {}
        self.dead_id_tokens = set()
        self.identity_of = {}
        self.answers = {}
        self.requests = []
        self.skew = 0.0
        self.token_life = HOUR
        self.key_life = HOUR
        self._exchanges = {}
        self._lock = threading.Lock()

    # What tests set up and look at.

    def script(self, operation, *answers):
        """Answer the next calls of *operation* so: a dict, a Refused, or bytes with status 500."""
        self.answers.setdefault(operation, []).extend(answers)

    def called(self, operation):
        return [request for name, request in self.requests if name == operation]

    # The operations.

    def answer(self, operation, request):
        with self._lock:
            self.requests.append((operation, request))
            scripted = self.answers.get(operation)
            if scripted:
                found = scripted.pop(0)
                if isinstance(found, Refused):
                    raise found
                return found
            method = getattr(self, f"on_{operation}", None)
            if method is None:
                raise Refused("UnknownOperationException")
            return method(request)

    def on_InitiateAuth(self, request):  # noqa: N802 - Cognito's name
        parameters = request["AuthParameters"]
        if request["AuthFlow"] == "REFRESH_TOKEN_AUTH":
            return self.renewed(parameters["REFRESH_TOKEN"])
        assert request["AuthFlow"] == "USER_SRP_AUTH"
        assert "PASSWORD" not in parameters
        self.check_hash(parameters)
        user = self.alias.get(parameters["USERNAME"], parameters["USERNAME"])
        password = self.passwords.get(user, secrets.token_hex())
        server = SrpServer(self.n, POOL, user, password)
        self._exchanges[user] = (server, parameters["SRP_A"])
        return {"ChallengeName": "PASSWORD_VERIFIER", "ChallengeParameters": server.challenge()}

    def on_RespondToAuthChallenge(self, request):  # noqa: N802 - Cognito's name
        answers = request["ChallengeResponses"]
        self.check_hash(answers)
        server, srp_a = self._exchanges.pop(answers["USERNAME"])
        if not server.accepts(srp_a, answers):
            raise Refused("NotAuthorizedException", "Incorrect username or password.")
        return self.tokens(server.user, secrets.token_hex())

    def check_hash(self, parameters):
        if not self.client_secret:
            return
        message = (parameters["USERNAME"] + CLIENT).encode()
        digest = hmac.new(self.client_secret.encode(), message, "sha256").digest()
        if parameters.get("SECRET_HASH") != base64.b64encode(digest).decode():
            raise Refused("NotAuthorizedException", f"Unable to verify secret hash for {CLIENT}")

    def tokens(self, user, refresh_token):
        self.refresh_tokens[refresh_token] = user
        now = time.time() + self.skew
        common = {"sub": f"sub-{user}", "iat": now, "exp": now + self.token_life}
        return {
            "AuthenticationResult": {
                "IdToken": jwt(**common, **{"cognito:username": user}),
                "AccessToken": jwt(**common, username=user),
                "RefreshToken": refresh_token,
            }
        }

    def on_GetTokensFromRefreshToken(self, request):  # noqa: N802 - Cognito's name
        if self.client_secret and request.get("ClientSecret") != self.client_secret:
            raise Refused("NotAuthorizedException", "Client secret is wrong.")
        return self.renewed(request["RefreshToken"])

    def renewed(self, refresh_token):
        user = self.refresh_tokens.get(refresh_token)
        if user is None:
            raise Refused("NotAuthorizedException", "Invalid Refresh Token")
        if self.rotates:
            del self.refresh_tokens[refresh_token]
            return self.tokens(user, secrets.token_hex())
        answer = self.tokens(user, refresh_token)
        del answer["AuthenticationResult"]["RefreshToken"]
        return answer

    def on_GetId(self, request):  # noqa: N802 - Cognito's name
        return {"IdentityId": self.identity(request["Logins"][PROVIDER])}

    def on_GetCredentialsForIdentity(self, request):  # noqa: N802 - Cognito's name
        token = request["Logins"][PROVIDER]
        if token in self.dead_id_tokens:
            raise Refused("NotAuthorizedException", "Invalid login token. Token expired: 2 >= 1")
        return {
            "IdentityId": self.identity(token),
            "Credentials": {
                "AccessKeyId": f"ASIA{secrets.token_hex(8).upper()}",
                "SecretKey": "secret",
                "SessionToken": "token",
                "Expiration": time.time() + self.skew + self.key_life,
            },
        }

    def identity(self, token):
        body = token.split(".")[1]
        sub = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["sub"]
        digest = hashlib.sha256(sub.encode()).hexdigest()
        uuid = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
        return self.identity_of.get(sub, f"us-east-1:{uuid}")


@contextmanager
def serving(fake):
    """Serve *fake* on a free port of 127.0.0.1; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def date_time_string(self, timestamp=None):
            return email.utils.formatdate((timestamp or time.time()) + fake.skew, usegmt=True)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert "Authorization" not in self.headers, "calls to Cognito are unsigned"
            operation = self.headers["X-Amz-Target"].partition(".")[2]
            try:
                self.reply(200, fake.answer(operation, json.loads(body)))
            except Refused as exc:
                self.reply(exc.status, {"__type": exc.code, "message": exc.message})

        def reply(self, status, answer):
            if isinstance(answer, bytes):
                status = 500
            else:
                answer = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
