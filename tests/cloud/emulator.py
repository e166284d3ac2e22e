"""The emulated cloud: Cognito, IAM and S3 that enforce what AWS enforces.

`run()` starts ministack with our shim in a process of its own on 127.0.0.1, and does not hand it
out before it has proved that it enforces what the tests lean on. `Cloud.application` builds what an
administrator would: user pool, app client, identity pool, role and bucket, with alice and bob.
"""

import itertools
import json
import os
import subprocess
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import boto3
import tomlkit
from botocore.config import Config
from botocore.exceptions import ClientError

from cognitofs.auth.account import Account, open_account, sign_in
from cognitofs.config import Profile
from cognitofs.errors import WrongCredentials
from cognitofs.store.keys import Keys
from tests.cloud.install import set_up
from tests.servers import ServerUnfit, free_ports
from tests.unit.answers import Answers

Policy = Literal["least", "stock", "no-list", "no-put", "no-get"]

REGION = "us-east-1"
PASSWORD = "Passw0rd!"
TEMPORARY_PASSWORD = "Temp1234!"
START_SECONDS = 60.0

# ministack takes this key for the account's root and does not check its signature: it is used to
# build things, and never on the user's side.
_ROOT = {"aws_access_key_id": "AKIAROOTROOTROOTROOT", "aws_secret_access_key": "rootsecret"}
_S3 = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
_SUB = "${cognito-identity.amazonaws.com:sub}"
_FLOWS = ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]

# The object actions of each policy: the least that cognitofs asks for, what Amplify's stock roles
# grant, and three roles that are too poor.
_ACTIONS: dict[Policy, tuple[str, ...]] = {
    "least": (
        "GetObject",
        "PutObject",
        "DeleteObject",
        "AbortMultipartUpload",
        "ListMultipartUploadParts",
    ),
    "stock": ("GetObject", "PutObject", "DeleteObject"),
    "no-list": ("GetObject", "PutObject", "DeleteObject"),
    "no-put": ("GetObject", "DeleteObject"),
    "no-get": ("PutObject", "DeleteObject"),
}


@dataclass(frozen=True, slots=True)
class Application:
    """What an administrator has built, and how to use it as one of its users."""

    cloud: "Cloud"
    profile: Profile

    @property
    def bucket(self) -> str:
        return self.profile.bucket

    def sign_in(self, state: Path, username: str = "alice", password: str = PASSWORD) -> Account:
        """Sign in by our own code; *state* becomes the profile's state directory."""
        sign_in(self.profile, state, username, Answers(password))
        return open_account(self.profile, state)

    def s3(self, keys: Keys) -> Any:
        """Return a plain S3 client that signs with *keys*."""
        return self.cloud.boto.client(
            "s3",
            endpoint_url=self.cloud.endpoint,
            region_name=REGION,
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            aws_session_token=keys.token,
            config=_S3,
        )

    def write_profile(self, path: Path, name: str = "default", **options: object) -> Path:
        """Write a configuration with this application as profile *name*; return *path*."""
        profile = self.profile
        table = {
            "user_pool_id": profile.user_pool_id,
            "client_id": profile.client_id,
            "client_secret": profile.client_secret,
            "identity_pool_id": profile.identity_pool_id,
            "bucket": profile.bucket,
            "endpoint_url": profile.endpoint_url,
            **_browser_options(profile),
            **options,
        }
        document = tomllib.loads(path.read_text()) if path.exists() else {}
        filled = {key: value for key, value in table.items() if value != ""}
        document.setdefault("profiles", {})[name] = filled
        path.write_text(tomlkit.dumps(document))
        path.chmod(0o600)
        return path

    def admin(self, operation: str, username: str, **parameters: object) -> Any:
        """Call an administrator's operation of the user pool on *username*."""
        call = getattr(self.cloud.root("cognito-idp"), operation)
        return call(UserPoolId=self.profile.user_pool_id, Username=username, **parameters)

    def add_user(self, username: str, password: str = PASSWORD, *, is_temporary=False) -> None:
        self.admin(
            "admin_create_user",
            username,
            MessageAction="SUPPRESS",
            TemporaryPassword=TEMPORARY_PASSWORD,
        )
        if not is_temporary:
            self.admin("admin_set_user_password", username, Password=password, Permanent=True)


def _browser_options(profile: Profile) -> dict[str, str]:
    if not profile.oauth_domain:
        return {}
    return {"oauth_domain": profile.oauth_domain, "oauth_redirect": profile.oauth_redirect}


