"""The embedded cloud: a moto server on 127.0.0.1, alone in a process of its own.

Owns that process from start to end, and the account inside it: a user pool with an app client and
one user, an identity pool with its roles, a bucket. All of it lives in memory.

INVARIANT: a process holds `Place.lock` exactly while it is the place's cloud, so a process id is
only ever signalled while its owner provably lives.
"""

import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import boto3
from botocore.config import Config

from cognitofs.demo.place import Account, Place, without_foreign_settings
from cognitofs.errors import CognitoFSError, Unreachable

USER = "demo"
PASSWORD = "Demo-passw0rd"
BUCKET = "cognitofs-demo"
_REGION = "us-east-1"
_START_DEADLINE = 90.0  # seconds; importing moto takes 2-6 of them on a small machine
_STOP_DEADLINE = 10.0


def client(service: str, endpoint: str) -> Any:  # noqa: ANN401 -- boto3 makes its classes at run time
    """Return a plain boto3 client of the embedded cloud, as its administrator."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=_REGION,
        aws_access_key_id="administrator",
        aws_secret_access_key="unchecked",
        config=Config(proxies={}, s3={"addressing_style": "path"}),
    )


def running(place: Place) -> Account | None:
    """Return the account of the cloud that serves *place* now, or None."""
    return place.read_account() if _is_locked(place.lock) else None


def start(place: Place) -> Account:
    """Start the cloud of *place* in the background and return its account when it is ready.

    Raises Unreachable when it does not come up.
    """
    with (
        place.log.open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "cognitofs.demo", "--serve", place.base],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            env=without_foreign_settings(os.environ),
        ) as process,
    ):
        account = _wait_ready(place, process)
        process.returncode = 0  # it lives on by itself: nobody waits for it here
        return account


def _wait_ready(place: Place, process: "subprocess.Popen[bytes]") -> Account:
    """Wait for the line by which `serve` says that it is ready; no line, no cloud."""
    watchdog = threading.Timer(_START_DEADLINE, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
    finally:
        watchdog.cancel()
    account = place.read_account()
    if not said or account is None:
        raise Unreachable(f"The demo's cloud did not start; {place.log} says why.")
    return account


def stop(place: Place) -> None:
    """End the cloud of *place*, if it runs, and return when its process has ended."""
    account = running(place)
    if account is None:
        return
    os.kill(account.pid, signal.SIGTERM)
    if not _wait_unlocked(place.lock):
        os.kill(account.pid, signal.SIGKILL)
        if not _wait_unlocked(place.lock):
            raise CognitoFSError(f"The demo's cloud does not end; kill process {account.pid}.")


def serve(place: Place) -> None:
    """Be the cloud of *place* until a signal ends this process."""
    lock = place.lock.open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)  # may meet another's look at it; who starts us has a deadline
    endpoint = _start_server()
    place.write_account(_make_account(endpoint))
    sys.stdout.write("ready\n")
    sys.stdout.close()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    place.record.unlink(missing_ok=True)
    lock.close()


def _start_server() -> str:
    """Start moto in a thread, on a free port of the loopback device, and return its URL."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 -- only this process needs it

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else each request is a line in the log
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


def _make_account(endpoint: str) -> Account:
    pool, app = _make_user_pool(client("cognito-idp", endpoint))
    identities = client("cognito-identity", endpoint)
    provider = f"cognito-idp.{_REGION}.amazonaws.com/{pool}"
    identity_pool = identities.create_identity_pool(
        IdentityPoolName="demo",
        AllowUnauthenticatedIdentities=False,
        CognitoIdentityProviders=[{"ProviderName": provider, "ClientId": app}],
    )["IdentityPoolId"]
    _make_role(client("iam", endpoint))
    client("s3", endpoint).create_bucket(Bucket=BUCKET)
    return Account(
        pid=os.getpid(),
        endpoint=endpoint,
        region=_REGION,
        user_pool_id=pool,
        client_id=app,
        identity_pool_id=identity_pool,
        bucket=BUCKET,
        user=USER,
    )


def _make_user_pool(users: Any) -> tuple[str, str]:  # noqa: ANN401 -- a boto3 client
    """Make the user pool, its app client and its user; return the ids of pool and client."""
    pool: str = users.create_user_pool(PoolName="demo")["UserPool"]["Id"]
    app: str = users.create_user_pool_client(
        UserPoolId=pool,
        ClientName="cognitofs",
        ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    )["UserPoolClient"]["ClientId"]
    users.admin_create_user(UserPoolId=pool, Username=USER, MessageAction="SUPPRESS")
    users.admin_set_user_password(UserPoolId=pool, Username=USER, Password=PASSWORD, Permanent=True)
    return pool, app


def _make_role(iam: Any) -> None:  # noqa: ANN401 -- a boto3 client
    """Make the role of signed-in users with the policy that a real one needs.

    On AWS the identity pool would be told of it (SetIdentityPoolRoles, which moto 5.2 does not
    know), and the policy would be enforced (which moto does not do either).
    """
    own = f"arn:aws:s3:::{BUCKET}/private/${{cognito-identity.amazonaws.com:sub}}/*"
    listing = {"StringLike": {"s3:prefix": ["private/${cognito-identity.amazonaws.com:sub}/*"]}}
    objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    statements = [
        {"Effect": "Allow", "Action": objects, "Resource": own},
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{BUCKET}",
            "Condition": listing,
        },
    ]
    iam.create_role(RoleName="demo-user", AssumeRolePolicyDocument="{}")
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName="demo-user", PolicyName="own-prefix", PolicyDocument=policy)


def _is_locked(path: Path) -> bool:
    with suppress(FileNotFoundError), path.open("rb") as file:
        return not _try_lock(file)
    return False


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_unlocked(path: Path) -> bool:
    end = time.monotonic() + _STOP_DEADLINE
    while _is_locked(path):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