class Cloud:
    """The running emulator."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        # One session: reading botocore's models again for each client takes most of the time.
        self.boto = boto3.Session()
        self._clients: dict[str, Any] = {}
        self._numbers = itertools.count(1)
        self._known: dict[Policy, Application] = {}

    def root(self, service: str) -> Any:
        """Return a client with the rights of the account's root, to build and to verify."""
        if service not in self._clients:
            self._clients[service] = self._root(service)
        return self._clients[service]

    def _root(self, service: str) -> Any:
        config = _S3 if service == "s3" else None
        return self.boto.client(
            service, endpoint_url=self.endpoint, region_name=REGION, config=config, **_ROOT
        )

    @contextmanager
    def lifetime(self, seconds: float) -> Iterator[None]:
        """Let the sessions vended meanwhile live for *seconds*."""
        self._control("lifetime", seconds=seconds)
        try:
            yield
        finally:
            self._control("lifetime", seconds=3600)

    def expire(self, access_key: str = "") -> int:
        """End the session with this key now, or all; return how many."""
        return int(self._control("expire", key=access_key)["expired"])

    def fail(self, service: str, *, count: int, status: int = 503, code: str = "Broken") -> None:
        """Let the next *count* requests to *service* fail; 0 ends it."""
        self._control("fail", service=service, count=count, status=status, code=code)

    def application(self, policy: Policy = "least") -> Application:
        """Return the application with this role, with users alice and bob; shared by all tests."""
        if policy not in self._known:
            self._known[policy] = self.new_application(policy)
        return self._known[policy]

    def add_browser_client(self, app: Application, redirect: str) -> Application:
        """Return *app* as seen through a second app client, for the browser, linked to its pool."""
        client = self.root("cognito-idp").create_user_pool_client(
            UserPoolId=app.profile.user_pool_id,
            ClientName="browser",
            AllowedOAuthFlows=["code"],
            AllowedOAuthFlowsUserPoolClient=True,
            AllowedOAuthScopes=["openid"],
            CallbackURLs=[redirect],
            SupportedIdentityProviders=["COGNITO"],
            ExplicitAuthFlows=["ALLOW_REFRESH_TOKEN_AUTH"],
        )["UserPoolClient"]["ClientId"]
        identity = self.root("cognito-identity")
        pool = identity.describe_identity_pool(IdentityPoolId=app.profile.identity_pool_id)
        (known,) = pool["CognitoIdentityProviders"]
        identity.update_identity_pool(
            IdentityPoolId=pool["IdentityPoolId"],
            IdentityPoolName=pool["IdentityPoolName"],
            AllowUnauthenticatedIdentities=False,
            CognitoIdentityProviders=[known, {**known, "ClientId": client}],
        )
        profile = replace(
            app.profile, client_id=client, oauth_domain=self.endpoint, oauth_redirect=redirect
        )
        return replace(app, profile=profile)

    def new_application(self, policy: Policy = "least", *, has_secret: bool = False) -> Application:
        """Return an application of the test's own."""
        name = f"app-{next(self._numbers):04d}"
        self.root("s3").create_bucket(Bucket=name)
        pool, client, secret = self._user_pool(name, has_secret=has_secret)
        identity_pool = self._identity_pool(name, pool, client)
        self._role(name, identity_pool, policy)
        profile = Profile(
            user_pool_id=pool,
            client_id=client,
            client_secret=secret,
            identity_pool_id=identity_pool,
            bucket=name,
            endpoint_url=self.endpoint,
        )
        made = Application(self, profile)
        made.add_user("alice")
        made.add_user("bob")
        return made

    def _user_pool(self, name: str, *, has_secret: bool) -> tuple[str, str, str]:
        cognito = self.root("cognito-idp")
        pool = cognito.create_user_pool(PoolName=name)["UserPool"]["Id"]
        client = cognito.create_user_pool_client(
            UserPoolId=pool,
            ClientName=name,
            ExplicitAuthFlows=_FLOWS,
            GenerateSecret=has_secret,
            PreventUserExistenceErrors="ENABLED",
        )["UserPoolClient"]
        return pool, client["ClientId"], client.get("ClientSecret", "") if has_secret else ""

    def _identity_pool(self, name: str, user_pool: str, client: str) -> str:
        provider = {
            "ProviderName": f"cognito-idp.{REGION}.amazonaws.com/{user_pool}",
            "ClientId": client,
            "ServerSideTokenCheck": False,
        }
        pool = self.root("cognito-identity").create_identity_pool(
            IdentityPoolName=name,
            AllowUnauthenticatedIdentities=False,
            CognitoIdentityProviders=[provider],
        )
        return str(pool["IdentityPoolId"])

    def _role(self, name: str, identity_pool: str, policy: Policy) -> None:
        role = self._new_role(name, identity_pool, "authenticated")
        self.grant(name, policy)
        self.root("cognito-identity").set_identity_pool_roles(
            IdentityPoolId=identity_pool, Roles={"authenticated": role}
        )

    def _new_role(self, name: str, identity_pool: str, amr: str) -> str:
        document = json.dumps(_trust(identity_pool, amr))
        role = self.root("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)
        return str(role["Role"]["Arn"])

    def role_arn(self, app: Application) -> str:
        """Return the role of the application's users."""
        return str(self.root("iam").get_role(RoleName=app.bucket)["Role"]["Arn"])

    def admit(self, app: Application, **providers: object) -> None:
        """Let guests in, and the logins of other *providers* (as UpdateIdentityPool names them)."""
        identity, pool_id = self.root("cognito-identity"), app.profile.identity_pool_id
        pool = identity.describe_identity_pool(IdentityPoolId=pool_id)
        identity.update_identity_pool(
            IdentityPoolId=pool_id,
            IdentityPoolName=pool["IdentityPoolName"],
            AllowUnauthenticatedIdentities=True,
            CognitoIdentityProviders=pool["CognitoIdentityProviders"],
            **providers,
        )
        name = f"{app.bucket}-guest"
        guest = self._new_role(name, pool_id, "unauthenticated")
        self.root("iam").put_role_policy(
            RoleName=name,
            PolicyName="files",
            PolicyDocument=json.dumps(role_policy(app.bucket, "least")),
        )
        identity.set_identity_pool_roles(
            IdentityPoolId=pool_id,
            Roles={"authenticated": self.role_arn(app), "unauthenticated": guest},
        )

    def grant(self, application: str, policy: Policy) -> None:
        """Let the users of an application, which its bucket names, do what *policy* says."""
        document = json.dumps(role_policy(application, policy))
        self.root("iam").put_role_policy(
            RoleName=application, PolicyName="files", PolicyDocument=document
        )

    def _control(self, command: str, **arguments: object) -> Any:
        url = f"{self.endpoint}/_test/{command}?{urlencode(arguments)}"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10) as got:
            return json.load(got)


def role_policy(bucket: str, policy: Policy) -> dict[str, object]:
    """Return the policy of the role for signed-in users."""
    objects = {
        "Effect": "Allow",
        "Action": [f"s3:{action}" for action in _ACTIONS[policy]],
        "Resource": f"arn:aws:s3:::{bucket}/private/{_SUB}/*",
    }
    prefixes = [f"private/{_SUB}/", f"private/{_SUB}/*"]
    listing = {
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": f"arn:aws:s3:::{bucket}",
        "Condition": {"StringLike": {"s3:prefix": prefixes}},
    }
    statements = [objects] if policy == "no-list" else [objects, listing]
    return {"Version": "2012-10-17", "Statement": statements}


def _trust(identity_pool: str, amr: str) -> dict[str, object]:
    provider = "cognito-identity.amazonaws.com"
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {f"{provider}:aud": identity_pool},
            "ForAnyValue:StringLike": {f"{provider}:amr": amr},
        },
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


@contextmanager
def run(directory: Path) -> Iterator[Cloud]:
    """Run the emulator with its state below *directory*. Raises ServerUnfit."""
    (port,) = free_ports(1)
    environ = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    environ |= {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "STATE_DIR": str(directory / "state"),
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "AWS_ACCESS_KEY_ID": _ROOT["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": _ROOT["aws_secret_access_key"],
    }
    log = directory / "ministack.log"
    command = [set_up(), Path(__file__).with_name("ministack_shim.py")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environ
        )
    try:
        cloud = Cloud(f"http://127.0.0.1:{port}")
        _wait_for(cloud, process, log)
        prove(cloud, directory)
        yield cloud
    finally:
        process.kill()  # its state is thrown away
        process.wait()


def _wait_for(cloud: Cloud, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{cloud.endpoint}/_ministack/health", timeout=5):
                return
        except (urllib.error.URLError, OSError) as exc:
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerUnfit(f"ministack did not start:\n{log.read_text()[-2000:]}") from exc
            time.sleep(0.05)


def prove(cloud: Cloud, directory: Path) -> None:
    """Raise ServerUnfit unless the cloud enforces what the tests of this folder lean on."""
    app = cloud.application()
    alice = app.sign_in(directory / "alice")
    bob = app.sign_in(directory / "bob", "bob")
    key = f"private/{alice.identity_id}/probe"
    owner, other = app.s3(alice.credentials.current()), app.s3(bob.credentials.current())
    forged = app.s3(replace(alice.credentials.current(), secret_key="forged"))
    owner.put_object(Bucket=app.bucket, Key=key, Body=b"1")
    expected = (
        (200, status_of(owner.get_object, Bucket=app.bucket, Key=key)),
        (403, status_of(other.get_object, Bucket=app.bucket, Key=key)),
        (403, status_of(other.put_object, Bucket=app.bucket, Key=key, Body=b"2")),
        (403, status_of(owner.list_objects_v2, Bucket=app.bucket)),
        (403, status_of(forged.get_object, Bucket=app.bucket, Key=key)),
    )
    if any(wanted != got for wanted, got in expected):
        raise ServerUnfit(f"ministack does not keep users apart (wanted, got): {expected}")
    try:
        app.sign_in(directory / "mallory", "alice", "not her password")
    except WrongCredentials:
        return
    raise ServerUnfit("ministack accepts a wrong password.")


def status_of(call: Any, **parameters: object) -> int:
    """Return the HTTP status that S3 answers to a boto3 call with."""
    try:
        answer = call(**parameters)
    except ClientError as exc:
        answer = exc.response
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])
